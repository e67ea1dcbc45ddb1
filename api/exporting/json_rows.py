"""A report as JSON, row by row."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from api.exporting.columns import Block, Column, Kind, Row
from api.words import z

MIMETYPE = "application/json"
_WORDS: dict[Kind, Callable[[Any], object]] = {"texts": list, "instant": z}


def as_object(columns: Sequence[Column], row: Row) -> dict[str, object]:
    """The row's cells by their names in JSON."""
    return dict(zip([column.key for column in columns], map(_word, columns, row), strict=True))


def _word(column: Column, cell: Any) -> object:
    word = _WORDS.get(column.kind)
    return cell if cell is None or word is None else word(cell)


def json_bytes(columns: Sequence[Column], blocks: Iterable[Block], head: Mapping[str, object]) -> Iterator[bytes]:
    """`head`'s members, then `rows`, then their number as `count`: one that ends before that was cut short."""
    keys, words = [column.key for column in columns], [_WORDS.get(column.kind) for column in columns]
    yield orjson.dumps(dict(head))[:-1] + b',"rows":['
    count = 0
    for block in blocks:
        rows = [
            orjson.dumps(
                {key: cell if cell is None or word is None else word(cell) for key, word, cell in zip(keys, words, row, strict=True)}
            )
            for row in block
        ]
        yield (b"," if count and rows else b"") + b",".join(rows)
        count += len(rows)
    yield b'],"count":%d}' % count
