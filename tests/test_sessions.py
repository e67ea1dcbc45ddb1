"""Charging sessions: where they begin and end in real life, whatever order their readings came in, and how they are told over HTTP."""

import csv
import io
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.analytics import csv_line
from api.words import SESSION_COLUMNS, session_cells
from charging.sessions import Session
from charging.verdict import Verdict
from db import ingest, partitions, rollups
from db.ingest import Reading
from db.queries import performance, sessions
from db.sides import METER, SIDES, VEHICLE, Side
from tests import oracle_sessions as oracle
from tests.session_support import DAY, DEPOT, US, VAN, YARD, World, at, bounds, charging_conn, days, flow, us
from tests.support import api, fresh_database

__all__ = ["charging_conn"]

SHARED = Path(__file__).parents[2] / "shared" / "data"
shared_only = pytest.mark.skipif(not SHARED.exists(), reason=f"the real data is not here: {SHARED} does not exist")


@pytest.fixture
def world(charging_conn: psycopg.Connection) -> Iterator[World]:
    charging_conn.rollback()
    found = World(charging_conn)
    found.assign(VAN, DEPOT)
    yield found
    charging_conn.rollback()


VEHICLES, METERS = ("van-1", "van-2", "van-3"), ("depot-1", "depot-2")
BEGINNINGS = (-2_880, -1_440, -60, 0, 55, 400, 1_430)


def _stretches(devices: tuple[str, ...], measures: int) -> st.SearchStrategy[list[Reading]]:
    """Stretches of readings with one spacing and one energy: charging, trickling, standing by, or with hours of silence between."""

    def made(
        device: str, first: int, off: int, count: int, every: int, off_us: int, energy: int, charge: int | None, gain: int
    ) -> list[Reading]:
        def measured(n: int) -> tuple[int | None, ...]:
            return (None if charge is None else max(0, min(10_000, charge + gain * n)), 2_000)[:measures]

        begin = us(DAY) + (first + off) * 60 * US + off_us
        return [(device, begin + n * every * 60 * US, energy, *measured(n), None, None) for n in range(min(count, 5_000 // every))]  # type: ignore[misc]  # as many measures as the side has

    one = st.builds(
        made,
        st.sampled_from(devices),
        st.sampled_from(BEGINNINGS),
        st.integers(-3, 130),
        st.integers(1, 50),
        st.sampled_from((1, 1, 1, 2, 5, 15, 29, 200, 345, 361)),
        st.sampled_from((0, 0, 1, 30_500_000)),
        st.sampled_from((0, 0, 167, 2_500, 6_000, 38_333, 100_000, 183_333)),
        st.sampled_from((None, 2_000, 5_000, 9_990)),
        st.sampled_from((0, 20, -20, 120)),
    )
    return st.lists(one, max_size=7).map(lambda many: list({r[:2]: r for some in many for r in some}.values()))


MINUTES = st.one_of(st.none(), st.integers(-2_900, 1_600), st.sampled_from((-1_440, 15, 30, 450)))
ASSIGNMENTS = st.lists(
    st.tuples(st.sampled_from(VEHICLES), MINUTES, st.sampled_from((None, *METERS, *METERS)), st.sampled_from((0, 7))), max_size=6
)
RHYTHMS = st.dictionaries(st.sampled_from((*VEHICLES, *METERS)), st.sampled_from((60, 300, 900)), max_size=4)


def _reality(
    vehicles: list[Reading], meters: list[Reading], assignments: list[tuple[str, int | None, str | None, int]], rhythms: dict[str, int]
) -> oracle.Reality:
    known = {(v, None if minute is None else us(DAY) + minute * 60 * US + off): meter for v, minute, meter, off in reversed(assignments)}
    return oracle.Reality(vehicles, meters, [(v, since, meter) for (v, since), meter in known.items()], rhythms)


def _stored(world: World, reality: oracle.Reality, chance: random.Random) -> None:
    """In any order and in batches, some readings twice."""
    for side, readings in ((VEHICLE, reality.vehicles), (METER, reality.meters)):
        some = readings + chance.sample(readings, len(readings) // 5)
        chance.shuffle(some)
        half = chance.randint(0, len(some))
        world.store(side, some[:half])
        world.store(side, some[half:])
    for vehicle_id, since, meter_id in reality.assignments:
        world.assign(vehicle_id, meter_id, None if since is None else datetime.fromtimestamp(0, UTC) + timedelta(microseconds=since))
    for device, rhythm_s in reality.rhythms.items():
        world.rhythm(rhythm_s, device)


def _told(session: Session) -> oracle.Told:
    e = session.summary.evidence

    def centi(pct: float | None) -> int | None:
        return None if pct is None else round(pct * 100)

    bounds = us(session.start), us(session.end)
    charge = centi(session.soc_from_pct), centi(session.soc_to_pct)
    return oracle.Told(session.vehicle_ids, session.meter_id, *bounds, e.ac.energy_milliwh, e.dc.energy_milliwh, *charge)


@pytest.mark.slow
def test_sessions_are_what_the_readings_say_one_by_one_whatever_their_order_and_wherever_the_window_is_cut(
    charging_conn: psycopg.Connection,
) -> None:
    world, now = World(charging_conn), DAY + timedelta(days=10)
    first, last = DAY - timedelta(days=3), DAY + timedelta(days=6)
    examples = int(os.environ.get("PROPERTY_EXAMPLES", "60"))

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        st.builds(_reality, _stretches(VEHICLES, 2), _stretches(METERS, 1), ASSIGNMENTS, RHYTHMS),
        st.one_of(st.integers(-2_900, 3_000), st.sampled_from((-1_440, 0, 15, 60))),
        st.integers(0, 1_000),
    )
    def holds(reality: oracle.Reality, edge_minute: int, seed: int) -> None:
        world.conn.rollback()
        _stored(world, reality, random.Random(seed))
        edge = DAY + timedelta(minutes=edge_minute)
        truth = sorted(oracle.sessions(reality), key=repr)
        for start, end in ((first, last), (first, edge), (edge, last)):
            due = [told for told in truth if us(start) < told.end_us <= us(end)]
            everyone = map(_told, sessions.of_everyone(world.conn, start, end, now))
            assert sorted(everyone, key=repr) == due
            some = map(_told, sessions.of_vehicles(world.conn, ["van-2"], start, end, now))
            assert sorted(some, key=repr) == [told for told in due if "van-2" in told.vehicle_ids]
            some = map(_told, sessions.of_meters(world.conn, ["depot-1"], start, end, now))
            assert sorted(some, key=repr) == [told for told in due if told.meter_id == "depot-1"]
        for meter in METERS:
            drawn = sum(r[2] for r in reality.meters if r[0] == meter)
            assert sum(told.ac_milliwh for told in truth if told.meter_id == meter) <= drawn

    try:
        holds()
    finally:
        world.conn.rollback()


def only(found: list[Session]) -> Session:
    assert len(found) == 1, bounds(found)
    return found[0]


def test_a_plain_charge_is_one_session_with_everything_known_about_it(world: World) -> None:
    world.idle(at(17), 60, soc=40)
    world.charge(at(18), 120, 11, 0.92, soc=(40, 80))
    world.idle(at(20), 60, soc=80)
    session = only(world.sessions())
    assert (session.vehicle_ids, session.meter_id, session.running) == ((VAN,), DEPOT, False)
    assert (session.start, session.end) == (at(18), at(20))
    assert (session.summary.ac_kwh, session.summary.dc_kwh, session.summary.loss_kwh) == (22, 20.24, 1.76)
    assert (session.summary.verdict, session.summary.ratio) == (Verdict.OK, 0.92)
    assert session.mean_kw == pytest.approx(11)
    assert session.peak_kw == pytest.approx(11)
    assert session.soc_from_pct == pytest.approx(40, abs=0.5)
    assert session.soc_to_pct == 80
    assert world.at_meter() == [session]


@pytest.mark.parametrize("every", [1, 5, 15])
@pytest.mark.parametrize("off_s", [0, 1, 130, 440])
def test_power_and_length_are_right_whatever_the_rhythm_and_where_it_lies_in_the_quarter(world: World, every: int, off_s: int) -> None:
    begin = at(18, 0, off_s)
    world.idle(begin - timedelta(hours=1), 60, every=every)
    world.charge(begin, 120, 2.3, 0.85, every=every)
    world.idle(begin + timedelta(hours=2), 60, every=every)
    world.rhythm(every * 60, VAN, DEPOT)
    session = only(world.sessions())
    assert (session.start, session.end) == (begin, begin + timedelta(hours=2))
    assert session.mean_kw == pytest.approx(2.3, rel=0.01)
    assert session.peak_kw == pytest.approx(2.3, rel=0.01)


def test_a_single_reading_has_energy_but_no_power(world: World) -> None:
    world.store(METER, flow(METER, DEPOT, at(18), 1, 360))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(18), 1, 300))
    session = only(world.sessions())
    assert (session.summary.ac_kwh, session.summary.dc_kwh) == (6, 5)
    assert (session.mean_kw, session.peak_kw) == (None, None)


def test_power_is_the_batterys_where_the_meter_gave_no_more_than_standby(world: World) -> None:
    world.store(METER, flow(METER, DEPOT, at(18), 120, 0.01))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(18), 120, 10, soc=(30, 60)))
    session = only(world.sessions())
    assert session.summary.verdict is Verdict.CHARGED_ELSEWHERE
    assert session.mean_kw == pytest.approx(10)


def test_a_counter_of_a_tenth_of_a_kwh_at_a_household_socket_is_one_session(world: World) -> None:
    world.store(METER, flow(METER, DEPOT, at(18), 600, 2.3, step_wh=100))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(18), 600, 1.9, step_wh=100))
    session = only(world.sessions())
    assert (session.summary.ac_kwh, session.summary.dc_kwh, session.summary.verdict) == (23, 19, Verdict.OK)


@pytest.mark.parametrize("step_wh", [0.001, 1, 10, 100])
def test_standby_all_night_is_no_session_whatever_the_counters_step(world: World, step_wh: float) -> None:
    world.store(METER, flow(METER, DEPOT, at(-12), 36 * 60, 0.010, step_wh=step_wh))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(-12), 36 * 60, 0))
    assert world.sessions() == []


def test_standby_between_two_charges_joins_nothing(world: World) -> None:
    world.charge(at(6), 60)
    world.idle(at(7), 120, watts=10)
    world.charge(at(9), 60)
    assert bounds(world.sessions()) == [(at(6), at(7)), (at(9), at(10))]


def test_a_silence_of_three_hours_in_a_charge_does_not_split_it(world: World) -> None:
    world.charge(at(6), 60, soc=(30, 40))
    world.charge(at(10), 60, soc=(60, 70))
    session = only(world.sessions())
    assert (session.start, session.end, session.summary.ac_kwh) == (at(6), at(11), 22)


def test_a_silence_after_which_the_battery_is_emptier_splits(world: World) -> None:
    world.charge(at(6), 60, soc=(30, 40))
    world.charge(at(10), 60, soc=(20, 30))
    assert bounds(world.sessions()) == [(at(6), at(7)), (at(10), at(11))]


@pytest.mark.parametrize(("hours", "count"), [(5.9, 1), (6.6, 2), (7, 2)])
def test_a_silence_of_more_than_six_hours_splits(world: World, hours: float, count: int) -> None:
    world.charge(at(6), 60)
    world.charge(at(7 + hours), 60)
    assert len(world.sessions()) == count


@pytest.mark.parametrize(("minutes", "count"), [(14, 1), (29, 1), (30, 2), (45, 2)])
def test_reported_zeros_split_from_half_an_hour_on(world: World, minutes: int, count: int) -> None:
    world.charge(at(6), 60)
    world.idle(at(7), minutes)
    world.charge(at(7, minutes), 60)
    found = world.sessions()
    assert len(found) == count
    assert sum(s.summary.evidence.ac.energy_milliwh for s in found) == 22_000_000


def test_a_trickle_after_full_belongs_to_the_charge_and_standby_after_it_does_not(world: World) -> None:
    world.charge(at(18), 120, soc=(60, 100))
    world.store(METER, flow(METER, DEPOT, at(20), 60, 0.4))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(20), 60, 0.2, soc=(100, 100)))
    world.idle(at(21), 300, watts=10, soc=100)
    session = only(world.sessions())
    assert (session.start, session.end, session.soc_to_pct) == (at(18), at(21), 100)
    assert session.summary.ac_kwh == 22.4


@pytest.mark.parametrize("off_min", [-5, 5])
def test_a_vehicle_whose_clock_is_five_minutes_off_has_one_session_that_is_ok(world: World, off_min: int) -> None:
    world.store(METER, flow(METER, DEPOT, at(17), 60, 0), flow(METER, DEPOT, at(18), 120, 11), flow(METER, DEPOT, at(20), 60, 0))
    off = timedelta(minutes=off_min)
    world.store(VEHICLE, flow(VEHICLE, VAN, at(17) + off, 60, 0), flow(VEHICLE, VAN, at(18) + off, 120, 10.12))
    session = only(world.sessions())
    assert (session.start, session.end) == (min(at(18), at(18) + off), max(at(20), at(20) + off))
    assert (session.summary.ac_kwh, session.summary.dc_kwh, session.summary.verdict) == (22, 20.24, Verdict.OK)


@pytest.mark.parametrize("every", [5, 15])
def test_slow_devices_give_one_session_before_and_after_their_rhythm_is_learned(world: World, every: int) -> None:
    world.idle(at(17), 60, every=every)
    world.charge(at(18), 180, every=every)
    # What a counter's step is, a slow device shows only where it has little to tell.
    world.charge(at(21), every, 0.1, every=every)
    world.idle(at(21, every), 60, every=every)
    assert only(world.sessions()).end == at(21, every)
    world.rhythm(every * 60, VAN, DEPOT)
    session = only(world.sessions())
    assert (session.start, session.end, session.summary.verdict) == (at(18), at(21, every), Verdict.OK)


def test_a_charge_across_midnight_is_one(world: World) -> None:
    world.charge(at(22), 240, 3.7, 0.88)
    session = only(world.sessions())
    assert (session.start, session.end, round(session.summary.ac_kwh, 6)) == (at(22), at(26), 14.8)


def test_a_charge_across_the_change_of_clocks_lasts_as_long_as_it_lasted(world: World) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    days(world.conn, date(2026, 3, 26), 6)
    world.conn.execute("SET LOCAL TimeZone = 'Europe/Berlin'")
    begin = datetime(2026, 3, 29, 0, 30, tzinfo=berlin).astimezone(UTC)
    world.charge(begin, 120)
    start, end = datetime(2026, 3, 29, tzinfo=berlin), datetime(2026, 3, 30, tzinfo=berlin)
    session = only(world.sessions(start, end))
    assert session.end.astimezone(berlin) == datetime(2026, 3, 29, 3, 30, tzinfo=berlin)
    assert (session.start, session.end - session.start, session.summary.ac_kwh) == (begin, timedelta(hours=2), 22)


def test_a_vehicle_assigned_to_another_meter_during_its_charge_has_a_session_at_each(world: World) -> None:
    world.assign(VAN, YARD, at(18, 40, 30))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(18), 90, 10))
    world.store(METER, flow(METER, DEPOT, at(18), 40, 11), flow(METER, YARD, at(18, 40), 50, 11))
    first, second = world.sessions()
    assert (first.meter_id, first.start, first.end) == (DEPOT, at(18), at(18, 40))
    assert (second.meter_id, second.start, second.end) == (YARD, at(18, 40, 30), at(19, 30))
    assert first.summary.evidence.dc.energy_milliwh + second.summary.evidence.dc.energy_milliwh == 15_000_000
    assert world.at_meter(DEPOT) == [first]
    assert world.at_meter(YARD) == [second]


def test_late_readings_join_two_sessions_into_one(world: World) -> None:
    world.charge(at(6), 60)
    world.idle(at(7), 5)
    world.charge(at(14, 10), 60)
    assert len(world.sessions()) == 2
    world.charge(at(10), 60)
    assert only(world.sessions()).summary.ac_kwh == 33


def test_a_late_reading_extends_its_session(world: World) -> None:
    world.charge(at(6), 60)
    before = only(world.sessions())
    world.charge(at(7), 15)
    after = only(world.sessions())
    assert (before.end, after.start, after.end) == (at(7), before.start, at(7, 15))


def test_a_vehicle_that_arrives_from_the_motorway_and_leaves_at_once_has_one_session(world: World) -> None:
    """State of charge falls within the quarters in which the charge begins and ends: nobody was away meanwhile."""
    world.store(METER, flow(METER, DEPOT, at(17), 70, 0), flow(METER, DEPOT, at(18, 10), 112, 11), flow(METER, DEPOT, at(20, 2), 30, 0))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(18), 10, 0, soc=(40, 35)), flow(VEHICLE, VAN, at(18, 10), 112, 10, soc=(35, 75)))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(20, 2), 13, 0, soc=(75, 69)))
    session = only(world.sessions())
    assert (session.start, session.end) == (at(18, 10), at(20, 2))
    assert session.soc_from_pct == pytest.approx(35, abs=0.5)
    assert session.soc_to_pct == 75


def test_a_vehicle_that_drove_for_twenty_minutes_between_two_charges_has_two_sessions(world: World) -> None:
    world.charge(at(18), 60, soc=(40, 60))
    world.idle(at(19), 2, soc=60)
    world.store(METER, flow(METER, DEPOT, at(19, 2), 20, 0))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(19, 2), 20, 0, soc=(60, 52)))
    world.charge(at(19, 22), 60, soc=(52, 72))
    assert bounds(world.sessions()) == [(at(18), at(19)), (at(19, 22), at(20, 22))]


@pytest.mark.parametrize("length_days", [2, 4])
def test_a_charge_of_days_at_a_weak_socket_is_one_wherever_it_is_cut(world: World, length_days: int) -> None:
    begin, end = at(-72, 3), at(-72, 3) + timedelta(days=length_days)
    world.charge(begin, length_days * 1440, 1.4, 0.78, every=5)
    world.rhythm(300, VAN, DEPOT)
    for edge in (end - timedelta(minutes=5), end - timedelta(hours=2), begin + timedelta(hours=1), end - timedelta(hours=30)):
        assert world.sessions(begin - timedelta(days=1), edge) == []
        assert bounds(world.sessions(edge, end)) == [(begin, end)]


def test_a_session_runs_until_nothing_has_charged_for_half_an_hour(world: World) -> None:
    world.charge(at(18), 60)

    def running(now: datetime) -> bool:
        return only(sessions.of_vehicles(world.conn, [VAN], DAY, now, now)).running

    assert running(at(19))
    assert running(at(19, 29))
    assert not running(at(19, 30))
    assert not running(at(24))


def test_a_charge_that_is_going_on_is_told_though_the_vehicles_clock_is_ahead(world: World) -> None:
    world.store(METER, flow(METER, DEPOT, at(18), 60, 11))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(18, 3), 60, 10))
    session = only(sessions.of_vehicles(world.conn, [VAN], DAY, at(19), at(19)))
    assert (session.end, session.running) == (at(19, 3), True)
    assert sessions.of_vehicles(world.conn, [VAN], at(19), at(19, 5), at(19)) == []
    assert only(sessions.of_vehicles(world.conn, [VAN], at(19), at(19, 5), at(19, 5))) == session


TESLA, TESLA_METER, LEAF = "VEH-TESLAS-20160626", "MTR-TESLAS-20160626", "VEH-LEAF-2022"


def replayed(conn: psycopg.Connection, side: Side, path: Path, until: datetime = DAY) -> list[Reading]:
    """A file's readings up to this instant are stored, those without energy left out, and given back."""
    readings: list[Reading] = []
    with path.open() as file:
        for row in csv.DictReader(file):
            energy = row["kwhDeliveredDc" if side is VEHICLE else "kwhConsumedAc"]
            if energy and datetime.fromisoformat(row["timestamp"]) <= until:
                names = ("soc", "batteryTemp") if side is VEHICLE else ("voltage",)
                measures = [round(float(row[name]) * 100) if row[name] else None for name in names]
                at_us = us(datetime.fromisoformat(row["timestamp"]))
                readings.append((row[f"{side.name}Id"], at_us, round(float(energy) * 1e6), *measures, None, None))  # type: ignore[arg-type]  # as many measures as the side has
    touched = {(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=r[1])).date() for r in readings}
    partitions.ensure(conn, sorted(touched), DAY)
    ingest.store(conn, side, readings, DAY)
    return readings


@shared_only
def test_the_tesla_charge_is_one_session_that_is_ok_at_94_3_percent_until_its_last_edge_comes_in(world: World) -> None:
    conn, folder = world.conn, SHARED / "tesla-model-s-2016"
    judged_at = datetime(2016, 6, 27, 0, 14, tzinfo=UTC)
    world.assign(TESLA, TESLA_METER)
    replayed(conn, VEHICLE, folder / "vehicle.csv", until=judged_at)
    replayed(conn, METER, folder / "meter.csv", until=judged_at)

    def told() -> Session:
        return only(sessions.of_vehicles(conn, [TESLA], judged_at - timedelta(days=7), judged_at + timedelta(days=1), DAY))

    assert told().summary.ratio == pytest.approx(0.9426, abs=0.0001)
    for side in SIDES:
        rollups.learn_rhythms(conn, side, DAY)
    session = told()
    assert (session.summary.verdict, round(session.summary.ratio or 0, 4)) == (Verdict.OK, 0.9426)
    assert (round(session.summary.ac_kwh, 3), session.summary.dc_kwh) == (10.608, 10)
    assert 68 <= (session.end - session.start) / timedelta(minutes=1) <= 71
    assert (session.soc_from_pct, session.soc_to_pct) == (57, 70)
    assert session.mean_kw == pytest.approx(9.3, abs=0.2)
    summary = performance.summaries(conn, judged_at - timedelta(days=1), judged_at, [TESLA])[TESLA]
    assert (summary.verdict, round(summary.ratio or 0, 3)) == (Verdict.OK, 0.943)
    replayed(conn, VEHICLE, folder / "vehicle.csv")
    assert (told().start, told().summary.dc_kwh, told().summary.verdict) == (session.start, 10.11, Verdict.OK)


@shared_only
@pytest.mark.parametrize("every", [1, 5])
def test_every_charge_of_the_leaf_was_elsewhere_while_its_meter_reports_zeros(world: World, every: int) -> None:
    conn, meter = world.conn, "home-1"
    world.assign(LEAF, meter)
    readings = replayed(conn, VEHICLE, SHARED / "nissan-leaf-2022" / "vehicle.csv")
    # The car was driven in June and in September.
    on = sorted({datetime.fromtimestamp(reading[1] / 1e6, UTC).replace(hour=0, minute=0, second=0, microsecond=0) for reading in readings})
    ingest.store(conn, METER, [zero for day in on for zero in flow(METER, meter, day, 1_439, 0, every=every)], DAY)
    for side in SIDES:
        rollups.learn_rhythms(conn, side, DAY)
    found = sessions.of_vehicles(conn, [LEAF], on[0], on[-1] + timedelta(days=1), DAY)
    assert len(found) > 10
    assert {session.summary.verdict for session in found} == {Verdict.CHARGED_ELSEWHERE}
    assert sum(session.summary.dc_kwh for session in found) == pytest.approx(75.28, abs=0.5)
    charged = 0
    for end in (day + timedelta(hours=hour) for day in on for hour in range(0, 24, 3)):
        summary = performance.summaries(conn, end - timedelta(days=1), end, [LEAF])[LEAF]
        charged += summary.verdict is Verdict.CHARGED_ELSEWHERE
        assert summary.verdict in (Verdict.CHARGED_ELSEWHERE, Verdict.NOT_CHARGING), (end, summary.reason)
    assert charged > 20


@pytest.fixture(scope="module")
def client(postgres_url: str, template_database: str) -> Iterator[FlaskClient]:
    """The API at 4 February, 12:00, after a van charged for an hour and a half on 3 February, and nobody at the depot."""
    with fresh_database(postgres_url, template_database, "sessions_api") as url:
        with psycopg.connect(url) as conn:
            days(conn, date(2026, 1, 30), 8)
            world = World(conn)
            world.assign(VAN, YARD)
            world.charge(at(18), 90, 11, 0.92, meter=YARD, soc=(40, 60))
            world.charge(at(8), 30, 11, 0.92, vehicle="nobodys", meter=DEPOT)
        with api(url) as found:
            yield found


def test_the_api_tells_a_vehicles_sessions_of_the_last_thirty_days(client: FlaskClient) -> None:
    got = client.get(f"/v1/vehicles/{VAN}/sessions")
    assert (got.status_code, got.content_type) == (200, "application/json")
    body = got.get_json()
    assert list(body) == ["vehicleId", "from", "to", "sessions"]
    assert (body["vehicleId"], body["from"], body["to"]) == (VAN, "2026-01-05T12:00:00Z", "2026-02-04T12:00:00Z")
    (session,) = body["sessions"]
    reason = session.pop("reason")
    assert reason.startswith("92.0 % against the expected 88.4 % to 94.2 %")
    assert session.pop("meanKw") == pytest.approx(11)
    assert session.pop("peakKw") == pytest.approx(11)
    assert session.pop("socFrom") == pytest.approx(40, abs=0.5)
    assert session.pop("uncertainty") == pytest.approx(0.0314, abs=0.0001)
    assert session == {
        "vehicleIds": [VAN],
        "meterId": YARD,
        "start": "2026-02-03T18:00:00Z",
        "end": "2026-02-03T19:30:00Z",
        "durationS": 5400,
        "running": False,
        "acKwh": 16.5,
        "dcKwh": 15.18,
        "efficiencyRatio": 0.92,
        "lossKwh": 1.32,
        "socTo": 60,
        "avgTemp": None,
        "expected": {"low": 0.8836, "high": 0.9418},
        "expectedFrom": {"source": "default", "observations": None, "error": None},
        "coverage": {"vehicle": 1, "meter": 1},
        "readings": {"vehicle": 90, "meter": 90},
        "verdict": "ok",
        "severity": None,
    }


def test_the_api_tells_a_meters_sessions_also_those_of_nobody(client: FlaskClient) -> None:
    body = client.get(f"/v1/meters/{DEPOT}/sessions").get_json()
    assert list(body) == ["meterId", "from", "to", "sessions"]
    (session,) = body["sessions"]
    assert (session["vehicleIds"], session["meterId"], session["acKwh"], session["verdict"]) == ([], DEPOT, 5.5, "unmapped")
    (session,) = client.get("/v1/vehicles/nobodys/sessions").get_json()["sessions"]
    assert (session["vehicleIds"], session["meterId"], session["acKwh"], session["verdict"]) == (["nobodys"], None, 0, "unmapped")


def test_the_csv_has_the_documented_columns_and_no_formula(client: FlaskClient) -> None:
    got = client.get(f"/v1/vehicles/{VAN}/sessions?format=csv")
    assert (got.status_code, got.content_type) == (200, "text/csv; charset=utf-8")
    assert got.headers["Content-Disposition"].startswith("attachment; filename=voltledger-sessions-van-7")
    header, row = csv.reader(io.StringIO(got.get_data(as_text=True)))
    assert header == list(SESSION_COLUMNS)
    named = dict(zip(header, row, strict=True))
    assert (named["vehicle_ids"], named["meter_id"]) == (VAN, YARD)
    assert (named["start_utc"], named["end_utc"], named["duration_s"]) == ("2026-02-03T18:00:00Z", "2026-02-03T19:30:00Z", "5400")
    assert (named["ac_kwh"], named["dc_kwh"], named["efficiency"], named["loss_kwh"]) == ("16.5", "15.18", "0.92", "1.32")
    assert (named["verdict"], named["severity"], named["expected_from"], named["avg_battery_temp_c"]) == ("ok", "", "default", "")
    nothing = client.get("/v1/meters/never-heard-of/sessions?format=csv").get_data(as_text=True)
    assert nothing.splitlines() == [",".join(SESSION_COLUMNS)]


def test_no_cell_is_a_formula_whatever_the_names(world: World) -> None:
    world.charge(at(18), 60)
    hostile = replace(only(world.sessions()), vehicle_ids=("=1+1", "van-7"), meter_id="@SUM(A1)")
    cells = next(csv.reader([csv_line(session_cells(hostile))]))
    assert cells[:2] == ["'=1+1 van-7", "'@SUM(A1)"]
    assert not any(cell[:1] in "=+-@\t\r" for cell in cells if cell)


@pytest.mark.parametrize("path", ["/v1/vehicles/never-heard-of", "/v1/meters/never-heard-of"])
def test_a_device_nobody_has_heard_of_has_no_sessions_as_it_has_no_history(client: FlaskClient, path: str) -> None:
    assert client.get(f"{path}/sessions").get_json()["sessions"] == []
    assert client.get(f"{path}/history").get_json()["points"] == []
    assert [client.get(f"{path}/{what}").status_code for what in ("sessions", "history")] == [200, 200]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("from=2026-02-03T19:29:59Z", 1),
        ("from=2026-02-03T19:30:00Z", 0),
        ("to=2026-02-03T19:30:00Z", 1),
        ("to=2026-02-03T19:29:59Z", 0),
        ("from=2026-02-03T20:00:00%2B01:00&to=2026-02-03T20:30:00%2B01:00", 1),
        ("from=2025-01-01T00:00:00Z&to=2026-02-05T00:00:00Z", 1),
    ],
)
def test_a_session_is_told_in_the_window_in_which_it_ended(client: FlaskClient, query: str, told: int) -> None:
    assert len(client.get(f"/v1/vehicles/{VAN}/sessions?{query}").get_json()["sessions"]) == told


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-02-04T00:00:00Z&to=2026-02-04T00:00:00Z",
        "from=2026-02-05T00:00:00Z&to=2026-02-04T00:00:00Z",
        "from=2024-12-31T23:59:59Z&to=2026-02-05T00:00:00Z",
        "from=2026-02-03T00:00:00",
        "from=yesterday",
        "to=1999-12-31T00:00:00Z",
        "to=9999-12-31T00:00:00Z",
        "format=xml",
    ],
)
@pytest.mark.parametrize("device", ["vehicles/van-7", "meters/depot-1"])
def test_a_window_that_is_none_is_refused(client: FlaskClient, device: str, query: str) -> None:
    got = client.get(f"/v1/{device}/sessions?{query}")
    assert (got.status_code, got.content_type) == (422, "application/problem+json")


def test_an_id_that_is_none_is_refused(client: FlaskClient) -> None:
    assert client.get("/v1/vehicles/%3D1/sessions").status_code == 422
    assert client.get("/v1/meters/a%20b/sessions").status_code == 422
