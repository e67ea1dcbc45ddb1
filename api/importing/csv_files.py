"""CSV files in the wire's column names, plain or gzipped, read a block of whole lines at a time. A line is a row: none goes over several."""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from api.importing.files import UnusableFile, wanted, wire_of
from api.importing.rows import Chunk, Rejected

# Some 60,000 readings: a transaction of them commits within a second, and twice as many are no faster.
BLOCK_BYTES = 4 * 1024 * 1024
# No row of ours comes near it; a file without line ends must not be read whole.
LONGEST_LINE_BYTES = 1024 * 1024
T = TypeVar("T")
_UNREADABLE = (EOFError, gzip.BadGzipFile, zlib.error)


class CsvFile:
    """One file. Its position is a byte of the text, uncompressed. Raises UnusableFile when its columns are not those of readings."""

    def __init__(self, file: Path, block_bytes: int = BLOCK_BYTES) -> None:
        self._file, self._block_bytes = file, block_bytes
        with file.open("rb") as opened:
            self._gzipped = opened.read(2) == b"\x1f\x8b"
        self.size = file.stat().st_size
        with self._open() as (text, _):
            header = _guarded(file, lambda: text.readline(LONGEST_LINE_BYTES))
        self._begin = len(header)
        self._columns = _names(file, header)
        self.wire = wire_of(file, self._columns)

    def chunks(self, position: int, next_line: int) -> Iterator[Chunk]:
        """The rows from `position` on, which is line `next_line`."""
        position, line = max(position, self._begin), max(next_line, 2)
        with self._open() as (text, raw):
            _guarded(self._file, lambda: text.seek(position))
            for block in _blocks(self._file, text, self._block_bytes):
                position += len(block)
                cells, lines, unreadable = self._table(block, line)
                line += block.count(b"\n") + (not block.endswith(b"\n"))
                yield Chunk(cells, lines, position, line, raw.tell(), unreadable)

    def _open(self) -> "_Opened":
        return _Opened(self._file, self._gzipped)

    def _table(self, block: bytes, first_line: int) -> tuple[dict[str, Any], "np.ndarray[Any, np.dtype[np.int64]]", list[Rejected]]:
        """(cells by name, the line of each row, lines that are no rows)."""
        lines = block.count(b"\n") + (not block.endswith(b"\n"))
        names = [name for name in wanted(self.wire) if name in self._columns]
        table = _parsed(block, len(self._columns), [str(self._columns.index(name)) for name in names])
        if table is not None and table.num_rows == lines:
            cells = dict(zip(names, (column.combine_chunks() for column in table.columns), strict=True))
            return cells, np.arange(first_line, first_line + lines, dtype=np.int64), []
        return self._line_by_line(block, first_line, names)

    def _line_by_line(
        self, block: bytes, first_line: int, names: list[str]
    ) -> tuple[dict[str, Any], "np.ndarray[Any, np.dtype[np.int64]]", list[Rejected]]:
        """The same for a block in which not every line is a plain row."""
        kept: list[list[str]] = []
        lines: list[int] = []
        unreadable: list[Rejected] = []
        for line, text in enumerate(block.decode(errors="surrogateescape").split("\n"), first_line):
            if not text.strip():
                continue
            row = _row(text)
            if isinstance(row, str) or len(row) != len(self._columns):
                said = row if isinstance(row, str) else f"{len(row)} fields under {len(self._columns)} columns"
                unreadable.append(Rejected(line, "wrong_type", "", f"not a row of this file: {said}"))
            else:
                kept.append(row)
                lines.append(line)
        places = [self._columns.index(name) for name in names]
        cells = {
            name: pa.array([row[place].encode(errors="surrogateescape") for row in kept], pa.binary())
            for name, place in zip(names, places, strict=True)
        }
        return cells, np.array(lines, dtype=np.int64), unreadable


class _Opened:
    """(the text, the file below it, which tells how far it has been read)."""

    def __init__(self, file: Path, gzipped: bool) -> None:
        self._raw = file.open("rb")
        self._text: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=self._raw)) if gzipped else self._raw

    def __enter__(self) -> tuple[IO[bytes], IO[bytes]]:
        return self._text, self._raw

    def __exit__(self, *_: object) -> None:
        self._text.close()
        self._raw.close()


def _names(file: Path, header: bytes) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([header.decode("utf-8-sig")], strict=True), [])]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnusableFile(f"{file}: not a CSV file in UTF-8 ({error})") from error


def _guarded(file: Path, act: Callable[[], T]) -> T:
    """What `act` gives; raises UnusableFile when the file is damaged."""
    try:
        return act()
    except _UNREADABLE as error:
        raise UnusableFile(f"{file}: {error}") from error


def _blocks(file: Path, text: IO[bytes], size: int) -> Iterator[bytes]:
    """Whole lines, about `size` bytes of them at a time."""
    rest = b""
    while read := _guarded(file, lambda: text.read(size)):
        end = read.rfind(b"\n") + 1
        if end:
            yield rest + read[:end]
            rest = read[end:]
        else:
            rest += read
        if len(rest) > size + LONGEST_LINE_BYTES:
            raise UnusableFile(f"{file}: a line is longer than {LONGEST_LINE_BYTES:,} bytes")
    if rest:
        yield rest


def _parsed(block: bytes, columns: int, places: list[str]) -> Any:
    """The block as an Arrow table of bytes, None when Arrow cannot read it. A column's name is its place."""
    if block.count(b"\r") != block.count(b"\r\n"):
        return None  # Arrow takes a lonely carriage return for the end of a line, which an editor does not
    try:
        return pa_csv.read_csv(
            pa.BufferReader(block),
            pa_csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=[str(n) for n in range(columns)]),
            convert_options=pa_csv.ConvertOptions(
                include_columns=places, column_types=dict.fromkeys(places, pa.binary()), strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowInvalid:
        return None


def _row(text: str) -> list[str] | str:
    """The fields of a line, or why it has none."""
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        return str(error)
