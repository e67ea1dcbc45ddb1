"""C4, C5, C10, C15: PostgreSQL is there no more, hangs, takes nobody, takes no writes. Everybody is told at once, and it heals by itself."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests

from proof.ledger import Ledger, quantile_ms
from tests.faults import verbs
from tests.faults.installation import Installation, rss_mb, threads_of, wait_until
from tests.faults.load import sending, singles
from tests.faults.running import concluded, scaled

pytestmark = pytest.mark.slow
GENEROUS_S = 15.0  # an answer that never comes is what is looked for; how long it took is reported


class Watch:
    """Asks a path again and again while something is wrong: statuses and the longest answer."""

    def __init__(self, there: Installation, path: str) -> None:
        self.there, self.path = there, path
        self.statuses: set[int] = set()
        self.longest_s, self.said = 0.0, ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(GENEROUS_S * 2)

    def _run(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                answer = self.there.get(self.path, GENEROUS_S)
                self.statuses.add(answer.status_code)
                self.said = answer.text
            except requests.RequestException:
                self.statuses.add(0)  # none came
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            self._over.wait(0.1)


def _note(ledger: Ledger, alive: Watch) -> str:
    return f"refused within {quantile_ms(ledger.refusals_took, 1) / 1000:.1f} s, /healthz within {alive.longest_s * 1000:.0f} ms"


def test_c4_the_database_is_away_for_a_while(there: Installation) -> None:
    away_s = scaled(3, 60)
    with sending(singles(there.url, there.key)) as load:
        load.wait_acked(100)
        worker = there.workers[0]
        memory, threads = rss_mb(worker), threads_of(worker)
        with Watch(there, "/healthz") as alive, verbs.database_away(there):
            wait_until(lambda: there.get("/readyz").status_code == 503, words="/readyz says that it is not ready")
            with Watch(there, "/v1/vehicles") as vehicles, Watch(there, "/live/fleet") as picture:
                refused = load.state["refused"]
                time.sleep(away_s)
                load.wait(lambda state: state["refused"] > refused)
            grown = rss_mb(worker) - memory
        back = time.monotonic()
        load.wait_ack_after(back)
        load.wait_acked(100)
    note = f"{_note(load.ledger, alive)}, +{max(grown, 0):.0f} MB"
    concluded(there, load.ledger, "C4", f"PostgreSQL away for {away_s:g} s", released=back, note=note)
    assert alive.statuses == {200}
    assert vehicles.statuses == {503}
    assert picture.statuses <= {200, 503}
    assert "Traceback" not in vehicles.said + picture.said
    assert grown < 40
    wait_until(lambda: threads_of(worker) <= threads + 64, words="threads are left")  # gunicorn's own pool fills up to its 64
    wait_until(there.ready)


def test_c5_the_database_hangs_with_its_connections_open(there: Installation) -> None:
    hung_s = scaled(7, 30)
    with sending(singles(there.url, there.key)) as load:
        load.wait_acked(100)
        with Watch(there, "/healthz") as alive, Watch(there, "/v1/vehicles") as one, Watch(there, "/v1/meters") as other:
            with verbs.database_hangs(there):
                time.sleep(hung_s)
                with ThreadPoolExecutor(20) as crowd:
                    answers = list(crowd.map(lambda _: _status(there, "/v1/vehicles"), range(20)))
            back = time.monotonic()
            load.wait_ack_after(back)
            load.wait_acked(100)
    note = f"{_note(load.ledger, alive)}, pages within {max(one.longest_s, other.longest_s):.1f} s"
    concluded(there, load.ledger, "C5", f"PostgreSQL stands still for {hung_s:g} s", released=back, note=note)
    assert alive.statuses == {200}
    assert set(answers) == {503}
    assert one.statuses | other.statuses <= {200, 503}
    assert max(one.longest_s, other.longest_s) < 10
    wait_until(there.ready)


def _status(there: Installation, path: str) -> int:
    with suppress(requests.RequestException):
        return there.get(path, GENEROUS_S).status_code
    return 0


@pytest.mark.faults
def test_c10_others_hold_every_connection(there: Installation) -> None:
    with sending(singles(there.url, there.key)) as load:
        load.wait_acked(100)
        with verbs.connections_taken(there) as taken:
            refused = load.state["refused"]
            load.wait(lambda state: state["refused"] > refused)
            time.sleep(scaled(0, 10))
        back = time.monotonic()
        load.wait_ack_after(back)
        load.wait_acked(100)
    concluded(there, load.ledger, "C10", f"{taken} connections of others, and none left", released=back)
    wait_until(there.ready)


def test_c15_the_database_takes_no_writes(there: Installation) -> None:
    with sending(singles(there.url, there.key)) as load:
        load.wait_acked(100)
        try:
            _read_only(there, "on")
            refused = load.state["refused"]
            load.wait(lambda state: state["refused"] > refused + 10)
            assert there.get("/v1/vehicles").status_code == 200  # reading goes on
            time.sleep(scaled(0, 10))
        finally:
            _read_only(there, "off")
        back = time.monotonic()
        load.wait_ack_after(back)
        load.wait_acked(100)
    concluded(there, load.ledger, "C15", "PostgreSQL is read-only (25006)", released=back)
    wait_until(there.ready)


def _read_only(there: Installation, whether: str) -> None:
    with there.connect() as conn:
        conn.execute(f"ALTER SYSTEM SET default_transaction_read_only = {whether}".encode())
        conn.execute("SELECT pg_reload_conf()")
