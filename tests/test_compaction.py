"""A day that is over is made small once, loses nothing, holds up nobody, and an interrupted compaction leaves nothing behind."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from dashboard import housekeeping
from db import cli, compaction, ingest, partitions, retention, verify
from db.engine import pool
from db.ingest import Outcome, Reading
from db.sides import SIDES, VEHICLE, Side
from tests.keeping_support import MIDNIGHT, reading, writing

DAY = date(2026, 2, 4)
NOW = MIDNIGHT + timedelta(days=1, hours=7)
AFTER = timedelta(hours=6)
DEVICES = 10
LONGEST_WAIT_S = 1.0


@pytest.fixture
def db(database_url: str) -> Iterator[Any]:
    """A day that is over, with readings of both sides, between two empty ones."""
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        partitions.ensure(conn, [DAY + timedelta(days=n) for n in (-1, 0, 1)], MIDNIGHT)
        for side in SIDES:
            ingest.store(conn, side, [reading(side, f"dev-{d}", minute) for d in range(DEVICES) for minute in range(1, 1440, 10)], MIDNIGHT)
        conn.commit()
        yield conn


@pytest.fixture
def keeper(database_url: str) -> Iterator[Any]:
    """The connection that compacts."""
    with psycopg.connect(database_url, autocommit=True, options="-c TimeZone=UTC") as conn:
        yield conn


def unfinished(db: Any) -> list[str]:
    rows = db.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid OR indexrelid::regclass::text ~ '_cc(new|old)'")
    names = [row[0] for row in rows]
    db.commit()
    return names


def compacting(threads: ThreadPoolExecutor, url: str) -> "Future[None]":
    def run() -> None:
        with psycopg.connect(url, autocommit=True) as conn:
            compaction.compact(conn, DAY, NOW)

    return threads.submit(run)


def compacted_days(db: Any) -> list[date]:
    days = [day.day for day in retention.days(db) if day.compacted_at]
    db.commit()
    return days


@contextmanager
def housekeeping_at(url: str, now: Callable[[], datetime], compact_after_hours: float) -> Iterator[None]:
    admin = pool(url, 1, "admin", 60)
    stop = housekeeping.start(admin, now, compact_after_hours)
    try:
        yield
    finally:
        stop.set()
        admin.close(5)


def wait_until_it_waits(db: Any) -> int:
    """The process id of the rebuild once it waits for an older transaction."""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        row = db.execute("SELECT pid FROM pg_stat_activity WHERE query LIKE 'REINDEX%%' AND wait_event = 'virtualxid'").fetchone()
        db.commit()
        if row:
            return int(row[0])
        time.sleep(0.02)
    raise AssertionError("nothing waits")


def test_the_key_of_a_day_reported_in_turn_shrinks_by_a_quarter_at_least_and_stays_the_key(db: Any, keeper: Any) -> None:
    for minute in range(2, 1440, 3):
        ingest.store(db, VEHICLE, [reading(VEHICLE, f"new-{d}", minute) for d in range(100)], MIDNIGHT)
    db.commit()
    size = "SELECT pg_relation_size('vehicle_history_20260204_pkey')"
    before = keeper.execute(size).fetchone()[0]
    compaction.compact(keeper, DAY, NOW)
    assert keeper.execute(size).fetchone()[0] < before * 3 / 4
    assert unfinished(db) == []
    assert ingest.store(db, VEHICLE, [reading(VEHICLE, "dev-1", 11)], NOW) == [Outcome.DUPLICATE]
    attached = "SELECT count(*) FROM pg_inherits WHERE inhparent IN ('vehicle_history_pkey'::regclass, 'meter_rollup_pkey'::regclass)"
    assert db.execute(attached).fetchone() == (6,)


def test_readings_that_come_in_meanwhile_are_all_there_and_none_waits(db: Any, keeper: Any, database_url: str) -> None:
    """Late ones of the very day that is compacted, and those of today."""

    def late_and_new(side: Side, writer: int, n: int) -> list[Reading]:
        return [reading(side, f"late-{writer}", minute + n / 60_000) for minute in (200, 900, 1500)]

    with writing(database_url, 2, late_and_new) as waits:
        for _ in range(3):
            compaction.compact(keeper, DAY, NOW)
    stored = db.execute("SELECT count(*) FROM vehicle_history WHERE vehicle_id LIKE 'late-%'").fetchone()
    assert stored == (3 * len(waits),)
    assert max(waits) < LONGEST_WAIT_S
    assert list(verify.differences(db, MIDNIGHT, NOW)) == []


def test_a_reader_that_does_not_end_is_waited_for_and_nobody_waits_for_that(db: Any, database_url: str) -> None:
    with ThreadPoolExecutor(1) as threads, psycopg.connect(database_url) as reader, writing(database_url) as waits:
        reader.execute("SELECT count(*) FROM vehicle_history")
        running = compacting(threads, database_url)
        wait_until_it_waits(db)
        with psycopg.connect(database_url, options="-c lock_timeout=500") as other:
            late = [reading(VEHICLE, "late-1", 600)]
            assert ingest.store(other, VEHICLE, late, NOW) == [Outcome.ACCEPTED]
            other.execute("SELECT count(*) FROM vehicle_history")
            partitions.ensure(other, [DAY + timedelta(days=9)], MIDNIGHT)
        reader.rollback()
        running.result(20)
    assert max(waits) < LONGEST_WAIT_S


def test_a_compaction_gives_up_in_time_and_the_next_removes_what_it_left(
    db: Any, keeper: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM vehicle_history")
        monkeypatch.setitem(compaction._SETTINGS, "lock_timeout", "200ms")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            compaction.compact(keeper, DAY, NOW)
    assert unfinished(db) != []
    assert keeper.execute("SHOW lock_timeout").fetchone() == ("0",)
    assert compaction.compact_due(keeper, NOW, AFTER) == [DAY - timedelta(days=1), DAY]
    assert unfinished(db) == []


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
def test_what_an_interrupted_rebuild_left_is_removed_by_the_next(db: Any, keeper: Any, database_url: str, end: str) -> None:
    with ThreadPoolExecutor(1) as threads, psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM vehicle_history")
        running = compacting(threads, database_url)
        keeper.execute(f"SELECT {end}(%s)", (wait_until_it_waits(db),))
        with pytest.raises((psycopg.errors.QueryCanceled, psycopg.OperationalError)):
            running.result(20)
    assert len(unfinished(db)) == 1
    late = [reading(VEHICLE, "late-1", 600)]
    assert ingest.store(db, VEHICLE, late, NOW) == [Outcome.ACCEPTED]
    db.commit()
    compaction.compact(keeper, DAY, NOW)
    assert unfinished(db) == []
    assert ingest.store(db, VEHICLE, late, NOW) == [Outcome.DUPLICATE]


def test_a_day_is_compacted_once_and_only_when_it_has_been_over_for_long_enough(db: Any, database_url: str) -> None:
    tomorrow = MIDNIGHT + timedelta(days=1)
    with psycopg.connect(database_url) as conn:
        assert housekeeping.compact(conn, tomorrow, AFTER) == [DAY - timedelta(days=1)]
        assert housekeeping.compact(conn, tomorrow + timedelta(hours=5, minutes=59), AFTER) == []
        assert housekeeping.compact(conn, tomorrow + AFTER, AFTER) == [DAY]
        assert housekeeping.compact(conn, tomorrow + AFTER, AFTER) == []
        assert not conn.autocommit
    with psycopg.connect(database_url) as other:
        marked = [day.day for day in retention.days(other) if day.compacted_at == tomorrow + AFTER]
        assert marked == [DAY]


def test_a_day_of_the_past_that_opened_just_now_waits_like_a_day_that_just_ended(db: Any) -> None:
    partitions.ensure(db, [date(2025, 1, 1)], NOW)
    assert date(2025, 1, 1) not in compaction.due(db, NOW + timedelta(hours=5), AFTER)
    assert date(2025, 1, 1) in compaction.due(db, NOW + AFTER, AFTER)


def test_dropped_days_are_left_alone(db: Any) -> None:
    db.execute("UPDATE history_day SET dropped_at = %s WHERE day < %s", (NOW, DAY))
    assert compaction.due(db, NOW, AFTER) == [DAY]


def test_one_process_at_a_time(db: Any, keeper: Any, database_url: str) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (compaction._COMPACTION_LOCK,))
        with pytest.raises(compaction.Busy):
            compaction.compact(keeper, DAY, NOW)
        with psycopg.connect(database_url) as second:
            assert housekeeping.compact(second, NOW, AFTER) == []
        other.execute("SELECT pg_advisory_unlock(%s)", (compaction._COMPACTION_LOCK,))
    assert compaction.compact_due(keeper, NOW, AFTER) == [DAY - timedelta(days=1), DAY]


def test_a_day_that_still_takes_its_readings_is_refused(keeper: Any) -> None:
    with pytest.raises(compaction.NotOver):
        compaction.compact(keeper, NOW.date(), NOW)


def test_the_commands_compact_what_is_due_or_one_day_again_and_days_says_so(
    db: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)

    def say(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(cli.main, list(arguments))
        return result.exit_code, result.output

    monkeypatch.setattr("db.cli_keeping._now", lambda: NOW)
    assert say("compact", "--before", "2026-02-04")[1].endswith("1 days compacted\n")
    code, said = say("compact")
    assert (code, "1 days compacted" in said, "vehicle_history_20260204: " in said) == (0, True, True)
    assert say("compact") == (0, "0 days compacted\n")
    assert "meter_rollup_20260204: " in say("compact", "--day", "2026-02-04")[1]
    assert [line.split()[-1] == "compacted" for line in say("days")[1].splitlines()[1:4]] == [True, True, False]
    assert say("compact", "--day", "2026-02-05") == (1, "Error: 2026-02-05 is not over\n")
    assert say("compact", "--day", "2026-02-04", "--before", "2026-02-04")[0] == 2


def test_housekeeping_compacts_by_itself_and_with_zero_hours_never(db: Any, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "_EVERY_S", 0.05)
    for hours, wanted in ((0.0, []), (6.0, [DAY - timedelta(days=1), DAY])):
        with housekeeping_at(database_url, lambda: NOW, hours):
            ends = time.monotonic() + (30 if wanted else 0.5)
            while time.monotonic() < ends and (compacted := compacted_days(db)) != wanted:
                time.sleep(0.02)
        assert compacted == wanted


def _until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_after_a_compaction_that_failed_housekeeping_tries_again_in_an_hour(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, tried = [NOW], list[datetime]()

    def fail(conn: Any, now: datetime, *_: Any, **__: Any) -> list[date]:
        tried.append(now)
        raise psycopg.errors.LockNotAvailable

    monkeypatch.setattr(housekeeping, "_EVERY_S", 0.02)
    monkeypatch.setattr(compaction, "compact_due", fail)
    with housekeeping_at(database_url, lambda: clock[0], 6.0):
        _until(lambda: len(tried) > 0)
        time.sleep(0.2)  # some rounds in which it should not
        clock[0] = NOW + timedelta(hours=1)
        _until(lambda: len(tried) > 1)
        time.sleep(0.2)
    assert tried == [NOW, NOW + timedelta(hours=1)]


def test_it_only_counts_utc_days(db: Any, keeper: Any) -> None:
    db.execute(f"ALTER DATABASE {db.info.dbname} SET TimeZone = 'Asia/Kathmandu'")
    db.commit()
    with psycopg.connect(keeper.info.dsn, autocommit=True) as foreign:
        assert compaction.due(foreign, datetime(2026, 2, 5, 5, 59, tzinfo=UTC), AFTER) == [DAY - timedelta(days=1)]
        assert compaction.due(foreign, datetime(2026, 2, 5, 6, tzinfo=UTC), AFTER) == [DAY - timedelta(days=1), DAY]
