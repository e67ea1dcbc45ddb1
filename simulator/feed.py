"""The readings on their way: each as the bytes to send, with the moment at which it gets to the wire.

A reading's content depends on (seed, device, minute) alone; when it is delivered (once, twice, hours late) is the faults' business.
"""

from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from simulator.faults import LATE_AT_LEAST_MIN, LATE_UP_TO_MIN, Faults
from simulator.fleet import Fleet
from simulator.noise import Floats, between, uniform
from simulator.trips import DAY_MIN
from simulator.world import Minute, World

VEHICLES = "vehicles"
METERS = "meters"
# A unit needs a moment from its measurement to the wire; it also keeps a reading from being stamped in the server's future.
SENDING_S = 0.5
DUPLICATE_AFTER_S = 90.0


class Delivery(NamedTuple):
    """One reading to send at `at_s` (seconds since 1970 UTC); `stream` is `vehicles` or `meters`, `body` its JSON object."""

    at_s: float
    stream: str
    body: bytes


class _Luck(NamedTuple):
    """How one minute's readings of one stream travel: seconds of delay, and of the second copy (0: none)."""

    delay_s: Floats
    copy_after_s: Floats


class Feed:
    """Deliveries minute by minute, in the order in which they reach the server.

    Begins with readings of `first_minute`. `stopped_at_s` maps ids of devices that fell silent to the second after which they sent nothing.
    """

    def __init__(self, fleet: Fleet, faults: Faults, first_minute: int, stopped_at_s: dict[str, float]) -> None:
        n = len(fleet)
        self._fleet, self._faults = fleet.with_extra_loss(faults.extra_loss_share(n)), faults
        self._world = World(self._fleet, first_minute, faults.mask("charges_elsewhere", n), faults.anybody(n))
        self._travelling: dict[int, list[Delivery]] = {}
        self._ids = {VEHICLES: [v.vehicle_id for v in fleet.vehicles], METERS: [v.meter_id for v in fleet.vehicles]}
        self._stops_s = {stream: np.array([stopped_at_s.get(i, np.inf) for i in ids]) for stream, ids in self._ids.items()}
        unseen = faults.mask("no_position", n) | faults.mask("no_position_at_all", n)
        self._has_position = (~unseen).tolist()
        self._day, self._luck = -1, {VEHICLES: _Luck(np.empty(0), np.empty(0)), METERS: _Luck(np.empty(0), np.empty(0))}
        self.minute = first_minute

    def next_minute(self) -> list[Delivery]:
        """Everything delivered within the next minute, ordered by time: its own readings, and late ones of the hours before."""
        reading = self._world.next()
        self._draw_luck(reading.minute)
        due = self._travelling.pop(reading.minute, [])
        due += self._dispatch(reading, VEHICLES, reading.vehicle_second, self._vehicle_bodies(reading))
        due += self._dispatch(reading, METERS, reading.meter_second, self._meter_bodies(reading))
        self.minute += 1
        due.sort()
        return due

    def _draw_luck(self, minute: int) -> None:
        """Once a day: which of its readings are late and which are sent twice."""
        day = minute // DAY_MIN
        if day == self._day:
            return
        self._day = day
        minutes = day * DAY_MIN + np.arange(DAY_MIN)[:, None]
        self._luck = {stream: self._luck_of(stream, minutes) for stream in (VEHICLES, METERS)}

    def _luck_of(self, stream: str, minutes: NDArray[np.int64]) -> _Luck:
        seed, index = self._fleet.seed, self._fleet.index
        drawn, how_long, twice = (uniform(seed, f"{what}{stream[:3]}", index, minutes) for what in ("late", "long", "copy"))
        late_s = between(60.0 * LATE_AT_LEAST_MIN, 60.0 * LATE_UP_TO_MIN, how_long)
        return _Luck(
            np.where(drawn < self._faults.late, late_s, 0.0),
            np.where(twice < self._faults.duplicates, 1.0 + DUPLICATE_AFTER_S * how_long, 0.0),
        )

    def _dispatch(self, reading: Minute, stream: str, second: Floats, bodies: list[bytes]) -> list[Delivery]:
        """Deliveries of this very minute; those of later ones are put aside."""
        luck, row = self._luck[stream], reading.minute % DAY_MIN
        measured_s = reading.minute * 60.0 + second
        at_s = measured_s + SENDING_S + luck.delay_s[row]
        copies_s = luck.copy_after_s[row]
        sent = measured_s <= self._stops_s[stream]
        now: list[Delivery] = []
        for at, body, copy_after in zip(at_s[sent].tolist(), _chosen(bodies, sent), copies_s[sent].tolist(), strict=True):
            self._put(now, reading.minute, Delivery(at, stream, body))
            if copy_after:
                self._put(now, reading.minute, Delivery(at + copy_after, stream, body))
        return now

    def _put(self, now: list[Delivery], minute: int, delivery: Delivery) -> None:
        arrives = int(delivery.at_s // 60)
        (now if arrives <= minute else self._travelling.setdefault(arrives, [])).append(delivery)

    def _vehicle_bodies(self, reading: Minute) -> list[bytes]:
        columns = zip(
            self._ids[VEHICLES],
            np.round(reading.soc_pct, 1).tolist(),
            (reading.dc_wh / 1000.0).tolist(),
            np.round(reading.battery_temp_c, 1).tolist(),
            _stamps(reading.minute, reading.vehicle_second),
            strict=True,
        )
        readings = [
            {"vehicleId": vehicle_id, "soc": soc, "kwhDeliveredDc": kwh, "batteryTemp": temp, "timestamp": stamp}
            for vehicle_id, soc, kwh, temp, stamp in columns
        ]
        places = zip(np.round(reading.latitude, 5).tolist(), np.round(reading.longitude, 5).tolist(), strict=True)
        for wire, has_position, (latitude, longitude) in zip(readings, self._has_position, places, strict=True):
            if has_position:
                wire["latitude"], wire["longitude"] = latitude, longitude
        return [orjson.dumps(wire) for wire in readings]

    def _meter_bodies(self, reading: Minute) -> list[bytes]:
        columns = zip(
            self._ids[METERS],
            (reading.ac_wh / 1000.0).tolist(),
            np.round(reading.voltage_v, 1).tolist(),
            _stamps(reading.minute, reading.meter_second),
            strict=True,
        )
        return [
            orjson.dumps({"meterId": meter_id, "kwhConsumedAc": kwh, "voltage": volts, "timestamp": stamp})
            for meter_id, kwh, volts, stamp in columns
        ]


def _stamps(minute: int, second: Floats) -> list[str]:
    """RFC 3339 timestamps in whole seconds, UTC."""
    prefix = str(np.datetime64(minute, "m"))
    return [f"{prefix}:{s:02d}Z" for s in second.astype(np.int64).tolist()]


def _chosen(bodies: list[bytes], mask: NDArray[np.bool_]) -> list[bytes]:
    return bodies if mask.all() else [body for body, keep in zip(bodies, mask.tolist(), strict=True) if keep]


def batch_body(deliveries: list[Delivery]) -> bytes:
    """The body of one `POST /v1/telemetry/batch` with these readings, in their order."""
    parts = (b",".join(d.body for d in deliveries if d.stream == stream) for stream in (VEHICLES, METERS))
    return b'{"vehicles":[%b],"meters":[%b]}' % tuple(parts)
