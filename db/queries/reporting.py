"""Every device anybody ever heard of, with when it last reported; and which vehicles belong to a site."""

from collections.abc import Collection

from psycopg.rows import args_row

from charging.reporting import Device
from db.engine import Conn
from db.sides import SIDES, Side


def devices(conn: Conn) -> list[Device]:
    """Vehicles, then meters, each ordered by id: those that reported, are described or were ever assigned."""
    return [device for side in SIDES for device in _of_side(conn, side)]


def _of_side(conn: Conn, side: Side) -> list[Device]:
    key = side.key
    with conn.cursor(row_factory=args_row(Device), binary=True) as cursor:
        return cursor.execute(
            f"""SELECT '{side.name}', {key}, d.name, s.site_id, s.name AS site_name, l.recorded_at, l.received_at, l.rhythm_s,
                       d.is_described IS NOT NULL, a.is_mapped IS NOT NULL
                FROM {side.live} l FULL JOIN (SELECT {key}, name, site_id, true AS is_described FROM {side.name}) d USING ({key})
                FULL JOIN (SELECT DISTINCT {key}, true AS is_mapped FROM assignment WHERE meter_id IS NOT NULL) a USING ({key})
                LEFT JOIN site s USING (site_id) ORDER BY {key}"""
        ).fetchall()


def vehicles_of_sites(conn: Conn, site_ids: Collection[str]) -> dict[str, list[str]]:
    """The ids of the vehicles that belong to each of these sites, in order; an unknown site is not in it."""
    rows = conn.execute(
        "SELECT s.site_id, v.vehicle_id FROM site s LEFT JOIN vehicle v USING (site_id) WHERE s.site_id = ANY(%s) ORDER BY v.vehicle_id",
        (list(site_ids),),
    ).fetchall()
    found: dict[str, list[str]] = {}
    for site_id, vehicle_id in rows:
        found.setdefault(str(site_id), []).extend([str(vehicle_id)] if vehicle_id is not None else [])
    return found
