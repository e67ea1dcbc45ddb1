"""A CSV file as a spreadsheet writes it, cut into rows that know their line; or what is wrong with it."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from api.errors import Problem, faults

# One transaction plans and writes the file: this many take some seconds, and keep other changes of assignments waiting as long.
MOST_ROWS = 50_000
# As many rows with the longest ids would not fit; with ids of 30 characters and two instants they do.
BODY_BYTES = 5 * 1024 * 1024
INFLATED_BYTES = 4 * BODY_BYTES

Fault = dict[str, object]


class WrongRows(Exception):
    """What is wrong with a file's rows; nothing of it is carried out."""

    def __init__(self, found: list[Fault]) -> None:
        self.found = sorted(found, key=lambda fault: int(str(fault["line"])))
        lines = len({fault["line"] for fault in found})
        first = self.found[0]
        where = f"line {first['line']}, {str(first['pointer'])[1:]}".removesuffix(", ")
        super().__init__(f"{lines} {'lines are' if lines > 1 else 'line is'} wrong and nothing is changed; {where}: {first['detail']}")

    def problem(self) -> Problem:
        """422 that names the lines."""
        return Problem(422, "invalid_rows", "Unprocessable Content", str(self), **faults(self.found))


@dataclass(frozen=True, slots=True)
class Columns:
    """What a file's first line has to name, and what it may name."""

    required: tuple[str, ...]
    optional: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row by column; a column that the file does not have is not in it. `line` counts from 1, the header included."""

    line: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


def fault(line: int, column: str, code: str, detail: str) -> Fault:
    """What is wrong, and in which cell."""
    return {"line": line, "pointer": f"/{column}" if column else "", "code": code, "detail": detail}


def read(raw: bytes, columns: Columns) -> tuple[list[Row], list[Fault]]:
    """(rows, lines that are none). UTF-8, with or without a mark; commas or semicolons, as the first line has them; empty lines are skipped.

    Raises WrongRows where nothing can be read for want of a usable first line, Problem 413 for too many rows.
    """
    lines = _records(_text(raw))
    names = next(lines, (1, [""]))[1]
    if isinstance(names, str):
        raise WrongRows([fault(1, "", "wrong_type", f"the first line is no row: {names}")])
    names = [name.strip() for name in names]
    if wrong := _wrong_names(names, columns):
        raise WrongRows(wrong)
    rows: list[Row] = []
    bad: list[Fault] = []
    for line, cells in lines:
        if isinstance(cells, str) or len(cells) != len(names):
            said = cells if isinstance(cells, str) else f"{len(cells)} cells under {len(names)} columns"
            bad.append(fault(line, "", "wrong_type", f"not a row of this file: {said}"))
        else:
            rows.append(Row(line, dict(zip(names, map(str.strip, cells), strict=True))))
        if len(rows) + len(bad) > MOST_ROWS:
            raise Problem(413, "too_large", "Content Too Large", f"a file has at most {MOST_ROWS:,} rows: send several")
    return rows, bad


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise WrongRows([fault(line, "", "invalid_text", "not UTF-8: save the file as CSV UTF-8")]) from None


def _records(text: str) -> Iterator[tuple[int, list[str] | str]]:
    """(the line on which a record begins, its cells or why it has none)."""
    header = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if header.count(";") > header.count(",") else ",", strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, str(error)
            continue
        if any(cell.strip() for cell in cells):
            yield line, cells


def _wrong_names(names: Sequence[str], columns: Columns) -> list[Fault]:
    missing = [fault(1, name, "missing_field", f"the column {name} is missing") for name in columns.required if name not in names]
    twice = [name for name in (*columns.required, *columns.optional) if names.count(name) > 1]
    return [*missing, *(fault(1, name, "wrong_type", f"the column {name} is there twice") for name in twice)]
