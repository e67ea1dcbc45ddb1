"""The record of who changed which assignment, when, from when to when, and what held before. Rows are added, never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import args_row

from charging.assigning import Planned
from charging.timeline import FOREVER, Change
from db.engine import Conn
from db.timeline_sql import as_sql, portions

Via = Literal["api", "sql", "bulk", "cli"]
MOST_WHO, MOST_NOTE = 200, 500  # characters: a name and a sentence or two, not a document


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something, by which way in, and why."""

    by: str
    via: Via
    note: str | None = None


@dataclass(frozen=True, slots=True)
class AssignmentChange:
    """In [valid_from, valid_to) the meter became another one. `valid_from` None: from always. `valid_to` None: for ever. A meter None: none."""

    change_id: int
    changed_at: datetime
    changed_by: str
    via: str
    vehicle_id: str
    valid_from: datetime | None
    valid_to: datetime | None
    meter_before: str | None
    meter_after: str | None
    corrects_past: bool
    note: str | None


def record(conn: Conn, made: Sequence[Planned], author: Author, now: datetime) -> None:
    """A row for each stretch in which a plan changes the meter, in the order given."""
    found = [(one, change) for one in made for change in one.changes]
    for some in portions(found):
        conn.execute(
            """INSERT INTO assignment_change
                   (changed_at, changed_by, via, note, vehicle_id, valid_from, valid_to, meter_before, meter_after, corrects_past)
               SELECT %s, %s, %s, %s, c.*
               FROM unnest(%s::text[], %s::text[]::timestamptz[], %s::text[]::timestamptz[], %s::text[], %s::text[], %s::boolean[]) c""",
            (now, author.by, author.via, author.note, *_columns(some, now)),
        )


def _columns(found: Sequence[tuple[Planned, Change]], now: datetime) -> tuple[list[object], ...]:
    """vehicle_id, valid_from, valid_to, meter_before, meter_after, corrects_past of each."""
    return (
        [one.vehicle_id for one, _ in found],
        [as_sql(change.start) for _, change in found],
        [None if change.end == FOREVER else as_sql(change.end) for _, change in found],
        [change.before for _, change in found],
        [change.after for _, change in found],
        [one.corrects_past(change, now) for one, change in found],
    )


def recorded(
    conn: Conn, vehicle_id: str | None = None, meter_id: str | None = None, limit: int | None = None, before_id: int | None = None
) -> list[AssignmentChange]:
    """The record, newest first: all of it, or of one vehicle, or where a meter came or went; those before `before_id`, at most `limit`."""
    wanted = {
        "vehicle_id = %(vehicle)s": vehicle_id,
        "(meter_before = %(meter)s OR meter_after = %(meter)s)": meter_id,
        "change_id < %(before)s": before_id,
    }
    where = " AND ".join(condition for condition, value in wanted.items() if value is not None) or "true"
    with conn.cursor(row_factory=args_row(AssignmentChange)) as cursor:
        return cursor.execute(
            f"""SELECT change_id, changed_at, changed_by, via, vehicle_id, CASE WHEN isfinite(valid_from) THEN valid_from END, valid_to,
                       meter_before, meter_after, corrects_past, note
                FROM assignment_change WHERE {where} ORDER BY change_id DESC LIMIT %(limit)s""".encode(),
            {"vehicle": vehicle_id, "meter": meter_id, "before": before_id, "limit": limit},
        ).fetchall()


def newest_change(conn: Conn) -> int:
    """The id of the newest change, 0 where there is none. One that committed late may have a smaller one than others seen before."""
    row = conn.execute("SELECT max(change_id) FROM assignment_change").fetchone()
    return row[0] or 0 if row else 0  # type: ignore[return-value]
