"""What a preview counts is what the alerting would have done: the same episodes, whatever the days were like."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from alerting.evaluate import evaluate
from charging import alerting
from charging.alert_replay import Episode, Look, episodes
from charging.alerting import Timing
from charging.policy import Policy
from db import alert_preview, alert_rules
from db.alert_rules import ALL, Scope
from db.queries import replay
from db.queries.lookback import Lookback
from db.queries.policies import Policies
from db.sides import METER, VEHICLE
from tests.session_support import DEPOT, TRUCK, VAN, YARD, World, at, charging_conn, flow

__all__ = ["charging_conn"]

ONCE, WALL = "once-9", "wall-9"
QUARTER = timedelta(minutes=15)
BEHIND = timedelta(seconds=120)
Found = list[tuple[str, datetime, datetime | None, str]]


@pytest.fixture
def world(charging_conn: psycopg.Connection) -> Iterator[World]:
    charging_conn.rollback()
    yield World(charging_conn)
    charging_conn.rollback()


def eventful(world: World) -> None:
    """Two days and a half: bad, good and bad again, a meter that changes hands, silence, too little to judge, and one that is seen only once."""
    world.assign(VAN, DEPOT)
    world.assign(TRUCK, YARD)
    world.charge(at(1), 150, efficiency=0.70)
    world.charge(at(4), 90, efficiency=0.93)
    world.charge(at(8), 10, efficiency=0.6)
    world.charge(at(20), 300, efficiency=0.84)
    world.charge(at(30), 60, efficiency=1.3)
    world.store(METER, flow(METER, YARD, at(2), 200, 3.7, every=5))
    world.store(VEHICLE, flow(VEHICLE, TRUCK, at(2), 200, 2.4, every=5))
    world.assign(TRUCK, DEPOT, at(9))
    world.assign(TRUCK, YARD, at(10, 7))
    world.charge(at(12), 120, 7.4, 0.65, vehicle=TRUCK, meter=YARD)
    world.charge(at(15), 120, 7.4, 0.92, vehicle=TRUCK, meter=YARD, temp_c=3)
    world.charge(at(54), 45, 11, 0.7, vehicle=TRUCK, meter=YARD)
    world.charge(at(50), 240, efficiency=0.87)
    world.assign(ONCE, WALL)
    world.charge(at(1), 60, efficiency=0.7, vehicle=ONCE, meter=WALL)


def evaluate_until(world: World, until: datetime, every: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real evaluation, run so often, each standing for the time since the one before."""
    monkeypatch.setattr(alerting, "MOST_ELAPSED_S", every.total_seconds())
    lookback, policies, now = Lookback(), Policies(), at(0) + every
    while now <= until:
        assert evaluate(world.conn, lookback, policies, now + BEHIND)
        now += every


def evaluated(world: World, rule: str) -> Found:
    """The episodes that it wrote down."""
    rows: Any = world.conn.execute(
        "SELECT subject_id, fired_at, resolved_at, severity FROM alert_episode WHERE rule = %s ORDER BY subject_id, fired_at", (rule,)
    ).fetchall()
    return [
        (subject, fired - BEHIND, resolved if resolved is None else resolved - BEHIND, severity)
        for subject, fired, resolved, severity in rows
    ]


def replayed(world: World, start: datetime, end: datetime, rule: str) -> Found:
    found: Found = []
    for vehicle_id, (seen,) in replay.sights(world.conn, [VAN, TRUCK, ONCE], replay.quarters_of(start, end), Policy()):
        looks = alert_preview._low(seen) if rule == "low_efficiency" else alert_preview._suspect(seen)
        for one in episodes(looks, Timing(), QUARTER, end):
            found.append((vehicle_id, one.fired_at, one.resolved_at, one.severity))
    return sorted(found, key=lambda one: one[:2])


def test_it_finds_the_episodes_that_the_evaluation_finds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    eventful(world)
    evaluate_until(world, at(60), QUARTER, monkeypatch)
    for rule, vehicles in (("low_efficiency", 3), ("suspect_measurement", 1)):
        found = replayed(world, at(0), at(60), rule)
        assert found == evaluated(world, rule)
        assert len({subject for subject, *_ in found}) == vehicles


def random_days(world: World, draw: random.Random) -> None:
    """Two days of charges of any length, power, rhythm and efficiency, sides that are missing, meters that change hands or are shared."""
    for vehicle, meter in ((VAN, DEPOT), (TRUCK, YARD)):
        world.assign(vehicle, meter)
        if draw.random() < 0.5:
            world.assign(vehicle, draw.choice([DEPOT, YARD, None]), at(draw.uniform(0, 40)))
    for vehicle, meter in ((VAN, DEPOT), (TRUCK, YARD)):
        hours = draw.uniform(0, 3)
        while hours < 48:
            minutes, every, kw = draw.randint(1, 240), draw.choice([1, 1, 5]), draw.choice([0.004, 2.3, 7.4, 11.0])
            if draw.random() < 0.9:
                world.store(METER, flow(METER, meter, at(hours), minutes, kw, every=every))
            if draw.random() < 0.9:
                arrives, temp_c = kw * draw.choice([0, 0.6, 0.8, 0.87, 0.93, 1.2]), draw.choice([None, 3, 25])
                world.store(VEHICLE, flow(VEHICLE, vehicle, at(hours), minutes, arrives, every=every, temp_c=temp_c))
            hours += minutes / 60 + draw.choice([0.01, 0.5, 3, 20])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_it_finds_them_whatever_the_days_were_like(world: World, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random_days(world, random.Random(seed))
    evaluate_until(world, at(54), QUARTER, monkeypatch)
    for rule in ("low_efficiency", "suspect_measurement"):
        assert replayed(world, at(0), at(54), rule) == evaluated(world, rule)


@pytest.mark.slow
def test_looking_every_minute_finds_the_same_alerts_within_a_quarter_of_an_hour(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    eventful(world)
    evaluate_until(world, at(4), timedelta(minutes=1), monkeypatch)
    by_minute, by_quarter = evaluated(world, "low_efficiency"), replayed(world, at(0), at(4), "low_efficiency")
    assert by_minute
    assert [(subject, severity) for subject, _, _, severity in by_minute] == [(subject, severity) for subject, _, _, severity in by_quarter]
    for minute, quarter in zip(by_minute, by_quarter, strict=True):
        assert abs(minute[1] - quarter[1]) <= 2 * QUARTER


def looks(*margins: float | None, known: int = 0) -> list[Look]:
    return [Look(at(0) + n * QUARTER, at(0) + (n + known) * QUARTER, margin) for n, margin in enumerate(margins)]


def test_it_fires_recovers_and_fires_again_by_the_same_rules() -> None:
    found = episodes(looks(-0.1, -0.2, -0.01, 0.01, 0.03, 0.03, -0.1, -0.1), Timing(), QUARTER, at(40))
    assert found == [Episode(at(0, 15), at(1, 15), "warning", -0.2), Episode(at(1, 45), at(25, 45), "warning", -0.1)]


def test_a_day_without_evidence_ends_it_and_one_with_old_evidence_does_not() -> None:
    fire = looks(-0.1, -0.1)
    later = Look(at(40), at(40), -0.1)
    known = [fire[0], Look(fire[1].at, at(20), -0.1), later]
    assert [one.resolved_at for one in episodes([*fire, later], Timing(), QUARTER, at(40))] == [at(24, 15)]
    assert [one.resolved_at for one in episodes(known, Timing(), QUARTER, at(40))] == [None]


def test_a_preview_counts_with_the_setting_and_without_and_leaves_everything_as_it_was(world: World) -> None:
    eventful(world)
    before = world.conn.execute("SELECT count(*) FROM alert_action").fetchone()
    policies = Policies()
    plain = {"use": "plain", "plainLow": 0.5, "plainCritical": 0.4}
    found = alert_preview.preview(world.conn, "low_efficiency", ALL, plain, policies, at(72))
    assert (found.now.alerts, found.new.alerts) == (len(replayed(world, at(0), at(72), "low_efficiency")), 0)
    assert (found.looked_at, found.of) == (3, 3)
    assert {one.id for one in found.examples} == {VAN, TRUCK, ONCE}
    assert all(one.new is None and one.now for one in found.examples)
    one = alert_preview.preview(world.conn, "low_efficiency", Scope("vehicle", VAN), {"enabled": False}, policies, at(72))
    assert (one.of, one.new.alerts) == (1, 0)
    assert one.now.alerts > 0
    assert alert_rules.settings(world.conn) == []
    assert world.conn.execute("SELECT count(*) FROM alert_action").fetchone() == before


def test_of_many_vehicles_a_sample_is_looked_at_the_same_every_time(world: World) -> None:
    eventful(world)
    off = {"enabled": False}
    found = [alert_preview.preview(world.conn, "low_efficiency", ALL, off, Policies(), at(72), most=1) for _ in range(2)]
    assert found[0] == found[1]
    assert (found[0].looked_at, found[0].of) == (1, 3)


def test_a_hot_battery_counts_from_the_second_hot_reading_on(world: World) -> None:
    for begin, minutes, temp_c in ((1, 90, 40.0), (4, 30, 56.0), (6, 1, 60.0), (6, 59, 41.0), (9, 20, 49.0), (9, 40, 35.0)):
        start = at(begin) if minutes != 59 else at(6, 1)
        start = at(9, 20) if temp_c == 35.0 else start
        world.store(VEHICLE, flow(VEHICLE, VAN, start, minutes, 1, temp_c=temp_c))
    found = alert_preview.preview(world.conn, "battery_hot", ALL, {"limitC": 48}, Policies(), at(24))
    assert (found.now.alerts, found.new.alerts) == (1, 2)
    assert found.now.critical == 1
    assert found.new.devices == 1


def test_a_silent_device_counts_where_it_was_silent_for_longer_than_is_borne(world: World) -> None:
    for begin, minutes in ((1, 120), (3.5, 30), (6, 60)):
        world.store(VEHICLE, flow(VEHICLE, VAN, at(begin), minutes, 1))
    world.store(METER, flow(METER, DEPOT, at(1), 60 * 23, 0))
    counts = [
        (found.now.alerts, found.new.alerts)
        for given in ({"afterRhythms": 60}, {"afterRhythms": 10}, {"onlyWhileCharging": True}, {"enabled": False})
        for found in [alert_preview.preview(world.conn, "device_silent", ALL, given, Policies(), at(24, 2))]
    ]
    assert counts == [(3, 2), (3, 3), (3, 3), (3, 0)]


def test_a_dark_site_cannot_be_previewed_and_that_is_said(world: World) -> None:
    found = alert_preview.preview(world.conn, "site_dark", ALL, {"share": 0.5}, Policies(), at(24))
    assert found.why_not
    assert "late" in found.why_not
