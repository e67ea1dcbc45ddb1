"""The judge can be trusted: what it should find it finds, and it finds nothing where nothing is wrong."""

import psycopg
import pytest

from proof.devices import Fleet
from proof.ledger import Ledger, duration_class, quantile_ms
from tests.faults.invariants import examine
from tests.support import api

FLEET = Fleet("judge", 1_770_206_400 - 3600)
SENT, DONE = 5, 4


@pytest.fixture
def stored(database_url: str) -> tuple[Ledger, str]:
    """A vehicle and a meter, of each four readings acked and one of unknown outcome, which is stored."""
    ledger = Ledger(FLEET, [SENT, SENT], [DONE, DONE])
    with api(database_url) as client:
        for n in range(SENT):
            for device, side in ((0, "vehicle"), (1, "meter")):
                answer = client.post(f"/v1/telemetry/{side}", data=FLEET.reading(device, n), content_type="application/json")
                assert answer.status_code == 201
    return ledger, database_url


def test_nothing_is_found_where_nothing_is_wrong(stored: tuple[Ledger, str]) -> None:
    found = examine(*stored)
    found.assert_none()
    assert (found.stored, found.unknown_stored) == (2 * SENT, 2)


SPOILED = (
    ("DELETE FROM vehicle_history WHERE recorded_at = (SELECT min(recorded_at) FROM vehicle_history)", "lost"),
    ("UPDATE meter_history SET ac_milliwh = ac_milliwh + 1 WHERE recorded_at = (SELECT min(recorded_at) FROM meter_history)", "lost"),
    ("UPDATE meter_history SET ac_milliwh = ac_milliwh + 1", "phantom"),
    ("UPDATE live_vehicle SET recorded_at = recorded_at - interval '1 second'", "wrong_live"),
    ("DELETE FROM live_meter", "wrong_live"),
    ("UPDATE vehicle_rollup SET readings = readings + 1", "wrong_rollups"),
)
TABLES = ("vehicle_history", "meter_history", "live_vehicle", "live_meter", "vehicle_rollup", "meter_rollup")


def test_what_is_spoiled_is_found(stored: tuple[Ledger, str]) -> None:
    """One after the other; in between everything is as it was."""
    ledger, url = stored
    with psycopg.connect(url, autocommit=True) as conn:
        for table in TABLES:
            conn.execute(f"CREATE TABLE kept_{table} AS TABLE {table}".encode())
        for spoiled, finding in SPOILED:
            conn.execute(spoiled.encode())
            found = examine(ledger, url)
            assert getattr(found, finding) > 0, spoiled
            with pytest.raises(AssertionError, match=finding):
                found.assert_none()
            for table in TABLES:
                conn.execute(f"DELETE FROM {table}; INSERT INTO {table} TABLE kept_{table}".encode())
            examine(ledger, url).assert_none()


def test_what_was_never_sent_is_a_phantom(stored: tuple[Ledger, str]) -> None:
    ledger, url = stored
    ledger.sent[0] = DONE
    assert examine(ledger, url).phantom == 1


def test_a_ledger_survives_its_way_through_a_pipe() -> None:
    import orjson

    ledger = Ledger(FLEET, [3], [2], [(0, 1, 422, "out_of_range")])
    ledger.took[duration_class(0.010)] += 99
    ledger.took[duration_class(1)] += 1
    again = Ledger.from_dict(orjson.loads(orjson.dumps(ledger.as_dict(), option=orjson.OPT_NON_STR_KEYS)))
    assert again == ledger
    assert (again.acked, again.unknown) == (1, 1)
    assert quantile_ms(again.took, 0.5) == pytest.approx(10, rel=0.05)
    assert quantile_ms(again.took, 1) == pytest.approx(1000, rel=0.05)


def test_a_secret_in_a_log_is_found(stored: tuple[Ledger, str], tmp_path) -> None:  # type: ignore[no-untyped-def]
    log = tmp_path / "web.log"
    log.write_text("Bearer s3cret-of-a-device")
    assert examine(*stored, (log,), ("s3cret-of-a-device",)).secrets
