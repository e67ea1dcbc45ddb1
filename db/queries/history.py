"""What one device reported over a window, raw or per bucket. Buckets cut by the window's edges come from history."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal

from charging.units import to_kwh
from db.engine import Conn
from db.queries.pieces import Days
from db.sides import METER, VEHICLE, Side

Bucket = Literal["raw", "15m", "1h", "1d"]
_WIDTH = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class VehiclePoint:
    """`at` is the reading's time, or the beginning of the bucket (at, at + width]; means where the bucket holds several readings."""

    at: datetime
    kwh_delivered_dc: float
    soc_pct: float | None
    battery_temp_c: float | None
    readings: int


@dataclass(frozen=True, slots=True)
class MeterPoint:
    """Like VehiclePoint, for a meter."""

    at: datetime
    kwh_consumed_ac: float
    voltage_v: float | None
    readings: int


def vehicle_points(conn: Conn, vehicle_id: str, start: datetime, end: datetime, bucket: Bucket = "15m") -> list[VehiclePoint]:
    """Points of (start, end], oldest first; empty buckets are left out."""
    return list(stream_vehicle_points(conn, vehicle_id, start, end, bucket))


def meter_points(conn: Conn, meter_id: str, start: datetime, end: datetime, bucket: Bucket = "15m") -> list[MeterPoint]:
    """Points of (start, end], oldest first; empty buckets are left out."""
    return list(stream_meter_points(conn, meter_id, start, end, bucket))


def stream_vehicle_points(conn: Conn, vehicle_id: str, start: datetime, end: datetime, bucket: Bucket) -> Iterator[VehiclePoint]:
    """The same, a chunk of raw readings at a time."""
    for at, milliwh, readings, soc, temp in _points(conn, VEHICLE, vehicle_id, start, end, bucket):
        yield VehiclePoint(at, to_kwh(milliwh), soc, temp, readings)


def stream_meter_points(conn: Conn, meter_id: str, start: datetime, end: datetime, bucket: Bucket) -> Iterator[MeterPoint]:
    """The same, a chunk of raw readings at a time."""
    for at, milliwh, readings, voltage in _points(conn, METER, meter_id, start, end, bucket):
        yield MeterPoint(at, to_kwh(milliwh), voltage, readings)


def some_vehicle_points(
    conn: Conn, vehicle_id: str, start: datetime, end: datetime, bucket: Bucket
) -> tuple[list[VehiclePoint], datetime | None]:
    """The first of them, and from where to go on; None where these are all. For who must not hold a connection meanwhile."""
    rows, last = _some(conn, VEHICLE, vehicle_id, start, end, bucket)
    return [VehiclePoint(at, to_kwh(milliwh), soc, temp, readings) for at, milliwh, readings, soc, temp in rows], last


def some_meter_points(
    conn: Conn, meter_id: str, start: datetime, end: datetime, bucket: Bucket
) -> tuple[list[MeterPoint], datetime | None]:
    """The same of a meter."""
    rows, last = _some(conn, METER, meter_id, start, end, bucket)
    return [MeterPoint(at, to_kwh(milliwh), voltage, readings) for at, milliwh, readings, voltage in rows], last


def _some(conn: Conn, side: Side, device_id: str, start: datetime, end: datetime, bucket: Bucket) -> tuple[list[tuple], datetime | None]:  # type: ignore[type-arg]
    if bucket == "raw":
        return _raw_chunk(conn, side, device_id, start, end)
    return list(_bucketed(conn, side, device_id, start, end, _WIDTH[bucket])), None


def _points(conn: Conn, side: Side, device_id: str, start: datetime, end: datetime, bucket: Bucket) -> Iterator[tuple]:  # type: ignore[type-arg]
    return _raw(conn, side, device_id, start, end) if bucket == "raw" else _bucketed(conn, side, device_id, start, end, _WIDTH[bucket])


def _raw(conn: Conn, side: Side, device_id: str, start: datetime, end: datetime) -> Iterator[tuple]:  # type: ignore[type-arg]
    """By key in short chunks: one long read would keep the live tables from being cleaned."""
    after: datetime | None = start
    while after is not None:
        rows, after = _raw_chunk(conn, side, device_id, after, end)
        yield from rows


def _raw_chunk(conn: Conn, side: Side, device_id: str, start: datetime, end: datetime) -> tuple[list[tuple], datetime | None]:  # type: ignore[type-arg]
    """The first readings of (start, end], and the last one's time where there may be more. Ends the transaction."""
    measures = ", ".join(f"{m} / 100.0::float8" for m in side.measures)
    within = Days.of(start, end).readings("recorded_at")
    rows = conn.execute(
        f"""SELECT recorded_at, {side.energy}, 1, {measures} FROM {side.history}
            WHERE {side.key} = %s AND recorded_at > %s AND recorded_at <= %s AND {within} ORDER BY recorded_at LIMIT {_CHUNK}""",
        (device_id, start, end),
    ).fetchall()
    conn.rollback()
    last = rows[-1][0] if len(rows) == _CHUNK else None
    assert last is None or isinstance(last, datetime)
    return rows, last


def _bucketed(conn: Conn, side: Side, device_id: str, start: datetime, end: datetime, width: timedelta) -> Iterator[tuple]:  # type: ignore[type-arg]
    parameters = {"id": device_id, "start": start, "end": end, "first_bucket": start - timedelta(minutes=15), "width": width}
    yield from conn.execute(_bucketed_sql(side, Days.of(start - timedelta(minutes=15), end)), parameters).fetchall()


@lru_cache(maxsize=64)
def _bucketed_sql(side: Side, days: Days) -> str:
    sums = "".join(f", {m}_sum, {m}_count" for m in side.measures)
    cut_sums = "".join(f", coalesce(sum(h.{m}), 0), count(h.{m})" for m in side.measures)
    means = "".join(f", sum({m}_sum)::float8 / 100 / nullif(sum({m}_count), 0)::float8" for m in side.measures)
    return f"""
    WITH quarter AS (
        SELECT *, first_at > %(start)s AND last_at <= %(end)s AS whole FROM {side.rollup}
        WHERE {side.key} = %(id)s AND bucket > %(first_bucket)s AND bucket < %(end)s AND {days.buckets("bucket")}
    ), piece AS (
        SELECT bucket, {side.energy} AS milliwh, readings{sums} FROM quarter WHERE whole
        UNION ALL
        SELECT q.bucket, sum(h.{side.energy}), count(*){cut_sums}
        FROM quarter q JOIN {side.history} h ON h.recorded_at > q.bucket AND h.recorded_at <= q.bucket + interval '15 minutes'
        WHERE NOT q.whole AND h.{side.key} = %(id)s AND h.recorded_at > %(start)s AND h.recorded_at <= %(end)s AND {days.readings("h.recorded_at")}
        GROUP BY q.bucket
    )
    SELECT date_bin(%(width)s, bucket, '2000-01-01 00:00+00') AS at, sum(milliwh)::bigint, sum(readings)::bigint{means} FROM piece GROUP BY 1 ORDER BY 1"""
