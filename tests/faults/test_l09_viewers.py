"""L9, L10, L11: people look and export while readings come in; neither is in the other's way, however slow a client is."""

import contextlib
import socket
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import psycopg
import pytest
import requests

from db import partitions
from tests.faults.crowds import Viewers, ask, opened, request
from tests.faults.installation import Installation, wait_until
from tests.faults.load import sending, singles
from tests.faults.report import Row, keep
from tests.faults.running import concluded, scaled
from tests.faults.test_l01_load import took, wrongly_refused
from tests.faults.watching import watching
from tests.support import api

pytestmark = pytest.mark.slow

TICK_S = 5.0
SAME_TICK = 0.8  # what is younger than this share of a tick is not made anew
DAYS, A_DAY = 30, 1440
VAN = "proof-exported-van"
REPORTED = 6_000  # vehicles in a summary of the fleet: more than sockets' buffers hold of it
LITTLE_BYTES = 4096  # a client that takes almost nothing
MOST_TRANSACTION_S = 30
REPORTS = 2  # at a time


@pytest.mark.faults
def test_l9_fifty_viewers_cost_one_picture_a_tick(there: Installation) -> None:
    seconds = scaled(15, 40)
    key = f"Bearer {there.key}"
    with watching(there) as watch, sending(singles(there.url, there.key, 500, 100)) as load:
        load.wait_acked(500)
        vans = [load.plan.fleet.id_of(2 * n) for n in range(10)]
        paths = [path for van in vans for path in (f"/v1/vehicles/{van}", f"/v1/vehicles/{van}/history", f"/v1/vehicles/{van}/sessions")]
        viewers, began = Viewers(there.url, 50, TICK_S), time.monotonic()
        with viewers.looking(lambda turn: request("GET", paths[turn % len(paths)], Authorization=key)):
            wait_until(lambda: time.monotonic() - began > seconds, seconds + 5)
        lasted_s = time.monotonic() - began
    took_ms = sorted(one * 1000 for one in viewers.took_s)
    note = f"{len(viewers.pictures)} pictures, {max(viewers.sizes) / 1000:.0f} kB at most, p95 {took_ms[len(took_ms) * 95 // 100]:.0f} ms"
    words = f"50 viewers and vehicles' pages beside 100 readings/s, {lasted_s:.0f} s"
    concluded(there, load.ledger, "L9", words, note=f"{note}; readings {took(load.ledger)}; {watch.said()}")
    assert not viewers.failures
    assert set(viewers.said) <= {200, 304}
    assert set(viewers.beside) == {200}
    assert len(viewers.said) > 0
    # Readings come all the time, so that no two pictures are the same: as many were made as were seen.
    assert 2 <= len(viewers.pictures) <= lasted_s / (TICK_S * SAME_TICK) + 2
    assert wrongly_refused(load.ledger) == 0
    _assert_nothing_new_is_304(there)


def _assert_nothing_new_is_304(there: Installation) -> None:
    """With no reading coming in, the picture of the next tick is the one before."""
    name = ask(there.url, request("GET", "/live/fleet")).headers["etag"].strip('"')

    def unchanged() -> bool:
        nonlocal name
        said = ask(there.url, request("GET", f"/live/fleet?since={name}", If_None_Match=f'"{name}"'))
        name = said.headers.get("etag", name).strip('"')
        return said.status == 304

    wait_until(unchanged, 60, "the picture changes though nothing happens")


@pytest.fixture
def history(there: Installation) -> Iterator[int]:
    """A month of a vehicle's readings, one a minute; how many."""
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    start = end - timedelta(days=DAYS)
    with psycopg.connect(there.database_url, options="-c TimeZone=UTC") as conn:
        days = {(start + timedelta(days=n)).date() for n in range(DAYS + 1)}
        while partitions.ensure(conn, days, end, 10_000):
            conn.commit()
        conn.execute(
            """INSERT INTO vehicle_history (vehicle_id, recorded_at, received_at, dc_milliwh, soc_centi_pct, battery_temp_centi_c)
               SELECT %s, at, at, 100000, 5000, 3000 FROM generate_series(%s::timestamptz + interval '1 minute', %s, interval '1 minute') AS at""",
            [VAN, start, end],
        )
    yield DAYS * A_DAY
    with psycopg.connect(there.database_url) as conn:
        conn.execute("DELETE FROM vehicle_history WHERE vehicle_id = %s", [VAN])


@pytest.fixture
def many(there: Installation) -> Iterator[int]:
    """Vehicles that a report has a row for."""
    with psycopg.connect(there.database_url) as conn:
        conn.execute(
            """INSERT INTO assignment (vehicle_id, valid_from, meter_id)
               SELECT 'reported-' || n, '-infinity', 'reported-' || n FROM generate_series(1, %s) AS n""",
            [REPORTED],
        )
    yield REPORTED
    with psycopg.connect(there.database_url) as conn:
        conn.execute("DELETE FROM assignment WHERE vehicle_id LIKE 'reported-%'")


def _path(form: str = "json") -> str:
    begin = (datetime.now(UTC) - timedelta(days=DAYS + 1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"/v1/vehicles/{VAN}/history?bucket=raw&format={form}&from={begin}"


def _got(there: Installation, path: str, kind: str = "") -> requests.Response:
    """The answer 200, or the problem of that kind. A machine that stands still for seconds may say 503 first."""
    found: list[requests.Response] = []

    def is_it() -> bool:
        found.append(there.get(path, timeout_s=60))
        said = found[-1]
        return said.status_code == 200 if not kind else said.status_code != 200 and str(said.json()["type"]).endswith(f":{kind}")

    wait_until(is_it, 30, f"not as it should be: {path}")
    return found[-1]


@contextlib.contextmanager
def _slow_clients(there: Installation, path: str, count: int) -> Iterator[None]:
    """They have asked, seen how the answer begins, and take nothing more."""
    lines: list[socket.socket] = []

    def begun() -> bool:
        line = opened(there.url, receive_bytes=LITTLE_BYTES)
        line.sendall(request("GET", path, Authorization=f"Bearer {there.key}"))
        if line.recv(1000).startswith(b"HTTP/1.1 200"):
            lines.append(line)
            return True
        line.close()
        return False

    try:
        for _ in range(count):
            wait_until(begun, 30, "an export is not begun")
        yield
    finally:
        for line in lines:
            line.close()


def test_l10_exports_beside_readings_are_whole_and_hold_nobody_up(there: Installation, history: int, many: int) -> None:
    with watching(there) as watch, sending(singles(there.url, there.key, 50, 100)) as load:
        load.wait_acked(50)
        raw = orjson.loads(_got(there, _path()).content)["points"]
        lines = _got(there, _path("csv")).text.splitlines()
        # More than there are connections for reading: none of them keeps one.
        with _slow_clients(there, _path(), 6):
            _got(there, "/v1/vehicles?limit=1")
        back_s = _reports_are_bounded(there)
        load.wait_acked(100)
    note = f"slots free {back_s:.1f} s after their clients left; readings {took(load.ledger)}; {watch.said()}"
    words = f"a month of a vehicle ({history:,} readings) and summaries of {many:,} vehicles exported, six clients that do not read"
    concluded(there, load.ledger, "L10", words, note=note)
    assert (len(raw), len({point["at"] for point in raw}), len(lines)) == (history, history, history + 1)
    assert watch.transaction_s < MOST_TRANSACTION_S
    assert wrongly_refused(load.ledger) == 0


def _reports_are_bounded(there: Installation) -> float:
    """Two are written at a time, a third is told to come back; who leaves makes room at once. In how many seconds."""
    path = "/v1/reports/summaries?format=json"
    with _slow_clients(there, path, REPORTS):
        third = _got(there, path, "exports_busy")
        assert third.status_code == 503
        assert int(third.headers["Retry-After"]) > 0
    left = time.monotonic()
    _got(there, path)
    took_s = time.monotonic() - left
    wait_until(lambda: _running_statements(there) == 0, 15, "a statement goes on though its client is gone")
    return took_s


def _running_statements(there: Installation) -> int:
    """Of readers, for longer than a page's would take."""
    with there.connect() as conn:
        row = conn.execute(
            """SELECT count(*) FROM pg_stat_activity WHERE application_name = 'voltledger-read' AND state = 'active'
               AND query_start < clock_timestamp() - interval '1 second'"""
        ).fetchone()
    assert row
    return int(row[0])


def test_l11_a_vehicle_s_day_reads_two_days_tables_however_many_there_are(database_url: str) -> None:
    """What was read is counted by the database itself; the tables of the days are large under `make test-faults`."""
    now, rows = datetime(2026, 2, 4, 12, tzinfo=UTC), int(scaled(2_000, 1_000_000))
    with psycopg.connect(database_url, autocommit=True, options="-c TimeZone=UTC") as conn:
        _fill_days(conn, now, rows)
    _days_asked_for(database_url, now, 1)  # what is read once, is
    with psycopg.connect(database_url, autocommit=True) as conn:
        before = _settled_scans(conn)
        times = _days_asked_for(database_url, now, int(scaled(20, 200)))
        after = _settled_scans(conn)
    touched = sorted(name for name, scans in after.items() if scans > before.get(name, 0))
    note = f"p50 {statistics.median(times):.1f} ms, most {max(times):.1f} ms; read: {len(touched)} tables of two days"
    keep(Row("L11", f"a vehicle's 24 hours beside {rows:,} readings a day", 0, 0, 0, 0, 0, 0, 0, 0, None, note))
    assert touched, "nothing was counted"
    assert {name.rpartition("_")[2] for name in touched} <= {"20260203", "20260204"}


def _days_asked_for(database_url: str, now: datetime, times: int) -> list[float]:
    """How long each answer took, ms. Its connections are closed then: they say what they read at the latest when they end."""
    took = []
    with api(database_url, now) as client:
        for _ in range(times):
            began = time.perf_counter()
            assert client.get("/v1/analytics/performance/van-7").status_code == 200
            took.append((time.perf_counter() - began) * 1000)
    return took


def _settled_scans(conn: psycopg.Connection) -> dict[str, int]:
    """Once they have not changed for a second."""
    found, again = _scans(conn), dict[str, int]()
    while found != again:
        time.sleep(1)
        found, again = _scans(conn), found
    return found


def _fill_days(conn: psycopg.Connection, now: datetime, rows: int) -> None:
    """Ten days' tables, two of them with so many rows; a van that charged today."""
    days = [now.date() - timedelta(days=n) for n in range(10)]
    with conn.transaction():
        while partitions.ensure(conn, set(days), now, 10_000):
            pass
    conn.execute("INSERT INTO assignment (vehicle_id, valid_from, meter_id) VALUES ('van-7', '-infinity', 'depot-1')")
    for day in days[:2]:
        values: dict[str, Any] = {"day": day, "rows": rows}
        conn.execute(
            """INSERT INTO vehicle_history (vehicle_id, recorded_at, received_at, dc_milliwh, soc_centi_pct, battery_temp_centi_c)
               SELECT 'other-' || n %% 1000, %(day)s::date::timestamptz + n / 1000 * interval '1 minute' + interval '1 second', now(), 1, 1, 1
               FROM generate_series(0, %(rows)s - 1) AS n""",
            values,
        )
        conn.execute("ANALYZE vehicle_history")
    for side, energy in (("vehicle", "dc_milliwh"), ("meter", "ac_milliwh")):
        name = {"vehicle": "van-7", "meter": "depot-1"}[side]
        conn.execute(
            f"""INSERT INTO {side}_history ({side}_id, recorded_at, received_at, {energy})
                SELECT %s, at, at, 100000 FROM generate_series(%s::timestamptz - interval '2 hours', %s, interval '1 minute') AS at""".encode(),
            [name, now, now],
        )


def _scans(conn: psycopg.Connection) -> dict[str, int]:
    """How often each day's table was read."""
    rows = conn.execute(
        """SELECT relname, coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_user_tables
           WHERE relname ~ '^(vehicle|meter)_(history|rollup)_'"""
    ).fetchall()
    return {str(name): int(count) for name, count in rows}
