"""The record of who changed what, beside that of alerts and of assignments. Rows are added, never changed."""

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from db.engine import Conn

MOST_NOTE = 2000  # characters, as in the database


def record(
    conn: Conn,
    at: datetime,
    by: str,
    action: str,
    subject: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    note: str | None = None,
) -> None:
    """Write down who did what to which subject. `before` and `after`: what was changed, without anything secret."""
    conn.execute(
        "INSERT INTO audit (at, by, action, subject, before, after, note) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (at, by, action, subject, _json(before), _json(after), note),
    )


def _json(value: dict[str, Any] | None) -> Jsonb | None:
    return None if value is None else Jsonb(value)
