"""C9, C11, C12: others hold what is needed. Readings and pages do not take each other's connections, and no lock is held against another."""

import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from db import partitions
from db.columns import Reading
from db.ingest import store
from db.sides import VEHICLE
from tests.faults import verbs
from tests.faults.installation import Installation, wait_until
from tests.faults.load import batches, sending, singles
from tests.faults.running import concluded, scaled

pytestmark = pytest.mark.slow


def test_c9_pages_that_hold_every_connection_do_not_stop_readings(there: Installation) -> None:
    """Every page waits for a lock: the others are told at once, and readings go on."""
    with sending(singles(there.url, there.key)) as load:
        load.wait_acked(100)
        refused = load.state["refused"]
        with verbs.locked(there, "site"), ThreadPoolExecutor(12) as crowd:
            answers = [crowd.submit(there.get, "/v1/sites", 30) for _ in range(12)]
            wait_until(lambda: any(answer.done() for answer in answers), words="somebody is told")
            load.wait_acked(200)
            statuses = {answer.result().status_code for answer in answers}
        assert load.state["refused"] == refused
    concluded(there, load.ledger, "C9", "every reading connection waits for a lock", since=load.state["now"] - 5)
    assert statuses == {503}
    assert there.get("/v1/sites").status_code == 200


@pytest.mark.faults  # `tests/test_worker.py` has a shorter one
def test_c11_a_table_is_locked_for_a_while(there: Installation) -> None:
    with sending(singles(there.url, there.key)) as load:
        load.wait_acked(100)
        with verbs.locked(there, "live_vehicle"):
            time.sleep(scaled(6, 10))
            load.wait(lambda state: state["refused"] > 0)
        back = time.monotonic()
        load.wait_ack_after(back)
        load.wait_acked(100)
    concluded(there, load.ledger, "C11", f"LOCK TABLE live_vehicle, {scaled(6, 10):g} s", released=back)


def test_c12_deadlocks_with_others_are_tried_again(there: Installation) -> None:
    """Somebody else takes the same rows in the opposite order, again and again."""
    deadlocks = _deadlocks(there)
    over = threading.Event()
    with sending(batches(there.url, there.key, devices=200, readings_per_s=400)) as load:
        load.wait_acked(400)
        names = sorted((load.plan.fleet.id_of(device) for device in range(0, 200, 2)), reverse=True)
        against = threading.Thread(target=_take_in_turn, args=(there, names, over))
        against.start()
        try:
            wait_until(lambda: _deadlocks(there) >= deadlocks + scaled(1, 20), scaled(60, 200), "a deadlock")
            load.wait_acked(400, 60)
        finally:
            over.set()
            against.join(30)
    concluded(there, load.ledger, "C12", f"{_deadlocks(there) - deadlocks} deadlocks with somebody else's transactions")


def _take_in_turn(there: Installation, names: list[str], over: threading.Event) -> None:
    with psycopg.connect(there.database_url) as conn:
        while not over.is_set():
            try:
                for name in names:
                    conn.execute("SELECT FROM live_vehicle WHERE vehicle_id = %s FOR UPDATE", [name])
            except psycopg.errors.DeadlockDetected:
                pass
            conn.rollback()


def _deadlocks(there: Installation) -> int:
    with there.connect() as conn:
        row = conn.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    return int(row[0]) if row else 0


def test_c12_eight_writers_with_shuffled_batches_never_deadlock(database_url: str) -> None:
    seconds = scaled(3, 60)
    now = datetime.now(UTC)
    with psycopg.connect(database_url) as conn:
        partitions.ensure_ahead(conn, now)
    began_us = int((now - timedelta(hours=1)).timestamp() * 1e6)
    ends, numbers = time.monotonic() + seconds, itertools.count()

    def write(seed: int) -> int:
        chance, batches_written = random.Random(seed), 0
        with psycopg.connect(database_url) as conn:
            while time.monotonic() < ends:
                at = began_us + next(numbers) * 1000
                batch: list[Reading] = [(f"v{n:04d}", at, 100, None, None, None, None) for n in chance.sample(range(1000), 300)]
                store(conn, VEHICLE, batch, now)
                conn.commit()
                batches_written += 1
        return batches_written

    with ThreadPoolExecutor(8) as writers:
        assert sum(writers.map(write, range(8))) > 8  # each raises where it meets a deadlock
