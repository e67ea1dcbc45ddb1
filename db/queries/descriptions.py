"""Every device anybody has heard of with what people wrote down about it, and what is missing: lists to keep in order, without any judgement."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import args_row

from db.engine import Conn


@dataclass(frozen=True, slots=True)
class VehicleDescription:
    """None where nobody said. `meter_id`: assigned now. `placed`: whether it ever told a position of its own."""

    vehicle_id: str
    name: str | None
    model: str | None
    site_id: str | None
    thresholds: str | None
    plain_low: float | None
    plain_critical: float | None
    meter_id: str | None
    recorded_at: datetime | None
    placed: bool


@dataclass(frozen=True, slots=True)
class MeterDescription:
    """None where nobody said. `latitude` and `longitude` are the described ones; `placed_by` says whose position is shown."""

    meter_id: str
    name: str | None
    site_id: str | None
    rated_kw: float | None
    latitude: float | None
    longitude: float | None
    placed_by: str | None
    recorded_at: datetime | None


_VEHICLES = """
    SELECT vehicle_id, d.name, d.model, d.site_id, d.thresholds, d.plain_low, d.plain_critical, a.meter_id, l.recorded_at,
           l.latitude_e7 IS NOT NULL AS placed
    FROM (SELECT vehicle_id FROM live_vehicle UNION SELECT vehicle_id FROM vehicle UNION SELECT vehicle_id FROM assignment) known
    LEFT JOIN live_vehicle l USING (vehicle_id) LEFT JOIN vehicle d USING (vehicle_id)
    LEFT JOIN (SELECT DISTINCT ON (vehicle_id) vehicle_id, meter_id FROM assignment
               WHERE valid_from <= %(now)s ORDER BY vehicle_id, valid_from DESC) a USING (vehicle_id)"""

_METERS = """
    SELECT meter_id, d.name, d.site_id, d.rated_w / 1000.0::float8 AS rated_kw, d.latitude_e7 / 1e7::float8 AS latitude,
           d.longitude_e7 / 1e7::float8 AS longitude,
           CASE WHEN l.latitude_e7 IS NOT NULL THEN 'meter' WHEN d.latitude_e7 IS NOT NULL THEN 'description'
                WHEN s.latitude_e7 IS NOT NULL THEN 'site' END AS placed_by, l.recorded_at
    FROM (SELECT meter_id FROM live_meter UNION SELECT meter_id FROM meter
          UNION SELECT meter_id FROM assignment WHERE meter_id IS NOT NULL) known
    LEFT JOIN live_meter l USING (meter_id) LEFT JOIN meter d USING (meter_id) LEFT JOIN site s USING (site_id)"""


def vehicles(conn: Conn, now: datetime, after: str = "", limit: int | None = None) -> list[VehicleDescription]:
    """Vehicles that reported, are described or were ever assigned, ordered by id: those after `after`, at most `limit`."""
    with conn.cursor(row_factory=args_row(VehicleDescription)) as cursor:
        return cursor.execute(
            f"SELECT * FROM ({_VEHICLES}) v WHERE vehicle_id > %(after)s ORDER BY vehicle_id LIMIT %(limit)s".encode(),
            {"now": now, "after": after, "limit": limit},
        ).fetchall()


def meters(conn: Conn, after: str = "", limit: int | None = None) -> list[MeterDescription]:
    """Meters likewise."""
    with conn.cursor(row_factory=args_row(MeterDescription)) as cursor:
        return cursor.execute(
            f"SELECT * FROM ({_METERS}) m WHERE meter_id > %(after)s ORDER BY meter_id LIMIT %(limit)s".encode(),
            {"after": after, "limit": limit},
        ).fetchall()
