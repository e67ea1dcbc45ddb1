"""What each side did, per stretch of time of a device and quarter (b, b + 15 min]: whole quarters from the rollup, cut ones from history.

A *stretch* is a row (n, device, span_from, span_to]: an assignment of a vehicle, or what a picture of the fleet has yet to learn of a device.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from charging.evidence import CHARGING_FLOOR_MILLIWH
from db.gathered import gathered, ints, matrix
from db.queries.weighing import AC_FIELDS, DC_FIELDS, FIRST, LAST, NO_SOC, NO_TEMP, Pieces
from db.sides import VEHICLE, Side

QUARTER = timedelta(minutes=15)
_DAY = timedelta(days=1)


class Days(NamedTuple):
    """The UTC days (first, after] that a window's readings and quarters lie in, as literals in a statement.

    Literals, because a prepared statement whose bounds are all parameters holds, and locks, every day there is: with 400 days that
    takes longer than the answer. The statement stays the same for a whole day.
    """

    first: str
    after: str

    @staticmethod
    def of(start: datetime, end: datetime) -> "Days":
        """The days of (start, end]."""
        first = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        last = end.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return Days(f"'{first:%Y-%m-%d} 00:00+00'", f"'{last if last == end else last + _DAY:%Y-%m-%d} 00:00+00'")

    def buckets(self, column: str) -> str:
        """SQL that holds for every quarter of these days, named by its beginning."""
        return f"{column} >= {self.first} AND {column} < {self.after}"

    def readings(self, column: str) -> str:
        """SQL that holds for every reading of these days."""
        return f"{column} > {self.first} AND {column} <= {self.after}"


# What only the vehicle side knows about a quarter: name, from the rollup, from history, where nothing was measured.
_VEHICLE_EXTRAS = (
    ("temp_sum", "r.battery_temp_centi_c_sum", "sum(h.battery_temp_centi_c)", 0),
    ("temp_count", "r.battery_temp_centi_c_count", "count(h.battery_temp_centi_c)", 0),
    ("temp_min", "r.battery_temp_centi_c_min", "min(h.battery_temp_centi_c)", NO_TEMP),
    ("soc_min", "r.soc_centi_pct_min", "min(h.soc_centi_pct)", NO_SOC),
)
# True of every row, and to the planner of one in 40,000: cut quarters are few, and looking each up by its key takes microseconds, while
# what the planner prefers where it expects many of them, reading whole days of everyone's history, takes seconds.
_FEW = "c.readings % 1 = 0 AND c.n % 1 = 0"
_SOC_MAX = ("soc_max", "r.soc_centi_pct_max", "max(h.soc_centi_pct)", NO_SOC)


def _fields(side: Side, with_soc_max: bool) -> tuple[str, ...]:
    return (*DC_FIELDS, *(("soc_max",) if with_soc_max else ())) if side is VEHICLE else AC_FIELDS


def pieces_sql(side: Side, days: Days, stretches: str, *, with_soc_max: bool = False) -> str:
    """CTEs ending in one named like the side: its pieces in the stretches of the CTE or table `stretches` (n, device_id, span_from, span_to)."""
    key, energy, name, charging = side.key, side.energy, side.name, f"FILTER (WHERE h.{side.energy} > {CHARGING_FLOOR_MILLIWH})"
    extras = (*_VEHICLE_EXTRAS, *((_SOC_MAX,) if with_soc_max else ())) if side is VEHICLE else ()
    from_rollup = "".join(f", coalesce({expression}, {absent}) AS {column}" for column, expression, _, absent in extras)
    from_history = "".join(f", coalesce({expression}, {absent})" for _, _, expression, absent in extras)
    names = "".join(f", {column}" for column, *_ in extras)
    return f"""
    {name}_quarter AS (
        SELECT s.n, s.device_id, s.span_from, s.span_to, r.bucket, r.readings, r.charging_readings, r.{energy} AS milliwh,
               coalesce(r.smallest_milliwh, 0) AS smallest, coalesce(r.charging_first_at, r.bucket) AS charging_first,
               coalesce(r.charging_last_at, r.bucket) AS charging_last, r.first_at > s.span_from AND r.last_at <= s.span_to AS whole{from_rollup}
        FROM {stretches} s JOIN {side.rollup} r ON r.{key} = s.device_id
        WHERE {days.buckets("r.bucket")} AND r.bucket > s.span_from - interval '15 minutes' AND r.bucket < s.span_to
          AND r.first_at <= s.span_to AND r.last_at > s.span_from
    ), {name} AS (
        SELECT n, bucket, readings, charging_readings, milliwh, smallest, charging_first, charging_last{names} FROM {name}_quarter WHERE whole
        UNION ALL
        SELECT c.n, c.bucket, count(*)::int, count(*) {charging}::int, sum(h.{energy})::bigint,
               coalesce(min(h.{energy}) FILTER (WHERE h.{energy} > 0), 0),
               coalesce(min(h.recorded_at) {charging}, c.bucket), coalesce(max(h.recorded_at) {charging}, c.bucket){from_history}
        FROM {name}_quarter c JOIN {side.history} h
             ON h.{key} = c.device_id AND h.recorded_at > greatest(c.span_from, c.bucket) AND h.recorded_at <= least(c.span_to, c.bucket + interval '15 minutes')
        WHERE NOT c.whole AND {_FEW} AND {days.readings("h.recorded_at")}
        GROUP BY c.n, c.bucket
    )"""


def gathered_pieces(side: Side, *, with_soc_max: bool = False) -> str:
    """SQL for the side's pieces as one row of arrays."""
    return gathered(("n", "bucket", *_fields(side, with_soc_max)), side.name)


def pieces(side: Side, arrays: Mapping[str, bytes | None], *, with_soc_max: bool = False) -> Pieces:
    """What `gathered_pieces` brought."""
    bucket_us = ints(arrays[f"{side.name}_bucket"])
    did = matrix([arrays[f"{side.name}_{field}"] for field in _fields(side, with_soc_max)])
    did[FIRST] -= bucket_us
    did[LAST] -= bucket_us
    return Pieces(ints(arrays[f"{side.name}_n"]), bucket_us, did)
