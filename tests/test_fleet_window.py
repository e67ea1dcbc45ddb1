"""The fleet's day in memory equals what each vehicle's own endpoint says at the same instant, whatever came in between and however late."""

import math
import random
import threading
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from db import ingest, partitions, rollups
from db.ingest import Reading
from db.queries import performance
from db.queries.fleet_window import WINDOW, FleetWindow
from db.queries.policies import Policies
from db.sides import METER, VEHICLE, Side

START = datetime(2026, 2, 3, 22, 3, 20, tzinfo=UTC)
VEHICLES, METERS = [f"van-{n}" for n in range(6)], [f"depot-{n}" for n in range(5)]


class World:
    """Devices that report in batches, on time, late, ahead of the clock and after silences, while people re-assign meters."""

    def __init__(self, conn: Any, seed: int) -> None:
        self.conn, self.chance, self.now, self.window = conn, random.Random(seed), START, FleetWindow(Policies(), math.inf)
        for vehicle_id, meter_id in zip(VEHICLES[:4], METERS[:4], strict=True):
            conn.execute("INSERT INTO fleet_mapping VALUES (%s, %s)", (vehicle_id, meter_id))
        for _ in range(30):
            self.report(self.now - timedelta(hours=self.chance.uniform(0, 26)))

    def report(self, at: datetime) -> None:
        """Some minutes of readings of one device."""
        side, device = self.chance.choice([(VEHICLE, self.chance.choice(VEHICLES)), (METER, self.chance.choice(METERS))])
        every, energy = self.chance.choice((1, 20, 60, 300)), self.chance.choice((0, 0, 1_000, 150_000, 180_000))
        measures = (self.chance.choice((None, 5_000, 9_950)), self.chance.choice((None, 900, 2_000)))[: len(side.measures)]
        first = int(at.timestamp() * 1_000_000)
        readings: list[Reading] = [
            (device, first + n * every * 1_000_000, energy, *measures, None, None)  # type: ignore[misc]
            for n in range(self.chance.randint(1, 40))
        ]
        self.store(side, readings)

    def store(self, side: Side, readings: list[Reading]) -> None:
        self.now += timedelta(microseconds=1)
        ingest.store(self.conn, side, readings, self.now)

    def step(self) -> None:
        """Time goes on and something happens."""
        self.now += timedelta(seconds=self.chance.choice((0, 1, 5, 5, 61, 700, 900, 4_000, 12_000)))
        for _ in range(self.chance.randint(0, 3)):
            self.report(self.now + timedelta(seconds=self.chance.choice((-20, -600, -3_000, 30, 250, -86_000, -86_390, -40_000))))
        if self.chance.random() < 0.3:
            since = self.now + timedelta(seconds=self.chance.choice((-90_000, -30_000, -100, 0, 60)))
            values = (self.chance.choice(VEHICLES), since, self.chance.choice((None, *METERS)))
            self.conn.execute("INSERT INTO assignment VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", values)
        if self.chance.random() < 0.1:
            rollups.learn_rhythms(self.conn, self.chance.choice((VEHICLE, METER)), self.now + timedelta(days=self.chance.randint(0, 1)))

    def check(self) -> None:
        self.window._assignments_due = 0.0
        before = self.window._newest
        day = self.window.refresh(self.conn, self.now)
        own = performance.summaries(self.conn, day.at - WINDOW, day.at)
        assert list(day.summaries) == list(own)
        for vehicle_id, summary in own.items():
            assert day.summaries[vehicle_id] == summary, (vehicle_id, day.at)
            assert vehicle_id in day.changed or (before and before.summaries.get(vehicle_id) == summary)
        given = self.conn.execute(
            "SELECT meter_id, sum(ac_milliwh) FROM meter_history WHERE recorded_at > %s AND recorded_at <= %s GROUP BY 1",
            (day.at - WINDOW, day.at),
        ).fetchall()
        assert {meter_id: ac for meter_id, ac in day.meters_ac.items() if ac} == {meter_id: int(ac) for meter_id, ac in given if ac}


@pytest.fixture
def db(database_url: str) -> Any:
    with psycopg.connect(database_url, options="-c TimeZone=UTC -c jit=off") as conn:
        partitions.ensure(conn, [date(2026, 2, 1) + timedelta(days=n) for n in range(12)], START)
        yield conn
        conn.rollback()


@pytest.mark.slow
def test_the_fleets_day_is_every_vehicles_own_whatever_comes_in_and_however_late(db: Any) -> None:
    for seed in range(12):
        db.execute("SAVEPOINT world")
        world = World(db, seed)
        world.check()
        for _ in range(25):
            world.step()
            world.check()
        db.execute("ROLLBACK TO world")


def test_only_what_changed_is_said_to_have(db: Any) -> None:
    world = World(db, 1)
    world.window.refresh(db, world.now)
    assert not world.window.refresh(db, world.now).changed
    at = int(world.now.timestamp() * 1_000_000) - 5
    world.store(VEHICLE, [("van-2", at, 150_000, None, None, None, None)])
    assert world.window.refresh(db, world.now).changed == {"van-2"}


def test_an_assignment_is_seen_by_the_next_refresh(db: Any) -> None:
    world = World(db, 1)
    world.window.refresh(db, world.now)
    db.execute("INSERT INTO fleet_mapping VALUES ('van-of-today', 'meter-of-today')")
    assert "van-of-today" in world.window.refresh(db, world.now).summaries


def test_a_refresh_that_failed_half_way_is_made_good_by_the_next(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(db, 2)
    world.check()
    world.step()
    world.store(VEHICLE, [("van-1", int(world.now.timestamp() * 1_000_000), 7, None, None, None, None)])
    with monkeypatch.context() as broken:
        broken.setattr(FleetWindow, "_read_assignments", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.window.refresh(db, world.now)
    world.check()


def test_a_clock_that_steps_back_stands_still_or_begins_anew(db: Any) -> None:
    world = World(db, 3)
    first = world.window.refresh(db, world.now)
    assert world.window.refresh(db, world.now - timedelta(seconds=30)).at == first.at
    world.now -= timedelta(hours=2)
    world.check()


def test_readers_take_the_day_there_is_and_never_wait_for_a_refresh(db: Any) -> None:
    world = World(db, 4)
    connect, now = lambda: nullcontext(db), lambda: world.now
    first = world.window.day(connect, now, 60)
    assert world.window.day(connect, now, 60) is first
    with world.window._lock:
        got: list[Any] = []
        reader = threading.Thread(target=lambda: got.append(world.window.day(connect, now, -1)))
        reader.start()
        reader.join(5)
    assert got == [first]
    assert world.window.day(connect, now, -1) is not first


def test_a_day_is_made_no_more_often_than_its_cost_allows(db: Any) -> None:
    world = World(db, 5)
    window = FleetWindow(Policies(), share=1e-6)
    connect, now = lambda: nullcontext(db), lambda: world.now
    first = window.day(connect, now, 0)
    world.step()
    assert window.day(connect, now, 0) is first
    assert first.due_monotonic - first.made_monotonic == 30
