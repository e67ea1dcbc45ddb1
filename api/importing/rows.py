"""Rows of a file become readings. Columns at a time where they are plainly good; every other row is judged by `api.schemas` itself.

A cell means what it would mean on the wire: a text in the grammar of JSON is a number, any other text stays a text, an empty cell is null,
and null for something that must be given is missing.
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from api.schemas import ID_PATTERN, Clock, Field, Wire, readings
from db.arrays import NULL_INT4
from db.columns import Columns
from db.ingest import Reading

_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_IS_NUMBER = re.compile(_NUMBER.replace("$", r"\Z").encode())
# What Arrow and `api.schemas` read alike. Days that no month has, and finer fractions, are left to the latter.
_TIME = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
_US = pa.timestamp("us", "UTC")
_US_PER = {"s": 1_000_000, "ms": 1_000, "us": 1}
_IS_ID = re.compile(ID_PATTERN)

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Rejected(NamedTuple):
    """One fault of one row: `line` is a CSV file's line, or a Parquet file's row counted from 1."""

    line: int
    code: str
    pointer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows in a file's order. `cells` has an Arrow array for each of the wire's names that the file has, `lines` where each row stood.

    `position` and `next_line` are where reading goes on after this chunk; `unreadable` are lines that are no rows; `advanced` is how far
    the file has been read, in the unit of its reader's `size`.
    """

    cells: dict[str, Any]
    lines: Ints
    position: int
    next_line: int
    advanced: int
    unreadable: list[Rejected] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Checked:
    """The readings of a chunk in order, each one's line, and what is wrong with the other rows."""

    columns: Columns
    lines: Ints
    rejected: list[Rejected]


def check(wire: Wire, chunk: Chunk, clock: Clock) -> Checked:
    """Judge a chunk's rows as they would be judged over HTTP."""
    columns, good = plainly_good(wire, chunk.cells, len(chunk.lines), clock)
    rest = np.flatnonzero(~good)
    if not len(rest):
        return Checked(columns, chunk.lines, list(chunk.unreadable))
    rows, indexes, faults = readings(wire, items(wire, chunk.cells, rest), clock, "", 0)
    rejected = [Rejected(int(chunk.lines[rest[int(str(f["index"]))]]), str(f["code"]), str(f["pointer"]), str(f["detail"])) for f in faults]
    taken = np.concatenate([np.flatnonzero(good), rest[np.array(indexes, dtype=np.int64)]])
    merged = _joined(columns, columns_of(wire, rows))
    order = np.argsort(taken, kind="stable")
    return Checked(_at(merged, order), chunk.lines[taken[order]], sorted([*chunk.unreadable, *rejected], key=lambda fault: fault.line))


def plainly_good(wire: Wire, cells: dict[str, Any], count: int, clock: Clock) -> tuple[Columns, Mask]:
    """The readings among `count` rows that are certainly valid, and which rows those are."""
    ids, good = _ids(cells[wire.id_name])
    at_us, known = _instants(cells["timestamp"])
    good &= known & (at_us >= clock.earliest_us) & (at_us <= clock.latest_us)
    numbers = _in_order(wire)
    values = np.full((len(numbers), count), NULL_INT4, dtype=np.int32)
    for row, number in zip(values, numbers, strict=True):
        if number.name in cells:
            good &= _number(number, cells[number.name], row)
        elif number.required:
            good[:] = False
    good &= (values[-2] == NULL_INT4) == (values[-1] == NULL_INT4)
    return Columns(ids[good].tolist(), at_us[good], values[:, good]), good


def _in_order(wire: Wire) -> list[Field]:
    """The wire's numbers in a reading's order: the energy, then what may be null."""
    return sorted(wire.numbers, key=lambda number: number.nullable)


def _scale(number: Field) -> float:
    """How many of the table's units are in one of the wire's; a test holds it against `api.schemas`."""
    return 1e7 if number.name in ("latitude", "longitude") else 100 if number.nullable else 1e6


def _number(number: Field, cells: Any, into: NDArray[np.int32]) -> Mask:
    """Writes the cells as the table keeps them; which of them are good."""
    values, understood, empty = _floats(cells)
    with np.errstate(invalid="ignore"):
        good = understood & (values >= number.low) & (values <= number.high)
    into[good] = np.rint(values[good] * _scale(number))
    return good | empty if number.nullable else good


def _floats(cells: Any) -> tuple[Floats, Mask, Mask]:
    """(values, which are numbers, which are null)."""
    if _is_text(cells.type):
        return _parsed(cells)
    empty = _mask(cells.is_null())
    if pa.types.is_decimal(cells.type):
        cells = cells.cast(pa.string())  # the only way that rounds as reading a number does
    elif not pa.types.is_integer(cells.type) and not pa.types.is_floating(cells.type):
        return np.zeros(len(cells)), np.zeros(len(cells), dtype=bool), empty
    return _filled(cells.cast(pa.float64(), safe=False)), ~empty, empty


def _parsed(texts: Any) -> tuple[Floats, Mask, Mask]:
    empty = pc.fill_null(pc.equal(pc.binary_length(texts), 0), True)
    numeric = pc.fill_null(pc.match_substring_regex(texts, _NUMBER), False)
    values = _cast(pc.if_else(numeric, texts, pa.scalar(None, texts.type)), pa.float64())
    return _filled(values), _mask(numeric), _mask(empty)


def _instants(cells: Any) -> tuple[Ints, Mask]:
    """(µs since 1970, which are instants)."""
    if pa.types.is_timestamp(cells.type):
        return _counted(cells)
    if not _is_text(cells.type):
        return np.zeros(len(cells), dtype=np.int64), np.zeros(len(cells), dtype=bool)
    plain = pc.fill_null(pc.match_substring_regex(cells, _TIME), False)
    texts = pc.if_else(plain, cells, pa.scalar(None, cells.type)).cast(pa.string())
    return _whole(_cast(texts, _US))


def _counted(cells: Any) -> tuple[Ints, Mask]:
    if cells.type.unit == "ns":
        ns, known = _whole(cells)
        return ns // 1000 + (ns % 1000 >= 500), known  # rounds as `api.schemas` does
    return _whole(_cast(cells, _US))


def _whole(cells: Any) -> tuple[Ints, Mask]:
    numbers = pc.fill_null(cells.cast(pa.int64()), 0)
    return numbers.to_numpy(zero_copy_only=False), ~_mask(cells.is_null())


def _ids(cells: Any) -> tuple[NDArray[np.object_], Mask]:
    """(ids, which are good): each different one is looked at once."""
    count = len(cells)
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if not _is_text(cells.type):
        return np.full(count, "", dtype=object), np.zeros(count, dtype=bool)
    coded = cells.dictionary_encode()
    different = [_text(value) or "" for value in coded.dictionary.to_pylist()]
    names = np.array([*different, ""], dtype=object)
    good = np.array([*(bool(_IS_ID.search(name)) for name in different), False], dtype=bool)
    codes = pc.fill_null(coded.indices, len(different)).to_numpy(zero_copy_only=False)
    return names[codes], good[codes]


def _cast(cells: Any, kind: Any) -> Any:
    """The cells as `kind`, null where that cannot be. Arrow gives up at the first such cell: it is found by halving."""
    try:
        return cells.cast(kind)
    except pa.ArrowInvalid:
        if len(cells) == 1:
            return pa.nulls(1, kind)
    half = len(cells) // 2
    return pa.concat_arrays([_cast(cells[:half], kind), _cast(cells[half:], kind)])


def _is_text(kind: Any) -> bool:
    return any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary))


def _mask(cells: Any) -> Mask:
    return np.asarray(cells.to_numpy(zero_copy_only=False), dtype=bool)


def _filled(cells: Any) -> Floats:
    return np.asarray(pc.fill_null(cells, 0.0).to_numpy(zero_copy_only=False))


# ------------------------------------------------------------------------------------------------------------- one row at a time


def items(wire: Wire, cells: dict[str, Any], rows: Ints) -> list[dict[str, Any]]:
    """These rows as the JSON objects that a device would have posted."""
    found: list[dict[str, Any]] = [{} for _ in rows]
    chosen = pa.array(rows)
    for name in (wire.id_name, "timestamp"):
        for item, cell in zip(found, _texts(cells[name].take(chosen)), strict=True):
            if cell is not None and cell != "":
                item[name] = cell
    for number in wire.numbers:
        if number.name in cells:
            for item, cell in zip(found, cells[number.name].take(chosen).to_pylist(), strict=True):
                value = _wire_number(cell)
                if value is not None or number.nullable:
                    item[number.name] = value
    return found


def _texts(cells: Any) -> list[Any]:
    if pa.types.is_timestamp(cells.type):
        cells = cells.cast(pa.timestamp(cells.type.unit, "UTC")).cast(pa.string())
    return [_text(cell) for cell in cells.to_pylist()]


def _text(cell: Any) -> Any:
    """Bytes that are not UTF-8 become lone surrogates, which no id has."""
    return cell.decode(errors="surrogateescape").strip() if isinstance(cell, bytes) else cell


def _wire_number(cell: Any) -> Any:
    if isinstance(cell, str | bytes):
        text = (cell.encode() if isinstance(cell, str) else cell).strip()
        return float(text) if _IS_NUMBER.search(text) else text.decode(errors="replace") if text else None
    return float(cell) if isinstance(cell, Decimal) else cell


def columns_of(wire: Wire, rows: list[Reading]) -> Columns:
    """Readings as columns."""
    values = [[NULL_INT4 if value is None else value for value in row[2:]] for row in rows]
    shape = (len(rows), 1 + len(wire.side.nullable))
    return Columns(
        [row[0] for row in rows], np.array([row[1] for row in rows], dtype=np.int64), np.array(values, dtype=np.int32).reshape(shape).T
    )


def _joined(one: Columns, other: Columns) -> Columns:
    return Columns(
        one.ids + other.ids,
        np.concatenate([one.recorded_at_us, other.recorded_at_us]),
        np.concatenate([one.values, other.values], axis=1),
    )


def _at(columns: Columns, order: Ints) -> Columns:
    ids = columns.ids
    return Columns([ids[i] for i in order.tolist()], columns.recorded_at_us[order], columns.values[:, order])
