"""Rollups are made again from history while readings come in: nothing is lost, nothing counted twice, nobody waits for long."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from db import ingest, mending, partitions, rollups
from db.ingest import Reading
from db.sides import METER, SIDES, VEHICLE, Side
from tests.keeping_support import MIDNIGHT as START
from tests.keeping_support import reading, writing

BEFORE, AFTER = START - timedelta(hours=1), START + timedelta(hours=2)


def fill(conn: Any, devices: int = 5, minutes: int = 70) -> None:
    for side in SIDES:
        ingest.store(conn, side, [reading(side, f"dev-{d}", m) for d in range(devices) for m in range(-20, minutes)], START)
    conn.commit()


@pytest.fixture
def db(database_url: str) -> Iterator[Any]:
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        partitions.ensure(conn, [date(2026, 2, 3), date(2026, 2, 4)], START)
        conn.commit()
        yield conn


def rows(conn: Any, side: Side) -> list[Any]:
    found = conn.execute(f"SELECT * FROM {side.rollup} ORDER BY 1, 2").fetchall()
    conn.rollback()
    return list(found)


TAMPERING = {
    "changed": "UPDATE {r} SET readings = readings + 1, {e} = 0 WHERE bucket < '2026-02-04 00:30+00'",
    "removed": "DELETE FROM {r} WHERE {k} <> 'dev-1'",
    "emptied": "TRUNCATE {r}",
    "invented": "INSERT INTO {r} SELECT 'ghost', bucket, readings, charging_readings, {e}, smallest_milliwh, first_at, last_at, charging_first_at, "
    "charging_last_at, {m} FROM {r} WHERE {k} = 'dev-2'",
    "one minimum": "UPDATE {r} SET smallest_milliwh = NULL WHERE {k} = 'dev-3' AND bucket = '2026-02-03 23:45+00'",
}


@pytest.mark.parametrize("tampering", TAMPERING)
def test_a_rebuild_repairs_whatever_somebody_did_to_the_rows(db: Any, tampering: str) -> None:
    fill(db)
    for side in SIDES:
        right = rows(db, side)
        measures = ", ".join(ingest.rollup_columns(side).split(", ")[10:])
        db.execute(TAMPERING[tampering].format(r=side.rollup, e=side.energy, k=side.key, m=measures))
        db.commit()
        assert rollups.mismatches(db, side, BEFORE, AFTER) > 0
        mended = mending.rebuild(db, side, BEFORE, AFTER, lambda: START)
        assert mended > 0
        assert rows(db, side) == right
        assert rollups.mismatches(db, side, BEFORE, AFTER) == 0


def test_a_rebuild_writes_nothing_where_nothing_differs_and_says_how_far_it_is(db: Any) -> None:
    fill(db)
    written = "SELECT max(xmin::text::bigint) FROM vehicle_rollup"
    before = db.execute(written).fetchone()
    told: list[tuple[datetime, int]] = []
    assert mending.rebuild(db, VEHICLE, BEFORE, AFTER, lambda: START, lambda until, n: told.append((until, n))) == 0
    assert db.execute(written).fetchone() == before
    assert told == [(BEFORE + timedelta(hours=n), 0) for n in (1, 2, 3)]


def test_a_rebuild_lets_pictures_read_the_devices_concerned_anew_and_no_others(db: Any) -> None:
    fill(db)
    db.execute("DELETE FROM meter_rollup WHERE meter_id = 'dev-4'")
    db.commit()
    at = START + timedelta(days=3)
    assert mending.rebuild(db, METER, BEFORE, AFTER, lambda: at) == 7
    assert db.execute("SELECT meter_id FROM live_meter WHERE late_at = %s", (at,)).fetchall() == [("dev-4",)]


def test_mending_in_many_steps_is_mending(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mending, "MOST_AT_ONCE", 3)
    fill(db)
    right = rows(db, VEHICLE)
    db.execute("UPDATE vehicle_rollup SET dc_milliwh = 1")
    db.commit()
    assert mending.rebuild(db, VEHICLE, BEFORE, AFTER, lambda: START) == len(right)
    assert rows(db, VEHICLE) == right


def test_writers_and_a_rebuild_of_the_same_quarters_lose_and_double_nothing(
    db: Any, database_url: str, record_property: Callable[[str, object], None]
) -> None:
    ends, rounds, mended = time.monotonic() + 4, 0, 0
    with psycopg.connect(database_url, autocommit=True) as vandal, writing(database_url, 3) as waits:
        while time.monotonic() < ends:
            vandal.execute("UPDATE vehicle_rollup SET readings = 0, dc_milliwh = 7 WHERE vehicle_id = %s", (f"dev-{rounds % 40}",))
            vandal.execute("DELETE FROM meter_rollup WHERE meter_id = %s", (f"dev-{(rounds + 3) % 40}",))
            mended += sum(mending.rebuild(db, side, BEFORE, AFTER, lambda: START) for side in SIDES)
            rounds += 1
    assert [rollups.mismatches(db, side, BEFORE, AFTER) for side in SIDES] == [0, 0]
    assert min(len(waits), mended) > 10
    record_property("longest_commit_s", round(max(waits), 3))


def test_without_vandals_a_rebuild_under_load_finds_nothing_to_mend(db: Any, database_url: str) -> None:
    with writing(database_url) as waits:
        found = [mending.rebuild(db, side, BEFORE, AFTER, lambda: START) for _ in range(20) for side in SIDES]
    assert set(found) == {0}
    assert waits


def test_a_writer_that_waits_for_a_mended_row_adds_to_what_was_mended(db: Any, database_url: str) -> None:
    """Also where the mended row goes because history has nothing for it, and where there was none."""
    fill(db, devices=2)
    db.execute("UPDATE vehicle_rollup SET readings = 99 WHERE vehicle_id = 'dev-0'")
    db.execute("DELETE FROM vehicle_rollup WHERE vehicle_id = 'dev-1'")
    db.execute(
        "INSERT INTO vehicle_rollup SELECT 'ghost', bucket, 5, 5, 5, 5, first_at, last_at, NULL, NULL, 0, 0, NULL, NULL, 0, 0, NULL, NULL"
        " FROM vehicle_rollup WHERE vehicle_id = 'dev-0'"
    )
    db.commit()
    rollups.rebuild(db, VEHICLE, BEFORE, AFTER)  # not committed: its rows are locked
    late: list[Reading] = [
        (device, reading(VEHICLE, device, m * 5 + 1)[1] + 1, 700, None, None, None, None)
        for device in ("dev-0", "dev-1", "ghost")
        for m in range(8)
    ]

    def write() -> None:
        with psycopg.connect(database_url) as other:
            ingest.store(other, VEHICLE, late, START)

    with ThreadPoolExecutor(1) as threads:
        writer = threads.submit(write)
        with pytest.raises(TimeoutError):
            writer.result(0.5)
        db.commit()
        writer.result(10)
    assert rollups.mismatches(db, VEHICLE, BEFORE, AFTER) == 0


def test_mending_gives_way_where_a_lock_is_not_to_be_had_and_comes_again(
    db: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mending, "_LOCK_TIMEOUT_MS", 50)
    fill(db, devices=1)
    db.execute("UPDATE vehicle_rollup SET readings = 99")
    db.commit()
    with psycopg.connect(database_url) as other:
        other.execute("SELECT 1 FROM vehicle_rollup FOR UPDATE")
        release = threading.Timer(0.4, other.rollback)
        release.start()
        assert mending.rebuild(db, VEHICLE, BEFORE, AFTER, lambda: START) > 0
        release.join()
    assert rollups.mismatches(db, VEHICLE, BEFORE, AFTER) == 0


def test_rhythms_and_readings_lock_live_rows_in_one_order(db: Any, database_url: str) -> None:
    ends, learned = time.monotonic() + 2, 0
    with writing(database_url), psycopg.connect(database_url) as other:
        while time.monotonic() < ends:
            learned += rollups.learn_rhythms(db, VEHICLE, START)
            db.commit()
            # The order in which devices are due is not the order of their ids.
            other.execute("SELECT vehicle_id FROM live_vehicle ORDER BY vehicle_id FOR UPDATE")
            other.execute("UPDATE live_vehicle SET rhythm_learned_at = '2005-01-01 00:00+00'::timestamptz - interval '20 years' * random()")
            other.commit()
    assert learned > 40
