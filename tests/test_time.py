"""Clocks that are wrong, zones that shift, days without a table: nothing is lost, and nobody is blamed for it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from api.committer import Committer, NotStored, Submission
from api.tally import Tally
from db import partitions
from db.engine import pool
from db.ingest import Outcome
from db.sides import VEHICLE
from tests.keeping_support import MIDNIGHT, reading
from tests.support import DEPOT, VAN, api, depot, van

MINUTES_A_DAY = 1440
HOUR = timedelta(hours=1)
SOON = timedelta(minutes=5)  # after a reading, so that it is not a late one
VEHICLES = "/v1/telemetry/vehicle"


def committer(url: str, now: Any) -> Committer:
    return Committer(pool(url, 2, "write", 5), 2, 20_000, 5_000, 400, now)


@pytest.mark.parametrize("step", [HOUR, -HOUR, timedelta(days=2), -timedelta(days=2)])
def test_p2_a_step_of_our_clock_delays_no_commit_and_makes_no_negative_duration(database_url: str, step: timedelta) -> None:
    clock = [MIDNIGHT + SOON]
    totals = []
    with closing(committer(database_url, lambda: clock[0])) as one:
        for n, offset in enumerate((timedelta(), step, timedelta(), step)):
            clock[0] = MIDNIGHT + SOON + offset
            before_s = one.seconds.read()[1]
            assert one.submit([reading(VEHICLE, "dev-1", n)], [], 20) == [Outcome.ACCEPTED]
            assert one.seconds.read()[1] >= before_s
            totals.append((one.tally.totals["lag_ms:vehicle"], one.tally.totals["lagged:vehicle"]))
        minutes, _ = one.tally.take()
    assert totals == sorted(totals)
    assert totals[0][0] > 0
    assert all(counts.lag_ms >= 0 for counts in minutes.values())


def test_p2_a_reading_from_our_future_took_no_time_and_takes_none_from_others() -> None:
    tally, now_us = Tally(), int(MIDNIGHT.timestamp()) * 1_000_000
    tally.committed(MIDNIGHT, [("vehicle", [Outcome.ACCEPTED] * 2, [now_us + 240_000_000, now_us - 5_000_000])])
    assert tally.totals["lag_ms:vehicle"] == 5_000


def test_p1_received_at_is_ours_whatever_a_device_says(database_url: str) -> None:
    with api(database_url) as client:
        for stamp in ("2026-02-04T12:04:00Z", "2016-06-27T00:00:00Z"):
            assert client.post(VEHICLES, json=van(timestamp=stamp)).status_code == 201
    with psycopg.connect(database_url) as conn:
        assert conn.execute("SELECT DISTINCT received_at FROM vehicle_history").fetchall() == [(datetime(2026, 2, 4, 12, tzinfo=UTC),)]


def refused_alone(url: str, stamps: list[str]) -> set[str]:
    """The codes with which these instants are refused while their neighbours are stored."""
    with api(url) as client:
        got = client.post(VEHICLES, json=[van(timestamp=stamp) for stamp in stamps] + [van(vehicleId="van-8")])
        assert client.post(VEHICLES, json=van(timestamp=stamps[0])).status_code == 422
    assert (got.status_code, got.get_json()["accepted"], got.get_json()["rejected"]) == (207, 1, len(stamps))
    return {error["code"] for error in got.get_json()["errors"]}


def test_p1_p9_years_of_five_digits_and_times_without_an_offset_are_refused_alone(database_url: str) -> None:
    stamps = ["10000-01-01T00:00:00Z", "2026-02-04T10:00:00", "2026-02-04", "2026-02-04T10:00:00 Europe/Berlin"]
    assert refused_alone(database_url, stamps) == {"timestamp_format"}


def test_p10_a_leap_second_is_refused_alone_and_never_an_error_of_ours(database_url: str) -> None:
    stamps = ["2016-12-31T23:59:60Z", "2017-01-01T00:59:60+01:00", "2026-02-04T10:00:60Z", "2026-02-04T10:00:61Z"]
    assert refused_alone(database_url, stamps) == {"timestamp_format"}


@pytest.fixture
def zoned(database_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database and a process that think in the zone of the parameter."""
    with psycopg.connect(database_url) as conn:
        conn.execute(f"ALTER DATABASE {conn.info.dbname} SET TimeZone = '{request.param}'")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield database_url
    monkeypatch.undo()
    time.tzset()


SHIFTS = [
    ("Europe/Berlin", 3, 29),
    ("Europe/Berlin", 10, 25),
    ("Australia/Lord_Howe", 4, 5),
    ("America/Sao_Paulo", 2, 4),
    ("Asia/Kathmandu", 2, 4),
]


@pytest.mark.parametrize(("zoned", "month", "day"), SHIFTS, indirect=["zoned"])
def test_p9_24_hours_are_24_hours_on_the_day_on_which_clocks_shift(zoned: str, month: int, day: int) -> None:
    noon = datetime(2026, month, day, 12, tzinfo=UTC)
    inside = [noon - timedelta(hours=24) + timedelta(minutes=m) for m in (1, 700, 1440)]
    outside = [noon - timedelta(hours=24), noon + timedelta(minutes=1)]
    with api(zoned, now=noon + HOUR) as client:
        client.put("/v1/mappings/van-7", json={"meterId": "depot-1"})
        for at in inside + outside:
            stamp = at.isoformat()
            assert client.post(VEHICLES, json={**VAN, "timestamp": stamp}).status_code == 201
            assert client.post("/v1/telemetry/meter", json={**DEPOT, "timestamp": stamp}).status_code == 201
        got = client.get("/v1/analytics/performance/van-7", query_string={"at": noon.isoformat()}).get_json()
    assert (got["from"], got["to"]) == tuple(f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (noon - timedelta(hours=24), noon))
    assert (got["totalDc"], got["totalAc"]) == (15, 18)


@pytest.fixture
def locked(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Somebody holds what making a day's table needs."""
    monkeypatch.setattr(partitions, "_LOCK_TIMEOUT_MS", 50)
    with psycopg.connect(database_url) as conn:
        conn.execute("LOCK TABLE vehicle_history IN SHARE UPDATE EXCLUSIVE MODE")
        yield conn


def test_p6_where_a_day_cannot_be_made_it_is_503_and_stored_when_it_can(database_url: str, locked: Any) -> None:
    locked.rollback()
    with api(database_url) as client:
        locked.execute("LOCK TABLE vehicle_history IN SHARE UPDATE EXCLUSIVE MODE")
        old = van(timestamp="2026-01-01T10:00:00Z")
        refused = client.post(VEHICLES, json=old)
        assert client.post(VEHICLES, json=van()).status_code == 201
        locked.rollback()
        stored = client.post(VEHICLES, json=old)
    assert (refused.status_code, refused.get_json()["type"]) == (503, "urn:voltledger:problem:partition_missing")
    assert "Retry-After" in refused.headers
    assert (stored.status_code, stored.get_json()["accepted"]) == (201, 1)


def test_p6_neighbours_of_a_day_that_cannot_be_made_are_stored(database_url: str, locked: Any) -> None:
    locked.rollback()
    with psycopg.connect(database_url) as conn:
        partitions.ensure_ahead(conn, MIDNIGHT)
    locked.execute("LOCK TABLE vehicle_history IN SHARE UPDATE EXCLUSIVE MODE")
    today, old = (Submission([reading(VEHICLE, f"dev-{n}", n * MINUTES_A_DAY + 5)], [], lambda _: None) for n in (0, -40))
    with closing(committer(database_url, lambda: MIDNIGHT)) as one:
        one._commit_all([old, today])
    assert (today.outcomes, today.failure) == ([Outcome.ACCEPTED], None)
    assert old.failure
    assert old.failure.kind == "partition_missing"


def test_p6_a_table_that_is_there_but_not_attached_to_its_parent_loses_nothing(database_url: str, locked: Any) -> None:
    """Somebody detached today's table by hand, and it cannot be attached just now."""
    locked.rollback()
    with psycopg.connect(database_url) as conn:
        partitions.ensure_ahead(conn, MIDNIGHT)
    with closing(committer(database_url, lambda: MIDNIGHT)) as one:
        assert one.submit([reading(VEHICLE, "dev-1", 1)], [], 20) == [Outcome.ACCEPTED]
        with psycopg.connect(database_url) as conn:
            conn.execute("ALTER TABLE vehicle_history DETACH PARTITION vehicle_history_20260204")
        locked.execute("LOCK TABLE vehicle_history IN SHARE UPDATE EXCLUSIVE MODE")
        with pytest.raises(NotStored) as refused:
            one.submit([reading(VEHICLE, "dev-1", 2)], [], 20)
        locked.rollback()
        assert one.submit([reading(VEHICLE, "dev-1", n) for n in (1, 2)], [], 20) == [Outcome.DUPLICATE, Outcome.ACCEPTED]
    assert refused.value.kind == "partition_missing"


def test_p7_devices_on_both_sides_of_midnight_report_at_once(database_url: str) -> None:
    """A device that is late and one that is early, at the very instant at which the day changes."""
    clock = [MIDNIGHT - timedelta(seconds=1)]

    def device(n: int) -> list[Outcome]:
        if n == 3:
            clock[0] = MIDNIGHT + timedelta(seconds=1)
        return one.submit([reading(VEHICLE, f"dev-{n}", minute) for minute in (-1, 0, 1)], [], 20)

    with closing(committer(database_url, lambda: clock[0])) as one, ThreadPoolExecutor(6) as threads:
        assert all(outcomes == [Outcome.ACCEPTED] * 3 for outcomes in threads.map(device, range(6)))
    with psycopg.connect(database_url) as conn:
        counted = [conn.execute(f"SELECT count(*) FROM vehicle_history_{day}").fetchone() for day in ("20260203", "20260204")]
    assert counted == [(6,), (12,)]


def test_p11_a_counter_that_runs_backwards_is_never_summed(database_url: str) -> None:
    """Devices report what flowed since the last reading. One that takes its counter's reset for that sends a negative amount."""
    with api(database_url) as client:
        vehicle = client.post(VEHICLES, json=[van(kwhDeliveredDc=-12_345.6), van(vehicleId="van-8")])
        meter = client.post(
            "/v1/telemetry/meter", json=[depot(kwhConsumedAc=-0.000001), depot(kwhConsumedAc=99_999.9), depot(meterId="depot-2")]
        )
    assert [(got.status_code, got.get_json()["accepted"]) for got in (vehicle, meter)] == [(207, 1), (207, 1)]
    assert {error["code"] for got in (vehicle, meter) for error in got.get_json()["errors"]} == {"out_of_range"}
    with psycopg.connect(database_url) as conn:
        assert conn.execute("SELECT sum(dc_milliwh)::bigint FROM vehicle_rollup").fetchone() == (5_000_000,)
        assert conn.execute("SELECT sum(ac_milliwh)::bigint FROM meter_rollup").fetchone() == (6_000_000,)
