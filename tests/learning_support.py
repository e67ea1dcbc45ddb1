"""Charging sessions as the 15-minute sums have them, without the readings: two months of a fleet in a second."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from db import learning, partitions
from db.learning import Learnt
from db.lessons import ONE_DAY, begins
from db.queries.policies import Policies

FIRST = date(2026, 2, 1)
QUARTER = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)


def day(n: int) -> date:
    """The n-th day, from 0."""
    return FIRST + n * ONE_DAY


def night_after(of: date) -> datetime:
    """When the server learns from this day."""
    return begins(of) + ONE_DAY + timedelta(hours=6)


def open_days(conn: Any, count: int) -> None:
    """Tables for the first days."""
    for first in range(-2, count + 2, partitions.DAYS_AT_ONCE):
        days = [day(n) for n in range(first, min(first + partitions.DAYS_AT_ONCE, count + 2))]
        partitions.ensure(conn, days, datetime(2026, 1, 1, tzinfo=UTC))


def assign(conn: Any, vehicle_id: str, meter_id: str | None, model: str | None = None, rated_w: int | None = 11_000) -> None:
    """From always; described where a model or a rating is given."""
    conn.execute("INSERT INTO assignment VALUES (%s, '-infinity', %s)", (vehicle_id, meter_id))
    if model:
        conn.execute("INSERT INTO vehicle (vehicle_id, model) VALUES (%s, %s)", (vehicle_id, model))
    if rated_w:
        conn.execute("INSERT INTO meter (meter_id, rated_w) VALUES (%s, %s) ON CONFLICT DO NOTHING", (meter_id, rated_w))


def charge(
    conn: Any,
    vehicle_id: str,
    meter_id: str,
    start: datetime,
    ratio: float = 0.92,
    *,
    kw: float = 10.8,
    quarters: int = 12,
    cold: int = 0,
    full: int = 0,
) -> None:
    """A session of whole quarters, begun at 30 %. The first `cold` ones warm a cold battery, in the last `full` ones it is full already."""
    for n in range(quarters):
        at = start + n * QUARTER
        arrives = 0.5 * ratio if n < cold else ratio
        ac, dc = round(kw * 250_000), round(kw * 250_000 * arrives)
        times = (15, 15, at + MINUTE, at + QUARTER, at + MINUTE, at + QUARTER)
        conn.execute(_VEHICLE, (vehicle_id, at, dc, *times, 500 if n < cold else 2000, 9_950 if n >= quarters - full else 3_000 + 300 * n))
        conn.execute(_METER, (meter_id, at, ac, *times))


_COLUMNS = "smallest_milliwh, readings, charging_readings, first_at, last_at, charging_first_at, charging_last_at"
_VEHICLE = f"""INSERT INTO vehicle_rollup (vehicle_id, bucket, dc_milliwh, {_COLUMNS}, battery_temp_centi_c_sum, battery_temp_centi_c_count,
                                           battery_temp_centi_c_min, soc_centi_pct_sum, soc_centi_pct_count, soc_centi_pct_min, soc_centi_pct_max)
    SELECT v, at, dc, 1000, r, c, f, l, cf, cl, 15 * t, 15, t, 15 * s, 15, s, s
    FROM (VALUES (%s, %s::timestamptz, %s, %s, %s, %s::timestamptz, %s::timestamptz, %s::timestamptz, %s::timestamptz, %s, %s))
         AS given (v, at, dc, r, c, f, l, cf, cl, t, s)"""
_METER = f"""INSERT INTO meter_rollup (meter_id, bucket, ac_milliwh, {_COLUMNS}, voltage_centi_v_sum, voltage_centi_v_count)
    VALUES (%s, %s, %s, 1000, %s, %s, %s, %s, %s, %s, 0, 0)"""


def charge_daily(
    conn: Any, vehicle_id: str, meter_id: str, days: Iterable[int], ratio: float = 0.92, sessions: int = 1, **how: Any
) -> None:
    """Sessions at 8:00, 14:00 … of these days, a little different from each other."""
    for n in days:
        for session in range(sessions):
            start = begins(day(n)) + timedelta(hours=8 + 6 * session)
            charge(conn, vehicle_id, meter_id, start, ratio + (n % 5 - 2) / 1000, **how)


def learn(conn: Any, days: Iterable[int], policies: Policies | None = None) -> list[Learnt]:
    """The nights after these days."""
    policies = policies or Policies()
    return [learning.learn_day(conn, day(n), night_after(day(n)), policies) for n in days]


def version(conn: Any) -> int:
    """What tells readers to look again."""
    return int(conn.execute("SELECT version FROM expectation_version").fetchone()[0])
