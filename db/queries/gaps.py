"""How many readings came in which hour, from the 15-minute sums."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from db.engine import Conn
from db.queries.pieces import Days
from db.sides import Side

HOUR = timedelta(hours=1)
# Where a device's first reading in the window may be its first ever: so far back it is looked for an earlier one.
BEFORE = timedelta(days=7)


def hour_of(at: datetime) -> datetime:
    """The beginning of the UTC hour (h, h + 1 h] in which the instant lies."""
    inside = at - timedelta(microseconds=1)
    return inside.replace(minute=0, second=0, microsecond=0)


def totals(conn: Conn, side: Side, start: datetime, end: datetime) -> dict[str, int]:
    """Readings of every device in the quarters of [start, end), both on a quarter; devices without any are not in it."""
    rows = conn.execute(
        f"""SELECT {side.key}, sum(readings)::bigint FROM {side.rollup}
            WHERE bucket >= %(start)s AND bucket < %(end)s AND {_days(start, end)} GROUP BY 1""",
        {"start": start, "end": end},
    ).fetchall()
    return {str(row[0]): int(str(row[1])) for row in rows}


def hours(conn: Conn, side: Side, device_ids: Sequence[str], start: datetime, count: int) -> dict[str, list[int | None]]:
    """For each device the readings of `count` hours from `start` on; None before its first reading, unless it had reported in the week before."""
    first = start - BEFORE
    end = start + count * HOUR
    rows = conn.execute(
        f"""SELECT {side.key}, floor(extract(epoch FROM bucket - %(start)s) / 3600)::int AS hour, sum(readings)::bigint FROM {side.rollup}
            WHERE {side.key} = ANY(%(ids)s) AND bucket >= %(first)s AND bucket < %(end)s AND {_days(first, end)} GROUP BY 1, 2""",
        {"ids": list(device_ids), "start": start, "first": first, "end": end},
    ).fetchall()
    found: dict[str, dict[int, int]] = {device_id: {} for device_id in device_ids}
    for device_id, hour, readings in rows:
        found[str(device_id)][int(str(hour))] = int(str(readings))
    return {device_id: _row(of_hour, count) for device_id, of_hour in found.items()}


def _row(of_hour: dict[int, int], count: int) -> list[int | None]:
    begins = min(of_hour, default=0)
    return [of_hour.get(n, 0) if n >= begins else None for n in range(count)]


def _days(start: datetime, end: datetime) -> str:
    """The days as literals, so that the plan names their tables alone."""
    return Days.of(start, end).buckets("bucket")
