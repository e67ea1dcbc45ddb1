"""What is common to files of readings: which side they hold, how they are known again, how one that cannot be used is told."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from api.importing.rows import Chunk
from api.schemas import METER_WIRE, VEHICLE_WIRE, Wire

_HEAD_BYTES = 65_536
_PARQUET_MAGIC = b"PAR1"


class UnusableFile(Exception):
    """Nothing more can be read from this file: the message names it and says why."""


class Source(Protocol):
    """A file of readings of one side. `size` is what `Chunk.advanced` grows to."""

    wire: Wire
    size: int

    def chunks(self, position: int, next_line: int) -> Iterator[Chunk]:
        """The rows from a position that an earlier chunk named; from the beginning with 0 and 0. Raises UnusableFile."""
        ...


def is_parquet(file: Path) -> bool:
    """Whether a file begins as Parquet files do."""
    with file.open("rb") as opened:
        return opened.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC


def fingerprint(file: Path) -> str:
    """Size, time of change and a hash of the beginning: another content under the same name is another file."""
    facts = file.stat()
    with file.open("rb") as opened:
        head = hashlib.sha256(opened.read(_HEAD_BYTES)).hexdigest()
    return f"{facts.st_size}-{facts.st_mtime_ns}-{head[:32]}"


def needed(wire: Wire) -> list[str]:
    """The columns that a file of this side must have."""
    return [wire.id_name, *(number.name for number in wire.numbers if number.required), "timestamp"]


def wanted(wire: Wire) -> list[str]:
    """Every column that is read if it is there."""
    return [*needed(wire), *(number.name for number in wire.numbers if not number.required)]


def wire_of(file: Path, columns: list[str]) -> Wire:
    """Which side's readings these columns hold. Raises UnusableFile naming what is missing."""
    complete = [wire for wire in (VEHICLE_WIRE, METER_WIRE) if set(needed(wire)) <= set(columns)]
    begun = complete or [wire for wire in (VEHICLE_WIRE, METER_WIRE) if wire.id_name in columns]
    if len(begun) != 1:
        both = "; or ".join(", ".join(needed(wire)) for wire in (VEHICLE_WIRE, METER_WIRE))
        raise UnusableFile(f"{file}: the columns are {', '.join(columns) or 'none'}; needed are either {both}")
    wire = begun[0]
    if missing := [name for name in needed(wire) if name not in columns]:
        raise UnusableFile(f"{file}: column {' and '.join(missing)} missing; readings of a {wire.side.name} need {', '.join(needed(wire))}")
    if twice := [name for name in wanted(wire) if columns.count(name) > 1]:
        raise UnusableFile(f"{file}: column {' and '.join(twice)} is there twice")
    return wire
