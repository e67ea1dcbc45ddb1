"""C7, C8: asked to stop in mid-load, everything that had arrived is answered, nothing else is stored, and no file ends as if it were whole."""

import signal
import time
from collections.abc import Iterator

import psycopg
import pytest
import requests

from tests.faults import verbs
from tests.faults.installation import Installation, installed
from tests.faults.load import batches, sending, singles
from tests.faults.running import concluded

pytestmark = pytest.mark.slow
# From a write to a socket here until it can be read there: what is begun this shortly before a signal need not have arrived.
ON_THE_WAY_S = 0.05
EXIT_WITHIN_S = 20.0  # ten is the promise, for a machine that does nothing else


@pytest.fixture
def alone() -> Iterator[Installation]:
    """An installation that the test may end."""
    with installed() as running:
        yield running


def test_c7_what_had_arrived_is_answered_and_nothing_else_is_stored(alone: Installation) -> None:
    load_plan = batches(alone.url, alone.key, devices=1000, readings_per_s=0, settle_s=1, timeout_s=3)  # as fast as answers come
    with sending(load_plan) as load:
        load.wait_acked(3_000)
        assert alone.process
        at = time.monotonic()
        alone.process.terminate()
        code = alone.process.wait(60)
        took = time.monotonic() - at
    ledger = load.ledger
    lost = [cut for cut in ledger.cut_off if cut < at - ON_THE_WAY_S]
    note = f"exit code {code} after {took:.1f} s, {len(ledger.cut_off)} requests cut off, {len(lost)} of them from before"
    found = concluded(alone, ledger, "C7", "SIGTERM in mid-load", note=note)
    assert code == 0
    assert took < EXIT_WITHIN_S
    assert not lost
    assert found.unknown_stored == 0  # everything that is there has been answered


@pytest.mark.faults
def test_c7_single_readings_too(alone: Installation) -> None:
    with sending(singles(alone.url, alone.key, devices=300, readings_per_s=0, settle_s=1, timeout_s=3)) as load:
        load.wait_acked(1_000)
        at = time.monotonic()
        code = alone.stop_web()
    lost = [cut for cut in load.ledger.cut_off if cut < at - ON_THE_WAY_S]
    found = concluded(alone, load.ledger, "C7", "SIGTERM in mid-load, single readings", note=f"exit code {code}")
    assert (code, lost, found.unknown_stored) == (0, [], 0)


@pytest.mark.faults
@pytest.mark.parametrize("pause_s", [1, 15])
def test_c8_an_export_that_is_stopped_never_ends_as_if_it_were_whole(alone: Installation, pause_s: float) -> None:
    """Its reader goes on after a while: in time for the rest, or not."""
    rows, name = 300_000, "long-history"  # more than the sockets between hold
    with psycopg.connect(alone.database_url) as conn:
        conn.execute(
            "INSERT INTO vehicle_history (vehicle_id, recorded_at, received_at, dc_milliwh)"
            " SELECT %s, date_trunc('day', now()) - n * interval '200 ms', now(), 1 FROM generate_series(1, %s) n",
            [name, rows],
        )
    assert alone.process
    path = f"/v1/vehicles/{name}/history?bucket=raw&format=csv&from={_hours_ago(48)}"
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(alone.url + path, headers={"Authorization": f"Bearer {alone.key}"}, stream=True, timeout=30)
        assert answer.status_code == 200
        parts = answer.iter_content(65_536)
        lines, whole = next(parts).count(b"\n"), True
        alone.process.terminate()
        time.sleep(pause_s)
        try:
            lines += sum(part.count(b"\n") for part in parts)
        except requests.RequestException:
            whole = False
    assert alone.process.wait(60) == 0
    assert whole == (lines == rows + 1), f"{lines} lines, said to be whole: {whole}"
    print(f"C8: {lines} of {rows + 1} lines, said to be whole: {whole}")  # noqa: T201 - for who reads along


def _hours_ago(hours: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - hours * 3600))


@pytest.mark.faults
def test_c7_a_worker_alone_is_told_to_stop(there: Installation) -> None:
    """As gunicorn does when it replaces one."""
    with sending(singles(there.url, there.key)) as load:
        load.wait_acked(100)
        at = time.monotonic()
        verbs.hold_each(there.workers, signal.SIGTERM)
        load.wait_ack_after(at)
        load.wait_acked(100)
    concluded(there, load.ledger, "C7", "SIGTERM to the web process alone", since=at)
