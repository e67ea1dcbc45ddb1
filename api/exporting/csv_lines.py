"""A report as CSV, line by line."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from api.exporting.cells import csv_lines, safe
from api.exporting.columns import Block, Column, Kind
from api.words import z

MIMETYPE = "text/csv; charset=utf-8"
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Style:
    """How a spreadsheet of some country expects it."""

    separator: str = ","
    decimal_comma: bool = False
    bom: bool = False


def csv_bytes(columns: Sequence[Column], blocks: Iterable[Block], style: Style) -> Iterator[bytes]:
    """The names, then the rows; lines end with CR LF, what is not known is empty, numbers are unrounded."""
    words = _words(style)
    as_words = [words[column.kind] for column in columns]
    head = _BOM if style.bom else ""
    yield (head + csv_lines([[column.name for column in columns]], style.separator)).encode()
    for block in blocks:
        rows = ([None if cell is None else word(cell) for word, cell in zip(as_words, row, strict=True)] for row in block)
        yield csv_lines(rows, style.separator).encode()


def _words(style: Style) -> dict[Kind, Callable[[Any], object]]:
    return {
        "text": safe,
        "texts": lambda ids: safe(" ".join(ids)),
        "number": (lambda number: repr(float(number)).replace(".", ",")) if style.decimal_comma else float,
        "count": int,
        "flag": lambda flag: "true" if flag else "false",
        "instant": z,
    }
