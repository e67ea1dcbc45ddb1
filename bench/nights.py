"""A fleet with two and a half days of 15-minute sums and two months of lessons behind it, made by PostgreSQL itself: no reading is stored."""

from datetime import UTC, datetime, timedelta

import psycopg

from bench.dataset import Fleet, describe
from charging.learning import LEARNED_FROM_DAYS
from db import partitions
from db.lessons import ONE_DAY, begins

# Before the day's beginning a session that ends in it may have begun; six hours after its end late readings are in.
BEFORE, AFTER = timedelta(hours=36), timedelta(hours=6)
# Each vehicle charges once a day; lessons scatter by a point from hour to hour.
_CARS = """CREATE TEMP TABLE car AS SELECT * FROM unnest(%s::text[], %s::text[], %s::float8[], %s::float8[], %s::float8[], %s::float8[])
    AS c (vehicle_id, meter_id, kw, loss, begins_min, lasts_min)"""
# How many minutes of the quarter a session fills, and how far into it that begins: the one that began last before the quarter's end.
_QUARTERS = """CREATE TEMP TABLE quarter AS
    SELECT vehicle_id, meter_id, bucket, kw, loss, began, greatest(0, least(x + 15, began + lasts_min) - greatest(x, began)) AS minutes,
           greatest(x, began) - x AS late, x - began AS since
    FROM (SELECT c.*, bucket, x, begins_min + 1440 * floor((x + 15 - begins_min) / 1440) AS began
          FROM generate_series(%(first)s::timestamptz, %(last)s, interval '15 minutes') AS bucket,
               LATERAL (SELECT extract(epoch FROM bucket - %(first)s)::float8 / 60 AS x) AS minute, car c) AS of_car
    ORDER BY bucket, vehicle_id"""
_CHARGING = """round(minutes)::int, 1000, bucket + interval '40 seconds', bucket + interval '14 minutes 40 seconds',
    CASE WHEN minutes > 1 THEN bucket + (late + 0.7) * interval '1 minute' END,
    CASE WHEN minutes > 1 THEN bucket + (late + minutes - 0.2) * interval '1 minute' END"""
_COLUMNS = "bucket, readings, charging_readings, smallest_milliwh, first_at, last_at, charging_first_at, charging_last_at"
_VEHICLES = f"""INSERT INTO vehicle_rollup (vehicle_id, {_COLUMNS}, dc_milliwh, battery_temp_centi_c_sum, battery_temp_centi_c_count,
        battery_temp_centi_c_min, battery_temp_centi_c_max, soc_centi_pct_sum, soc_centi_pct_count, soc_centi_pct_min, soc_centi_pct_max)
    SELECT vehicle_id, bucket, 15, {_CHARGING}, (kw * minutes / 60 * (1 - loss) * 1e6)::bigint, 30000, 15, 2000, 2000, 75000, 15, soc, soc
    FROM (SELECT *, (2000 + 5000 * least(1, greatest(0, since / 1200)))::smallint AS soc FROM quarter) AS charged"""
_METERS = f"""INSERT INTO meter_rollup (meter_id, {_COLUMNS}, ac_milliwh, voltage_centi_v_sum, voltage_centi_v_count)
    SELECT meter_id, bucket, 15, {_CHARGING}, (kw * minutes / 60 * 1e6)::bigint, 345000, 15 FROM quarter"""
_LESSONS = """INSERT INTO lesson
    SELECT vehicle_id, day::date, meter_id, 1, array_agg(ac), array_agg((ac * (1 - loss + 0.01 * (random() + random() - 1)))::bigint),
           array_agg(3600), ARRAY[(kw * 1000)::int], day + begins_min * interval '1 minute', false
    FROM generate_series(%(first)s::timestamptz, %(last)s, interval '1 day') AS day, car,
         LATERAL (SELECT (kw * 1e6 * (0.98 + random() / 50))::bigint AS ac FROM generate_series(1, greatest(1, (lasts_min / 60)::int))) AS hour
    GROUP BY vehicle_id, meter_id, day, kw, begins_min"""


def fill(url: str, cars: Fleet, day: datetime) -> None:
    """All up to the night after this UTC day, the days before it taken already."""
    days = [day.date() + n * ONE_DAY for n in (-2, -1, 0, 1)]
    with psycopg.connect(url, options="-c TimeZone=UTC -c jit=off -c work_mem=256MB -c synchronous_commit=off") as connection:
        partitions.ensure(connection, days, day)
        connection.commit()
        describe(connection, cars)
        ids = [[f"{prefix}-{n:05d}" for n in range(cars.size)] for prefix in ("veh", "mtr")]
        numbers = [column.tolist() for column in (cars.socket_kw, cars.loss_share, cars.begins_min, cars.lasts_min)]
        connection.execute(_CARS, (*ids, *numbers))
        connection.execute(_QUARTERS, {"first": day - BEFORE, "last": day + ONE_DAY + AFTER - timedelta(minutes=15)})
        for statement in (_VEHICLES, _METERS):
            connection.execute(statement.encode())
            connection.commit()
        oldest = begins(day.date() - LEARNED_FROM_DAYS * ONE_DAY)
        connection.execute(_LESSONS, {"first": oldest, "last": day - ONE_DAY})
        connection.execute("INSERT INTO lesson_taken SELECT day, %s FROM history_day WHERE day <> %s", (day + AFTER, day.date()))
        connection.commit()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def yesterday() -> datetime:
    """Its beginning, in UTC."""
    return begins(datetime.now(UTC).date() - ONE_DAY)
