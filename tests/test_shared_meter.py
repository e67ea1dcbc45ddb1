"""Vehicles on one meter are judged together and nobody is blamed; its energy is counted once, and others' only while they were there."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise, product

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from charging.evidence import CHARGING_FLOOR_MILLIWH, MOVED_FLOOR_MILLIWH
from charging.verdict import Summary, Verdict
from db.ingest import Reading
from db.queries import performance, sessions
from db.sides import METER, VEHICLE
from tests.session_support import DAY, DEPOT, TRUCK, VAN, YARD, World, at, charging_conn, flow, us

__all__ = ["charging_conn"]

NOW = DAY + timedelta(days=10)
WINDOW = DAY - timedelta(days=1), DAY + timedelta(days=2)


@pytest.fixture
def world(charging_conn: psycopg.Connection) -> Iterator[World]:
    charging_conn.rollback()
    yield World(charging_conn)
    charging_conn.rollback()


def both_on_the_depot(world: World) -> None:
    world.assign(VAN, DEPOT)
    world.assign(TRUCK, DEPOT)


def test_vehicles_on_one_meter_have_one_session_in_each_ones_list_and_the_meters(world: World) -> None:
    both_on_the_depot(world)
    world.store(METER, flow(METER, DEPOT, at(18), 120, 11))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(18), 60, 10, soc=(20, 60)), flow(VEHICLE, VAN, at(19), 60, 0, soc=(60, 60)))
    world.store(VEHICLE, flow(VEHICLE, TRUCK, at(18), 60, 0, soc=(50, 50)), flow(VEHICLE, TRUCK, at(19), 60, 10, soc=(50, 90)))
    (session,) = world.sessions(vehicle=VAN)
    assert session.vehicle_ids == (TRUCK, VAN)
    assert (session.start, session.end, session.summary.ac_kwh, session.summary.dc_kwh) == (at(18), at(20), 22, 20)
    assert (session.summary.verdict, session.soc_from_pct, session.soc_to_pct) == (Verdict.SHARED_METER, None, None)
    assert session.summary.ratio == pytest.approx(20 / 22)
    assert world.sessions(vehicle=TRUCK) == world.at_meter() == [session]
    assert list(sessions.of_everyone(world.conn, *WINDOW, NOW)) == [session]


def test_two_batteries_are_not_taken_for_one_that_was_emptied_where_the_meter_is_silent(world: World) -> None:
    """The truck at 80 % charges first, then the van at 20 %, and the meter says nothing."""
    both_on_the_depot(world)
    world.store(VEHICLE, flow(VEHICLE, TRUCK, at(18), 45, 10, soc=(80, 95)), flow(VEHICLE, VAN, at(19), 60, 10, soc=(20, 60)))
    (session,) = world.sessions(vehicle=VAN)
    assert (session.start, session.end, session.soc_from_pct, session.soc_to_pct) == (at(18), at(20), None, None)


def test_a_session_is_split_where_somebody_joins_the_meter(world: World) -> None:
    world.assign(VAN, DEPOT)
    world.assign(TRUCK, DEPOT, at(19))
    world.store(METER, flow(METER, DEPOT, at(18), 120, 11))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(18), 120, 10), flow(VEHICLE, TRUCK, at(18), 120, 0))
    alone, together = world.sessions(vehicle=VAN)
    assert (alone.vehicle_ids, alone.end, alone.summary.ac_kwh) == ((VAN,), at(19), 11)
    assert (together.vehicle_ids, together.start, together.summary.ac_kwh) == ((TRUCK, VAN), at(19), 11)
    assert world.sessions(vehicle=TRUCK) == [together]


def test_energy_of_a_meter_without_a_vehicle_is_nobodys_session(world: World) -> None:
    world.assign(VAN, DEPOT, at(20))
    world.store(METER, flow(METER, DEPOT, at(17), 60, 11))
    (session,) = world.at_meter()
    assert (session.vehicle_ids, session.meter_id, session.summary.verdict) == ((), DEPOT, Verdict.UNMAPPED)
    assert (session.summary.ac_kwh, session.summary.loss_kwh) == (11, None)
    assert "nobody knows what became of 11.00 kWh" in session.summary.reason
    assert world.sessions(vehicle=VAN) == []
    assert list(sessions.of_everyone(world.conn, *WINDOW, NOW)) == [session]


def test_a_vehicle_without_a_meter_has_unmapped_sessions(world: World) -> None:
    world.assign(VAN, DEPOT)
    world.assign(VAN, None, at(12))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(18), 60, 10, soc=(30, 50)), flow(VEHICLE, TRUCK, at(18), 60, 10))
    (session,) = world.sessions(vehicle=VAN)
    assert (session.vehicle_ids, session.meter_id, session.summary.verdict) == ((VAN,), None, Verdict.UNMAPPED)
    assert session.mean_kw == pytest.approx(10)
    everyone = list(sessions.of_everyone(world.conn, *WINDOW, NOW))
    assert sorted(one.vehicle_ids for one in everyone) == [(TRUCK,), (VAN,)]


def test_a_meters_energy_is_in_sessions_or_outside_them_and_never_twice(world: World) -> None:
    world.assign(VAN, DEPOT)
    world.assign(TRUCK, YARD)
    world.assign(TRUCK, DEPOT, at(19))
    for meter in (DEPOT, YARD):
        world.store(METER, flow(METER, meter, at(6), 720, 0.01), flow(METER, meter, at(18), 240, 11), flow(METER, meter, at(22), 60, 0.01))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(18), 240, 10), flow(VEHICLE, TRUCK, at(18), 240, 9))
    found = list(sessions.of_everyone(world.conn, *WINDOW, NOW))
    assert sorted((one.meter_id, one.vehicle_ids) for one in found) == [
        (DEPOT, (TRUCK, VAN)),
        (DEPOT, (VAN,)),
        (YARD, ()),
        (YARD, (TRUCK,)),
    ]
    assert sum(one.summary.evidence.ac.energy_milliwh for one in found) == 2 * 44_000_000
    assert sum(one.summary.evidence.dc.energy_milliwh for one in found) == 76_000_000


def test_who_left_at_noon_does_not_bring_the_afternoon_into_the_groups_figure(world: World) -> None:
    world.assign(VAN, DEPOT)
    world.assign(TRUCK, DEPOT)
    world.assign(TRUCK, YARD, at(12))
    world.store(METER, flow(METER, DEPOT, at(8), 600, 11), flow(METER, YARD, at(12), 360, 11))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(8), 600, 6), flow(VEHICLE, TRUCK, at(8), 240, 4), flow(VEHICLE, TRUCK, at(12), 360, 10))
    found = performance.summaries(world.conn, at(0), at(24))
    assert found[VAN].ratio == pytest.approx((60 + 16) / 110)
    assert found[TRUCK].ratio == pytest.approx((76 + 24) / 110)
    assert [found[one].verdict for one in (VAN, TRUCK)] == [Verdict.SHARED_METER] * 2
    by_hour = dict(performance.bins(world.conn, TRUCK, at(0), at(24)))
    assert (by_hour[at(11)].verdict, by_hour[at(12)].verdict) == (Verdict.SHARED_METER, Verdict.OK)
    assert by_hour[at(11)].ratio == pytest.approx(10 / 11)
    assert by_hour[at(12)].ratio == pytest.approx(10 / 11)
    assert {one.verdict for hour, one in performance.bins(world.conn, VAN, at(0), at(24)) if hour >= at(12)} == {Verdict.LOW}


VEHICLES, METERS = ("van-1", "van-2", "van-3"), ("depot-1", "depot-2")


@dataclass(frozen=True)
class Site:
    """Constant flows (device, first minute, minutes, milliwh a reading) and changes (vehicle, minute, meter) over six hours."""

    flows: list[tuple[str, int, int, int]]
    changes: list[tuple[str, int, str | None]]

    def meter_of(self, vehicle: str, minute: float) -> str | None:
        """At this minute; a change holds after its own instant."""
        known = [(since, meter) for who, since, meter in self.changes if who == vehicle and since < minute]
        return max(known)[1] if known else None

    def readings(self, device: str) -> list[tuple[int, int]]:
        """(minute, milliwh) of a device, the first of two at one minute."""
        found: dict[int, int] = {}
        for who, first, minutes, milliwh in self.flows:
            for minute in range(first, first + minutes):
                if who == device:
                    found.setdefault(minute, milliwh)
        return list(found.items())

    def ac(self, vehicle: str, since: int, until: int) -> int:
        """What its meters gave while it was on them."""
        return sum(e for m in METERS for t, e in self.readings(m) if since < t <= until and self.meter_of(vehicle, t) == m)

    def dc(self, vehicle: str, since: int, until: int, beside: str | None = None) -> int:
        """What it took while it was on a meter, or on the same as another."""
        own = [(t, e, self.meter_of(vehicle, t)) for t, e in self.readings(vehicle) if since < t <= until]
        return sum(e for t, e, meter in own if meter and (beside is None or meter == self.meter_of(beside, t)))

    def elsewhere(self, vehicle: str, since: int, until: int, beside: str | None = None) -> int:
        """What it charged, on a meter, in quarters of which that meter reported that nothing flowed."""
        beside = beside or vehicle
        found = 0
        for quarter, meter in product(range(since // 15, until // 15 + 1), METERS):
            inside = range(max(since, quarter * 15) + 1, min(until, quarter * 15 + 15) + 1)
            there = [t for t in inside if meter == self.meter_of(vehicle, t) == self.meter_of(beside, t)]
            ac, dc = ([e for t, e in self.readings(who) if t in there] for who in (meter, vehicle))
            if ac and max(ac) <= CHARGING_FLOOR_MILLIWH < max(dc, default=0):
                found += sum(dc)
        return found

    def mates(self, vehicle: str, since: int, until: int) -> list[str]:
        """Who was on the same meter at any time of the window: between two changes nothing differs."""
        moments = sorted({since, until, *(minute for _, minute, _ in self.changes if since < minute < until)})
        middles = [(a + b) / 2 for a, b in pairwise(moments)]
        return [
            other
            for other in VEHICLES
            if other != vehicle and any((m := self.meter_of(vehicle, t)) and m == self.meter_of(other, t) for t in middles)
        ]


SITES = st.builds(
    Site,
    st.lists(
        st.tuples(
            st.sampled_from((*VEHICLES, *METERS, *METERS)),
            st.integers(1, 300),
            st.integers(1, 120),
            st.sampled_from((0, 2_500, 60_000, 150_000, 183_333)),
        ),
        max_size=10,
    ),
    st.lists(
        st.tuples(
            st.sampled_from(VEHICLES),
            st.one_of(st.just(-600), st.integers(-10, 380), st.sampled_from((60, 75, 120, 180))),
            st.sampled_from((None, *METERS, *METERS)),
        ),
        max_size=7,
        unique_by=lambda change: change[:2],
    ),
)


def _stored(world: World, site: Site) -> None:
    def made(device: str, measures: tuple[int | None, ...]) -> list[Reading]:
        return [(device, us(at(0, minute)), e, *measures, None, None) for minute, e in site.readings(device)]  # type: ignore[misc]  # as many measures as the side has

    world.store(VEHICLE, *(made(vehicle, (None, None)) for vehicle in VEHICLES))
    world.store(METER, *(made(meter, (23_000,)) for meter in METERS))
    for vehicle, minute, meter in site.changes:
        world.assign(vehicle, meter, at(0, minute))


def _holds(site: Site, vehicle: str, since: int, until: int, summary: Summary, group: tuple[str, ...]) -> None:
    mates = site.mates(vehicle, since, until)
    assert group == ((vehicle, *mates) if mates else ())
    assert summary.evidence.ac.energy_milliwh == site.ac(vehicle, since, until)
    dc = site.dc(vehicle, since, until)
    assert summary.evidence.dc.energy_milliwh == dc
    if summary.ratio is not None:
        whole = dc + sum(site.dc(mate, since, until, beside=vehicle) for mate in mates)
        elsewhere = sum(site.elsewhere(member, since, until, beside=vehicle) for member in (vehicle, *mates))
        here = whole - elsewhere if elsewhere > MOVED_FLOOR_MILLIWH and elsewhere * 10 > whole else whole
        assert summary.ratio == here / site.ac(vehicle, since, until)
    if mates:
        assert summary.verdict not in (Verdict.OK, Verdict.LOW, Verdict.SUSPECT_MEASUREMENT, Verdict.CONDITIONING)
    else:
        assert summary.verdict is not Verdict.SHARED_METER


@pytest.mark.slow
def test_a_groups_figures_are_those_of_a_naive_sum_in_summaries_and_in_bins(charging_conn: psycopg.Connection) -> None:
    world = World(charging_conn)

    @settings(
        max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "60")), deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(SITES, st.integers(-10, 200), st.integers(15, 400))
    @example(Site([("van-1", 1, 17, 60_000), ("depot-2", 1, 1, 60_000), ("depot-2", 2, 15, 0)], [("van-1", -600, "depot-2")]), 0, 17)
    def holds(site: Site, since: int, length: int) -> None:
        world.conn.rollback()
        _stored(world, site)
        until = since + length
        window = at(0, since), at(0, until)
        for vehicle, summary in performance.summaries(world.conn, *window).items():
            # A vehicle that was on no meter at all is told with all it took.
            if summary.meter_ids:
                _holds(site, vehicle, since, until, summary, summary.evidence.group)
        for vehicle in VEHICLES:
            for beginning, summary in performance.bins(world.conn, vehicle, *window):
                begin = (beginning - DAY) // timedelta(minutes=1)
                if summary.meter_ids:
                    _holds(site, vehicle, max(since, begin), min(until, begin + 60), summary, summary.evidence.group)

    try:
        holds()
    finally:
        world.conn.rollback()
