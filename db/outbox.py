"""Notices that shall go out: written in the transaction of what they tell of, delivered at least once by whoever leads the alerting.

A notice waits until it is sent or given up. Whoever sends it claims it first, for a while; one whose claim ran out is taken up again.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg.rows import args_row
from psycopg.types.json import Jsonb

from db.engine import Conn

Kind = Literal["firing", "escalated", "resolved", "flapping", "digest", "test"]
State = Literal["waiting", "sent", "given_up"]
MOST_ERROR = 500  # characters, as in the database
WAITING = "sent_at IS NULL AND gave_up_at IS NULL"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A notice that somebody has taken on himself to send, with all that is needed for it. `tries` counts this one."""

    notice_id: int
    key: str
    channel_id: int
    kind: Kind
    episode_id: int | None
    body: dict[str, Any]
    created_at: datetime
    tries: int
    channel_kind: str
    address: str = field(repr=False)
    secret: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice as it stands in the outbox."""

    notice_id: int
    channel_id: int
    channel: str
    kind: Kind
    episode_id: int | None
    body: dict[str, Any]
    created_at: datetime
    next_try_at: datetime
    tries: int
    tried_at: datetime | None
    sent_at: datetime | None
    gave_up_at: datetime | None
    last_error: str | None

    @property
    def state(self) -> State:
        return "sent" if self.sent_at else "given_up" if self.gave_up_at else "waiting"


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


def put(conn: Conn, channel_id: int, kind: Kind, key: str, body: dict[str, Any], now: datetime) -> int | None:
    """Put a notice for one channel; its id, None where it was put before under the same `key`."""
    row = conn.execute(
        """INSERT INTO notice (idempotency_key, channel_id, kind, body, created_at, next_try_at) VALUES (%s, %s, %s, %s, %s, %s)
           ON CONFLICT (idempotency_key) DO NOTHING RETURNING notice_id""",
        (f"{key}:{channel_id}", channel_id, kind, Jsonb(body), now, now),
    ).fetchone()
    return int(str(row[0])) if row else None


# The steps of one alert arrive in their order: a notice waits for an earlier one of the same episode. `tries` is counted when it is
# claimed, so that a notice that kills whoever sends it is seen to.
_DUE = f"""
    FROM notice n WHERE {WAITING} AND next_try_at <= %(now)s AND (claimed_until IS NULL OR claimed_until <= %(now)s)
    AND NOT EXISTS (SELECT FROM notice earlier WHERE earlier.episode_id = n.episode_id AND earlier.channel_id = n.channel_id
                    AND earlier.notice_id < n.notice_id AND earlier.sent_at IS NULL AND earlier.gave_up_at IS NULL)"""


def due_channels(conn: Conn, now: datetime, except_for: Collection[int] = ()) -> list[int]:
    """The channels for which a notice is due, those that have waited longest first."""
    rows = conn.execute(
        f"SELECT channel_id {_DUE} AND NOT (channel_id = ANY(%(except)s)) GROUP BY channel_id ORDER BY min(next_try_at), channel_id",
        {"now": now, "except": list(except_for)},
    ).fetchall()
    return [int(str(row[0])) for row in rows]


def claim(conn: Conn, channel_id: int, now: datetime, lease: timedelta) -> Claimed | None:
    """Take on the channel's oldest notice that is due, until `now + lease`; None where there is none."""
    with conn.cursor(row_factory=args_row(Claimed)) as cursor:
        return cursor.execute(
            f"""UPDATE notice SET claimed_until = %(until)s, tries = tries + 1, tried_at = %(now)s
                FROM notice_channel c
                WHERE c.channel_id = notice.channel_id AND notice_id = (
                    SELECT notice_id {_DUE} AND channel_id = %(channel)s ORDER BY next_try_at, notice_id LIMIT 1 FOR UPDATE SKIP LOCKED)
                RETURNING notice_id, idempotency_key, notice.channel_id, notice.kind, episode_id, body, notice.created_at, tries,
                          c.kind, address, secret""".encode(),
            {"now": now, "until": now + lease, "channel": channel_id},
        ).fetchone()


def done(conn: Conn, notice_id: int, now: datetime) -> None:
    """It was sent."""
    conn.execute(f"UPDATE notice SET sent_at = %s, claimed_until = NULL WHERE notice_id = %s AND {WAITING}", (now, notice_id))


def failed(conn: Conn, notice_id: int, error: str, again_at: datetime) -> None:
    """It was not; it is tried again at `again_at`. `error` holds nothing secret."""
    conn.execute(
        f"UPDATE notice SET next_try_at = %s, claimed_until = NULL, last_error = %s WHERE notice_id = %s AND {WAITING}",
        (again_at, error[:MOST_ERROR], notice_id),
    )


def give_up(conn: Conn, notice_id: int, error: str, now: datetime) -> None:
    """It was not, and it is not tried again."""
    conn.execute(
        f"UPDATE notice SET gave_up_at = %s, claimed_until = NULL, last_error = %s WHERE notice_id = %s AND {WAITING}",
        (now, error[:MOST_ERROR], notice_id),
    )


def give_up_switched_off(conn: Conn, now: datetime) -> int:
    """Give up what waits for channels that are off or deleted: it would come out of the blue when they are back. How many."""
    return conn.execute(
        f"""UPDATE notice n SET gave_up_at = %s, claimed_until = NULL, last_error = 'the channel was switched off'
            FROM notice_channel c WHERE c.channel_id = n.channel_id AND NOT c.enabled AND {WAITING}""",
        (now,),
    ).rowcount


_STATES: dict[State, str] = {"waiting": WAITING, "sent": "sent_at IS NOT NULL", "given_up": "gave_up_at IS NOT NULL"}


def notices(
    conn: Conn,
    channel_id: int | None = None,
    state: State | None = None,
    limit: int = 100,
    before_id: int | None = None,
    notice_id: int | None = None,
) -> list[Notice]:
    """The outbox, newest first: all of it, of one channel, in one state, those before `before_id`, or one notice."""
    conditions = ["(%(channel)s::bigint IS NULL OR n.channel_id = %(channel)s)", "(%(before)s::bigint IS NULL OR notice_id < %(before)s)"]
    conditions += ["notice_id = %(id)s"] if notice_id is not None else []
    conditions += [_STATES[state]] if state else []
    with conn.cursor(row_factory=args_row(Notice)) as cursor:
        return cursor.execute(
            f"""SELECT notice_id, n.channel_id, c.name, n.kind, episode_id, body, n.created_at, next_try_at, tries, tried_at, sent_at,
                       gave_up_at, last_error
                FROM notice n JOIN notice_channel c USING (channel_id) WHERE {" AND ".join(conditions)}
                ORDER BY notice_id DESC LIMIT %(limit)s""".encode(),
            {"channel": channel_id, "before": before_id, "limit": limit, "id": notice_id},
        ).fetchall()
