"""The newest evidence that can be judged is found for every vehicle, and is what the same window gives everywhere else."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charging.policy import Policy
from charging.verdict import Verdict
from db import rollups
from db.queries import performance
from db.queries.fleet_window import FleetWindow
from db.queries.lookback import JUDGED, LADDER_H, Lookback, Seen
from db.queries.policies import Policies
from db.sides import METER, VEHICLE
from tests.session_support import DAY, DEPOT, TRUCK, VAN, YARD, World, at, charging_conn, flow

__all__ = ["charging_conn"]

QUARTER = timedelta(minutes=15)


@pytest.fixture
def world(charging_conn: psycopg.Connection) -> Iterator[World]:
    charging_conn.rollback()
    yield World(charging_conn)
    charging_conn.rollback()


def seen(world: World, now: datetime) -> dict[str, Seen]:
    return Lookback().evidence(world.conn, now, Policy())


def test_an_hour_before_the_last_charging_reading_is_enough_where_it_can_be_judged(world: World) -> None:
    world.assign(VAN, DEPOT)
    world.charge(at(8), 120, efficiency=0.70)
    world.idle(at(10), 200)
    found = seen(world, at(13))[VAN]
    assert (found.since, found.until) == (at(8, 45), at(10))
    assert found.summary.verdict is Verdict.LOW
    assert found.summary.ac_kwh == pytest.approx(11 * 1.25)


def test_it_stays_the_same_while_nothing_charges_and_goes_when_a_day_is_over(world: World) -> None:
    world.assign(VAN, DEPOT)
    world.charge(at(1), 90)
    assert seen(world, at(3)) == seen(world, at(12)) == seen(world, at(24))
    assert seen(world, at(27)) == {}


def test_a_window_is_lengthened_until_it_can_be_judged(world: World) -> None:
    """0.4 kWh in the last hour are too little; with what was charged three hours before they are enough."""
    world.assign(VAN, DEPOT)
    world.charge(at(8), 60)
    world.charge(at(12), 4, ac_kw=6)
    found = seen(world, at(12, 30))[VAN]
    assert (found.since, found.until) == (at(8), at(12, 4))
    assert found.summary.ac_kwh == pytest.approx(11.4)


def test_a_window_in_doubt_is_lengthened_until_it_decides(world: World) -> None:
    """With a counter of 0.1 kWh, 86.6 % are below 88.4 % by less than an hour's uncertainty, and by more than that of three."""
    world.assign(VAN, DEPOT)
    world.store(METER, flow(METER, DEPOT, at(4), 300, 11, step_wh=100))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(4), 300, 11 * 0.866, step_wh=100))
    found = seen(world, at(10))[VAN]
    assert found.since < at(7)
    assert found.summary.verdict is Verdict.LOW


def test_what_a_vehicles_late_readings_may_explain_is_not_low(world: World) -> None:
    """Twelve minutes of a charge, of which the vehicle's last reading but one is still on its way."""
    world.assign(VAN, DEPOT)
    whole = flow(VEHICLE, VAN, at(8), 12, 11 * 0.92)
    world.store(METER, flow(METER, DEPOT, at(8), 12, 11))
    world.store(VEHICLE, [*flow(VEHICLE, VAN, at(7), 60, 0), *whole[:6], *whole[7:]])
    assert VAN not in seen(world, at(9)) or seen(world, at(9))[VAN].summary.verdict is Verdict.OK


def test_who_has_no_meter_or_shares_one_gives_no_evidence(world: World) -> None:
    world.assign(VAN, DEPOT)
    world.assign(TRUCK, DEPOT)
    world.charge(at(8), 60)
    world.store(VEHICLE, flow(VEHICLE, "alone-9", at(8), 60, 10))
    assert seen(world, at(9)) == {}


def test_what_another_took_or_the_vehicle_elsewhere_does_not_count(world: World) -> None:
    world.assign(VAN, YARD)
    world.assign(VAN, DEPOT, at(8, 20))
    world.assign(TRUCK, DEPOT)
    world.assign(TRUCK, None, at(8, 40))
    world.charge(at(8), 120, efficiency=0.9)
    found = seen(world, at(11))
    assert list(found) == [VAN]
    assert (found[VAN].since, found[VAN].until) == (at(8, 45), at(10))


def test_a_cold_first_hour_is_known_to_be_one_though_the_window_begins_after_it(world: World) -> None:
    """The battery is cold, so the first hour of this charge is conditioning; an hour later it is a bad charger."""
    world.assign(VAN, DEPOT)
    world.charge(at(8), 180, efficiency=0.65, temp_c=5)
    early, late = seen(world, at(8, 55)), seen(world, at(11))
    assert early == {}
    assert late[VAN].summary.verdict is Verdict.LOW


@pytest.mark.parametrize(("temp_c", "said"), [(12.0, []), (12.01, [VAN])])
def test_a_battery_of_twelve_degrees_as_told_is_cold(world: World, temp_c: float, said: list[str]) -> None:
    """A heater that runs at 11.96 °C runs at 12.0 as it is told."""
    world.assign(VAN, DEPOT)
    world.charge(at(8), 55, efficiency=0.65, temp_c=temp_c)
    assert list(seen(world, at(9))) == said


CHARGES = st.lists(
    st.tuples(
        st.sampled_from((VAN, TRUCK)), st.integers(0, 1_500), st.integers(1, 200), st.sampled_from((0.004, 2.3, 11.0)), st.sampled_from((0.0, 0.6, 0.9, 1.3))
    ),
    min_size=1,
    max_size=6,
)  # fmt: skip


@pytest.mark.slow
def test_every_window_is_judged_as_it_would_be_by_itself(charging_conn: psycopg.Connection) -> None:
    world = World(charging_conn)

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(CHARGES, st.lists(st.integers(1, 2_000), min_size=1, max_size=3))
    def holds(charges: list[tuple[str, int, int, float, float]], minutes: list[int]) -> None:
        world.conn.rollback()
        meters = {VAN: DEPOT, TRUCK: YARD}
        for vehicle, meter in meters.items():
            world.assign(vehicle, meter)
        lookback = Lookback()
        for n, minute in enumerate(sorted(minutes)):
            for vehicle, begin, length, kw, efficiency in charges if n == 0 else []:
                world.store(METER, flow(METER, meters[vehicle], at(0, begin), length, kw))
                world.store(VEHICLE, flow(VEHICLE, vehicle, at(0, begin), length, kw * efficiency))
            now = at(0, minute)
            found = lookback.evidence(world.conn, now, Policy())
            assert found == Lookback().evidence(world.conn, now, Policy())
            for vehicle, one in found.items():
                quarter_end = DAY + -(-(one.until - DAY) // QUARTER) * QUARTER
                end = min(now, quarter_end)
                assert performance.summaries(world.conn, one.since, end, [vehicle])[vehicle] == one.summary
                assert one.summary.verdict in JUDGED
            for vehicle in {VAN, TRUCK} - set(found):
                # Low by no more than doubt is no evidence either.
                verdicts = {_last(world, vehicle, meters[vehicle], now, hours) for hours in LADDER_H}
                assert Verdict.LOW in verdicts or not verdicts & JUDGED

    try:
        holds()
    finally:
        world.conn.rollback()


def _last(world: World, vehicle: str, meter: str, now: datetime, hours: int) -> Verdict | None:
    """The verdict of the window of so many hours before the last reading that charged, by a naive search."""
    row = world.conn.execute(
        f"""SELECT max(recorded_at) FROM (
               SELECT recorded_at FROM vehicle_history WHERE vehicle_id = %(vehicle)s AND {VEHICLE.energy} > 2500
               UNION ALL SELECT recorded_at FROM meter_history WHERE meter_id = %(meter)s AND {METER.energy} > 2500
           ) r WHERE recorded_at <= %(now)s AND recorded_at > %(now)s - interval '24 hours'""",
        {"vehicle": vehicle, "meter": meter, "now": now},
    ).fetchone()
    if not row or not row[0]:
        return None
    last = DAY + (-(-(row[0] - DAY) // QUARTER) - 1) * QUARTER
    since = max(last - timedelta(hours=hours), now - timedelta(hours=24))
    return performance.summaries(world.conn, since, min(now, last + QUARTER), [vehicle])[vehicle].verdict


def test_a_counters_step_is_known_from_its_day_where_an_hour_shows_none(world: World) -> None:
    """Every reading of steady charging is as large as the one before: 183 Wh are taken for the step until a small one was seen."""
    world.assign(VAN, DEPOT)
    world.charge(at(8), 180)
    unknown = performance.summaries(world.conn, at(9), at(10), [VAN])[VAN].uncertainty
    world.charge(at(14), 1, ac_kw=0.06)
    for side in (METER, VEHICLE):
        rollups.learn_rhythms(world.conn, side, at(15))
    known = performance.summaries(world.conn, at(9), at(10), [VAN])[VAN].uncertainty
    (_, in_a_bin), *_ = performance.bins(world.conn, VAN, at(9), at(10))
    fleet = FleetWindow(Policies()).refresh(world.conn, at(15)).summaries[VAN]
    assert unknown == pytest.approx(0.01 + (183.3 + 168.7) / 11_000, abs=1e-4)
    assert known == in_a_bin.uncertainty == pytest.approx(0.01 + (1 + 0.92) / 11_000, abs=1e-4)
    assert fleet == performance.summaries(world.conn, at(-9), at(15), [VAN])[VAN]
    assert seen(world, at(15))[VAN].summary.uncertainty == pytest.approx(0.01, abs=1e-3)


def test_a_counter_that_shows_nothing_keeps_the_step_it_had(world: World) -> None:
    world.assign(VAN, DEPOT)
    world.charge(at(8), 60)
    world.conn.execute("UPDATE live_meter SET step_milliwh = 1000")
    rollups.learn_rhythms(world.conn, METER, at(40))
    row = world.conn.execute("SELECT step_milliwh, rhythm_s FROM live_meter").fetchone()
    assert row == (1000, 60)
