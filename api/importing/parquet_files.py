"""Parquet files in the wire's column names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from api.importing.files import UnusableFile, wanted, wire_of
from api.importing.rows import Chunk

ROWS = 65_536


class ParquetFile:
    """One file. Its position is a row. Raises UnusableFile when its columns are not those of readings, by name or by type."""

    def __init__(self, file: Path, rows: int = ROWS) -> None:
        self._file, self._rows = file, rows
        with self._opened() as parquet:
            schema = parquet.schema_arrow
            self.size = parquet.metadata.num_rows
        self.wire = wire_of(file, schema.names)
        self._names = [name for name in wanted(self.wire) if name in schema.names]
        for name in self._names:
            if wrong := self._wrong(name, schema.field(name).type):
                raise UnusableFile(f"{file}: column {name} {wrong}, not {schema.field(name).type}")

    def chunks(self, position: int, next_line: int) -> Iterator[Chunk]:  # noqa: ARG002 - a row is its own line
        """The rows from row `position` on, counted from 0."""
        with self._opened() as parquet:
            try:
                for batch in self._batches(parquet, position):
                    cells = {name: _plain(batch.column(name)) for name in self._names}
                    lines = np.arange(position + 1, position + 1 + batch.num_rows, dtype=np.int64)
                    position += batch.num_rows
                    yield Chunk(cells, lines, position, position + 1, position)
            except (pa.ArrowException, OSError) as error:
                raise UnusableFile(f"{self._file}: {error}") from error

    def _opened(self) -> Any:
        try:
            return pq.ParquetFile(self._file)
        except (pa.ArrowException, OSError) as error:
            raise UnusableFile(f"{self._file}: not a Parquet file ({error})") from error

    def _batches(self, parquet: Any, position: int) -> Iterator[Any]:
        """The batches from this row on: row groups that end before it are not read."""
        group = begin = 0
        while group < parquet.metadata.num_row_groups and begin + parquet.metadata.row_group(group).num_rows <= position:
            begin += parquet.metadata.row_group(group).num_rows
            group += 1
        for batch in parquet.iter_batches(self._rows, row_groups=range(group, parquet.metadata.num_row_groups), columns=self._names):
            skipped = min(max(0, position - begin), batch.num_rows)
            begin += batch.num_rows
            if skipped < batch.num_rows:
                yield batch.slice(skipped)

    def _wrong(self, name: str, kind: Any) -> str | None:
        """What a column of this name should hold, None when it does."""
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
        if name == self.wire.id_name:
            return None if text else "is text"
        if name == "timestamp":
            return None if text or (pa.types.is_timestamp(kind) and kind.tz) else "is a timestamp with a time zone, or RFC 3339 text"
        numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)
        return None if numeric else "holds numbers"


def _plain(cells: Any) -> Any:
    """The cells in the few types that `rows` knows."""
    kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    return cells.cast(pa.string() if pa.types.is_string_view(kind) else kind)
