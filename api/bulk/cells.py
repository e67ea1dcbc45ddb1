"""What stands in a cell, or what is wrong with it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from api.bulk.table import Fault, Row, fault
from api.params import sane
from api.schemas import ID_PATTERN, Timestamp

T = TypeVar("T")
_NUMBER = re.compile(r"-?\d{1,12}(\.\d{1,15})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Wrong(Exception):
    """Why a cell cannot be taken: a code and what it says to people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


def cell(row: Row, column: str, parse: Callable[[str, str], T], found: list[Fault]) -> T | None:
    """A cell's value; None where it is empty or absent, or wrong, which is added to `found`."""
    if not row[column]:
        return None
    try:
        return parse(column, row[column])
    except Wrong as wrong:
        found.append(fault(row.line, column, wrong.code, wrong.detail))
        return None


def device_id(column: str, text: str) -> str:
    """An id of a vehicle, a meter or a site."""
    if not re.search(ID_PATTERN, text):
        raise Wrong("invalid_text", f"{column} is 1 to 64 letters, digits and . _ : - and begins with a letter or digit")
    return text


def instant(column: str, text: str) -> datetime:
    """RFC 3339 with an offset, in the years 2000 to 2199; in UTC."""
    try:
        at = msgspec.convert(text, Timestamp)
    except (msgspec.ValidationError, OverflowError):
        raise Wrong("timestamp_format", f"{column} is RFC 3339 with an offset, like 2026-02-04T10:00:00Z") from None
    if not sane(at):
        raise Wrong("timestamp_out_of_range", f"{column} lies outside the years 2000 to 2199")
    return at.astimezone(UTC)


def name(column: str, text: str) -> str:
    """A line of text."""
    if len(text) > 200 or _CONTROL.search(text):
        raise Wrong("invalid_text", f"{column} is one line of 1 to 200 characters")
    return text


def number(low: float, high: float, unit: str) -> Callable[[str, str], float]:
    """A parser of plain decimal numbers within a range."""

    def parse(column: str, text: str) -> float:
        if not _NUMBER.fullmatch(text):
            raise Wrong("wrong_type", f"{column} is a number like 0.29, with a point, not {text[:40]!r}")
        if not low <= float(text) <= high:
            raise Wrong("out_of_range", f"{column} is {low:,g} to {high:,g} {unit}")
        return float(text)

    return parse
