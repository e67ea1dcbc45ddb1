"""A change of assignments that is only tried: what it would change, and what numbers of the past would become. Nothing of it stays."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from api.services import Services
from api.words import z
from charging.assigning import Planned
from charging.verdict import Summary
from db.assignments import Assignment, on_meter, timelines
from db.engine import Conn
from db.queries import performance

# How far back numbers are compared: enough to see what a correction does, and as quick as a vehicle's page.
LOOK_BACK = timedelta(days=30)
# Vehicles whose numbers are compared: who took turns at the two chargers. A pool charger may have had hundreds.
MOST_VEHICLES = 20

Window = tuple[datetime, datetime]


def tried(
    conn: Conn, change: Callable[[], Planned], services: Services, now: datetime
) -> tuple[Planned, list[Assignment], dict[str, Any] | None]:
    """(what it would change, the vehicle's timeline then, numbers of the past before and after; None where none can change)."""
    with conn.transaction(force_rollback=True):
        made = change()
        found = timelines(conn, made.vehicle_id)
        window = _past(made, now)
        ids = _concerned(conn, made, window) if window else []
        after = _numbers(conn, window, ids, services)
    before = _numbers(conn, window, ids, services)
    return made, found, _words(window, ids, before, after) if window else None


def _past(made: Planned, now: datetime) -> Window | None:
    """The part of the past, LOOK_BACK at most, in which another meter would have fed the vehicle."""
    changed = [(max(one.start, now - LOOK_BACK), min(one.end, now)) for one in made.changes]
    reached = [(start, end) for start, end in changed if start < end]
    return (min(start for start, _ in reached), max(end for _, end in reached)) if reached else None


def _concerned(conn: Conn, made: Planned, window: Window) -> list[str]:
    """The vehicle, and whoever shares its old or new meter in the window."""
    start, end = window
    meters = {meter for one in made.changes for meter in (one.before, one.after) if meter}
    others = {
        a.vehicle_id
        for meter in meters
        for a in on_meter(conn, meter)
        if (a.valid_from is None or a.valid_from < end) and (a.valid_to is None or a.valid_to > start)
    }
    return [made.vehicle_id, *sorted(others - {made.vehicle_id})][:MOST_VEHICLES]


def _numbers(conn: Conn, window: Window | None, ids: list[str], services: Services) -> dict[str, Summary]:
    return performance.summaries(conn, *window, ids, services.policies) if window else {}


def _words(window: Window, ids: list[str], before: dict[str, Summary], after: dict[str, Summary]) -> dict[str, Any]:
    pairs = [(vehicle_id, _summary(before.get(vehicle_id)), _summary(after.get(vehicle_id))) for vehicle_id in ids]
    return {
        "from": z(window[0]),
        "to": z(window[1]),
        "vehicles": [{"vehicleId": vehicle_id, "before": one, "after": two} for vehicle_id, one, two in pairs if one != two],
    }


def _summary(s: Summary | None) -> dict[str, Any]:
    if s is None:
        return {"verdict": "unmapped", "severity": None, "efficiencyRatio": None, "totalAc": None, "totalDc": None}
    return {"verdict": s.verdict.value, "severity": s.severity, "efficiencyRatio": s.ratio, "totalAc": s.ac_kwh, "totalDc": s.dc_kwh}
