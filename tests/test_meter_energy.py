"""What a charger gave bin by bin: every reading of the meter once, and each part named for who received it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg
import pytest

from db.queries import chargers, devices, meter_energy
from db.queries.chargers import Place, Rating
from db.queries.meter_energy import MeterEnergy
from db.sides import METER, VEHICLE
from tests.session_support import DAY, DEPOT, TRUCK, VAN, World, at, charging_conn, flow

__all__ = ["charging_conn"]
KWH = 1_000_000


@pytest.fixture
def world(charging_conn: psycopg.Connection) -> Iterator[World]:
    """Undone afterwards."""
    yield World(charging_conn)
    charging_conn.rollback()


def bins(world: World, start: datetime = DAY, end: datetime = DAY + timedelta(days=1)) -> dict[int, MeterEnergy]:
    """By hour of the day."""
    found = meter_energy.bins(world.conn, DEPOT, start, end, 3600)
    return {round((begin - DAY) / timedelta(hours=1)): one for begin, one in found}


def test_received_energy_stands_beside_what_was_given(world: World) -> None:
    world.assign(VAN, DEPOT)
    world.charge(at(2), 60, 11.0, 0.92)
    assert bins(world) == {2: MeterEnergy(ac=11 * KWH, dc=round(10.12 * KWH))}


def test_what_flowed_while_nobody_was_assigned_is_nobodys(world: World) -> None:
    """The van leaves in the middle of an hour; the meter goes on."""
    world.assign(VAN, DEPOT)
    world.assign(VAN, None, at(2, 30))
    world.charge(at(2), 60, 12.0, 0.9)
    hour = bins(world)[2]
    assert (hour.ac, hour.ac_nobody, hour.ac_received) == (12 * KWH, 6 * KWH, 6 * KWH)
    assert hour.dc == pytest.approx(5.4 * KWH, abs=50)


def test_a_vehicle_that_reports_nothing_arriving_is_told_from_one_that_is_silent(world: World) -> None:
    world.assign(VAN, DEPOT)
    world.store(METER, flow(METER, DEPOT, at(2), 60, 6.0), flow(METER, DEPOT, at(4), 60, 6.0))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(2), 60, 0.0))
    found = bins(world)
    assert found[2] == MeterEnergy(ac=6 * KWH, ac_not_received=6 * KWH)
    assert found[4] == MeterEnergy(ac=6 * KWH, ac_unknown=6 * KWH)


def test_a_shared_meter_counts_once_and_its_vehicles_together(world: World) -> None:
    world.assign(VAN, DEPOT)
    world.assign(TRUCK, DEPOT)
    world.store(METER, flow(METER, DEPOT, at(2), 60, 20.0))
    for vehicle in (VAN, TRUCK):
        world.store(VEHICLE, flow(VEHICLE, vehicle, at(2), 60, 9.0))
    assert bins(world) == {2: MeterEnergy(ac=20 * KWH, dc=18 * KWH)}


def test_the_window_cuts_to_the_reading_and_the_bins_add_up(world: World) -> None:
    """02:20 to 03:10 of a charge from 02:00 to 04:00, the meter re-assigned in between."""
    world.assign(VAN, DEPOT)
    world.assign(VAN, None, at(3, 5))
    world.charge(at(2), 120, 12.0, 0.9)
    found = meter_energy.bins(world.conn, DEPOT, at(2, 20), at(3, 10), 3600)
    assert [one.ac for _, one in found] == [8 * KWH, 2 * KWH]
    whole = meter_energy.total(found)
    assert (whole.ac, whole.ac_nobody, whole.ac_received) == (10 * KWH, KWH, 9 * KWH)


def test_a_meter_nobody_heard_of_gave_nothing(world: World) -> None:
    assert bins(world) == {}


def test_many_stretches_are_read_in_several_statements(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers."""
    world.assign(VAN, DEPOT)
    for hour in range(2, 8):
        world.assign(VAN, None if hour % 2 else DEPOT, at(hour))
    world.charge(at(1), 420, 12.0, 0.9)
    at_once = bins(world)
    monkeypatch.setattr("db.queries.spans.QUARTERS_AT_ONCE", 8)
    assert bins(world) == at_once
    assert {hour: one.ac_nobody for hour, one in at_once.items()} == {n: 12 * KWH if n in (3, 5, 7) else 0 for n in range(1, 8)}


def test_the_class_is_what_is_described_else_what_was_learned(world: World) -> None:
    world.conn.execute("INSERT INTO learned_charger VALUES (%s, 10900, %s), ('yard-2', 21500, %s)", (DEPOT, DAY, DAY))
    devices.describe_meter(world.conn, "yard-2", None, 11.0, None, None, None)
    world.assign(VAN, DEPOT)
    known = chargers.known(world.conn)
    assert [one.meter_id for one in known] == [DEPOT, "yard-2"]
    assert chargers.ratings(world.conn, known) == {DEPOT: Rating(None, 10.9), "yard-2": Rating(11.0, 21.5)}
    depot, yard = (chargers.rating(world.conn, one) for one in known)
    assert (depot.kind, depot.source, yard.kind, yard.source) == ("11 kW", "learned", "11 kW", "described")
    assert (Rating().kind, Rating().source) == (None, None)


def test_a_position_says_where_it_comes_from(world: World) -> None:
    """The meter's own comes before its description, which comes before its site."""
    devices.describe_site(world.conn, "ber", "Berlin", 52.5, 13.4, "Europe/Berlin")
    devices.describe_meter(world.conn, DEPOT, None, None, "ber", None, None)
    assert chargers.place(world.conn, DEPOT) == Place("site", None)
    devices.describe_meter(world.conn, DEPOT, None, None, "ber", 52.1, 13.1)
    assert chargers.place(world.conn, DEPOT) == Place("description", None)
    when = round(at(2).timestamp()) * 1_000_000
    world.store(METER, [(DEPOT, when, 5, 23_000, 520_000_000, 130_000_000)])
    assert chargers.place(world.conn, DEPOT) == Place("reading", at(2))
    assert chargers.place(world.conn, "nobody") is None


def test_the_newest_readings_and_who_is_there_now(world: World) -> None:
    world.assign(VAN, DEPOT)
    world.assign(TRUCK, DEPOT, at(5))
    world.store(METER, flow(METER, DEPOT, at(2), 70, 6.0))
    newest = chargers.newest_readings(world.conn, DEPOT)
    assert (len(newest), newest[0].recorded_at, newest[0].kwh_consumed_ac, newest[0].voltage_v) == (50, at(3, 10), 0.1, 230.0)
    assert chargers.occupants(world.conn, at(4)) == {DEPOT: [VAN]}
    assert chargers.occupants(world.conn, at(6)) == {DEPOT: [TRUCK, VAN]}
