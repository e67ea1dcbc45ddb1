"""Jobs that put rollups and live rows right while readings come in. They own their transactions, which are short: commit before, and after each step.

Memory and temporary space are bounded by an hour of one side, whatever the day's size; who stores readings waits for MOST_AT_ONCE rows at most.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial

import psycopg

from db import partitions, rollups
from db.engine import Conn
from db.rollups import Quarter
from db.sides import Side

SLICE = timedelta(hours=1)
# 0.15 s on two cores that are also used otherwise: the longest that a reading waits for a mended row.
MOST_AT_ONCE = 1_000
# The same for us: longer, and the rows we have locked hold others back.
_LOCK_TIMEOUT_MS = 1_000
_TRIES = 20
_NOT_NOW = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)

Clock = Callable[[], datetime]


def slices(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """(start, end] in pieces of at most an hour."""
    while start < end:
        after = min(start + SLICE, end)
        yield start, after
        start = after


def rebuild(conn: Conn, side: Side, start: datetime, end: datetime, now: Clock, done: Callable[[datetime, int], None] | None = None) -> int:
    """Make the rollups of (start, end] again where they differ from history; how many did. `done(until, mended)` is told after each hour.

    Both instants on a quarter. Rows that are right are not written. The live rows concerned get a new `late_at`, so that pictures read them anew.
    """
    _own(conn)
    mended = 0
    for first, after in slices(start, end):
        quarters = rollups.differing(conn, side, first, after)
        conn.rollback()
        mended += mend_quarters(conn, side, quarters, now)
        if done:
            done(after, mended)
    return mended


def mend_quarters(conn: Conn, side: Side, quarters: Sequence[Quarter], now: Clock) -> int:
    """Make these rollup rows again from history, MOST_AT_ONCE at a time; how many."""
    _own(conn)
    ordered = sorted(quarters)
    for n in range(0, len(ordered), MOST_AT_ONCE):
        some = ordered[n : n + MOST_AT_ONCE]
        _patiently(conn, partial(rollups.mend, conn, side, some))
        _patiently(conn, partial(_remember, conn, side, {q.device_id for q in some}, now))
    return len(ordered)


def mend_live(conn: Conn, side: Side, device_ids: Iterable[str], now: Clock) -> int:
    """Derive these devices' live rows from history, one transaction each; how many."""
    _own(conn)
    ordered = sorted(set(device_ids))
    for device_id in ordered:
        _patiently(conn, partial(_mend_live, conn, side, device_id, now))
    return len(ordered)


def mend_days(conn: Conn, now: datetime) -> int:
    """Make the tables of the known, kept days that have lost theirs; how many days."""
    rows = conn.execute("SELECT day FROM history_day WHERE dropped_at IS NULL").fetchall()
    lost = {row[0] for row in rows if isinstance(row[0], date)} - partitions.existing(conn)
    while partitions.ensure(conn, lost, now):
        conn.commit()
    conn.commit()
    return len(lost)


def _own(conn: Conn) -> None:
    """What the caller did is committed; from here on each statement sees what was committed before it, whatever the server's default."""
    conn.commit()
    conn.isolation_level = psycopg.IsolationLevel.READ_COMMITTED


def _remember(conn: Conn, side: Side, device_ids: set[str], now: Clock) -> None:
    """In a transaction of its own: who stores readings locks rollup and live rows, and in which order is its own affair."""
    ordered = [{"id": device_id, "now": now()} for device_id in sorted(device_ids)]
    with conn.cursor() as cursor:
        cursor.executemany(f"UPDATE {side.live} SET late_at = %(now)s WHERE {side.key} = %(id)s", ordered)


def _mend_live(conn: Conn, side: Side, device_id: str, now: Clock) -> None:
    """As with rollups: lock the row first (making it, if it must), then read history in a statement of its own and write."""
    values = ("recorded_at", "received_at", "previous_at", side.energy, *side.measures, "latitude_e7", "longitude_e7", "position_at")
    parameters = {"id": device_id, "now": now(), "kept": partitions.begins(conn)}
    columns = ", ".join(values)
    derived = _derived_sql(side)
    conn.execute(
        f"""INSERT INTO {side.live} ({side.key}, {columns}, late_at) SELECT {side.key}, {columns}, %(now)s FROM ({derived}) d
            ON CONFLICT ({side.key}) DO UPDATE SET late_at = excluded.late_at""",
        parameters,
    )
    conn.execute(f"UPDATE {side.live} SET late_at = %(now)s WHERE {side.key} = %(id)s", parameters)
    conn.execute(f"DELETE FROM {side.live} WHERE {side.key} = %(id)s AND NOT EXISTS ({_newest_sql(side)}) AND {_SINCE}", parameters)
    conn.execute(
        f"""UPDATE {side.live} l SET {", ".join(f"{name} = d.{name}" for name in values if name not in _BEFORE)},
                   {", ".join(f"{name} = {_or_before(marker, name)}" for name, marker in _BEFORE.items())}
            FROM ({derived}) d WHERE l.{side.key} = d.{side.key} AND l.{side.key} = %(id)s""",
        parameters,
    )


# A live row may know of instants whose readings a person dropped: column → the instant that says so.
_BEFORE = {"previous_at": "previous_at", "latitude_e7": "position_at", "longitude_e7": "position_at", "position_at": "position_at"}
_KEPT = "coalesce(%(kept)s::timestamp AT TIME ZONE 'UTC', '-infinity'::timestamptz)"
_SINCE = f"recorded_at >= {_KEPT}"


def _or_before(marker: str, name: str) -> str:
    return f"CASE WHEN d.{marker} IS NULL AND l.{marker} < {_KEPT} THEN l.{name} ELSE d.{name} END"


def _newest_sql(side: Side) -> str:
    return f"SELECT * FROM {side.history} WHERE {side.key} = %(id)s ORDER BY recorded_at DESC LIMIT 1"


def _derived_sql(side: Side) -> str:
    """The live row that history gives: no row where it has no reading of the device."""
    of_device = f"FROM {side.history} WHERE {side.key} = %(id)s"
    return f"""
        SELECT n.{side.key}, n.recorded_at, n.received_at, p.recorded_at AS previous_at, {", ".join(f"n.{m}" for m in (side.energy, *side.measures))},
               s.latitude_e7, s.longitude_e7, s.recorded_at AS position_at
        FROM ({_newest_sql(side)}) n
        LEFT JOIN (SELECT recorded_at {of_device} ORDER BY recorded_at DESC OFFSET 1 LIMIT 1) p ON true
        LEFT JOIN (SELECT recorded_at, latitude_e7, longitude_e7 {of_device} AND latitude_e7 IS NOT NULL ORDER BY recorded_at DESC LIMIT 1) s ON true"""


def _patiently(conn: Conn, write: Callable[[], None]) -> None:
    """Write and commit; where locks are not to be had in a second, let go of ours and try again."""
    for attempt in range(_TRIES):
        try:
            conn.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
            write()
            conn.commit()
        except _NOT_NOW:
            conn.rollback()
            if attempt == _TRIES - 1:
                raise
            time.sleep(random.uniform(0.05, 0.5))  # noqa: S311 # spreads retries, guards nothing
        else:
            return
