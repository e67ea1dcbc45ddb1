"""A report as Parquet, row group by row group: handed on as it is written, and without its last bytes, the footer, it is no file."""

import io
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from api.exporting.columns import Block, Column

MIMETYPE = "application/vnd.apache.parquet"
# Rows in a group: some megabytes in memory, and few enough groups for a fast reader.
GROUP_ROWS = 20_000
# A group is written after this long whatever it holds: whoever waits for bytes in between often gives up after a minute.
GROUP_S = 10.0
_TYPES = {
    "text": pa.string(),
    "texts": pa.string(),
    "number": pa.float64(),
    "count": pa.int64(),
    "flag": pa.bool_(),
    "instant": pa.timestamp("us", tz="UTC"),
}


class _Sink(io.RawIOBase):
    """Takes what is written and gives it away."""

    def __init__(self) -> None:
        super().__init__()
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken, self._written = b"".join(self._written), []
        return taken


def parquet_bytes(columns: Sequence[Column], blocks: Iterable[Block], head: Mapping[str, object]) -> Iterator[bytes]:
    """Text as it is, lists of ids with a space between; each column's unit and meaning, and `head`, are in the file's metadata."""
    schema = _schema(columns, head)
    sink = _Sink()
    with pq.ParquetWriter(sink, schema) as writer:
        yield sink.take()  # the first four bytes, so that whoever waits sees that it has begun
        for group in _groups(schema, columns, blocks):
            writer.write_table(group, row_group_size=GROUP_ROWS)
            yield sink.take()
    yield sink.take()


def _groups(schema: Any, columns: Sequence[Column], blocks: Iterable[Block]) -> Iterator[Any]:
    batches: list[Any] = []
    rows, began_s = 0, time.monotonic()
    for block in blocks:
        batches.append(_batch(schema, columns, block))
        rows += len(block)
        if rows >= GROUP_ROWS or time.monotonic() - began_s > GROUP_S:
            yield pa.Table.from_batches(batches, schema)
            batches, rows, began_s = [], 0, time.monotonic()
    if rows:
        yield pa.Table.from_batches(batches, schema)


def _batch(schema: Any, columns: Sequence[Column], block: Block) -> Any:
    cells = zip(*block, strict=True) if block else [()] * len(columns)
    arrays = [
        pa.array([" ".join(ids) for ids in values] if column.kind == "texts" else values, type=field.type)
        for column, field, values in zip(columns, schema, cells, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _schema(columns: Sequence[Column], head: Mapping[str, object]) -> Any:
    fields = [pa.field(column.name, _TYPES[column.kind], metadata={"unit": column.unit, "meaning": column.meaning}) for column in columns]
    return pa.schema(fields, metadata={name: str(value) for name, value in head.items()})
