"""Which meter feeds which vehicle, from when on. Overlap cannot be expressed: an assignment holds until the vehicle's next one.

Whoever changes assignments takes a lock first and reads after it: one vehicle's change its vehicle's lock, and a share of the lock on all
of them that a file of many takes whole (a lock for each of its vehicles would not fit into PostgreSQL's table of locks). The view
`fleet_mapping` does likewise, and records what it changes itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from charging.assigning import Planned, Wish, plan, planned
from charging.timeline import ALWAYS, Step, Timeline, without
from db import assignment_changes
from db.assignment_changes import Author
from db.engine import Conn
from db.timeline_sql import as_sql, portions

# As in the migration 0007, whose function takes the same two.
_ALL_VEHICLES_LOCK = 4_096_115_006
_ONE_VEHICLE_SEED = 4_096_115


@dataclass(frozen=True, slots=True)
class Assignment:
    """`valid_from` None: from always. `valid_to` None: until changed. `meter_id` None: no meter."""

    vehicle_id: str
    meter_id: str | None
    valid_from: datetime | None
    valid_to: datetime | None


_STRETCHES = """SELECT vehicle_id, meter_id, CASE WHEN isfinite(valid_from) THEN valid_from END,
                       lead(valid_from) OVER (PARTITION BY vehicle_id ORDER BY valid_from)
                FROM assignment WHERE {} ORDER BY vehicle_id, valid_from"""


def timelines(conn: Conn, vehicle_id: str | None = None) -> list[Assignment]:
    """Every assignment, or one vehicle's, ordered by vehicle and time."""
    where = "true" if vehicle_id is None else "vehicle_id = %(id)s"
    rows = conn.execute(_STRETCHES.format(where).encode(), {"id": vehicle_id}).fetchall()
    return [Assignment(*row) for row in rows]  # type: ignore[arg-type]


def on_meter(conn: Conn, meter_id: str) -> list[Assignment]:
    """Every assignment to one meter, ordered by vehicle and time."""
    where = "vehicle_id IN (SELECT vehicle_id FROM assignment WHERE meter_id = %(id)s)"
    rows = conn.execute(_STRETCHES.format(where).encode(), {"id": meter_id}).fetchall()
    return [Assignment(*row) for row in rows if row[1] == meter_id]  # type: ignore[arg-type]


def assign(
    conn: Conn,
    vehicle_id: str,
    meter_id: str | None,
    valid_from: datetime | None,
    now: datetime,
    author: Author,
    valid_to: datetime | None = None,
) -> Planned:
    """This meter, or none, feeds the vehicle in the stretch, and after it what did before; what that changed, which is stored and recorded.

    `valid_from` None: from always for a first assignment, from now for a later one. `valid_to` None: until the vehicle's next assignment.
    Raises ValueError where the stretch is empty.
    """
    lock_vehicle(conn, vehicle_id)
    timeline = load(conn, [vehicle_id]).get(vehicle_id, ())
    made = plan(Wish(vehicle_id, meter_id, valid_from, valid_to), timeline, now)
    keep(conn, [made], author, now)
    return made


def withdraw(conn: Conn, vehicle_id: str, valid_from: datetime, now: datetime, author: Author) -> Planned:
    """Take out the assignment that begins exactly then: the one before goes on. Raises KeyError where none does."""
    lock_vehicle(conn, vehicle_id)
    timeline = load(conn, [vehicle_id]).get(vehicle_id, ())
    made = planned(vehicle_id, timeline, without(timeline, valid_from))
    keep(conn, [made], author, now)
    return made


def lock_vehicle(conn: Conn, vehicle_id: str) -> None:
    """Until the transaction ends nobody else changes this vehicle's assignments."""
    conn.execute("SELECT pg_advisory_xact_lock_shared(%s)", (_ALL_VEHICLES_LOCK,))
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", (vehicle_id, _ONE_VEHICLE_SEED))


def lock_all(conn: Conn) -> None:
    """Until the transaction ends nobody else changes assignments."""
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (_ALL_VEHICLES_LOCK,))


def load(conn: Conn, vehicle_ids: Sequence[str]) -> dict[str, Timeline]:
    """The timelines of those vehicles that have one."""
    rows = conn.execute(
        """SELECT vehicle_id, CASE WHEN isfinite(valid_from) THEN valid_from END, meter_id FROM assignment
           WHERE vehicle_id = ANY(%s) ORDER BY vehicle_id, valid_from""",
        (list(vehicle_ids),),
    ).fetchall()
    steps: dict[str, list[Step]] = {}
    for vehicle_id, start, meter_id in rows:
        steps.setdefault(str(vehicle_id), []).append(Step(ALWAYS if start is None else start.astimezone(UTC), meter_id))  # type: ignore[attr-defined, arg-type]
    return {vehicle_id: tuple(known) for vehicle_id, known in steps.items()}


def keep(conn: Conn, made: Sequence[Planned], author: Author, now: datetime) -> None:
    """Store and record what was planned under a lock; a vehicle's plans in their order."""
    first = {one.vehicle_id: one.before for one in reversed(made)}
    last = {one.vehicle_id: one.after for one in made}
    gone = [(vehicle_id, step) for vehicle_id, before in first.items() for step in _starts_gone(before, last[vehicle_id])]
    new = [
        (vehicle_id, step) for vehicle_id, after in last.items() for step in sorted(set(after).difference(first[vehicle_id]), key=_start)
    ]
    _delete(conn, gone)
    _upsert(conn, new)
    assignment_changes.record(conn, made, author, now)


def _start(step: Step) -> datetime:
    return step.start


def _starts_gone(before: Timeline, after: Timeline) -> Iterable[Step]:
    stay = {step.start for step in after}
    return (step for step in before if step.start not in stay)


def _delete(conn: Conn, gone: list[tuple[str, Step]]) -> None:
    for some in portions(gone):
        conn.execute(
            """DELETE FROM assignment a USING unnest(%s::text[], %s::text[]::timestamptz[]) g (vehicle_id, valid_from)
               WHERE a.vehicle_id = g.vehicle_id AND a.valid_from = g.valid_from""",
            ([vehicle_id for vehicle_id, _ in some], [as_sql(step.start) for _, step in some]),
        )


def _upsert(conn: Conn, new: list[tuple[str, Step]]) -> None:
    for some in portions(new):
        conn.execute(
            """INSERT INTO assignment (vehicle_id, valid_from, meter_id) SELECT * FROM unnest(%s::text[], %s::text[]::timestamptz[], %s::text[])
               ON CONFLICT (vehicle_id, valid_from) DO UPDATE SET meter_id = excluded.meter_id""",
            ([vehicle_id for vehicle_id, _ in some], [as_sql(step.start) for _, step in some], [step.meter_id for _, step in some]),
        )
