"""Which meter feeds which vehicle, from when on. Overlap cannot be expressed: an assignment holds until the vehicle's next one."""

from dataclasses import dataclass
from datetime import datetime

from db.engine import Conn


@dataclass(frozen=True, slots=True)
class Assignment:
    """`valid_from` None: from always. `valid_to` None: until changed. `meter_id` None: no meter."""

    vehicle_id: str
    meter_id: str | None
    valid_from: datetime | None
    valid_to: datetime | None


def timelines(conn: Conn, vehicle_id: str | None = None) -> list[Assignment]:
    """Every assignment, or one vehicle's, ordered by vehicle and time."""
    rows = conn.execute(
        """SELECT vehicle_id, meter_id, CASE WHEN isfinite(valid_from) THEN valid_from END,
                  lead(valid_from) OVER (PARTITION BY vehicle_id ORDER BY valid_from)
           FROM assignment WHERE %(id)s::text IS NULL OR vehicle_id = %(id)s ORDER BY vehicle_id, valid_from""",
        {"id": vehicle_id},
    ).fetchall()
    return [Assignment(*row) for row in rows]  # type: ignore[arg-type]


def assign(conn: Conn, vehicle_id: str, meter_id: str | None, valid_from: datetime | None, now: datetime) -> bool:
    """From `valid_from` on (a first assignment: from always, a later one: from now) this meter feeds the vehicle; whether it is the first one."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 4096115))", (vehicle_id,))
    first = conn.execute("SELECT 1 FROM assignment WHERE vehicle_id = %s", (vehicle_id,)).fetchone() is None
    conn.execute(
        """INSERT INTO assignment VALUES (%(id)s, coalesce(%(from)s, CASE WHEN %(first)s THEN '-infinity'::timestamptz ELSE %(now)s END), %(meter)s)
           ON CONFLICT (vehicle_id, valid_from) DO UPDATE SET meter_id = excluded.meter_id""",
        {"id": vehicle_id, "from": valid_from, "first": first, "now": now, "meter": meter_id},
    )
    return first
