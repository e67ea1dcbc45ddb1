"""The schema changes under a server that stores readings: nobody waits behind it, nothing fails, nothing is lost."""

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from db import partitions, schema
from tests.keeping_support import MIDNIGHT
from tests.support import api, van
from tests.test_worker import Server, answer, post

PATIENCE_S = 30.0
# As the first version stored a reading, with all that the later ones added left to its default.
FIRST_HISTORY = (
    "INSERT INTO vehicle_history (vehicle_id, recorded_at, received_at, dc_milliwh) VALUES (%s, %s, %s, 1000) ON CONFLICT DO NOTHING"
)
FIRST_LIVE = """INSERT INTO live_vehicle AS l (vehicle_id, recorded_at, received_at, dc_milliwh) VALUES (%s, %s, %s, 1000)
    ON CONFLICT (vehicle_id) DO UPDATE SET recorded_at = greatest(l.recorded_at, excluded.recorded_at)"""


def wait_for(condition: Callable[[], Any]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, "it did not come to that"
        time.sleep(0.02)


@contextmanager
def meanwhile(store: Callable[[int], int], threads: int = 3) -> Iterator[list[int]]:
    """`store(n)` again and again, by several at once; the list grows by what it returns. Raises what it raised."""
    stop, stored, numbers = threading.Event(), list[int](), iter(range(10**9))
    lock = threading.Lock()

    def run() -> None:
        while not stop.is_set():
            with lock:
                n = next(numbers)
            stored.append(store(n))

    with ThreadPoolExecutor(threads) as pool:
        running: list[Future[None]] = [pool.submit(run) for _ in range(threads)]
        try:
            yield stored
        finally:
            stop.set()
    for one in running:
        one.result()


@contextmanager
def reader(url: str, table: str) -> Iterator[Any]:
    """A page or an export that has read the table and whose transaction does not end."""
    with psycopg.connect(url) as conn:
        conn.execute(f"SELECT count(*) FROM {table}")
        yield conn
        conn.rollback()


def migrating(url: str, threads: ThreadPoolExecutor) -> Future[None]:
    return threads.submit(schema.migrate, url)


def waits_for_a_lock(conn: Any) -> bool:
    return bool(
        conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'ALTER%%'"
        ).fetchone()[0]
    )


def test_c17_from_the_first_schema_while_the_first_versions_way_of_storing_goes_on(empty_database_url: str) -> None:
    url = empty_database_url
    schema.migrate(url, schema.revisions()[0])
    old = queue.SimpleQueue[Any]()

    def store(n: int) -> int:
        line, at = old.get(), MIDNIGHT + timedelta(seconds=n)
        with line.transaction():
            line.execute(FIRST_HISTORY, (f"van-{n % 7}", at, at), prepare=True)
            line.execute(FIRST_LIVE, (f"van-{n % 7}", at, at), prepare=True)
        old.put(line)
        return n

    with contextlib.ExitStack() as lines, psycopg.connect(url, autocommit=True) as conn:
        for _ in range(3):
            old.put(lines.enter_context(psycopg.connect(url, autocommit=True, options="-c TimeZone=UTC -c statement_timeout=15s")))
        for parent in partitions.PARENTS:
            partitions.make_table(conn, parent, MIDNIGHT.date())
        conn.execute("INSERT INTO history_day VALUES (%s, now(), false)", (MIDNIGHT.date(),))
        with ThreadPoolExecutor(1) as threads, meanwhile(store) as stored:
            wait_for(lambda: len(stored) > 50)
            with reader(url, "live_vehicle"):
                upgrade = migrating(url, threads)
                wait_for(lambda: waits_for_a_lock(conn))
                before = len(stored)
                wait_for(lambda: len(stored) > before + 200)  # behind a change that waits without an end, it would stay there
                assert not upgrade.done()
            upgrade.result(60)
            after = len(stored)
            wait_for(lambda: len(stored) > after + 50)  # the old way of storing goes on
        assert conn.execute("SELECT version_num FROM alembic_version").fetchone() == (schema.revisions()[-1],)
        assert conn.execute("SELECT count(*) FROM vehicle_history").fetchone() == (len(stored),)
        assert sorted(stored) == list(range(len(stored)))


def test_c17_a_lock_that_is_never_to_be_had_is_given_up_and_nothing_is_half_done(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_TRIES", 2)
    monkeypatch.setattr(schema, "_LOCK_TIMEOUT_MS", 50)
    schema.migrate(empty_database_url, "0001")
    with reader(empty_database_url, "live_meter"), pytest.raises(Exception, match="lock timeout"):
        schema.migrate(empty_database_url)
    with psycopg.connect(empty_database_url) as conn:
        assert conn.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        added = conn.execute("SELECT count(*) FROM information_schema.columns WHERE column_name = 'late_at'").fetchone()
        assert added == (0,)
        conn.rollback()
    schema.migrate(empty_database_url)


def test_c17_from_the_schema_before_while_this_version_stores_readings(empty_database_url: str) -> None:
    url = empty_database_url
    schema.migrate(url, schema.revisions()[-2])
    lock = threading.Lock()

    def store(n: int) -> int:
        at = MIDNIGHT + timedelta(seconds=n)
        with lock:  # Flask's client is not for several threads
            got = client.post("/v1/telemetry/vehicle", json=[van(vehicleId=f"van-{d}", timestamp=at.isoformat()) for d in range(20)])
            assert got.status_code == 201, got.get_json()
        return int(got.get_json()["accepted"])

    with api(url, now=MIDNIGHT + timedelta(hours=12)) as client, meanwhile(store, 2) as stored:
        wait_for(lambda: len(stored) > 5)
        schema.migrate(url)
        after = len(stored)
        wait_for(lambda: len(stored) > after + 5)
    with psycopg.connect(url) as conn:
        assert conn.execute("SELECT count(*) FROM vehicle_history").fetchone() == (sum(stored),)
        assert set(stored) == {20}


NEXT = """
from alembic import op
revision, down_revision, branch_labels, depends_on = "next", {head!r}, None, None
def upgrade():
    for table in ("live_vehicle", "vehicle_history", "history_day"):
        op.execute(f"ALTER TABLE {{table}} ADD COLUMN of_the_next_version integer")
"""


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on there is a revision after ours, which changes the tables that every reading writes."""
    (tmp_path / "next.py").write_text(NEXT.format(head=schema.revisions()[-1]))
    ours = schema._config()
    ours.set_main_option("path_separator", "newline")
    ours.set_main_option("version_locations", f"{ours.get_main_option('script_location')}/versions\n{tmp_path}")
    monkeypatch.setattr(schema, "_config", lambda: ours)


@pytest.mark.slow
def test_c17_a_running_server_goes_on_serving_while_the_next_version_changes_its_tables(database_url: str, next_version: None) -> None:
    """The process that is there is not restarted: it stores in batches over real connections before, during and after."""
    url = database_url
    server = Server(url)
    lines = queue.SimpleQueue[socket.socket]()
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()

    def store(n: int) -> int:
        line, at = lines.get(), f"{yesterday}T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z"
        line.sendall(post([van(vehicleId=f"van-{d}", timestamp=at) for d in range(100)]))
        status, _, body = answer(line)
        assert status == 201, body
        lines.put(line)
        return int(json.loads(body)["accepted"])

    try:
        with contextlib.ExitStack() as opened, meanwhile(store) as stored:
            for _ in range(3):
                lines.put(opened.enter_context(server.connect()))
            wait_for(lambda: len(stored) > 10)
            schema.migrate(url)
            after = len(stored)
            wait_for(lambda: len(stored) > after + 10)
        with psycopg.connect(url) as conn:
            assert conn.execute("SELECT count(of_the_next_version) FROM live_vehicle").fetchone() == (0,)
            assert conn.execute("SELECT count(*) FROM vehicle_history").fetchone() == (sum(stored),)
    finally:
        assert server.stop() == 0
