"""Days of history as a person sees them, and how a person takes old ones away. Nothing here ever runs by itself."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg

from db import partitions
from db.engine import Conn
from db.partitions import HISTORIES, PARENTS, ROLLUPS, table_of

# Late readings of the last days are normal, and a slip of the finger must not take what people look at.
KEPT_DAYS = 7
# Only the moment in which a partition that nobody can see any more is let go: never queue behind somebody who reads its table by name.
_LOCK_TIMEOUT_MS = 1_000
_TRIES = 60


class TooRecent(Exception):
    """The days asked for include some that must not be dropped."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day's readings (PostgreSQL's estimate), sizes on disk with indexes, when a person dropped its readings, when it was made small."""

    day: date
    readings: int
    history_bytes: int
    rollup_bytes: int
    dropped_at: datetime | None
    compacted_at: datetime | None


def days(conn: Conn) -> list[Day]:
    """Every day there are tables for, or were, oldest first."""
    histories, rollups = (", ".join(f"'{parent}'" for parent in parents) for parents in (HISTORIES, ROLLUPS))
    rows = conn.execute(
        f"""SELECT day, coalesce(sum(greatest(c.reltuples, 0)) FILTER (WHERE parent IN ({histories})), 0)::bigint,
                   coalesce(sum(pg_total_relation_size(c.oid)) FILTER (WHERE parent IN ({histories})), 0)::bigint,
                   coalesce(sum(pg_total_relation_size(c.oid)) FILTER (WHERE parent IN ({rollups})), 0)::bigint, dropped_at, compacted_at
            FROM history_day CROSS JOIN (VALUES {", ".join(f"('{parent}')" for parent in PARENTS)}) p(parent)
            LEFT JOIN pg_class c ON c.oid = to_regclass(parent || to_char(day, '_YYYYMMDD'))
            GROUP BY day ORDER BY day"""
    ).fetchall()
    return [Day(*row) for row in rows]  # type: ignore[arg-type]


def droppable(conn: Conn, before: date, now: datetime, with_rollups: bool = False) -> list[Day]:
    """Days before `before` that have something to drop. Raises TooRecent for the last KEPT_DAYS and the future."""
    newest = now.astimezone(UTC).date() - timedelta(days=KEPT_DAYS)
    if before > newest:
        raise TooRecent(f"days from {newest} on are kept: {before} is too late, {newest} is the latest there is")
    return [
        day
        for day in days(conn)
        if day.day < before and (day.history_bytes or (with_rollups and day.rollup_bytes and _may_go(day.day, before)))
    ]


def drop(conn: Conn, before: date, now: datetime, with_rollups: bool = False, done: Callable[[str], None] | None = None) -> int:
    """Drop the readings of all days before `before`, and their rollups only if asked; how many tables. An interrupted drop is finished by the next.

    The connection must be in autocommit: each step is a transaction of its own. Waits for readers, holds up nobody. Raises TooRecent.
    """
    wanted = droppable(conn, before, now, with_rollups)
    _close(conn, before, now)
    dropped = 0
    for day in wanted:
        parents = HISTORIES + (ROLLUPS if with_rollups and _may_go(day.day, before) else ())
        for parent in parents:
            if _drop(conn, parent, table_of(parent, day.day)):
                dropped += 1
                if done:
                    done(table_of(parent, day.day))
    return dropped


def _may_go(day: date, before: date) -> bool:
    """The rollups of the last dropped day stay: their last quarter holds the first kept day's midnight."""
    return day < before - timedelta(days=1)


def _close(conn: Conn, before: date, now: datetime) -> None:
    """First of all nobody stores or mends anything in these days any more: a late reading would be counted again in rollups that stay."""
    with conn.transaction():
        partitions.hold(conn)
        conn.execute("UPDATE history_day SET dropped_at = %s WHERE day < %s AND dropped_at IS NULL", (now, before))


def _drop(conn: Conn, parent: str, table: str) -> bool:
    """Detach and drop; whether there was such a table."""
    _finish_interrupted(conn, parent)
    if _state(conn, table) == "attached":
        # Waits, holding nothing that an insert needs, until everybody who may still see the partition has ended their transaction.
        conn.execute("SET lock_timeout = 0")
        conn.execute("SET statement_timeout = 0")
        conn.execute(f"ALTER TABLE {parent} DETACH PARTITION {table} CONCURRENTLY")
    if _state(conn, table) == "none":
        return False
    _patiently(conn, f"DROP TABLE IF EXISTS {table}")
    return True


def _finish_interrupted(conn: Conn, parent: str) -> None:
    rows = conn.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass AND i.inhdetachpending",
        (parent,),
    ).fetchall()
    for (table,) in rows:
        _patiently(conn, f"ALTER TABLE {parent} DETACH PARTITION {table} FINALIZE")


def _state(conn: Conn, table: str) -> str:
    row = conn.execute(
        """SELECT CASE WHEN c.oid IS NULL THEN 'none' WHEN i.inhrelid IS NULL THEN 'alone' ELSE 'attached' END
           FROM (SELECT to_regclass(%s) AS oid) c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid""",
        (table,),
    ).fetchone()
    return str(row[0]) if row else "none"


def _patiently(conn: Conn, statement: str) -> None:
    """In tries of a second, so that nobody queues behind us for longer."""
    conn.execute(f"SET lock_timeout = {_LOCK_TIMEOUT_MS}")
    for attempt in range(_TRIES):
        try:
            conn.execute(statement)
            return
        except psycopg.errors.LockNotAvailable:
            if attempt == _TRIES - 1:
                raise
            time.sleep(0.5)
