"""C13, C14: a volume is full. Refused before PostgreSQL panics, and well again without anybody's restart."""

import time

import pytest

from db.embedded import wal_dir
from tests.faults import verbs
from tests.faults.installation import Installation, installed, wait_until
from tests.faults.load import Sending, batches, sending, singles
from tests.faults.running import concluded, scaled

pytestmark = pytest.mark.slow


def _storage_is_refused(there: Installation, load: Sending) -> None:
    refused = load.state["refused"]
    load.wait(lambda state: state["refused"] > refused + 5, 60)
    assert there.get("/v1/vehicles").status_code == 200  # reading goes on


@pytest.mark.faults
def test_c13_the_data_volume_is_full() -> None:
    """The log has a volume of its own, as it should: on the data's it would be C14."""
    with verbs.small_volume(160) as volume, verbs.small_volume(1000) as other, installed(data_dir=volume / "data", wal_on=other) as there:
        with sending(batches(there.url, there.key, patience_s=1.0)) as load:
            load.wait_acked(2_000)
            with verbs.filled(volume):
                _storage_is_refused(there, load)
                time.sleep(scaled(0, 20))
            back = time.monotonic()
            load.wait_ack_after(back)
            load.wait_acked(2_000)
        concluded(there, load.ledger, "C13", "data volume full (tmpfs)", released=back, note=_kinds(load))
        assert load.ledger.counts["refused:storage_full"]


def test_c14_the_log_s_volume_is_nearly_full() -> None:
    with verbs.small_volume(200) as volume, installed(wal_on=volume, VOLTLEDGER_WAL_DIR=volume, VOLTLEDGER_LEAST_FREE_GB=0.07) as there:
        server = verbs.postmaster(there)
        with sending(singles(there.url, there.key)) as load:
            load.wait_acked(100)
            with verbs.filled(volume, leave_mb=50):
                _storage_is_refused(there, load)
                assert there.get("/readyz").json()["type"].endswith("storage_full")
            back = time.monotonic()
            load.wait_ack_after(back)
            load.wait_acked(100)
        concluded(there, load.ledger, "C14", "log's volume nearly full: refused before it panics", released=back, note=_kinds(load))
        assert verbs.postmaster(there) == server
        wait_until(there.ready)


@pytest.mark.faults
def test_c14_the_log_s_volume_is_full_and_the_ballast_brings_it_back() -> None:
    """With nobody looking after the room: PostgreSQL panics, and comes up again by what was set aside for that."""
    with verbs.small_volume(250) as volume, installed(wal_on=volume, ballast_mb=48) as there:
        ballast = volume / "voltledger.ballast"
        assert ballast.stat().st_size == 48 * verbs.MIB
        assert wal_dir(there.data).resolve() == (volume / "pg_wal").resolve()
        with sending(singles(there.url, there.key)) as load:
            load.wait_acked(100)
            with verbs.filled(volume):
                server, at = verbs.postmaster(there), time.monotonic()
                wait_until(lambda: _next_segment(there) or there.database.pid != server, 60, "it panics")
                load.wait_ack_after(at, 90)
                load.wait_acked(100)
                assert not ballast.exists()
        concluded(
            there, load.ledger, "C14", "log's volume full: PostgreSQL panics, the ballast brings it back", since=at, note=_kinds(load)
        )


def _next_segment(there: Installation) -> bool:
    """Make PostgreSQL want another 16 MB; whether it failed at that."""
    try:
        with there.connect() as conn:
            conn.execute("CREATE TABLE IF NOT EXISTS wanted (n int)")
            conn.execute("INSERT INTO wanted VALUES (1)")
            conn.execute("SELECT pg_switch_wal()")
    except Exception:  # noqa: BLE001 - whatever it is, the server did not stand it
        return True
    return False


def _kinds(load: Sending) -> str:
    return ", ".join(f"{name.partition(':')[2]} {n}" for name, n in sorted(load.ledger.counts.items()) if name.startswith("refused:"))
