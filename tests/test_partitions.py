"""Days of history come and go while readings come in: nobody waits, nobody can make ten thousand, only a person drops one."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from api.committer import Committer, NotStored
from db import cli, ingest, partitions, retention, rollups, verify
from db.engine import pool
from db.ingest import Outcome, Reading
from db.partitions import DayClosed, TooManyOldDays
from db.sides import METER, SIDES, VEHICLE, Side
from tests.keeping_support import MIDNIGHT, reading, writing

MINUTES_A_DAY = 1440
TODAY = date(2026, 2, 4)
LONGEST_WAIT_S = 1.0


@pytest.fixture
def db(database_url: str) -> Iterator[Any]:
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        partitions.ensure(conn, [TODAY - timedelta(days=1), TODAY], MIDNIGHT)
        conn.commit()
        yield conn


@pytest.fixture
def reader(database_url: str, db: Any) -> Iterator[Any]:
    """A transaction that has read everything and does not end."""
    with psycopg.connect(database_url) as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for parent in partitions.PARENTS:
            conn.execute(f"SELECT count(*) FROM {parent}")
        yield conn
        conn.rollback()


def committer(url: str, now: Callable[[], datetime] = lambda: MIDNIGHT, old_days: int = 400) -> Committer:
    return Committer(pool(url, 2, "write", 5), 2, 20_000, 5_000, old_days, now)


def days_later(*numbers: int) -> list[date]:
    return [TODAY + timedelta(days=n) for n in numbers]


def test_p6_making_days_takes_no_lock_that_an_insert_or_a_reader_minds(db: Any, reader: Any, database_url: str) -> None:
    partitions.ensure(db, days_later(30, 31), MIDNIGHT)  # not committed: every lock is still held
    locks = db.execute(
        "SELECT relation::regclass::text, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = ANY(%s::regclass[])",
        (list(partitions.PARENTS),),
    ).fetchall()
    harmless = {"AccessShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock"}
    assert {table for table, _ in locks} == set(partitions.PARENTS)
    assert {mode for _, mode in locks} <= harmless
    with psycopg.connect(database_url, options="-c lock_timeout=500") as other:
        for side in SIDES:
            ingest.store(other, side, [reading(side, "dev-1", 1)], MIDNIGHT)
            other.execute(f"SELECT count(*) FROM {side.history}")


def test_p6_days_made_behind_an_open_reader_do_not_make_inserts_wait(db: Any, reader: Any, database_url: str) -> None:
    with writing(database_url) as waits:
        for n in range(12):
            partitions.ensure(db, days_later(30 + n), MIDNIGHT)
            db.commit()
    assert max(waits) < LONGEST_WAIT_S
    assert set(days_later(*range(30, 42))) <= partitions.existing(db)


def test_a_lock_that_is_not_to_be_had_is_asked_for_again_and_then_given_up(
    db: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "_LOCK_TIMEOUT_MS", 100)
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE meter_rollup IN SHARE UPDATE EXCLUSIVE MODE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            partitions.ensure(db, days_later(40), MIDNIGHT)
        db.rollback()
        release = threading.Timer(0.15, other.rollback)
        release.start()
        partitions.ensure(db, days_later(40), MIDNIGHT)
        db.commit()
        release.join()
    assert days_later(40)[0] in partitions.existing(db)


def test_processes_that_make_the_same_days_at_once_make_them_once(db: Any, database_url: str) -> None:
    def make(n: int) -> None:
        with psycopg.connect(database_url) as conn:
            partitions.ensure(conn, days_later(*range(50 + n % 2, 56)), MIDNIGHT)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(make, range(6)))
    assert set(days_later(*range(50, 56))) <= partitions.existing(db)
    assert list(verify.differences(db, MIDNIGHT, MIDNIGHT)) == []


def test_a_crash_in_the_middle_of_making_days_leaves_nothing_behind(db: Any, database_url: str) -> None:
    with psycopg.connect(database_url) as dying, psycopg.connect(database_url, autocommit=True) as killer:
        partitions.ensure(dying, days_later(60, 61), MIDNIGHT)
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", (dying.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            dying.commit()
    assert db.execute("SELECT to_regclass('vehicle_history_20260405')").fetchone() == (None,)
    partitions.ensure(db, days_later(60, 61), MIDNIGHT)
    assert set(days_later(60, 61)) <= partitions.existing(db)


def test_a_table_that_was_made_but_never_attached_is_attached(db: Any) -> None:
    db.execute("CREATE TABLE meter_history_20260405 (LIKE meter_history INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    partitions.ensure(db, days_later(60), MIDNIGHT)
    ingest.store(db, METER, [reading(METER, "dev-1", 60 * MINUTES_A_DAY + 5)], MIDNIGHT)
    assert db.execute("SELECT count(*) FROM meter_history_20260405").fetchone() == (1,)


def test_many_days_are_made_in_steps(db: Any) -> None:
    wanted = days_later(*range(-60, -20))
    assert partitions.ensure(db, wanted, MIDNIGHT, 400) == 40 - partitions.DAYS_AT_ONCE
    db.commit()
    assert partitions.ensure(db, wanted, MIDNIGHT, 400) == 0
    assert set(wanted) <= partitions.existing(db)


def test_nobody_makes_ten_thousand_days_not_through_many_processes_and_not_with_patience(
    db: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "MOST_OLD_DAYS", 12)

    def flood(process: int, now: datetime) -> None:
        with closing(committer(database_url, lambda: now, old_days=5)) as one:
            for n in range(8):
                with suppress(NotStored):
                    one.submit([reading(VEHICLE, "dev-1", -(100 + process * 10 + n) * MINUTES_A_DAY + 5)], [], 10)

    opened = []
    for hour in range(4):
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(flood, range(3), [MIDNIGHT + timedelta(hours=2 * hour)] * 3))
        opened.append(db.execute("SELECT count(*) FROM history_day WHERE was_old").fetchone()[0])
        db.commit()
    assert opened == [5, 10, 12, 12]


def test_p6_a_day_whose_table_somebody_took_away_is_made_again_on_demand(db: Any, database_url: str) -> None:
    partitions.ensure_ahead(db, MIDNIGHT)
    db.commit()
    with closing(committer(database_url)) as one:
        assert one.submit([reading(VEHICLE, "dev-1", 1)], [], 10) == [Outcome.ACCEPTED]  # which days there are is now known
        db.execute("DROP TABLE vehicle_history_20260205")
        db.commit()
        tomorrow = [reading(VEHICLE, "dev-1", MINUTES_A_DAY + 5)]
        assert one.submit(tomorrow, [], 10) == [Outcome.ACCEPTED]
        assert one.submit(tomorrow, [], 10) == [Outcome.DUPLICATE]
    assert db.execute("SELECT count(*) FROM vehicle_history_20260205").fetchone() == (1,)


def test_p7_midnight_under_load_with_a_reader_open(db: Any, reader: Any, database_url: str) -> None:
    """A clock that runs a minute a step; nobody has made the new day ahead."""
    clock = [MIDNIGHT - timedelta(minutes=20)]
    waits: list[float] = []

    def device(n: int) -> int:
        accepted = 0
        for step in range(40):
            clock[0] = max(clock[0], MIDNIGHT + timedelta(minutes=step - 20))
            began = time.monotonic()
            outcomes = one.submit([reading(VEHICLE, f"van-{n}", step - 20)], [reading(METER, f"depot-{n}", step - 20 + (n - 3) / 4)], 10)
            waits.append(time.monotonic() - began)
            accepted += outcomes.count(Outcome.ACCEPTED)
        return accepted

    with closing(committer(database_url, lambda: clock[0])) as one, ThreadPoolExecutor(6) as threads:
        db.execute("DELETE FROM history_day WHERE day = %s", (TODAY,))
        for parent in partitions.PARENTS:
            reader.rollback()
            db.execute(f"DROP TABLE {partitions.table_of(parent, TODAY)}")
        db.commit()
        for parent in partitions.PARENTS:
            reader.execute(f"SELECT count(*) FROM {parent}")
        assert sum(threads.map(device, range(6))) == 2 * 6 * 40
    assert max(waits) < LONGEST_WAIT_S * 3
    assert db.execute("SELECT count(*) FROM vehicle_history_20260203").fetchone() == (6 * 20,)
    assert db.execute("SELECT count(*) FROM vehicle_history_20260204").fetchone() == (6 * 20,)
    last = "SELECT readings, last_at FROM vehicle_rollup_20260203 WHERE vehicle_id = 'van-1' AND bucket = '2026-02-03 23:45+00'"
    assert db.execute(last).fetchone() == (15, MIDNIGHT)
    assert list(verify.differences(db, MIDNIGHT - timedelta(hours=1), MIDNIGHT + timedelta(hours=1))) == []


def old_days(conn: Any, *numbers: int) -> None:
    """Days with a reading on each quarter edge of their midnight, at noon, and of one device that lives on."""
    partitions.ensure(conn, days_later(*numbers), MIDNIGHT)
    for side in SIDES:
        ingest.store(conn, side, [reading(side, "dev-1", n * MINUTES_A_DAY + m) for n in numbers for m in (0.5, 15, 720, 1439)], MIDNIGHT)
    conn.commit()


NOW = MIDNIGHT + timedelta(days=30)


def dropped(url: str, before: date, with_rollups: bool = False) -> int:
    with psycopg.connect(url, autocommit=True) as person:
        return retention.drop(person, before, NOW, with_rollups)


def test_p8_dropping_keeps_the_sums_of_the_days_whose_readings_went(db: Any, database_url: str) -> None:
    old_days(db, 0, 1, 2)
    before = db.execute("SELECT * FROM vehicle_rollup ORDER BY 1, 2").fetchall()
    assert dropped(database_url, TODAY + timedelta(days=2)) == 6  # yesterday, today, tomorrow of both sides
    assert db.execute("SELECT count(*), min(recorded_at) >= '2026-02-06 00:00+00' FROM vehicle_history").fetchone() == (4, True)
    assert db.execute("SELECT * FROM vehicle_rollup ORDER BY 1, 2").fetchall() == before
    assert dropped(database_url, TODAY + timedelta(days=2)) == 0


def test_with_rollups_everything_goes_but_the_quarter_that_the_first_kept_midnight_ends(db: Any, database_url: str) -> None:
    old_days(db, 0, 1, 2)
    assert dropped(database_url, TODAY + timedelta(days=2), with_rollups=True) == 6 + 4
    assert db.execute("SELECT min(bucket) FROM vehicle_rollup").fetchone() == (datetime(2026, 2, 5, tzinfo=UTC),)
    midnight = [reading(VEHICLE, "dev-1", 2 * MINUTES_A_DAY)]
    partitions.ensure(db, partitions.days_of([midnight[0][1]]), NOW)
    assert ingest.store(db, VEHICLE, midnight, NOW) == [Outcome.ACCEPTED]
    assert db.execute("SELECT readings FROM vehicle_rollup WHERE bucket = '2026-02-05 23:45+00'").fetchone() == (2,)


def test_a_dropped_day_and_those_before_it_are_closed_to_late_readings(db: Any, database_url: str) -> None:
    old_days(db, 0, 1, 2)
    dropped(database_url, TODAY + timedelta(days=1))
    assert partitions.begins(db) == TODAY + timedelta(days=1)
    for day in days_later(0, -1, -400):
        with pytest.raises(DayClosed, match="2026-02-05"):
            partitions.ensure(db, [day], NOW)
    with pytest.raises(DayClosed):
        partitions.ensure(db, days_later(-1, 0, 1), NOW)
    assert partitions.ensure(db, days_later(0, 1), NOW) == 0  # what the first kept midnight touches


def test_p8_a_late_reading_for_a_dropped_day_is_refused_and_counted_nowhere(db: Any, database_url: str) -> None:
    old_days(db, 0, 1)
    sums = "SELECT * FROM vehicle_rollup ORDER BY 1, 2"
    with closing(committer(database_url, lambda: NOW)) as one:
        late: list[Reading] = [reading(VEHICLE, "dev-1", 100)]
        assert one.submit(late, [], 10) == [Outcome.ACCEPTED]  # the committer knows the day
        before = db.execute(sums).fetchall()
        db.commit()
        dropped(database_url, TODAY + timedelta(days=1))
        for again in (late, [reading(VEHICLE, "dev-1", 200)]):
            assert one.submit(again, [], 10) == [Outcome.CLOSED]
        kept = [reading(VEHICLE, "dev-1", MINUTES_A_DAY + 100)]
        assert one.submit(kept, [], 10) == [Outcome.ACCEPTED]
    assert db.execute(f"SELECT * FROM ({sums}) r WHERE bucket < '2026-02-05 00:00+00'").fetchall() == [
        row for row in before if row[1] < MIDNIGHT + timedelta(days=1)
    ]


def test_a_late_reading_for_a_dropped_day_is_told_so_and_its_neighbours_are_stored(db: Any, database_url: str) -> None:
    old_days(db, 0, 1)
    dropped(database_url, TODAY + timedelta(days=1))
    with closing(committer(database_url, lambda: NOW)) as one:
        late, kept = reading(VEHICLE, "dev-1", 200), ("dev-1", partitions.midnight_us(NOW.date()), 1, None, None, None, None)
        assert one.submit([late, kept], [], 10) == [Outcome.CLOSED, Outcome.ACCEPTED]


def test_p8_a_drop_waits_for_readers_and_nobody_waits_for_the_drop(db: Any, database_url: str) -> None:
    old_days(db, 0, 1, 2)
    with ThreadPoolExecutor(1) as threads, psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM vehicle_history")

        def live(side: Side, writer: int, n: int) -> list[Reading]:
            return [reading(side, "dev-1", 2 * MINUTES_A_DAY + 20 + n / 60)]

        with writing(database_url, 1, live) as waits:
            dropping = threads.submit(dropped, database_url, TODAY + timedelta(days=2))
            with pytest.raises(TimeoutError):
                dropping.result(1.0)
            with psycopg.connect(database_url, options="-c lock_timeout=900") as other:
                other.execute("SELECT count(*) FROM vehicle_history")
                partitions.ensure(other, days_later(9), MIDNIGHT)
            reader.rollback()
            assert dropping.result(20) == 6
    assert max(waits) < LONGEST_WAIT_S
    assert rollups.mismatches(db, VEHICLE, MIDNIGHT, NOW) == 0


def test_p8_an_interrupted_drop_is_finished_by_the_next(db: Any, database_url: str) -> None:
    old_days(db, 0, 1)
    with ThreadPoolExecutor(1) as threads, psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM vehicle_history")
        dropping = threads.submit(dropped, database_url, TODAY + timedelta(days=1))
        ends = time.monotonic() + 30
        while not db.execute("SELECT count(*) FROM pg_inherits WHERE inhdetachpending").fetchone()[0] and time.monotonic() < ends:
            db.commit()
            time.sleep(0.02)
        db.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%%DETACH%%CONCURRENTLY%%' AND pid <> pg_backend_pid()"
        )
        db.commit()
        with pytest.raises(psycopg.errors.QueryCanceled):
            dropping.result(10)
        reader.rollback()
    assert "is half detached: drop the days again" in [d.what for d in verify.differences(db, None, None)]
    assert dropped(database_url, TODAY + timedelta(days=1)) == 4
    assert [d.what for d in verify.differences(db, None, None)] == []


def test_the_last_week_and_the_future_are_never_dropped(db: Any) -> None:
    today = NOW.date()
    for before in (today - timedelta(days=6), today, today + timedelta(days=1)):
        with pytest.raises(retention.TooRecent, match=str(today - timedelta(days=retention.KEPT_DAYS))):
            retention.droppable(db, before, NOW)
    assert [day.day for day in retention.droppable(db, today - timedelta(days=7), NOW)] == days_later(-1, 0)


def test_the_commands_list_days_say_what_would_go_and_drop_only_when_told(
    db: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_days(db, -400, -399)
    db.execute("ANALYZE")
    db.commit()
    monkeypatch.setenv("DATABASE_URL", database_url)
    listed = CliRunner().invoke(cli.main, ["days"]).output.splitlines()
    assert [line.split()[:2] for line in listed[1:3]] == [["2024-12-31", "8"], ["2025-01-01", "8"]]
    assert listed[-1].startswith("4 days, 16 readings")
    command = ["drop-days", "--before", "2025-01-01"]
    assert "1 days, 2024-12-31 to 2024-12-31: about 8 readings" in CliRunner().invoke(cli.main, command).output
    assert db.execute("SELECT count(*) FROM vehicle_history").fetchone() == (8,)
    db.commit()
    said = CliRunner().invoke(cli.main, [*command, "--yes"])
    assert (said.exit_code, "2 tables dropped" in said.output) == (0, True)
    assert db.execute("SELECT count(*) FROM vehicle_history").fetchone() == (4,)
    assert "readings dropped" in CliRunner().invoke(cli.main, ["days"]).output
    db.commit()
    refused = CliRunner().invoke(cli.main, ["drop-days", "--before", "2199-01-01", "--yes"])
    assert (refused.exit_code, "is too late" in refused.output) == (1, True)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_p9_days_and_quarters_are_utc_whatever_the_server_thinks(db: Any, database_url: str, zone: str) -> None:
    db.execute(f"ALTER DATABASE {db.info.dbname} SET TimeZone = '{zone}'")
    db.commit()
    summer_time_begins = date(2026, 3, 29)
    with psycopg.connect(database_url) as foreign:
        assert foreign.execute("SHOW TimeZone").fetchone() == (zone,)
        partitions.ensure(foreign, [summer_time_begins + timedelta(days=n) for n in (-1, 0)], MIDNIGHT)
        first = (summer_time_begins - TODAY).days * MINUTES_A_DAY
        for side in SIDES:
            ingest.store(foreign, side, [reading(side, "dev-1", first + m) for m in (-1, 0, 1, 15, 60, 120, 1439)], MIDNIGHT)
        for table, count in (("vehicle_history_20260328", 1), ("vehicle_history_20260329", 6), ("vehicle_rollup_20260328", 1)):
            assert foreign.execute(f"SELECT count(*) FROM {table}").fetchone() == (count,)
        assert foreign.execute("SELECT readings FROM vehicle_rollup_20260328").fetchone() == (2,)
        midnight = datetime(2026, 3, 29, tzinfo=UTC)
        assert list(verify.differences(foreign, midnight - timedelta(days=1), midnight + timedelta(days=1))) == []
        foreign.rollback()


def test_old_days_are_counted_before_any_is_made(db: Any) -> None:
    with pytest.raises(TooManyOldDays, match="3 an hour"):
        partitions.ensure(db, days_later(-50, -51, -52, -53), MIDNIGHT, 3)
    assert partitions.existing(db) == set(days_later(-1, 0))
