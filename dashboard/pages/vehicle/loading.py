"""What the vehicle page shows, read from the database: what is live, what belongs to the chosen range, and what its chargers say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from charging.losses import Price
from charging.matrix import Cell
from charging.sessions import Session
from charging.verdict import Summary
from dashboard.cells import cells_or_why
from dashboard.figures import Timeline
from db.assignment_changes import AssignmentChange, recorded
from db.assignments import Assignment, timelines
from db.engine import Conn
from db.queries import devices, history, matrix, performance, prices, sessions
from db.queries.devices import LatestReading, VehicleNow
from db.queries.history import Bucket
from db.queries.policies import Policies

# Whether it is the vehicle or the charger is never asked of less: a day shows one charger at most.
CHARGERS_OVER = timedelta(days=30)
# Changes of its assignments that are read with the timeline: years of a vehicle that changes weekly.
MOST_CHANGES = 200


@dataclass(frozen=True, slots=True)
class Range:
    """How far back, and how fine: efficiency bins and history points."""

    label: str
    words: str
    span: timedelta
    bin_s: int
    bucket: Bucket
    point_s: int


RANGES = {
    "24h": Range("24 h", "24 hours", timedelta(hours=24), 3600, "15m", 900),
    "7d": Range("7 d", "7 days", timedelta(days=7), 3600, "1h", 3600),
    "30d": Range("30 d", "30 days", timedelta(days=30), 6 * 3600, "1h", 3600),
}


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
    timeline: Timeline
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
    meter_ids = summary.meter_ids if summary else ()
    timeline = Timeline(
        start=start,
        end=end,
        bins=performance.bins(conn, vehicle_id, start, end, chosen.bin_s, policies),
        bin_s=chosen.bin_s,
        vehicle=history.vehicle_points(conn, vehicle_id, start, end, chosen.bucket),
        # one meter's power only where one meter was assigned: two would read as one that jumps
        meter=history.meter_points(conn, meter_ids[0], start, end, chosen.bucket) if len(meter_ids) == 1 else [],
        point_s=chosen.point_s,
    )
    charged = sessions.of_vehicles(conn, [vehicle_id], start, end, now, policies)
    there = prices.price_of(conn, vehicle_id, meter_ids, price)
    return Window(vehicle_id, chosen, end, summary, timeline, charged, there, currency)


def load_chargers(conn: Conn, vehicle_id: str, end: datetime, now: datetime, policies: Policies) -> Chargers:
    """Its assignments, and the matrix of vehicles and chargers around it, or why there is none."""
    assignments, changes = timelines(conn, vehicle_id), recorded(conn, vehicle_id=vehicle_id, limit=MOST_CHANGES)
    cells, why = cells_or_why(lambda: matrix.around_vehicle(conn, vehicle_id, end - CHARGERS_OVER, end, policies))
    return Chargers(vehicle_id, end, now, cells, why, assignments, changes)
