"""Whatever the order, the repetition, the split into batches and the number of writers: the state is that of the in-order run.

PROPERTY_EXAMPLES=1000 tries harder.
"""

import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.committer import Committer
from charging.evidence import CHARGING_FLOOR_MILLIWH
from db import ingest, mending, partitions, rollups, verify
from db.engine import pool
from db.ingest import Outcome, Reading
from db.queries import performance
from db.sides import METER, SIDES, VEHICLE, Side
from tests.keeping_support import MIDNIGHT, MINUTE_US

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "30"))
WRITERS = 3
_US = int(MIDNIGHT.timestamp()) * 1_000_000
# Few enough to collide; on and beside quarters and midnight.
INSTANTS = [
    _US + round(minute * MINUTE_US) + us for minute in (-30, -15, -7, 0, 5, 15, 20, 30) for us in ((-1, 0, 1) if minute % 15 == 0 else (0,))
]
DEVICES = {VEHICLE: ("van-1", "van-2", "van-3"), METER: ("depot-1", "depot-2")}
WINDOWS = [(MIDNIGHT - timedelta(minutes=a), MIDNIGHT + timedelta(minutes=b)) for a, b in ((60, 60), (22, 7), (0, 15), (15, 0), (1440, 0))]
SPAN = (MIDNIGHT - timedelta(hours=1), MIDNIGHT + timedelta(hours=1))

ENERGIES = st.sampled_from([0, 1, CHARGING_FLOOR_MILLIWH, CHARGING_FLOOR_MILLIWH + 1, 168_000, 50_000_000])
POSITIONS = st.sampled_from([(None, None), (525_000_000, 134_000_000), (0, 0), (-900_000_000, 1_800_000_000)])
MEASURES = {
    VEHICLE: st.tuples(st.sampled_from([None, 0, 9_950, 10_000]), st.sampled_from([None, -6_000, 900, 3_600])),
    METER: st.tuples(st.sampled_from([None, 0, 23_000, 100_000])),
}


@dataclass(frozen=True, slots=True)
class Batch:
    """What one writer sends at once."""

    vehicles: list[Reading]
    meters: list[Reading]

    def of(self, side: Side) -> list[Reading]:
        return self.vehicles if side is VEHICLE else self.meters


@dataclass(frozen=True, slots=True)
class Plan:
    """`first` in order: what must be kept. `sent` by writer: the same in any order and often, and other values only after the first."""

    first: Batch
    sent: list[list[Batch]]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    first = {side: sorted(draw(_readings(side)), key=lambda r: (r[1], r[0])) for side in SIDES}
    chance = draw(st.randoms(use_true_random=False))
    sent = [_sent(chance, first, writer) for writer in range(WRITERS)]
    return Plan(Batch(first[VEHICLE], first[METER]), sent)


def _readings(side: Side) -> st.SearchStrategy[Any]:
    one = st.tuples(st.sampled_from(DEVICES[side]), st.sampled_from(INSTANTS), ENERGIES, MEASURES[side], POSITIONS)
    whole = one.map(lambda r: (*r[:3], *r[3], *r[4]))
    return st.lists(whole, min_size=1, max_size=14, unique_by=lambda r: r[:2])


def _sent(chance: random.Random, first: dict[Side, list[Reading]], writer: int) -> list[Batch]:
    """Each reading has a writer who certainly sends it; others may too; all may repeat it, and after that send it with other energy."""
    mine: list[tuple[Side, Reading]] = []
    for side in SIDES:
        for n, reading in enumerate(first[side]):
            times = (n % WRITERS == writer) + chance.choice((0, 0, 1, 2))
            mine += [(side, reading)] * times
    chance.shuffle(mine)
    for side, reading in chance.sample(mine, len(mine) // 4):
        conflicting = (side, (*reading[:2], (reading[2] + 1) % 50_000_000, *reading[3:]))
        mine.insert(chance.randint(mine.index((side, reading)) + 1, len(mine)), conflicting)
    batches = []
    while mine:
        size = chance.randint(1, 9)
        batches.append(Batch(*([r for s, r in mine[:size] if s is side] for side in SIDES)))
        mine = mine[size:]
    return batches


@pytest.fixture
def db(database_url: str) -> Iterator[Any]:
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        partitions.ensure(conn, [date(2026, 2, 3), date(2026, 2, 4)], MIDNIGHT)
        conn.execute("""INSERT INTO assignment VALUES ('van-1', '-infinity', 'depot-1'), ('van-2', '-infinity', 'depot-2'),
                        ('van-2', '2026-02-04 00:10+00', 'depot-1'), ('van-3', '-infinity', NULL)""")
        conn.commit()
        yield conn


def emptied(conn: Any) -> None:
    conn.execute("".join(f"DELETE FROM {table};" for side in SIDES for table in (side.history, side.live, side.rollup)))
    conn.commit()


def state(conn: Any) -> dict[str, Any]:
    """Everything that must not depend on the order of arrival."""
    found: dict[str, Any] = {}
    for side in SIDES:
        values = ", ".join(("recorded_at", side.energy, *side.nullable))
        found[side.history] = conn.execute(f"SELECT {side.key}, {values} FROM {side.history} ORDER BY 1, 2").fetchall()
        found[side.live] = conn.execute(f"SELECT {side.key}, {values}, previous_at, position_at FROM {side.live} ORDER BY 1").fetchall()
        found[side.rollup] = conn.execute(f"SELECT * FROM {side.rollup} ORDER BY 1, 2").fetchall()
    found["summaries"] = [performance.summaries(conn, *window) for window in WINDOWS]
    conn.commit()
    return found


def in_order(conn: Any, first: Batch) -> dict[str, Any]:
    """The state after each reading was stored alone, oldest first, by one writer."""
    emptied(conn)
    for side in SIDES:
        for reading in first.of(side):
            assert ingest.store(conn, side, [reading], MIDNIGHT) == [Outcome.ACCEPTED]
    conn.commit()
    found = state(conn)
    emptied(conn)
    return found


def accepted_at_once(send: Callable[[int, Batch], list[Outcome]], plan: Plan) -> int:
    """Let every writer send its batches, all at once; how many readings were accepted."""
    ready = threading.Barrier(WRITERS)

    def write(writer: int) -> int:
        ready.wait(10)
        return sum(send(writer, batch).count(Outcome.ACCEPTED) for batch in plan.sent[writer])

    with ThreadPoolExecutor(WRITERS) as threads:
        return sum(threads.map(write, range(WRITERS)))


def check(conn: Any, plan: Plan, send: Callable[[int, Batch], list[Outcome]]) -> None:
    expected = in_order(conn, plan.first)
    accepted = accepted_at_once(send, plan)
    assert state(conn) == expected
    assert accepted == len(plan.first.vehicles) + len(plan.first.meters)
    assert list(verify.differences(conn, *SPAN)) == []


def deadlocks(url: str) -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute("SELECT pg_stat_clear_snapshot(), deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    return int(row[1]) if row else -1


def tried(examples: int) -> settings:
    """Each example empties the tables itself, so that the database of the test may serve them all."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def test_p4_any_order_repetition_and_split_over_several_connections_gives_the_state_of_the_in_order_run(db: Any, database_url: str) -> None:
    with ExitStack() as opened:
        writers = [opened.enter_context(psycopg.connect(database_url)) for _ in range(WRITERS)]

        def send(writer: int, batch: Batch) -> list[Outcome]:
            outcomes = [outcome for side in SIDES for outcome in ingest.store(writers[writer], side, batch.of(side), MIDNIGHT)]
            writers[writer].commit()
            return outcomes

        @tried(EXAMPLES)
        @given(plans())
        def holds(plan: Plan) -> None:
            check(db, plan, send)

        holds()
    assert deadlocks(database_url) == 0


def test_p4_two_processes_with_several_committing_threads_give_the_state_of_the_in_order_run(db: Any, database_url: str) -> None:
    with ExitStack() as opened:
        # A handful of readings a commit, so that there are many.
        processes = [
            opened.enter_context(
                closing(Committer(opened.enter_context(pool(database_url, 3, f"write-{n}", 5)), 3, 20_000, 12, 400, lambda: MIDNIGHT))
            )
            for n in range(2)
        ]

        def send(writer: int, batch: Batch) -> list[Outcome]:
            return processes[writer % 2].submit(batch.vehicles, batch.meters, 10)

        @tried(max(1, EXAMPLES * 2 // 3))
        @given(plans())
        def holds(plan: Plan) -> None:
            check(db, plan, send)

        holds()
    assert deadlocks(database_url) == 0


def test_p4_a_rebuild_meanwhile_changes_nothing(db: Any, database_url: str) -> None:
    with ExitStack() as opened:
        writers = [opened.enter_context(psycopg.connect(database_url)) for _ in range(WRITERS)]

        def send(writer: int, batch: Batch) -> list[Outcome]:
            outcomes = [outcome for side in SIDES for outcome in ingest.store(writers[writer], side, batch.of(side), MIDNIGHT)]
            writers[writer].commit()
            if writer == 0:
                # Every row, right or not: what a rebuild would do after somebody emptied the table.
                for side in SIDES:
                    keys = writers[writer].execute(f"SELECT {side.key}, bucket FROM {side.rollup}").fetchall()
                    mending.mend_quarters(writers[writer], side, [rollups.Quarter(str(k), b) for k, b in keys], lambda: MIDNIGHT)
                    mending.mend_live(writers[writer], side, DEVICES[side], lambda: MIDNIGHT)
            return outcomes

        @tried(max(1, EXAMPLES // 3))
        @given(plans())
        def holds(plan: Plan) -> None:
            check(db, plan, send)

        holds()
    assert deadlocks(database_url) == 0


def test_large_batches_of_the_same_readings_in_other_orders_never_deadlock(db: Any, database_url: str) -> None:
    """New keys for all writers at once in each round: who sorts nothing waits in a circle within a few rounds."""
    rounds, ready = 12, threading.Barrier(WRITERS)

    def write(writer: int) -> int:
        accepted, chance = 0, random.Random(writer)
        with psycopg.connect(database_url) as conn:
            for n in range(rounds):
                batch: list[Reading] = [
                    (f"van-{d}", _US + (n * 4 + m) * MINUTE_US, 5, None, None, None, None) for d in range(250) for m in range(4)
                ]
                chance.shuffle(batch)
                ready.wait(20)
                accepted += ingest.store(conn, VEHICLE, batch, MIDNIGHT).count(Outcome.ACCEPTED)
                conn.commit()
        return accepted

    with ThreadPoolExecutor(WRITERS) as threads:
        assert sum(threads.map(write, range(WRITERS))) == rounds * 1000
    assert deadlocks(database_url) == 0
    assert list(verify.differences(db, *SPAN)) == []


def test_p3_the_same_reading_a_hundred_times_is_one_row(db: Any) -> None:
    reading: Reading = ("van-1", INSTANTS[0], 168_000, 8_000, None, None, None)
    for times in (1, 2, 100):
        outcomes = ingest.store(db, VEHICLE, [reading] * times, MIDNIGHT)
        assert outcomes.count(Outcome.ACCEPTED) == (1 if times == 1 else 0)
        assert outcomes.count(Outcome.CONFLICT) == 0
    assert db.execute("SELECT count(*), sum(readings) FROM vehicle_history, vehicle_rollup").fetchone() == (1, 1)


def test_p5_readings_six_hours_late_change_the_window_that_was_shown_already(db: Any) -> None:
    window = (MIDNIGHT - timedelta(hours=24), MIDNIGHT)

    def charge(side: Side, device: str, minutes: range, milliwh: int) -> None:
        measures = (None, None) if side is VEHICLE else (None,)
        ingest.store(
            db, side, [(device, _US + m * MINUTE_US, milliwh, *measures, None, None) for m in minutes], MIDNIGHT + timedelta(hours=6)
        )

    charge(VEHICLE, "van-1", range(-60, 0), 150_000)
    charge(METER, "depot-1", range(-60, 0), 170_000)
    shown = performance.summaries(db, *window)["van-1"].evidence.dc
    charge(VEHICLE, "van-1", range(60, 62), 0)
    charge(VEHICLE, "van-1", range(-90, -60), 150_000)
    late = performance.summaries(db, *window)["van-1"].evidence.dc
    assert (shown.energy_milliwh, late.energy_milliwh) == (60 * 150_000, 90 * 150_000)
    assert (shown.readings, late.readings) == (60, 90)
    assert list(verify.differences(db, MIDNIGHT - timedelta(hours=2), MIDNIGHT + timedelta(hours=2))) == []
