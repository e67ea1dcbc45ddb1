"""Timelines on their way into PostgreSQL."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from charging.timeline import ALWAYS, FOREVER

T = TypeVar("T")
# A second of PostgreSQL's work at most, so that the largest file comes nowhere near a statement's time limit.
ROWS_A_STATEMENT = 10_000


def as_sql(at: datetime) -> str:
    """An instant of a timeline as PostgreSQL reads it."""
    return {ALWAYS: "-infinity", FOREVER: "infinity"}.get(at) or at.isoformat()


def portions(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """The rows, as many at a time as one statement writes."""
    return (rows[first : first + ROWS_A_STATEMENT] for first in range(0, len(rows), ROWS_A_STATEMENT))
