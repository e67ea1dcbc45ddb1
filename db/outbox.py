"""Notices that shall go out: written in the transaction of what they tell of, delivered at least once by whoever leads the alerting."""

from datetime import datetime
from typing import Any, Literal

from psycopg.types.json import Jsonb

from db.engine import Conn

Kind = Literal["firing", "escalated", "resolved", "flapping", "digest", "test"]


def announce(conn: Conn, kind: Kind, key: str, body: dict[str, Any], severity: str, episode_id: int | None, now: datetime) -> int:
    """Put a notice for every enabled channel that wants this severity; how many. Said again under the same `key` it changes nothing."""
    rows = conn.execute(
        """INSERT INTO notice (idempotency_key, channel_id, kind, episode_id, body, created_at, next_try_at)
           SELECT %(key)s || ':' || channel_id, channel_id, %(kind)s, %(episode_id)s, %(body)s, %(now)s, %(now)s
           FROM notice_channel
           WHERE enabled AND deleted_at IS NULL AND (least_severity = 'warning' OR %(severity)s = 'critical')
           ORDER BY channel_id
           ON CONFLICT (idempotency_key) DO NOTHING RETURNING notice_id""",
        {"key": key, "kind": kind, "episode_id": episode_id, "body": Jsonb(body), "now": now, "severity": severity},
    )
    return len(rows.fetchall())
