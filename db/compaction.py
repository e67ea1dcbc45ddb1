"""Closed days made small, once, while readings come in: nothing here takes a lock that an insert or a reader minds.

Devices report in turn, so a page of the primary key is split in its middle when it is full, and the left half never takes another entry:
the key of a day takes 70 bytes a reading where 37 do. When the day is over its keys are built anew, full to the brim, and its rows frozen.
The rows themselves stay as they are: history has no gaps, and those of the sums, room for the updates of their quarter, are 6 bytes a
reading, which only a lock on the table, or moving row by row, would bring.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from db.engine import Conn
from db.partitions import PARENTS, table_of

_COMPACTION_LOCK = 4_096_115_004
_SETTINGS = {
    # REINDEX CONCURRENTLY waits, holding up nobody, for transactions that were there before it. For a page or an export these are seconds;
    # for a dump hours: then give up and come back.
    "lock_timeout": "2min",
    "statement_timeout": "30min",
    # PostgreSQL's own default, also where somebody raised it for other work: 8 million entries took 10 to 13 s with 64, 128 and 512 MB alike.
    "maintenance_work_mem": "64MB",
    # Devices' commits come first: one core at most, and VACUUM pauses as autovacuum does.
    "max_parallel_maintenance_workers": "0",
    "vacuum_cost_delay": "2ms",
}
# Late readings are few: a page that one of them splits is 8 kB, a tenth of air in every page is 4 bytes a reading.
_KEY_FILL_PCT = 100
Done = Callable[["Compacted"], None]


class Busy(Exception):
    """Another process compacts."""


class NotOver(Exception):
    """The day still takes its readings."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """A day's table with its indexes, in bytes on disk."""

    name: str
    bytes_before: int
    bytes_after: int


def due(conn: Conn, now: datetime, after: timedelta, before: date | None = None) -> list[date]:
    """Days that have been over (and there) for `after` and were never compacted, oldest first; only those before `before`."""
    rows = conn.execute(
        """SELECT day FROM history_day
           WHERE compacted_at IS NULL AND dropped_at IS NULL AND day < coalesce(%(before)s::date, 'infinity')
             AND greatest(created_at, (day + 1)::timestamp AT TIME ZONE 'UTC') <= %(long_ago)s
           ORDER BY day""",
        {"before": before, "long_ago": now - after},
    ).fetchall()
    return [row[0] for row in rows if isinstance(row[0], date)]


def compact_due(
    conn: Conn, now: datetime, after: timedelta, before: date | None = None, most: int | None = None, done: Done | None = None
) -> list[date]:
    """Compact days that are due, `most` at most; which. Connection and errors as for `compact`."""
    with _alone(conn):
        days = due(conn, now, after, before)[:most]
        for day in days:
            _compact(conn, day, now, done)
    return days


def compact(conn: Conn, day: date, now: datetime, done: Done | None = None) -> None:
    """Compact a day, also one that was before. The connection must be in autocommit. Interrupted, the next compaction cleans up.

    Raises Busy; NotOver; psycopg.errors.LockNotAvailable or QueryCanceled when an older transaction does not end in time.
    """
    if day >= now.astimezone(UTC).date():
        raise NotOver(f"{day} is not over")
    with _alone(conn):
        _compact(conn, day, now, done)


@contextmanager
def _alone(conn: Conn) -> Iterator[None]:
    row = conn.execute("SELECT pg_try_advisory_lock(%s)", (_COMPACTION_LOCK,)).fetchone()
    if not row or not row[0]:
        raise Busy("another process compacts days")
    try:
        for name, value in _SETTINGS.items():
            conn.execute(f"SET {name} = '{value}'")
        yield
    finally:
        if not conn.broken:
            for name in _SETTINGS:
                conn.execute(f"RESET {name}")
            conn.execute("SELECT pg_advisory_unlock(%s)", (_COMPACTION_LOCK,))


def _compact(conn: Conn, day: date, now: datetime, done: Done | None) -> None:
    _remove_leftovers(conn)
    for parent in PARENTS:
        table = table_of(parent, day)
        if (bytes_before := _size(conn, table)) is None:
            continue
        # Frozen now, at a pace of our choice, old readings are never read again to keep transaction numbers from running out.
        conn.execute(f"VACUUM (FREEZE, TRUNCATE false) {table}")
        _rebuild_key(conn, table)
        if done:
            done(Compacted(table, bytes_before, _size(conn, table) or 0))
    conn.execute("UPDATE history_day SET compacted_at = %s WHERE day = %s", (now, day))


def _rebuild_key(conn: Conn, table: str) -> None:
    row = conn.execute(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = %s::regclass AND indisprimary", (table,)
    ).fetchone()
    if row:
        conn.execute(f"ALTER INDEX {row[0]} SET (fillfactor = {_KEY_FILL_PCT})")
        conn.execute(f"REINDEX INDEX CONCURRENTLY {row[0]}")


def _remove_leftovers(conn: Conn) -> None:
    """Unfinished indexes of an interrupted rebuild: no query uses them, but late readings are entered into them."""
    rows = conn.execute(
        """SELECT x.indexrelid::regclass::text FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_inherits i ON i.inhrelid = x.indrelid
           WHERE NOT x.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AND i.inhparent = ANY(%s::regclass[])""",
        (list(PARENTS),),
    ).fetchall()
    for (index,) in rows:
        conn.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")


def _size(conn: Conn, table: str) -> int | None:
    row = conn.execute("SELECT pg_total_relation_size(to_regclass(%s))", (table,)).fetchone()
    return row[0] if row and isinstance(row[0], int) else None
