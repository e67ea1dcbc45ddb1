"""A day of 1,000 vehicles and their meters in our tables and in the peers', with the same values: what reading is measured on.

Rows come minute by minute, as in life, so that one vehicle's lie scattered over the whole table.
"""

from datetime import datetime, timedelta

import psycopg

from db import partitions, rollups
from db.sides import SIDES

HOURS = 25  # a little more than the window that is asked for, so that it is always full
_EVERY = """generate_series(%(first)s::timestamptz, %(last)s, interval '1 minute') AS g(at), generate_series(0, %(vehicles)s - 1) AS d"""
_OURS = (
    """INSERT INTO vehicle_history (vehicle_id, recorded_at, received_at, dc_milliwh, soc_centi_pct, battery_temp_centi_c)
       SELECT 'V' || to_char(d, 'FM00000'), g.at, g.at, 100000, 6000, 3150 FROM """,
    """INSERT INTO meter_history (meter_id, recorded_at, received_at, ac_milliwh, voltage_centi_v)
       SELECT 'M' || to_char(d, 'FM00000'), g.at, g.at, 115000, 23000 FROM """,
)
_OUR_ASSIGNMENTS = """INSERT INTO assignment (vehicle_id, valid_from, meter_id)
    SELECT 'V' || to_char(d, 'FM00000'), '-infinity', 'M' || to_char(d, 'FM00000') FROM generate_series(0, %(vehicles)s - 1) AS d"""
_PEERS = (
    """INSERT INTO vehicle_history ("vehicleId", soc, "kwhDeliveredDc", "batteryTemp", "timestamp")
       SELECT 'V' || to_char(d, 'FM00000'), 60, 0.1, 31.5, g.at FROM """,
    """INSERT INTO meter_history ("meterId", "kwhConsumedAc", voltage, "timestamp")
       SELECT 'M' || to_char(d, 'FM00000'), 0.115, 230, g.at FROM """,
)
_PEERS_ASSIGNMENTS = """INSERT INTO fleet_mapping ("vehicleId", "meterId")
    SELECT 'V' || to_char(d, 'FM00000'), 'M' || to_char(d, 'FM00000') FROM generate_series(0, %(vehicles)s - 1) AS d"""


def vehicle(number: int) -> str:
    """The id of the vehicle of that number."""
    return f"V{number:05d}"


def ours(url: str, vehicles: int, now: datetime) -> None:
    """Fills our tables up to `now`, rollups included."""
    first, last = now - timedelta(hours=HOURS), now
    with psycopg.connect(url, options="-c TimeZone=UTC") as connection:
        partitions.ensure(connection, {first.date(), last.date()}, now)
        _fill(connection, _OURS, _OUR_ASSIGNMENTS, first, last, vehicles)
        for side in SIDES:
            rollups.rebuild(connection, side, _hour(first), _hour(last) + timedelta(hours=1))
    _vacuum(url)


def peers(url: str, vehicles: int, now: datetime) -> None:
    """Fills the peers' tables with the same; they must be empty."""
    with psycopg.connect(url) as connection:
        _fill(connection, _PEERS, _PEERS_ASSIGNMENTS, now - timedelta(hours=HOURS), now, vehicles)
    _vacuum(url)


def _fill(
    connection: psycopg.Connection, histories: tuple[str, ...], assignments: str, first: datetime, last: datetime, vehicles: int
) -> None:
    parameters = {"first": first.replace(second=0, microsecond=0), "last": last, "vehicles": vehicles}
    for history in histories:
        connection.execute(f"{history}{_EVERY} ORDER BY g.at, hashint4(d)".encode(), parameters)
    connection.execute(assignments.encode(), parameters)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _vacuum(url: str) -> None:
    """As autovacuum would have done by the end of such a day."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
