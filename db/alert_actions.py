"""The record of what people did with alerts: who, when, and what changed. Rows are added, never changed."""

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from db.engine import Conn


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
) -> None:
    """Add a row. `before` and `after` as on the wire, where something was changed; never a secret."""
    conn.execute(
        """INSERT INTO alert_action (at, by, action, episode_id, silence_id, subject, note, before, after)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (at, by, action, episode_id, silence_id, subject, note, before and Jsonb(before), after and Jsonb(after)),
    )
