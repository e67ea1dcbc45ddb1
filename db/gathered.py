"""Results as numpy columns: PostgreSQL gathers each column into one array, which costs the client nearly nothing per row."""

import re
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import psycopg
from numpy.typing import NDArray

from db.engine import Conn

Ints = NDArray[np.int64]
Columns = dict[str, Ints]

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_HEADER = struct.Struct("!iiIii")
_CELLS = {
    oid: np.dtype([("length", ">i4"), ("value", kind)]) for oid, kind in ((16, ">i1"), (20, ">i8"), (21, ">i2"), (23, ">i4"), (1184, ">i8"))
}
_TEXT = 25
_NAMED = re.compile(r"%\((\w+)\)s")


def instant_us(at: datetime) -> int:
    """An instant as PostgreSQL counts it: microseconds since 2000."""
    return (at - EPOCH) // timedelta(microseconds=1)


def instant(us: int) -> datetime:
    """The instant of these microseconds since 2000, in UTC."""
    return EPOCH + timedelta(microseconds=us)


def gathered(names: Sequence[str], source: str) -> str:
    """SQL for one row of arrays of these columns of a CTE, named `source_column`. No column may hold NULL."""
    return f"SELECT {', '.join(f'array_agg({name}) AS {source}_{name}' for name in names)} FROM {source}"


def read(conn: Conn, statement: str, parameters: Mapping[str, object], *, prepare: bool | None = None) -> dict[str, bytes | None]:
    """The arrays of the one row that `statement` returns, undecoded, by name; None where no row was gathered."""
    text, names = _numbered(statement)
    cursor = psycopg.RawCursor(conn)
    cursor.execute(text, [parameters[name] for name in names], prepare=prepare, binary=True)
    result = cursor.pgresult
    assert result is not None  # the statement returned a row
    return {(result.fname(n) or b"").decode(): result.get_value(0, n) for n in range(result.nfields)}


@lru_cache(maxsize=256)
def _numbered(statement: str) -> tuple[str, list[str]]:
    """The statement with PostgreSQL's own $1, $2 …, and what they stand for. Once: psycopg would do it each time for one so long."""
    names = sorted(set(_NAMED.findall(statement)))
    return _NAMED.sub(lambda found: f"${names.index(found[1]) + 1}", statement), names


def ints(array: bytes | None) -> Ints:
    """smallint[], integer[], bigint[], boolean[] or timestamptz[] (µs since 2000; ±2^63 for infinity) as int64."""
    if array is None:
        return np.empty(0, np.int64)
    _, nulls, oid, count, _ = _HEADER.unpack_from(array)
    if nulls:
        raise ValueError("a gathered column holds NULL")
    return np.frombuffer(array, _CELLS[oid], count, _HEADER.size)["value"].astype(np.int64)


def texts(array: bytes | None) -> list[str]:
    """text[]."""
    if array is None:
        return []
    _, nulls, oid, count, _ = _HEADER.unpack_from(array)
    if nulls or oid != _TEXT:
        raise ValueError("a gathered column of text holds NULL or is none")
    found, at = [], _HEADER.size
    for _ in range(count):
        end = at + 4 + int.from_bytes(array[at : at + 4], "big")
        found.append(array[at + 4 : end].decode())
        at = end
    return found


def matrix(arrays: Sequence[bytes | None]) -> Ints:
    """Arrays of equal length as the rows of one matrix (len(arrays), count)."""
    first = ints(arrays[0])
    found = np.empty((len(arrays), len(first)), np.int64)
    found[0] = first
    for n, array in enumerate(arrays[1:], 1):
        found[n] = ints(array)
    return found
