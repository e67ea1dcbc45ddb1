"""C1, C2, C3, C6: something dies in mid-load and comes back by itself."""

import signal
import time
from collections.abc import Callable

import pytest

from tests.faults import verbs
from tests.faults.installation import Installation, wait_until
from tests.faults.load import batches, sending, singles
from tests.faults.running import concluded, scaled

pytestmark = pytest.mark.slow

Fault = Callable[[Installation], None]


def _kill_a_backend(there: Installation) -> None:
    verbs.kill(verbs.backends(there, verbs.WRITERS)[0])


def _terminate_all(there: Installation) -> None:
    with there.connect() as conn:
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'voltledger-%'")


FAULTS: dict[str, tuple[str, Fault]] = {
    "c1": ("kill -9 of a PostgreSQL backend", _kill_a_backend),
    "c2": ("kill -9 of the postmaster", lambda there: verbs.restart_database(there, signal.SIGKILL)),
    "c3_fast": ("restart of PostgreSQL, fast", lambda there: verbs.restart_database(there, signal.SIGINT)),
    "c3_immediate": ("restart of PostgreSQL, immediate", lambda there: verbs.restart_database(there, signal.SIGQUIT)),
    "c3_terminate": ("pg_terminate_backend of every connection", _terminate_all),
}


QUICK = ("c1", "c3_immediate")


@pytest.mark.parametrize("fault", [fault if fault in QUICK else pytest.param(fault, marks=pytest.mark.faults) for fault in FAULTS])
def test_c1_c2_c3_the_database_dies_and_nothing_that_was_acked_is_lost(there: Installation, fault: str) -> None:
    injected, inject = FAULTS[fault]
    times = int(scaled(1, 5))
    with sending(singles(there.url, there.key)) as load:
        load.wait_acked(100)
        began = time.monotonic()
        for _ in range(times):
            at = time.monotonic()
            inject(there)
            load.wait_ack_after(at)
            load.wait_acked(50)
    concluded(there, load.ledger, fault[:2].upper(), f"{injected}, {times} x", since=began)


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["c1", "c2"])
def test_c1_c2_batches_too(there: Installation, fault: str) -> None:
    injected, inject = FAULTS[fault]
    with sending(batches(there.url, there.key)) as load:
        load.wait_acked(5_000)
        at = time.monotonic()
        inject(there)
        load.wait_ack_after(at)
        load.wait_acked(5_000)
    concluded(there, load.ledger, fault.upper(), f"{injected}, batches of 100", since=at)


def test_c6_a_web_process_is_killed_again_and_again(there: Installation) -> None:
    times = int(scaled(1, 20))
    with sending(singles(there.url, there.key)) as load:
        load.wait_acked(100)
        began = time.monotonic()
        for _ in range(times):
            old = there.workers
            at = time.monotonic()
            verbs.kill(*old)
            _wait_for_others(there, old)
            load.wait_ack_after(at)
            load.wait_acked(50)
    concluded(there, load.ledger, "C6", f"kill -9 of the web process, {times} x in a row", since=began)
    _assert_nothing_is_left(there)


def _wait_for_others(there: Installation, old: list[int]) -> None:
    wait_until(lambda: bool(set(there.workers) - set(old)), words="a new web process")


@pytest.mark.faults
def test_c6_the_web_server_s_first_process_is_killed(there: Installation) -> None:
    with sending(singles(there.url, there.key)) as load:
        load.wait_acked(100)
        at = time.monotonic()
        verbs.kill(there.master)
        load.wait_ack_after(at)
        load.wait_acked(100)
    concluded(there, load.ledger, "C6", "kill -9 of gunicorn's first process", since=at)
    _assert_nothing_is_left(there)


def _assert_nothing_is_left(there: Installation) -> None:
    """No transaction and no lock of the dead; their connections end."""

    def clean() -> bool:
        with there.connect() as conn:
            row = conn.execute(
                "SELECT count(*) FILTER (WHERE state LIKE 'idle in transaction%%'), count(*) FILTER (WHERE application_name = %s)"
                " FROM pg_stat_activity WHERE application_name LIKE 'voltledger-%%'",
                [verbs.WRITERS],
            ).fetchone()
            locks = conn.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone()
        assert row
        assert locks
        return bool(row[0] == 0 and row[1] <= 4 and locks[0] == 0)

    wait_until(clean, words="transactions or locks are left")
