"""No reading lost or counted twice, in whatever order and however often it comes."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from db import ingest, partitions, rollups
from db.ingest import Outcome, Reading
from db.queries import performance
from db.schema import migrate
from db.sides import METER, SIDES, VEHICLE

START = datetime(2026, 2, 4, tzinfo=UTC)
US = 1_000_000


def _us(at: datetime) -> int:
    return int(at.timestamp()) * US


def charge(vehicle_id: str, meter_id: str, minutes: int = 90) -> tuple[list[Reading], list[Reading]]:
    """A charge at 11 kW from 10 to midnight on, with readings on the minute."""
    first = _us(START - timedelta(minutes=10))
    vehicles: list[Reading] = [
        (vehicle_id, first + n * 60 * US, 168_000, 2000 + n, None if n % 7 == 0 else 1800, None, None) for n in range(minutes)
    ]
    meters: list[Reading] = [(meter_id, first + n * 60 * US, 183_333, 23_000, None, None) for n in range(minutes)]
    return vehicles, meters


def state(conn: Any) -> list[Any]:
    """Everything that must not depend on the order of arrival."""
    tables = [f"SELECT * FROM {side.rollup} ORDER BY 1, 2" for side in SIDES]
    tables += [f"SELECT {side.key}, recorded_at, {side.energy} FROM {side.history} ORDER BY 1, 2" for side in SIDES]
    tables += [f"SELECT {side.key}, recorded_at, {side.energy} FROM {side.live} ORDER BY 1" for side in SIDES]
    return [conn.execute(table).fetchall() for table in tables]


@pytest.fixture
def db(conn: Any) -> Any:
    conn.execute("SET TimeZone = 'UTC'")
    partitions.ensure(conn, [date(2026, 2, 3), date(2026, 2, 4)], START)
    return conn


def _clear(conn: Any) -> None:
    for side in SIDES:
        conn.execute(f"TRUNCATE {side.history}, {side.live}, {side.rollup}")


def test_p4_any_order_and_any_repetition_gives_the_same_state(db: Any) -> None:
    vehicles, meters = charge("van-7", "depot-1")
    ingest.store(db, VEHICLE, vehicles, START)
    ingest.store(db, METER, meters, START)
    in_order = state(db)
    for seed in range(8):
        _clear(db)
        chance = random.Random(seed)
        for side, readings in ((METER, meters), (VEHICLE, vehicles)):
            mixed = readings + chance.sample(readings, 40)
            chance.shuffle(mixed)
            accepted = 0
            while mixed:
                size = chance.randint(1, 25)
                accepted += ingest.store(db, side, mixed[:size], START).count(Outcome.ACCEPTED)
                mixed = mixed[size:]
            assert accepted == len(readings)
        assert state(db) == in_order


def test_i5_live_is_the_newest_reading_of_history(db: Any) -> None:
    vehicles, _ = charge("van-7", "depot-1")
    random.Random(3).shuffle(vehicles)
    for reading in vehicles:
        ingest.store(db, VEHICLE, [reading], START)
    newest = db.execute(
        "SELECT vehicle_id, recorded_at, dc_milliwh, soc_centi_pct FROM vehicle_history ORDER BY recorded_at DESC LIMIT 1"
    ).fetchone()
    assert db.execute("SELECT vehicle_id, recorded_at, dc_milliwh, soc_centi_pct FROM live_vehicle").fetchone() == newest


def test_rollups_equal_history_and_can_be_made_again(db: Any) -> None:
    for side, readings in zip(SIDES, charge("van-7", "depot-1"), strict=True):
        ingest.store(db, side, readings, START)
        window = (START - timedelta(hours=1), START + timedelta(hours=3))
        assert rollups.mismatches(db, side, *window) == 0
        before = state(db)
        db.execute(f"UPDATE {side.rollup} SET readings = readings + 1")
        assert rollups.mismatches(db, side, *window) > 0
        rollups.rebuild(db, side, *window)
        assert state(db) == before


def test_the_fleets_number_is_the_vehicles_own_at_every_cut_of_the_window(db: Any) -> None:
    for n in range(3):
        for side, readings in zip(SIDES, charge(f"van-{n}", f"depot-{n}"), strict=True):
            ingest.store(db, side, readings, START)
        db.execute("INSERT INTO fleet_mapping VALUES (%s, %s)", (f"van-{n}", f"depot-{n}"))
    for minutes in (-3, 0, 1, 7, 15, 44, 80, 200):
        end = START + timedelta(minutes=minutes)
        fleet = performance.summaries(db, end - timedelta(minutes=47), end)
        for vehicle_id, summary in fleet.items():
            assert performance.summaries(db, end - timedelta(minutes=47), end, [vehicle_id]) == {vehicle_id: summary}
        truth = db.execute(
            "SELECT coalesce(sum(dc_milliwh), 0), count(*) FROM vehicle_history WHERE vehicle_id = 'van-1' AND recorded_at > %s AND recorded_at <= %s",
            (end - timedelta(minutes=47), end),
        ).fetchone()
        assert (fleet["van-1"].evidence.dc.energy_milliwh, fleet["van-1"].vehicle_readings) == truth


def test_reassigning_never_rewrites_the_past_and_cuts_inside_a_quarter(db: Any) -> None:
    vehicles, meters = charge("van-7", "depot-1")
    ingest.store(db, VEHICLE, vehicles, START)
    ingest.store(db, METER, meters, START)
    db.execute("INSERT INTO fleet_mapping VALUES ('van-7', 'depot-1')")
    change = START + timedelta(minutes=20)
    past = performance.summaries(db, START - timedelta(hours=1), change, ["van-7"])["van-7"]
    db.execute("INSERT INTO assignment VALUES ('van-7', %s, 'depot-2')", (change,))
    assert performance.summaries(db, START - timedelta(hours=1), change, ["van-7"])["van-7"] == past
    later = performance.summaries(db, START - timedelta(hours=1), START + timedelta(hours=3), ["van-7"])["van-7"]
    assert later.meter_ids == ("depot-1", "depot-2")
    assert later.ac_kwh == past.ac_kwh
    assert later.evidence.dc.energy_milliwh == 90 * 168_000


def test_two_vehicles_on_one_meter_are_judged_together(db: Any) -> None:
    for vehicle_id in ("van-7", "van-8"):
        vehicles, meters = charge(vehicle_id, "depot-1")
        ingest.store(db, VEHICLE, [(r[0], r[1], r[2] // 2, *r[3:]) for r in vehicles], START)
        ingest.store(db, METER, meters, START)
        db.execute("INSERT INTO fleet_mapping VALUES (%s, 'depot-1')", (vehicle_id,))
    one = performance.summaries(db, START - timedelta(hours=1), START + timedelta(hours=3), ["van-7"])["van-7"]
    assert (one.verdict, round(one.ratio or 0, 4)) == ("shared_meter", round(168_000 / 183_333, 4))


def test_the_rhythm_is_learned_from_the_spacing(db: Any) -> None:
    readings: list[Reading] = [("leaf-1", _us(START) + n * 300 * US, 0, None, None, None, None) for n in range(20)]
    ingest.store(db, VEHICLE, readings, START)
    assert rollups.learn_rhythms(db, VEHICLE, START) == 1
    assert db.execute("SELECT rhythm_s FROM live_vehicle").fetchone() == (300,)


def test_fleet_mapping_takes_plain_sql_as_the_reference_does(db: Any) -> None:
    db.execute("""INSERT INTO fleet_mapping("vehicleId","meterId") VALUES ('V1','M1')""")
    assert db.execute("SELECT isfinite(valid_from) FROM assignment").fetchone() == (False,)
    db.execute("""UPDATE fleet_mapping SET "meterId" = 'M2' WHERE "vehicleId" = 'V1'""")
    assert db.execute("SELECT * FROM fleet_mapping").fetchall() == [("V1", "M2")]
    db.execute("""DELETE FROM fleet_mapping WHERE "vehicleId" = 'V1'""")
    assert db.execute("SELECT * FROM fleet_mapping").fetchall() == []
    with pytest.raises(psycopg.errors.CheckViolation):
        db.execute("INSERT INTO fleet_mapping VALUES ('<img>', 'M1')")


def test_the_schema_refuses_nonsense(db: Any) -> None:
    for column, value in (
        ("dc_milliwh", "-1"),
        ("dc_milliwh", "50000001"),
        ("soc_centi_pct", "10001"),
        ("recorded_at", "'1999-12-31 23:59+00'"),
    ):
        values = {"vehicle_id": "'x'", "recorded_at": "'2026-02-04 01:00+00'", "received_at": "now()", "dc_milliwh": "1", column: value}
        with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
            db.execute(f"INSERT INTO vehicle_history ({', '.join(values)}) VALUES ({', '.join(values.values())})")


def test_an_empty_and_an_up_to_date_database_both_come_up(empty_database_url: str) -> None:
    migrate(empty_database_url)
    migrate(empty_database_url)
    with psycopg.connect(empty_database_url) as conn:
        assert conn.execute("SELECT count(*) FROM vehicle_readings").fetchone() == (0,)


def test_a_day_made_twice_at_once_is_made_once(database_url: str) -> None:
    with psycopg.connect(database_url) as one, psycopg.connect(database_url) as other:
        partitions.ensure(one, [date(2020, 1, 1)], START)
        one.commit()
        partitions.ensure(other, [date(2020, 1, 1)], START)
        assert partitions.days_ahead(other, datetime(2019, 12, 31, tzinfo=UTC)) == 1
