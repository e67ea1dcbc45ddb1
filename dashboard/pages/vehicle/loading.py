"""What the vehicle page shows, read from the database: what is live, what belongs to the chosen range, and what its chargers say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from charging.losses import Price
from charging.matrix import Cell
from charging.sessions import Session
from charging.verdict import Summary, Verdict
from dashboard import alert_marks, curves, over
from dashboard.cells import cells_or_why
from dashboard.figures import Timeline
from dashboard.over import Detail, Range
from db.assignment_changes import AssignmentChange, recorded
from db.assignments import Assignment, timelines
from db.engine import Conn
from db.queries import devices, matrix, performance, prices, sessions
from db.queries.devices import LatestReading, VehicleNow
from db.queries.policies import Policies

# Whether it is the vehicle or the charger is never asked of less: a day shows one charger at most.
CHARGERS_OVER = timedelta(days=30)
# Changes of its assignments that are read with the timeline: years of a vehicle that changes weekly.
MOST_CHANGES = 200


Bins = Sequence[tuple[datetime, Summary]]


@dataclass(frozen=True, slots=True)
class Live:
    """The vehicle at `now`, and its newest readings."""

    vehicle: VehicleNow
    readings: Sequence[LatestReading]
    now: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """What happened in the range that ends at `end`; `price` and `currency` say what a kWh lost costs. `sessions` are ordered by end."""

    vehicle_id: str
    chosen: Range
    end: datetime
    summary: Summary | None
    sessions: Sequence[Session]
    price: Price
    currency: str

    @property
    def start(self) -> datetime:
        """Where the range begins."""
        return self.end - self.chosen.span


@dataclass(frozen=True, slots=True)
class Chargers:
    """The vehicle and others at its chargers in CHARGERS_OVER up to `end`, and its assignments of all times with the record of their changes.

    `cells` is None where they could not be read, which `why` tells.
    """

    vehicle_id: str
    end: datetime
    now: datetime
    cells: Sequence[Cell] | None
    why: str
    assignments: Sequence[Assignment]
    changes: Sequence[AssignmentChange]


def load_live(conn: Conn, vehicle_id: str, now: datetime) -> Live | None:
    """None if nobody ever heard of it."""
    vehicle = devices.vehicle(conn, vehicle_id, now)
    return Live(vehicle, devices.latest_readings(conn, vehicle_id), now) if vehicle else None


def load_window(
    conn: Conn, vehicle_id: str, chosen: Range, end: datetime, now: datetime, policies: Policies, price: Price, currency: str
) -> Window:
    """The range up to `end`. A vehicle nobody heard of has an empty one."""
    start = end - chosen.span
    summary = performance.summaries(conn, start, end, [vehicle_id], policies).get(vehicle_id)
    charged = sessions.of_vehicles(conn, [vehicle_id], start, end, now, policies)
    there = prices.price_of(conn, vehicle_id, summary.meter_ids if summary else (), price)
    return Window(vehicle_id, chosen, end, summary, charged, there, currency)


def load_chart(
    conn: Conn, vehicle_id: str, start: datetime, end: datetime, now: datetime, policies: Policies, known: Sequence[Session] | None = None
) -> Timeline:
    """What the charts draw of (start, end], as fine as suits it. `known`: the sessions of the same window up to now, where they were read already."""
    fine = over.detail(end - start)
    bins, bin_s = _bins(conn, vehicle_id, start, end, fine, policies)
    found = curves.read(conn, vehicle_id, _meter(conn, vehicle_id, start, end), start, end, fine)
    if known is None or end < now:
        charged = sessions.of_vehicles(conn, [vehicle_id], start, curves.marked_until(end, now), now, policies)
        known = [session for session in charged if session.start < end]
    marks = alert_marks.read(conn, "vehicle", vehicle_id, start, end, now)
    return Timeline(start, end, bins, bin_s, found.vehicle, found.meter, found.point_s, found.bucket, known, marks)


def _bins(conn: Conn, vehicle_id: str, start: datetime, end: datetime, fine: Detail, policies: Policies) -> tuple[Bins, int]:
    """Quarters only where they say more than hours would: where the counters are fine enough, and the power high enough, for most to be judged."""
    bins = performance.bins(conn, vehicle_id, start, end, fine.bin_s, policies)
    moved = [s for _, s in bins if s.ac_kwh > 0 and s.dc_kwh > 0]
    if fine.bin_s >= 3600 or 2 * sum(s.verdict is not Verdict.INSUFFICIENT_DATA for s in moved) >= len(moved):
        return bins, fine.bin_s
    return performance.bins(conn, vehicle_id, start, end, 3600, policies), 3600


def _meter(conn: Conn, vehicle_id: str, start: datetime, end: datetime) -> str | None:
    """The one meter of the window: the power of two would read as one that jumps."""
    within = [
        one
        for one in timelines(conn, vehicle_id)
        if (one.valid_to is None or one.valid_to > start) and (one.valid_from is None or one.valid_from < end)
    ]
    meter_ids = {one.meter_id for one in within if one.meter_id}
    return meter_ids.pop() if len(meter_ids) == 1 else None


def load_chargers(conn: Conn, vehicle_id: str, end: datetime, now: datetime, policies: Policies) -> Chargers:
    """Its assignments, and the matrix of vehicles and chargers around it, or why there is none."""
    assignments, changes = timelines(conn, vehicle_id), recorded(conn, vehicle_id=vehicle_id, limit=MOST_CHANGES)
    cells, why = cells_or_why(lambda: matrix.around_vehicle(conn, vehicle_id, end - CHARGERS_OVER, end, policies))
    return Chargers(vehicle_id, end, now, cells, why, assignments, changes)
