"""The same evidence worked out by one SQL statement of window functions: slow, independent, and what the product's own way is held against."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache

from charging.evidence import (
    APART_S,
    CHARGING_FLOOR_MILLIWH,
    COLD_CENTI_C,
    FULL_CENTI_PCT,
    UNKNOWN_RHYTHM_S,
    Apart,
    Evidence,
    Stream,
)
from db.engine import Conn
from db.sides import METER, VEHICLE, Side


def bins(conn: Conn, vehicle_id: str, start: datetime, end: datetime, bin_s: int = 3600) -> list[tuple[datetime, Evidence]]:
    """Evidence per bin of `bin_s` seconds (whole quarters), each named by its beginning; bins without any reading are absent."""
    rows = _rows(conn, start, end, [vehicle_id], bin_s)
    return [(at, _evidence(row)) for row in rows if isinstance(at := row["bin"], datetime)]


def evidence(conn: Conn, start: datetime, end: datetime, vehicle_ids: Sequence[str] | None = None) -> dict[str, Evidence]:
    """Evidence over (start, end] by vehicle id: every vehicle ever heard of or assigned, or the named ones of these."""
    return {str(row["vehicle_id"]): _evidence(row) for row in _rows(conn, start, end, vehicle_ids, None)}


def _rows(conn: Conn, start: datetime, end: datetime, vehicle_ids: Sequence[str] | None, bin_s: int | None) -> list[dict[str, object]]:
    parameters = {
        "start": start,
        "end": end,
        "first_bucket": start - timedelta(minutes=15),
        "ids": list(vehicle_ids) if vehicle_ids is not None else None,
        "bin": timedelta(seconds=bin_s or 0),
    }
    cursor = conn.execute(_sql(vehicle_ids is not None, bin_s is not None), parameters)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _evidence(row: dict[str, object]) -> Evidence:
    def whole(name: str) -> int:
        return int(str(row[name] or 0))

    def maybe(name: str) -> int | None:
        return None if row[name] is None else whole(name)

    def stream(side: str) -> Stream:
        return Stream(
            energy_milliwh=whole(f"{side}_milliwh"),
            readings=whole(f"{side}_readings"),
            received=whole(f"{side}_received"),
            due=whole(f"{side}_due"),
            smallest_milliwh=maybe(f"{side}_smallest"),
            rhythm_s=whole(f"{side}_rhythm_s"),
        )

    meters, group = row["meter_ids"], row["mates"]
    return Evidence(
        dc=stream("dc"),
        ac=stream("ac"),
        meter_ids=tuple(meters) if isinstance(meters, list) else (),
        charging_s=maybe("charging_s"),
        plain_dc_milliwh=whole("dc_milliwh") - whole("aside_dc_milliwh"),
        plain_ac_milliwh=whole("ac_milliwh") - whole("aside_ac_milliwh"),
        plain_charging_s=maybe("plain_charging_s"),
        set_aside_buckets=whole("aside_buckets"),
        stuck_s=whole("stuck_s"),
        stuck_ac_milliwh=whole("stuck_ac_milliwh"),
        temp_centi_c_sum=whole("temp_sum"),
        temp_count=whole("temp_count"),
        group=tuple(group) if isinstance(group, list) else (),
        apart=Apart(
            idle_dc=whole("dc_milliwh") - whole("active_dc_milliwh"),
            idle_ac=whole("ac_milliwh") - whole("active_ac_milliwh"),
            full_dc=whole("full_dc_milliwh"),
            full_ac=whole("full_ac_milliwh"),
            full_s=whole("full_s"),
            filled_dc=whole("filled_dc_milliwh"),
            filled_ac=whole("filled_ac_milliwh"),
            elsewhere_dc=whole("elsewhere_dc_milliwh"),
        ),
    )


# Against the middle of the default band: a tenth of a percent of the AC and a thousandth of a watt-hour for every hour, rounded down.
_HOUR = "flowed_s * 1000000 / 3600000"
_ARRIVED_LITTLE = f"""dc_milliwh * 1000 < CASE
    WHEN ac_milliwh * 3600000000 > 25000000 * flowed_s * 1000000
    THEN ac_milliwh * 930 - floor(400000 * {_HOUR}) ELSE ac_milliwh * 938 - floor(278000 * {_HOUR}) END"""


def _span(side: str, name: str) -> str:
    """How long it flowed on this side of the quarter, in µs."""
    begin = f"greatest({side}.charging_first_at - make_interval(secs => d.{name}_rhythm_s), bucket, span_from)"
    return f"coalesce(extract(epoch FROM {side}.charging_last_at - {begin}) * 1000000, 0)"


def _by_readings(side: str) -> str:
    return f"CASE WHEN {side}_readings < {side}_most THEN div({side}_milliwh * {side}_most, greatest(1, {side}_readings)) ELSE {side}_milliwh END"


def _by_time(side: str, other: str) -> str:
    apart = f"{other}_span - {side}_span > {APART_S} * 1000000"
    return f"CASE WHEN {apart} THEN div({side}_milliwh * {other}_span, greatest(1, {side}_span)) ELSE {side}_milliwh END"


# What only the vehicle side knows about a quarter: name, from the rollup, from history.
_VEHICLE_EXTRAS = (
    ("temp_sum", "r.battery_temp_centi_c_sum", "sum(h.battery_temp_centi_c)"),
    ("temp_count", "r.battery_temp_centi_c_count", "count(h.battery_temp_centi_c)"),
    ("temp_min", "r.battery_temp_centi_c_min", "min(h.battery_temp_centi_c)"),
    ("soc_min", "r.soc_centi_pct_min", "min(h.soc_centi_pct)"),
)


def _pieces(side: Side, name: str, extras: tuple[tuple[str, str, str], ...]) -> str:
    """CTEs ending in `name`: per vehicle, assignment span and quarter what this side did; whole quarters from the rollup, cut ones from history."""
    key, energy, charging = side.key, side.energy, f"FILTER (WHERE h.{side.energy} > {CHARGING_FLOOR_MILLIWH})"
    from_rollup = "".join(f", {expression} AS {column}" for column, expression, _ in extras)
    names = "".join(f", {column}" for column, _, _ in extras)
    from_history = "".join(f", {expression}" for _, _, expression in extras)
    return f"""
    {name}_quarter AS (
        SELECT s.vehicle_id, s.{key} AS device_id, s.span_from, s.span_to, r.bucket, r.readings, r.charging_readings, r.{energy} AS milliwh,
               r.smallest_milliwh AS smallest, r.charging_first_at, r.charging_last_at, r.first_at > s.span_from AND r.last_at <= s.span_to AS whole{from_rollup}
        FROM span s JOIN {side.rollup} r ON r.{key} = s.{key}
        WHERE r.bucket > %(first_bucket)s AND r.bucket < %(end)s AND r.first_at <= s.span_to AND r.last_at > s.span_from
    ), {name} AS (
        SELECT vehicle_id, span_from, bucket, readings, charging_readings, milliwh, smallest, charging_first_at, charging_last_at{names}
        FROM {name}_quarter WHERE whole
        UNION ALL
        SELECT c.vehicle_id, c.span_from, c.bucket, count(*), count(*) {charging}, sum(h.{energy}), min(h.{energy}) FILTER (WHERE h.{energy} > 0),
               min(h.recorded_at) {charging}, max(h.recorded_at) {charging}{from_history}
        FROM {name}_quarter c JOIN {side.history} h
             ON h.{key} = c.device_id AND h.recorded_at > greatest(c.span_from, c.bucket) AND h.recorded_at <= least(c.span_to, c.bucket + interval '15 minutes')
        WHERE NOT c.whole AND h.recorded_at > %(start)s AND h.recorded_at <= %(end)s
        GROUP BY c.vehicle_id, c.span_from, c.bucket
    )"""


@cache
def _sql(named: bool, binned: bool) -> str:
    among = "WHERE vehicle_id = ANY(%(ids)s)" if named else ""
    bin_of = "date_bin(%(bin)s, bucket, '2000-01-01 00:00+00')" if binned else "NULL::timestamptz"
    return f"""
    WITH timeline AS (
        SELECT vehicle_id, meter_id, valid_from, lead(valid_from) OVER (PARTITION BY vehicle_id ORDER BY valid_from) AS valid_to FROM assignment
    ), assigned AS (
        SELECT vehicle_id, meter_id, greatest(valid_from, %(start)s) AS span_from, least(valid_to, %(end)s) AS span_to FROM timeline
        WHERE meter_id IS NOT NULL AND valid_from < %(end)s AND (valid_to IS NULL OR valid_to > %(start)s)
    ), known AS (
        SELECT vehicle_id FROM live_vehicle {among} UNION SELECT vehicle_id FROM assignment {among}
    ), span AS (
        SELECT known.vehicle_id, a.meter_id, coalesce(a.span_from, %(start)s) AS span_from, coalesce(a.span_to, %(end)s) AS span_to
        FROM known LEFT JOIN assigned a USING (vehicle_id)
    ), meters AS (
        SELECT s.vehicle_id, array_agg(DISTINCT s.meter_id) FILTER (WHERE s.meter_id IS NOT NULL) AS meter_ids,
               max(lm.rhythm_s) AS ac_rhythm_s,
               array_agg(DISTINCT o.vehicle_id) FILTER (WHERE o.vehicle_id <> s.vehicle_id) AS others
        FROM span s LEFT JOIN live_meter lm USING (meter_id)
             LEFT JOIN assigned o ON o.meter_id = s.meter_id AND o.span_from < s.span_to AND s.span_from < o.span_to
        GROUP BY s.vehicle_id
    ), device AS (
        SELECT m.vehicle_id, m.meter_ids, CASE WHEN m.others IS NOT NULL THEN m.vehicle_id || m.others END AS mates,
               coalesce(lv.rhythm_s, {UNKNOWN_RHYTHM_S}) AS dc_rhythm_s, coalesce(m.ac_rhythm_s, {UNKNOWN_RHYTHM_S}) AS ac_rhythm_s
        FROM meters m LEFT JOIN live_vehicle lv USING (vehicle_id)
    ), {_pieces(VEHICLE, "v", _VEHICLE_EXTRAS)}, {_pieces(METER, "m", ())},
    quarter AS (
        SELECT vehicle_id, bucket, span_from, d.dc_rhythm_s, d.ac_rhythm_s,
               coalesce(v.readings, 0) AS dc_readings, coalesce(m.readings, 0) AS ac_readings,
               coalesce(v.milliwh, 0) AS dc_milliwh, coalesce(m.milliwh, 0) AS ac_milliwh, v.smallest AS dc_smallest, m.smallest AS ac_smallest,
               v.temp_sum, v.temp_count, v.temp_min, v.soc_min, coalesce(m.charging_readings, 0) AS ac_charging_readings,
               greatest(least(v.charging_first_at - make_interval(secs => d.dc_rhythm_s), m.charging_first_at - make_interval(secs => d.ac_rhythm_s)),
                        bucket, span_from) AS active_from,
               greatest(v.charging_last_at, m.charging_last_at) AS active_to, {_span("v", "dc")} AS dc_span, {_span("m", "ac")} AS ac_span,
               m.charging_first_at AS ac_first, m.charging_last_at AS ac_last
        FROM v FULL JOIN m USING (vehicle_id, bucket, span_from) JOIN device d USING (vehicle_id)
    ), flowed AS (
        SELECT *, coalesce(extract(epoch FROM ac_last - greatest(ac_first - make_interval(secs => ac_rhythm_s), max(ac_last) OVER (
                   PARTITION BY vehicle_id ORDER BY bucket, span_from ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))), 0) AS flowed_s FROM quarter
    ), active AS (
        SELECT *, extract(epoch FROM active_to - active_from) AS active_s,
               count(*) OVER (PARTITION BY vehicle_id ORDER BY bucket RANGE BETWEEN interval '1 hour' PRECEDING AND interval '15 minutes' PRECEDING) < 4 AS first_hour,
               min(temp_min) OVER (PARTITION BY vehicle_id ORDER BY bucket RANGE BETWEEN interval '1 hour' PRECEDING AND CURRENT ROW) AS coldest_centi_c
        FROM flowed WHERE active_to IS NOT NULL
    ), weighed AS (
        SELECT *, greatest(1, round(active_s / dc_rhythm_s))::int AS dc_due, greatest(1, round(active_s / ac_rhythm_s))::int AS ac_due,
               coalesce(soc_min >= {FULL_CENTI_PCT}, false) AS is_full, coalesce(soc_min >= {FULL_CENTI_PCT}, false) OR
               coalesce(first_hour AND coldest_centi_c <= {COLD_CENTI_C} AND {_ARRIVED_LITTLE}, false) AS aside
        FROM active
    ), flagged AS (
        SELECT *, CASE WHEN active_s > 900 - dc_rhythm_s THEN greatest(1, round(900.0 / dc_rhythm_s)) ELSE dc_due END AS dc_most,
               CASE WHEN active_s > 900 - ac_rhythm_s THEN greatest(1, round(900.0 / ac_rhythm_s)) ELSE ac_due END AS ac_most, dc_readings > 0 AND dc_milliwh = 0 AND ac_milliwh > 0 AND NOT aside AS stuck FROM weighed
    ), runs AS (
        SELECT *, bucket - interval '15 minutes' * row_number() OVER (PARTITION BY vehicle_id, stuck ORDER BY bucket, span_from) AS run FROM flagged
    ), stuck_run AS (
        SELECT DISTINCT ON (vehicle_id, bin) vehicle_id, bin, stuck_s, stuck_ac_milliwh FROM (
            SELECT vehicle_id, {bin_of} AS bin, run, sum(900) AS stuck_s, sum(ac_milliwh) AS stuck_ac_milliwh FROM runs WHERE stuck GROUP BY 1, 2, 3) r
        ORDER BY vehicle_id, bin, stuck_ac_milliwh DESC, stuck_s DESC
    ), judged AS (
        SELECT vehicle_id, {bin_of} AS bin,
               sum(least(dc_readings, dc_due)) AS dc_received, sum(least(ac_readings, ac_due)) AS ac_received, sum(dc_due) AS dc_due, sum(ac_due) AS ac_due,
               CASE WHEN sum(ac_charging_readings) > 1 THEN sum(flowed_s) END::int AS charging_s,
               CASE WHEN sum(ac_charging_readings) > 1 THEN coalesce(sum(flowed_s) FILTER (WHERE NOT aside), 0) END::int AS plain_charging_s,
               sum(dc_milliwh) FILTER (WHERE aside) AS aside_dc_milliwh, sum(ac_milliwh) FILTER (WHERE aside) AS aside_ac_milliwh,
               count(*) FILTER (WHERE aside) AS aside_buckets, sum(dc_milliwh) AS active_dc_milliwh, sum(ac_milliwh) AS active_ac_milliwh,
               sum(dc_milliwh) FILTER (WHERE is_full) AS full_dc_milliwh, sum(ac_milliwh) FILTER (WHERE is_full) AS full_ac_milliwh,
               sum(greatest({_by_readings("dc")}, {_by_time("dc", "ac")})) FILTER (WHERE NOT aside AND dc_milliwh > 0 AND ac_milliwh > 0)::bigint AS filled_dc_milliwh,
               sum(greatest({_by_readings("ac")}, {_by_time("ac", "dc")})) FILTER (WHERE NOT aside AND dc_milliwh > 0 AND ac_milliwh > 0)::bigint AS filled_ac_milliwh,
               sum(dc_milliwh) FILTER (WHERE NOT aside AND ac_readings > 0 AND ac_charging_readings = 0) AS elsewhere_dc_milliwh,
               (sum(flowed_s) FILTER (WHERE is_full))::int AS full_s
        FROM flagged GROUP BY 1, 2
    ), totals AS (
        SELECT vehicle_id, {bin_of} AS bin, sum(dc_milliwh) AS dc_milliwh, sum(ac_milliwh) AS ac_milliwh, sum(dc_readings) AS dc_readings,
               sum(ac_readings) AS ac_readings, min(dc_smallest) AS dc_smallest, min(ac_smallest) AS ac_smallest, sum(temp_sum) AS temp_sum, sum(temp_count) AS temp_count
        FROM quarter GROUP BY 1, 2
    )
    SELECT d.vehicle_id, d.meter_ids, d.mates, d.dc_rhythm_s, d.ac_rhythm_s, t.bin, t.dc_milliwh, t.ac_milliwh, t.dc_readings, t.ac_readings,
           t.dc_smallest, t.ac_smallest, t.temp_sum, t.temp_count, j.dc_received, j.ac_received, j.dc_due, j.ac_due, j.charging_s, j.plain_charging_s,
           j.aside_dc_milliwh, j.aside_ac_milliwh, j.aside_buckets, j.active_dc_milliwh, j.active_ac_milliwh,
           j.full_dc_milliwh, j.full_ac_milliwh, j.full_s, j.filled_dc_milliwh, j.filled_ac_milliwh, j.elsewhere_dc_milliwh, s.stuck_s, s.stuck_ac_milliwh
    FROM device d
    LEFT JOIN totals t USING (vehicle_id)
    LEFT JOIN judged j ON j.vehicle_id = t.vehicle_id AND j.bin IS NOT DISTINCT FROM t.bin
    LEFT JOIN stuck_run s ON s.vehicle_id = t.vehicle_id AND s.bin IS NOT DISTINCT FROM t.bin
    ORDER BY d.vehicle_id, t.bin"""
