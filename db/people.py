"""People who log in: who they are, what role they have, and how they fared. Passwords are kept as argon2id hashes only."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import args_row

from db import audit
from db.engine import Conn

Role = Literal["viewer", "technician", "analyst", "admin"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A person as an administrator describes one."""

    email: str
    name: str
    role: Role
    active: bool = True


@dataclass(frozen=True, slots=True)
class Person(Wanted):
    """As kept, without the hash. `one_time_until`: the password is somebody else's choice, holds until then and must be changed first.

    `open_log_ins` are those not ended; `failed` counts wrong passwords for ever.
    """

    person_id: int = 0
    one_time_until: datetime | None = None
    password_at: datetime | None = None
    created_at: datetime | None = None
    created_by: str = ""
    last_log_in_at: datetime | None = None
    failed: int = 0
    last_failed_at: datetime | None = None
    open_log_ins: int = 0


@dataclass(frozen=True, slots=True)
class Lock:
    """What judges a log-in."""

    person_id: int
    password_hash: str = field(repr=False)
    active: bool
    one_time_until: datetime | None


_SELECT = """SELECT email, name, role, active, person_id, one_time_until, password_at, created_at, created_by, last_log_in_at, failed,
        last_failed_at, (SELECT count(*) FROM log_in l WHERE l.person_id = p.person_id AND l.ended_at IS NULL) AS open_log_ins
    FROM person p"""


def people(conn: Conn, after: int = 0, limit: int | None = None) -> list[Person]:
    """Everybody in the order of their ids, disabled ones too: those after `after`, at most `limit`."""
    with conn.cursor(row_factory=args_row(Person)) as cursor:
        return cursor.execute(f"{_SELECT} WHERE person_id > %s ORDER BY person_id LIMIT %s".encode(), (after, limit)).fetchall()


def person(conn: Conn, person_id: int) -> Person | None:
    """One person; None where there never was one."""
    with conn.cursor(row_factory=args_row(Person)) as cursor:
        return cursor.execute(f"{_SELECT} WHERE person_id = %s".encode(), (person_id,)).fetchone()


def by_email(conn: Conn, email: str) -> Person | None:
    """Whose address it is, however it is written."""
    with conn.cursor(row_factory=args_row(Person)) as cursor:
        return cursor.execute(f"{_SELECT} WHERE email = %s".encode(), (email.strip().lower(),)).fetchone()


def lock_of(conn: Conn, email: str) -> Lock | None:
    """The hash to hold a password against."""
    with conn.cursor(row_factory=args_row(Lock)) as cursor:
        return cursor.execute(
            "SELECT person_id, password_hash, active, one_time_until FROM person WHERE email = %s", (email.strip().lower(),)
        ).fetchone()


def hold_still(conn: Conn) -> int:
    """The number of the next change of anybody. Makes every other such change wait for the end of this transaction."""
    row = conn.execute("UPDATE person_version SET version = version + 1 RETURNING version").fetchone()
    return int(str(row[0])) if row else 0


def version(conn: Conn) -> int:
    """The number of the newest change of anybody."""
    row = conn.execute("SELECT version FROM person_version").fetchone()
    return int(str(row[0])) if row else 0


def administrators(conn: Conn) -> int:
    """How many could administer."""
    row = conn.execute("SELECT count(*) FROM person WHERE role = 'admin' AND active").fetchone()
    return int(str(row[0])) if row else 0


def create(conn: Conn, wanted: Wanted, password_hash: str, by: str, now: datetime, one_time_until: datetime | None = None) -> int:
    """A new person; the id. Raises psycopg.errors.UniqueViolation where the address is taken."""
    row = conn.execute(
        """INSERT INTO person (email, name, role, active, password_hash, password_at, one_time_until, created_at, created_by)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING person_id""",
        (wanted.email, wanted.name, wanted.role, wanted.active, password_hash, now, one_time_until, now, by),
    ).fetchone()
    person_id = int(str(row[0])) if row else 0
    audit.record(conn, now, by, "person created", subject(person_id), after=told(wanted))
    return person_id


def change(conn: Conn, found: Person, wanted: Wanted, by: str, now: datetime) -> None:
    """Name, role, whether they may log in. Log-ins of who is disabled or has another role end."""
    hold_still(conn)
    conn.execute(
        "UPDATE person SET name = %s, role = %s, active = %s WHERE person_id = %s",
        (wanted.name, wanted.role, wanted.active, found.person_id),
    )
    audit.record(conn, now, by, _deed(found, wanted), subject(found.person_id), before=told(found), after=told(wanted))


def set_password(conn: Conn, person_id: int, password_hash: str, by: str, now: datetime, one_time_until: datetime | None = None) -> None:
    """Another password, their own or, with `one_time_until`, one that somebody else made."""
    hold_still(conn)
    conn.execute(
        "UPDATE person SET password_hash = %s, password_at = %s, one_time_until = %s WHERE person_id = %s",
        (password_hash, now, one_time_until, person_id),
    )
    audit.record(conn, now, by, "password changed" if one_time_until is None else "one-time password made", subject(person_id))


def rehash(conn: Conn, person_id: int, password_hash: str) -> None:
    """The same password, hashed at today's cost."""
    conn.execute("UPDATE person SET password_hash = %s WHERE person_id = %s", (password_hash, person_id))


def count_failure(conn: Conn, person_id: int, address: str, now: datetime) -> None:
    """A wrong password for somebody who is there."""
    row = conn.execute(
        "UPDATE person SET failed = failed + 1, last_failed_at = %s WHERE person_id = %s RETURNING failed", (now, person_id)
    ).fetchone()
    audit.record(conn, now, address, "log-in failed", subject(person_id), after={"failed": row[0] if row else None})


def subject(person_id: int) -> str:
    """How the record names a person."""
    return f"person {person_id}"


def told(wanted: Wanted) -> dict[str, Any]:
    """What was asked for, as the record keeps it."""
    return {"email": wanted.email, "name": wanted.name, "role": wanted.role, "active": wanted.active}


def _deed(before: Wanted, after: Wanted) -> str:
    if before.active != after.active:
        return "person enabled" if after.active else "person disabled"
    return "role changed" if before.role != after.role else "person changed"
