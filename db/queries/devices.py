"""Devices as they are now: live state, description, assignment."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import args_row, class_row

from db import expectation_version, sites
from db.engine import Conn

# Mean power since the previous reading. A reading after a silence of more than this says nothing about power now.
POWER_WITHIN_S = 3600


def _power(energy: str) -> str:
    seconds = "extract(epoch FROM l.recorded_at - l.previous_at)::float8"
    return f"CASE WHEN {seconds} BETWEEN 1 AND {POWER_WITHIN_S} THEN l.{energy} * 0.0036 / {seconds} END"


_ASSIGNED = """(SELECT DISTINCT ON (vehicle_id) vehicle_id, meter_id FROM assignment
                WHERE valid_from <= %(now)s ORDER BY vehicle_id, valid_from DESC)"""


@dataclass(frozen=True, slots=True)
class MeterNow:
    """A meter's newest reading and description; None where it never reported, was not measured or nobody described it."""

    meter_id: str
    name: str | None
    site_id: str | None
    site_name: str | None
    rated_kw: float | None
    recorded_at: datetime | None
    received_at: datetime | None
    kwh_consumed_ac: float | None
    power_kw: float | None
    voltage_v: float | None
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True)
class VehicleNow:
    """A vehicle's newest reading, description, present assignment and last known position."""

    vehicle_id: str
    name: str | None
    model: str | None
    site_id: str | None
    site_name: str | None
    time_zone: str | None
    meter_id: str | None
    recorded_at: datetime | None
    received_at: datetime | None
    kwh_delivered_dc: float | None
    power_kw: float | None
    soc_pct: float | None
    battery_temp_c: float | None
    latitude: float | None
    longitude: float | None
    position_at: datetime | None
    meter: MeterNow | None = None


_VEHICLES = f"""
    SELECT vehicle_id, d.name, d.model, s.site_id, s.name AS site_name, s.time_zone, a.meter_id, l.recorded_at, l.received_at,
           l.dc_milliwh / 1e6::float8 AS kwh_delivered_dc, {_power("dc_milliwh")} AS power_kw, l.soc_centi_pct / 100.0::float8 AS soc_pct,
           l.battery_temp_centi_c / 100.0::float8 AS battery_temp_c, l.latitude_e7 / 1e7::float8 AS latitude, l.longitude_e7 / 1e7::float8 AS longitude, l.position_at
    FROM live_vehicle l FULL JOIN vehicle d USING (vehicle_id) FULL JOIN {_ASSIGNED} a USING (vehicle_id) LEFT JOIN site s USING (site_id)"""

_METERS = f"""
    SELECT meter_id, d.name, s.site_id, s.name AS site_name, d.rated_w / 1000.0::float8 AS rated_kw, l.recorded_at, l.received_at,
           l.ac_milliwh / 1e6::float8 AS kwh_consumed_ac, {_power("ac_milliwh")} AS power_kw, l.voltage_centi_v / 100.0::float8 AS voltage_v,
           coalesce(l.latitude_e7, d.latitude_e7, s.latitude_e7) / 1e7::float8 AS latitude,
           coalesce(l.longitude_e7, d.longitude_e7, s.longitude_e7) / 1e7::float8 AS longitude
    FROM live_meter l FULL JOIN meter d USING (meter_id) LEFT JOIN site s USING (site_id)"""


def vehicles(conn: Conn, now: datetime, after: str = "", limit: int | None = None) -> list[VehicleNow]:
    """Vehicles ordered by id, those after `after`, at most `limit`; without their meters' state."""
    with conn.cursor(row_factory=args_row(VehicleNow), binary=True) as cursor:  # by position and in binary: half the time for a fleet
        return cursor.execute(
            f"SELECT * FROM ({_VEHICLES}) v WHERE vehicle_id > %(after)s ORDER BY vehicle_id LIMIT %(limit)s",
            {"now": now, "after": after, "limit": limit},
        ).fetchall()


def meters(conn: Conn, after: str = "", limit: int | None = None) -> list[MeterNow]:
    """Meters ordered by id, those after `after`, at most `limit`."""
    with conn.cursor(row_factory=args_row(MeterNow), binary=True) as cursor:
        return cursor.execute(
            f"SELECT * FROM ({_METERS}) m WHERE meter_id > %(after)s ORDER BY meter_id LIMIT %(limit)s", {"after": after, "limit": limit}
        ).fetchall()


def vehicle(conn: Conn, vehicle_id: str, now: datetime) -> VehicleNow | None:
    """One vehicle with its meter's state; None if nobody ever heard of it."""
    with conn.cursor(row_factory=class_row(VehicleNow)) as cursor:
        found = cursor.execute(f"SELECT * FROM ({_VEHICLES}) v WHERE vehicle_id = %(id)s", {"now": now, "id": vehicle_id}).fetchone()
    if found is None or found.meter_id is None:
        return found
    fields = {name: getattr(found, name) for name in VehicleNow.__dataclass_fields__}
    return VehicleNow(**{**fields, "meter": meter(conn, found.meter_id)})


def meter(conn: Conn, meter_id: str) -> MeterNow | None:
    """One meter; None if nobody ever heard of it."""
    with conn.cursor(row_factory=class_row(MeterNow)) as cursor:
        return cursor.execute(f"SELECT * FROM ({_METERS}) m WHERE meter_id = %s", (meter_id,)).fetchone()


@dataclass(frozen=True, slots=True)
class LatestReading:
    """A raw reading of a vehicle as it came in."""

    recorded_at: datetime
    received_at: datetime
    kwh_delivered_dc: float
    soc_pct: float | None
    battery_temp_c: float | None


def latest_readings(conn: Conn, vehicle_id: str, limit: int = 50) -> list[LatestReading]:
    """The vehicle's newest readings by its own clock, newest first."""
    with conn.cursor(row_factory=class_row(LatestReading)) as cursor:
        return cursor.execute(
            """SELECT recorded_at, received_at, dc_milliwh / 1e6::float8 AS kwh_delivered_dc, soc_centi_pct / 100.0::float8 AS soc_pct,
                      battery_temp_centi_c / 100.0::float8 AS battery_temp_c
               FROM vehicle_history WHERE vehicle_id = %s ORDER BY recorded_at DESC LIMIT %s""",
            (vehicle_id, limit),
        ).fetchall()


@dataclass(frozen=True, slots=True)
class OwnThresholds:
    """By what a vehicle is judged, where it is not by what its site or the settings say: 'band' or 'plain', and the plain ratios."""

    thresholds: str | None = None
    plain_low: float | None = None
    plain_critical: float | None = None


def own_thresholds(conn: Conn, vehicle_ids: list[str]) -> dict[str, OwnThresholds]:
    """Those of these vehicles that have thresholds of their own."""
    rows = conn.execute(
        """SELECT vehicle_id, thresholds, plain_low, plain_critical FROM vehicle
           WHERE vehicle_id = ANY(%s) AND num_nonnulls(thresholds, plain_low, plain_critical) > 0""",
        (vehicle_ids,),
    ).fetchall()
    return {str(row[0]): OwnThresholds(*row[1:]) for row in rows}  # type: ignore[arg-type]


def describe_site(
    conn: Conn, site_id: str, name: str, latitude: float | None, longitude: float | None, time_zone: str, **facts: float | str | None
) -> bool:
    """Create or change a site; whether it is new. `facts` are the further fields of db.sites.Site."""
    return site_id not in sites.put(conn, [sites.Site(site_id, name, latitude, longitude, time_zone, **facts)])  # type: ignore[arg-type]


def describe_vehicle(
    conn: Conn, vehicle_id: str, name: str | None, model: str | None, site_id: str | None, own: OwnThresholds = OwnThresholds()
) -> bool:
    """Create or change a vehicle's description; whether it is new. Raises psycopg.errors.ForeignKeyViolation for an unknown site."""
    judged = (model, site_id, own.thresholds, own.plain_low, own.plain_critical)
    before = conn.execute(
        "SELECT model, site_id, thresholds, plain_low, plain_critical FROM vehicle WHERE vehicle_id = %s FOR UPDATE", (vehicle_id,)
    ).fetchone()
    row = conn.execute(
        """INSERT INTO vehicle AS v (vehicle_id, name, model, site_id, thresholds, plain_low, plain_critical) VALUES (%s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (vehicle_id) DO UPDATE SET name = excluded.name, model = excluded.model, site_id = excluded.site_id,
           thresholds = excluded.thresholds, plain_low = excluded.plain_low, plain_critical = excluded.plain_critical RETURNING xmax = 0""",
        (vehicle_id, name, *judged),
    ).fetchone()
    return _described(conn, before, judged, new=bool(row and row[0]))


def describe_meter(
    conn: Conn,
    meter_id: str,
    name: str | None,
    rated_kw: float | None,
    site_id: str | None,
    latitude: float | None,
    longitude: float | None,
) -> bool:
    """Create or change a meter's description; whether it is new. Raises psycopg.errors.ForeignKeyViolation for an unknown site."""
    rated_w = None if rated_kw is None else round(rated_kw * 1000)
    before = conn.execute("SELECT rated_w FROM meter WHERE meter_id = %s FOR UPDATE", (meter_id,)).fetchone()
    row = conn.execute(
        """INSERT INTO meter AS m VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (meter_id) DO UPDATE SET name = excluded.name, rated_w = excluded.rated_w,
           site_id = excluded.site_id, latitude_e7 = excluded.latitude_e7, longitude_e7 = excluded.longitude_e7 RETURNING xmax = 0""",
        (meter_id, name, rated_w, site_id, _e7(latitude), _e7(longitude)),
    ).fetchone()
    return _described(conn, before, (rated_w,), new=bool(row and row[0]))


def _described(conn: Conn, before: tuple[object, ...] | None, judged: tuple[object, ...], *, new: bool) -> bool:
    """Whether it is new. Where what judging looks at may have changed, whoever keeps what it worked out is told."""
    if before is None:  # described for the first time, perhaps by two at once
        before = (None,) * len(judged) if new else ()
    if before != judged:
        expectation_version.bump(conn)
    return new


def _e7(degrees: float | None) -> int | None:
    return None if degrees is None else round(degrees * 10_000_000)
