"""What a daily digest says: alerts that are open, began and ended since the last one, and channels that failed."""

from dataclasses import dataclass
from datetime import datetime, time

from psycopg.rows import args_row, dict_row

from db.engine import Conn

MOST_LISTED = 20  # alerts that are named, the worst and oldest first


@dataclass(frozen=True, slots=True)
class Wanting:
    """A channel that wants a digest, at this local time in this zone."""

    channel_id: int
    digest_at: time
    digest_zone: str
    least_severity: str


def wanting(conn: Conn) -> list[Wanting]:
    """The channels that want one."""
    with conn.cursor(row_factory=args_row(Wanting)) as cursor:
        return cursor.execute(
            """SELECT channel_id, digest_at, digest_zone, least_severity FROM notice_channel
               WHERE enabled AND deleted_at IS NULL AND digest_at IS NOT NULL ORDER BY channel_id"""
        ).fetchall()


def written(conn: Conn, channel_id: int, key: str) -> bool:
    """Whether the digest of this key is in the outbox."""
    row = conn.execute("SELECT FROM notice WHERE idempotency_key = %s", (f"{key}:{channel_id}",)).fetchone()
    return row is not None


def last_end(conn: Conn, channel_id: int) -> datetime | None:
    """Up to when the channel's newest digest told; None where it never had one."""
    row = conn.execute(
        "SELECT body ->> 'to' FROM notice WHERE channel_id = %s AND kind = 'digest' ORDER BY notice_id DESC LIMIT 1", (channel_id,)
    ).fetchone()
    return datetime.fromisoformat(str(row[0])) if row and row[0] else None


def _wanted(alias: str) -> str:
    return f"(%(least)s = 'warning' OR {alias}.severity = 'critical')"


# A null in a silence matches everything.
_SILENCED = """EXISTS (SELECT FROM alert_silence s WHERE s.starts_at <= %(now)s AND s.ends_at > %(now)s AND s.ended_at IS NULL
    AND (s.rule IS NULL OR s.rule = e.rule) AND (s.site_id IS NULL OR s.site_id = e.site_id)
    AND (s.subject_kind IS NULL OR (s.subject_kind = e.subject_kind AND s.subject_id = e.subject_id)))"""


def counts(conn: Conn, least_severity: str, since: datetime, now: datetime) -> dict[str, int]:
    """open, critical, silenced, acknowledged: now. fired, resolved: in (since, now]."""
    row = conn.execute(
        f"""SELECT count(*) FILTER (WHERE resolved_at IS NULL),
                   count(*) FILTER (WHERE resolved_at IS NULL AND severity = 'critical'),
                   count(*) FILTER (WHERE resolved_at IS NULL AND {_SILENCED}),
                   count(*) FILTER (WHERE resolved_at IS NULL AND acknowledged_at IS NOT NULL),
                   count(*) FILTER (WHERE fired_at > %(since)s AND fired_at <= %(now)s),
                   count(*) FILTER (WHERE resolved_at > %(since)s AND resolved_at <= %(now)s)
            FROM alert_episode e WHERE (resolved_at IS NULL OR resolved_at > %(since)s) AND {_wanted("e")}""",
        {"least": least_severity, "since": since, "now": now},
    ).fetchone()
    found = [int(str(one)) for one in row or (0,) * 6]
    return dict(zip(("open", "critical", "silenced", "acknowledged", "fired", "resolved"), found, strict=True))


def open_alerts(conn: Conn, least_severity: str) -> list[dict[str, object]]:
    """The worst and oldest MOST_LISTED: rule, subject {kind, id, name}, severity, firedAt, episodeId, as in a notice's body."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            f"""SELECT e.rule, e.severity, e.fired_at, e.episode_id, e.subject_kind, e.subject_id, coalesce(v.name, m.name, s.name) AS name
                FROM alert_episode e
                LEFT JOIN vehicle v ON e.subject_kind = 'vehicle' AND v.vehicle_id = e.subject_id
                LEFT JOIN meter m ON e.subject_kind = 'meter' AND m.meter_id = e.subject_id
                LEFT JOIN site s ON e.subject_kind = 'site' AND s.site_id = e.subject_id
                WHERE resolved_at IS NULL AND {_wanted("e")}
                ORDER BY e.severity = 'critical' DESC, e.fired_at, e.episode_id LIMIT {MOST_LISTED}""".encode(),
            {"least": least_severity},
        ).fetchall()


def failing(conn: Conn, since: datetime) -> list[dict[str, object]]:
    """Channels that failed since then: channel, times, error (the newest)."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """SELECT c.name AS channel, count(*) AS times, (array_agg(n.last_error ORDER BY n.tried_at DESC))[1] AS error
               FROM notice n JOIN notice_channel c USING (channel_id)
               WHERE n.last_error IS NOT NULL AND n.tried_at > %s AND c.deleted_at IS NULL AND c.enabled
               GROUP BY c.channel_id, c.name ORDER BY c.name""",
            (since,),
        ).fetchall()


def evaluated_at(conn: Conn) -> datetime | None:
    """When alerts were last judged, by the server's clock; None: never yet."""
    with conn.cursor(row_factory=args_row(lambda at: at)) as cursor:
        found: datetime | None = cursor.execute("SELECT wall_at FROM alert_evaluation").fetchone()
    return found
