"""What the charger's page shows, read from the database: what is live, what belongs to the chosen window, and what 30 days say of the charger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from charging.matrix import Cell
from charging.sessions import Session
from charging.timeline import ALWAYS, FOREVER, Occupied, occupied
from charging.verdict import Summary
from dashboard import alert_marks, curves
from dashboard.cells import cells_or_why
from dashboard.charger_figure import ChargerTimeline
from dashboard.figures import Timeline
from dashboard.over import Detail, Over, detail
from db.assignment_changes import AssignmentChange, recorded
from db.assignments import on_meter
from db.engine import Conn
from db.queries import chargers, devices, matrix, meter_energy, performance, sessions
from db.queries.chargers import MeterReading, Place, Rating
from db.queries.devices import MeterNow, VehicleNow
from db.queries.policies import Policies

# Whether it is the charger is never asked of less: a day shows one vehicle at most.
JUDGED_OVER = timedelta(days=30)
_DAY = timedelta(hours=24)
# Vehicles on the charger now that are shown with their state; a depot's shared meter feeds more.
MOST_OCCUPANTS = 12
# Changes of assignments that are read with the timeline: years of a charger at which vehicles take turns.
MOST_CHANGES = 500


@dataclass(frozen=True, slots=True)
class Occupant:
    """A vehicle that is on the charger, and its last 24 hours."""

    vehicle: VehicleNow
    summary: Summary | None


@dataclass(frozen=True, slots=True)
class Live:
    """The charger at `now`. `occupants` are at most MOST_OCCUPANTS of the `many` vehicles that are on it."""

    meter: MeterNow
    rating: Rating
    place: Place | None
    readings: Sequence[MeterReading]
    occupants: Sequence[Occupant]
    many: int
    now: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """What happened in `over`; `sessions` are ordered by end."""

    meter_id: str
    over: Over
    timeline: ChargerTimeline
    sessions: Sequence[Session]


@dataclass(frozen=True, slots=True)
class Judged:
    """Its vehicles and these at other chargers in JUDGED_OVER up to `end`; `cells` is None where they could not be read, which `why` tells.

    `stretches`: who was on it at all times, with the record of the changes.
    """

    meter_id: str
    end: datetime
    now: datetime
    cells: Sequence[Cell] | None
    why: str
    stretches: Sequence[Occupied]
    changes: Sequence[AssignmentChange]


def load_live(conn: Conn, meter_id: str, now: datetime, policies: Policies) -> Live | None:
    """None if nobody ever heard of it."""
    stretches, meter = _stretches(conn, meter_id), devices.meter(conn, meter_id)
    if meter is None and not stretches:
        return None
    meter = meter or chargers.nothing_but_its_id(meter_id)
    on_it = next((one.vehicle_ids for one in stretches if one.start <= now < one.end), ())
    shown = on_it[:MOST_OCCUPANTS]
    judged = performance.summaries(conn, now - _DAY, now, shown, policies) if shown else {}
    known = [devices.vehicle(conn, vehicle_id, now) for vehicle_id in shown]
    occupants = [Occupant(one, judged.get(one.vehicle_id)) for one in known if one]
    rating, place = chargers.rating(conn, meter), chargers.place(conn, meter_id)
    return Live(meter, rating, place, chargers.newest_readings(conn, meter_id), occupants, len(on_it), now)


def load_window(conn: Conn, meter_id: str, over: Over, now: datetime, policies: Policies) -> Window:
    """A charger nobody heard of has an empty one."""
    like = over.like
    found = sessions.of_meters(conn, [meter_id], over.start, over.end, now, policies)
    timeline = _timeline(conn, meter_id, over.start, over.end, now, Detail(like.bin_s, like.bucket, like.point_s), found)
    return Window(meter_id, over, timeline, found)


def load_chart(conn: Conn, meter_id: str, start: datetime, end: datetime, now: datetime, policies: Policies) -> ChargerTimeline:
    """What the charts draw of (start, end], as fine as suits it."""
    found = sessions.of_meters(conn, [meter_id], start, curves.marked_until(end, now), now, policies)
    return _timeline(conn, meter_id, start, end, now, detail(end - start), found)


def _timeline(
    conn: Conn, meter_id: str, start: datetime, end: datetime, now: datetime, fine: Detail, found: Sequence[Session]
) -> ChargerTimeline:
    points = curves.read(conn, None, meter_id, start, end, fine)
    marks = alert_marks.read(conn, "meter", meter_id, start, end, now)
    over = Timeline(start, end, [], fine.bin_s, [], points.meter, points.point_s, points.bucket, found, marks)
    return ChargerTimeline(over, meter_energy.bins(conn, meter_id, start, end, fine.bin_s))


def load_judged(conn: Conn, meter_id: str, end: datetime, now: datetime, policies: Policies) -> Judged:
    """What 30 days say, and who was on it at all times."""
    stretches, changes = _stretches(conn, meter_id), recorded(conn, meter_id=meter_id, limit=MOST_CHANGES)
    cells, why = cells_or_why(lambda: matrix.around_meter(conn, meter_id, end - JUDGED_OVER, end, policies))
    return Judged(meter_id, end, now, cells, why, stretches, changes)


def _stretches(conn: Conn, meter_id: str) -> list[Occupied]:
    known = on_meter(conn, meter_id)
    return list(occupied((one.vehicle_id, one.valid_from or ALWAYS, one.valid_to or FOREVER) for one in known))
