"""The channels by which people are told: where each leads, what it wants to hear, and when its daily digest is due."""

from dataclasses import astuple, dataclass, field
from datetime import datetime, time

from psycopg.rows import args_row

from db.engine import Conn


@dataclass(frozen=True, slots=True)
class Wanted:
    """A channel as people set it. `address` and `secret` are what it needs to be reached: never shown or logged whole.

    `digest_at` is local time in `digest_zone`; None: no digest.
    """

    name: str
    kind: str
    address: str = field(repr=False)
    secret: str | None = field(repr=False)
    enabled: bool
    least_severity: str
    digest_at: time | None
    digest_zone: str


@dataclass(frozen=True, slots=True)
class Channel(Wanted):
    """A channel as it is kept, with how it fared: its newest success and failure, and how many notices wait."""

    channel_id: int
    created_at: datetime
    created_by: str
    last_sent_at: datetime | None
    last_failed_at: datetime | None
    last_error: str | None
    waiting: int


_COLUMNS = "name, kind, address, secret, enabled, least_severity, digest_at, digest_zone"
_SELECT = f"""
    SELECT {_COLUMNS}, channel_id, created_at, created_by, sent.sent_at, failed.tried_at, failed.last_error,
           coalesce(w.many, 0)
    FROM notice_channel c
    LEFT JOIN (SELECT channel_id AS of, count(*) AS many FROM notice WHERE sent_at IS NULL AND gave_up_at IS NULL GROUP BY channel_id) w
        ON w.of = c.channel_id
    LEFT JOIN LATERAL (SELECT sent_at FROM notice n WHERE n.channel_id = c.channel_id AND sent_at IS NOT NULL
                       ORDER BY notice_id DESC LIMIT 1) sent ON true
    LEFT JOIN LATERAL (SELECT tried_at, last_error FROM notice n WHERE n.channel_id = c.channel_id AND last_error IS NOT NULL
                       ORDER BY notice_id DESC LIMIT 1) failed ON true
    WHERE deleted_at IS NULL"""


def channels(conn: Conn) -> list[Channel]:
    """Every channel that was not deleted, by name."""
    with conn.cursor(row_factory=args_row(Channel)) as cursor:
        return cursor.execute(f"{_SELECT} ORDER BY name, channel_id".encode()).fetchall()


def channel(conn: Conn, channel_id: int) -> Channel | None:
    """One channel; None where it never was or was deleted."""
    with conn.cursor(row_factory=args_row(Channel)) as cursor:
        return cursor.execute(f"{_SELECT} AND channel_id = %s".encode(), (channel_id,)).fetchone()


def add(conn: Conn, wanted: Wanted, by: str, now: datetime) -> int:
    """A new channel's id. Raises psycopg.errors.UniqueViolation where another has this name."""
    row = conn.execute(
        f"INSERT INTO notice_channel ({_COLUMNS}, created_at, created_by) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING channel_id",
        (*astuple(wanted), now, by),
    ).fetchone()
    return int(str(row[0])) if row else 0


def change(conn: Conn, channel_id: int, wanted: Wanted) -> None:
    """Set a channel anew. Raises psycopg.errors.UniqueViolation likewise."""
    conn.execute(
        f"UPDATE notice_channel SET ({_COLUMNS}) = (%s, %s, %s, %s, %s, %s, %s, %s) WHERE channel_id = %s", (*astuple(wanted), channel_id)
    )


def delete(conn: Conn, channel_id: int, now: datetime) -> None:
    """Take a channel away; its notices stay on record, its address and secret do not."""
    conn.execute(
        "UPDATE notice_channel SET deleted_at = %s, enabled = false, address = 'deleted', secret = NULL WHERE channel_id = %s",
        (now, channel_id),
    )
