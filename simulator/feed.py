"""The readings on their way: each as the bytes to send, with the moment at which it gets to the wire.

A reading's content depends on (seed, device, minute) alone; when it is delivered (once, twice, hours late) is the faults' business.
"""

from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from simulator import travel
from simulator.faults import Faults
from simulator.fleet import METERS, VEHICLES, Fleet
from simulator.noise import Floats
from simulator.trips import DAY_MIN
from simulator.world import Minute, World


class Delivery(NamedTuple):
    """One reading to send at `at_s` (seconds since 1970 UTC); `stream` is `vehicles` or `meters`, `body` its JSON object."""

    at_s: float
    stream: str
    body: bytes


class Feed:
    """Deliveries minute by minute, in the order in which they reach the server.

    Begins with readings of `first_minute`. `stopped_at_s` maps ids of devices that fell silent to the second after which they sent nothing.
    """

    def __init__(self, fleet: Fleet, faults: Faults, first_minute: int, stopped_at_s: dict[str, float]) -> None:
        n = len(fleet)
        self._fleet, self._faults = fleet, faults
        self._world = World(fleet, first_minute, faults)
        self._travelling: dict[int, list[Delivery]] = {}
        self._ids = {VEHICLES: [v.vehicle_id for v in fleet.vehicles], METERS: [v.meter_id for v in fleet.vehicles]}
        self._stops_s = {stream: np.array([stopped_at_s.get(i, np.inf) for i in ids]) for stream, ids in self._ids.items()}
        unseen = faults.mask("no_position", n) | faults.mask("no_position_at_all", n)
        self._has_position = (~unseen).tolist()
        self._day, self._journeys = -1, dict[str, travel.Journey]()
        self.minute = first_minute

    def next_minute(self) -> list[Delivery]:
        """Everything delivered within the next minute, ordered by time: its own readings, and late ones of the hours before."""
        reading = self._world.next()
        self._begin(reading.minute // DAY_MIN)
        due = self._travelling.pop(reading.minute, [])
        due += self._dispatch(reading, VEHICLES, reading.vehicle_second, self._vehicle_bodies(reading))
        due += self._dispatch(reading, METERS, reading.meter_second, self._meter_bodies(reading))
        self.minute += 1
        due.sort()
        return due

    def _begin(self, day: int) -> None:
        """Once a day: what happens to its readings on their way."""
        if day != self._day:
            self._day = day
            self._journeys = {stream: travel.of_day(self._fleet, self._faults, stream, day) for stream in (VEHICLES, METERS)}

    def _dispatch(self, reading: Minute, stream: str, second: Floats, bodies: list[bytes]) -> list[Delivery]:
        """Deliveries of this very minute; those of later ones are put aside."""
        journey, row = self._journeys[stream], reading.minute % DAY_MIN
        measured_s = reading.minute * 60.0 + second
        at_s = measured_s + travel.SENDING_S + journey.delay_s[row]
        copies_s = journey.copy_after_s[row]
        sent = (measured_s <= self._stops_s[stream]) & ~journey.lost[row]
        now: list[Delivery] = []
        for at, body, copy_after in zip(at_s[sent].tolist(), _chosen(bodies, sent), copies_s[sent].tolist(), strict=True):
            self._put(now, reading.minute, Delivery(at, stream, body))
            if copy_after:
                self._put(now, reading.minute, Delivery(at + copy_after, stream, body))
        return now

    def _put(self, now: list[Delivery], minute: int, delivery: Delivery) -> None:
        arrives = int(delivery.at_s // 60)
        (now if arrives <= minute else self._travelling.setdefault(arrives, [])).append(delivery)

    def _stamps(self, minute: int, second: Floats, stream: str) -> list[str]:
        return stamps(minute * 60 + second.astype(np.int64) + self._journeys[stream].stamp_off_s[minute % DAY_MIN])

    def _vehicle_bodies(self, reading: Minute) -> list[bytes]:
        columns = zip(
            self._ids[VEHICLES],
            np.round(reading.soc_pct, 1).tolist(),
            (reading.dc_wh / 1000.0).tolist(),
            np.round(reading.battery_temp_c, 1).tolist(),
            self._stamps(reading.minute, reading.vehicle_second, VEHICLES),
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
            self._stamps(reading.minute, reading.meter_second, METERS),
            strict=True,
        )
        return [
            orjson.dumps({"meterId": meter_id, "kwhConsumedAc": kwh, "voltage": volts, "timestamp": stamp})
            for meter_id, kwh, volts, stamp in columns
        ]


def stamps(at_s: NDArray[np.int64]) -> list[str]:
    """RFC 3339 timestamps of these seconds since 1970, UTC."""
    texts: list[str] = np.datetime_as_string(at_s.astype("datetime64[s]"), timezone="UTC").tolist()
    return texts


def _chosen(bodies: list[bytes], mask: NDArray[np.bool_]) -> list[bytes]:
    return bodies if mask.all() else [body for body, keep in zip(bodies, mask.tolist(), strict=True) if keep]


def batch_body(deliveries: list[Delivery]) -> bytes:
    """The body of one `POST /v1/telemetry/batch` with these readings, in their order."""
    parts = (b",".join(d.body for d in deliveries if d.stream == stream) for stream in (VEHICLES, METERS))
    return b'{"vehicles":[%b],"meters":[%b]}' % tuple(parts)
