"""Readings that are the same in every run: as HTTP bodies for us, and as COPY buffers for the limit.

A batch is 1,000 readings, half of vehicles and half of meters, of one of two shapes:

- `minute`: one reading of each of 1,000 devices, 20 batches being a minute of 20,000. Every reading moves another live row and another sum.
- `buffer`: what a gateway kept while it was cut off: 50 minutes of each of its 20 devices, of 1,000 gateways.

Batches are numbered; each number has other keys, and later numbers later minutes.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from db.sides import METER, SIDES, VEHICLE, Side

READINGS = 1000
SHAPES = ("minute", "buffer")
_US_1970_TO_2000 = 946_684_800_000_000
_US_PER_MINUTE = 60_000_000
_INTEGERS = {"smallint": "h", "integer": "i", "bigint": "q"}
Buffers = tuple[bytes, bytes]  # vehicles' rows, meters' rows
Point = tuple[str, int, int, tuple[int, ...]]  # id, minute since 1970, energy in mWh, measures


@dataclass(frozen=True, slots=True)
class Batch:
    """The readings of one batch, by side, ordered by key."""

    vehicles: list[Point]
    meters: list[Point]

    def of(self, side: Side) -> list[Point]:
        return self.vehicles if side is VEHICLE else self.meters


def first_minute(now: datetime) -> int:
    """Midnight of yesterday, in minutes since 1970: a whole day and more to fill, in days that every installation has ready."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    return int(midnight.timestamp()) // 60


def batch(shape: str, number: int, start: int) -> Batch:
    """The batch of this number; `start` is the first minute."""
    keys = [(device, start + minute) for device, minute in (_minute(number) if shape == "minute" else _buffer(number))]
    letter = shape[0].upper()
    return Batch([_vehicle(f"{letter}V", *key) for key in keys], [_meter(f"{letter}M", *key) for key in keys])


def _minute(number: int) -> Iterator[tuple[int, int]]:
    minute, group = divmod(number, 20)
    return ((device, minute) for device in range(group * 500, group * 500 + 500))


def _buffer(number: int) -> Iterator[tuple[int, int]]:
    block, gateway = divmod(number, 1000)
    return ((device, block * 50 + minute) for device in range(gateway * 10, gateway * 10 + 10) for minute in range(1, 51))


def _vehicle(prefix: str, device: int, minute: int) -> Point:
    return (
        f"{prefix}{device:05d}",
        minute,
        _energy(device, minute, 110_000),
        ((device + minute * 7) % 10001, 1500 + (device + minute) % 2500),
    )


def _meter(prefix: str, device: int, minute: int) -> Point:
    return f"{prefix}{device:05d}", minute, _energy(device, minute, 120_000), (22000 + (device * 3 + minute) % 2000,)


def _energy(device: int, minute: int, most_milliwh: int) -> int:
    """Two devices of three do not charge in a given hour, as in life."""
    return (device * 7919 + minute * 104_729) % most_milliwh if (device + minute // 60) % 3 == 0 else 0


def body(readings: Batch) -> bytes:
    """The JSON of POST /v1/telemetry/batch."""
    vehicles = ",".join(
        f'{{"vehicleId":"{key}","soc":{soc / 100},"kwhDeliveredDc":{energy / 1e6:.6f},"batteryTemp":{celsius / 100},"timestamp":"{rfc3339(minute)}"}}'
        for key, minute, energy, (soc, celsius) in readings.vehicles
    )
    meters = ",".join(
        f'{{"meterId":"{key}","kwhConsumedAc":{energy / 1e6:.6f},"voltage":{volt / 100},"timestamp":"{rfc3339(minute)}"}}'
        for key, minute, energy, (volt,) in readings.meters
    )
    return f'{{"vehicles":[{vehicles}],"meters":[{meters}]}}'.encode()


def rfc3339(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class CopyFormat:
    """COPY's binary form of both history tables as they are in this database: the fastest way into them."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._tails = {side: self._tail(connection, side) for side in SIDES}

    def statement(self, side: Side) -> str:
        columns = ", ".join((side.key, "recorded_at", "received_at", side.energy, *side.measures))
        return f"COPY {side.history} ({columns}) FROM STDIN (FORMAT BINARY)"

    def buffers(self, readings: Batch) -> Buffers:
        """Both sides' rows, of the same values that `body` says."""
        return self._buffer(VEHICLE, readings.vehicles), self._buffer(METER, readings.meters)

    def _tail(self, connection: psycopg.Connection, side: Side) -> struct.Struct:
        """Two instants, the energy and the measures, each with its length before it."""
        statement = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s"
        kinds = {str(name): str(kind) for name, kind in connection.execute(statement, (side.history,))}
        return struct.Struct("!iqiq" + "".join(f"i{_INTEGERS[kinds[name]]}" for name in (side.energy, *side.measures)))

    def _buffer(self, side: Side, points: list[Point]) -> bytes:
        tail = self._tails[side]
        sizes = [struct.calcsize(f"!{letter}") for letter in tail.format[6::2]]
        parts = [b"PGCOPY\n\xff\r\n\0" + bytes(8)]
        head = struct.pack("!h", 4 + len(side.measures))
        for key, minute, energy, measures in points:
            at = minute * _US_PER_MINUTE - _US_1970_TO_2000
            pairs = [part for pair in zip(sizes, (energy, *measures), strict=True) for part in pair]
            parts.append(head + struct.pack("!i", len(key)) + key.encode() + tail.pack(8, at, 8, at, *pairs))
        return b"".join(parts) + b"\xff\xff"
