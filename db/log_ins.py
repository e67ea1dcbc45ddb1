"""Log-ins of people as rows: made, seen, ended. The database knows only the hash of what a cookie holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import args_row

from db import audit, people
from db.engine import Conn
from db.people import Role

MOST_AGENT = 300  # characters of what a browser calls itself
MOST_ADDRESS = 64


@dataclass(frozen=True, slots=True)
class LogIn:
    """An open log-in and who it is. `must_change`: with a one-time password, which opens nothing but the way to another one."""

    token_hash: bytes = field(repr=False)
    person_id: int
    email: str
    name: str
    role: Role
    must_change: bool
    made_at: datetime
    seen_at: datetime


_OPEN = """SELECT l.token_hash, p.person_id, p.email, p.name, p.role, p.one_time_until IS NOT NULL, l.made_at, l.seen_at
    FROM log_in l JOIN person p USING (person_id) WHERE l.ended_at IS NULL AND p.active"""


def open_log_ins(conn: Conn) -> list[LogIn]:
    """Every log-in that was not ended."""
    with conn.cursor(row_factory=args_row(LogIn)) as cursor:
        return cursor.execute(_OPEN.encode()).fetchall()


def begin(conn: Conn, token_hash: bytes, person_id: int, address: str, agent: str, now: datetime) -> None:
    """Somebody logged in."""
    people.hold_still(conn)
    conn.execute(
        "INSERT INTO log_in (token_hash, person_id, made_at, seen_at, address, agent) VALUES (%s, %s, %s, %s, %s, %s)",
        (token_hash, person_id, now, now, address[:MOST_ADDRESS], agent[:MOST_AGENT]),
    )
    conn.execute("UPDATE person SET last_log_in_at = %s WHERE person_id = %s", (now, person_id))
    audit.record(conn, now, address, "logged in", people.subject(person_id))


def end(conn: Conn, token_hash: bytes, because: str, now: datetime) -> None:
    """End one log-in; one that is ended stays as it is."""
    people.hold_still(conn)
    conn.execute(
        "UPDATE log_in SET ended_at = %s, ended_because = %s WHERE token_hash = %s AND ended_at IS NULL", (now, because, token_hash)
    )


def end_all(conn: Conn, person_id: int, because: str, by: str, now: datetime) -> int:
    """End every log-in of somebody; how many there were."""
    people.hold_still(conn)
    ended = conn.execute(
        "UPDATE log_in SET ended_at = %s, ended_because = %s WHERE person_id = %s AND ended_at IS NULL", (now, because, person_id)
    ).rowcount
    audit.record(conn, now, by, "log-ins ended", people.subject(person_id), after={"ended": ended, "because": because})
    return ended


def add_seen(conn: Conn, seen: Mapping[bytes, datetime]) -> None:
    """Add when a process saw log-ins. In the order of their hashes, so that processes do not block each other."""
    rows = sorted(seen)
    conn.execute(
        """UPDATE log_in l SET seen_at = greatest(l.seen_at, s.seen_at)
           FROM (SELECT * FROM unnest(%s::bytea[], %s::timestamptz[]) AS s (token_hash, seen_at)) s
           WHERE l.token_hash = s.token_hash AND l.ended_at IS NULL""",
        (rows, [seen[one] for one in rows]),
    )


def end_old(conn: Conn, idle: timedelta, absolute: timedelta, now: datetime) -> int:
    """Write down the end of those nobody uses any more, and of those that are as old as they may become."""
    return conn.execute(
        """UPDATE log_in SET ended_at = %(now)s, ended_because = CASE WHEN made_at < %(made)s THEN 'too old' ELSE 'not used' END
           WHERE ended_at IS NULL AND (made_at < %(made)s OR seen_at < %(seen)s)""",
        {"now": now, "made": now - absolute, "seen": now - idle},
    ).rowcount


def of_person(conn: Conn, person_id: int) -> list[dict[str, Any]]:
    """Where somebody is logged in, the newest first; without what opens them."""
    rows = conn.execute(
        "SELECT made_at, seen_at, address, agent FROM log_in WHERE person_id = %s AND ended_at IS NULL ORDER BY made_at DESC", (person_id,)
    ).fetchall()
    return [{"madeAt": made, "seenAt": seen, "address": address, "agent": agent} for made, seen, address, agent in rows]
