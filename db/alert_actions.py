"""The record of what people did about alerts: acknowledged, silenced, changed a threshold or a channel. Rows are added, never changed."""

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from db.engine import Conn

MOST_SUBJECT, MOST_NOTE = 200, 2000  # characters, as in the database


def record(
    conn: Conn,
    at: datetime,
    by: str,
    action: str,
    *,
    episode_id: int | None = None,
    silence_id: int | None = None,
    subject: str | None = None,
    note: str | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> int:
    """Write down who did what; the row's id. `before` and `after`: what was changed, without anything secret."""
    row = conn.execute(
        """INSERT INTO alert_action (at, by, action, episode_id, silence_id, subject, note, before, after)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING action_id""",
        (at, by, action, episode_id, silence_id, subject and subject[:MOST_SUBJECT], note, _json(before), _json(after)),
    ).fetchone()
    return int(str(row[0])) if row else 0


def _json(value: dict[str, Any] | None) -> Jsonb | None:
    return None if value is None else Jsonb(value)
