"""Cells of CSV that no spreadsheet takes for a formula."""

import csv
import io
from collections.abc import Iterable, Sequence

# What spreadsheets begin a formula with, also in its full-width forms, and what they skip before looking.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_lines(rows: Iterable[Sequence[object]], separator: str = ",") -> str:
    """Lines of CSV, whose text has been made safe."""
    lines = io.StringIO()
    csv.writer(lines, delimiter=separator).writerows(rows)
    return lines.getvalue()


def csv_line(cells: "list[object] | tuple[object, ...] | list[str]", separator: str = ",") -> str:
    """One line of CSV; text that a spreadsheet would take for a formula gets an apostrophe."""
    return csv_lines([[safe(cell) for cell in cells]], separator)


def safe(cell: object) -> object:
    """The cell; text that a spreadsheet would take for a formula with an apostrophe before it. Numbers stay what they are."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in _FORMULA else cell
