"""One digest a day for each channel that wants it, at its local time, whatever the clocks on its walls did that day."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from alerting import words
from db import outbox
from db.engine import Conn
from db.queries import digest
from db.queries.digest import Wanting

FIRST_WINDOW = timedelta(hours=24)  # what a channel's first digest looks back on


def write_due(conn: Conn, now: datetime) -> int:
    """Write the digests that are due and were not written yet; how many. One that was missed is written late, if it is the newest."""
    return sum(_write(conn, channel, now) for channel in digest.wanting(conn))


def due(channel: Wanting, now: datetime) -> tuple[str, datetime]:
    """The newest local day whose digest is due, and since when. Of a time that comes twice the first counts, one that a day skips is later."""
    zone = _zone(channel.digest_zone)
    today = now.astimezone(zone).date()
    for day in (today, today - timedelta(days=1), today - timedelta(days=2)):
        at = datetime.combine(day, channel.digest_at, zone).astimezone(UTC)
        if at <= now:
            return day.isoformat(), at
    raise ValueError(f"no day of {channel.digest_zone} is due at {now}")  # not on this earth


def _zone(name: str) -> tzinfo:
    """The zone; UTC where this machine does not know it any more: one channel's zone must not keep all others from their notices."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _write(conn: Conn, channel: Wanting, now: datetime) -> int:
    day, _ = due(channel, now)
    key = f"digest:{day}"
    if digest.written(conn, channel.channel_id, key):
        return 0
    since = digest.last_end(conn, channel.channel_id) or now - FIRST_WINDOW
    return int(outbox.put(conn, channel.channel_id, "digest", key, body(conn, channel.least_severity, day, since, now), now) is not None)


def body(conn: Conn, least_severity: str, day: str, since: datetime, now: datetime) -> dict[str, Any]:
    """What the digest of `day` says of (since, now]."""
    evaluated = digest.evaluated_at(conn)
    return {
        "kind": "digest",
        "day": day,
        "from": words.instant(since),
        "to": words.instant(now),
        **digest.counts(conn, least_severity, since, now),
        "alerts": [_alert(one) for one in digest.open_alerts(conn, least_severity)],
        "failed": digest.failing(conn, since),
        "evaluated": evaluated and words.instant(evaluated),
        "path": "/alerts",
    }


def _alert(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "rule": one["rule"],
        "subject": {"kind": one["subject_kind"], "id": one["subject_id"], "name": one["name"]},
        "severity": one["severity"],
        "firedAt": words.instant(one["fired_at"]),
        "episodeId": one["episode_id"],
    }
