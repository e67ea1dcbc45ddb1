"""What came in, by minute: right with several processes, kept in memory while the database is away, never a reading's cost."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from api.intake_writer import IntakeWriter
from api.tally import MOST_MINUTES, Tally
from dashboard import housekeeping
from db import intake_log
from db.engine import Conn
from db.ingest import Outcome
from db.intake_log import MinuteCounts, RejectCounts, minute_of
from tests.support import NOW, api, depot, van

pytestmark = pytest.mark.days_ahead

NOW_US = int(NOW.timestamp()) * 1_000_000
HOUR_AGO, AFTER = NOW - timedelta(hours=1), NOW + timedelta(minutes=1)


def _committer(client: Any) -> Any:
    return client.application.extensions["voltledger-lanes"]._intake.committer


def _writer(tally: Tally, url: str) -> IntakeWriter:
    return IntakeWriter(tally, lambda: psycopg.connect(url))


def _took(tally: Tally, count: int, minutes_ago: int = 0) -> None:
    """So many accepted readings of vehicles, each ten seconds on its way, in one commit."""
    at = NOW - timedelta(minutes=minutes_ago)
    tally.committed(at, (("vehicle", [Outcome.ACCEPTED] * count, [NOW_US - minutes_ago * 60_000_000 - 10_000_000] * count),))


def test_what_was_posted_is_counted_by_side_and_fate(database_url: str) -> None:
    """Accepted, sent twice, changed, faulty and refused whole; every reading in exactly one of them."""
    with api(database_url) as client:
        client.post("/v1/telemetry/vehicle", json=[van(), van(vehicleId="van-8")])
        client.post("/v1/telemetry/vehicle", json=van())
        client.post("/v1/telemetry/vehicle", json=van(soc=10))
        client.post("/v1/telemetry/batch", json={"vehicles": [van(vehicleId="van-9", soc=101)], "meters": [depot(), depot(meterId="?")]})
        client.post("/v1/telemetry/meter", data="{", content_type="application/json")
        assert _writer(_committer(client).tally, database_url).write()
    with psycopg.connect(database_url) as conn:
        found = {side: counts for _, side, counts in intake_log.between(conn, HOUR_AGO, AFTER)}
        rejected = {(one.what, one.code): one for one in intake_log.rejected(conn, HOUR_AGO, AFTER)}
    vehicle, meter = found["vehicle"], found["meter"]
    assert (vehicle.accepted, vehicle.duplicates, vehicle.conflicts, vehicle.rejected) == (2, 1, 1, 1)
    assert (meter.accepted, meter.duplicates, meter.conflicts, meter.rejected) == (1, 0, 0, 1)
    assert {key: one.count for key, one in rejected.items()} == {
        ("reading", "conflict"): 1, ("reading", "out_of_range"): 1, ("reading", "invalid_text"): 1, ("request", "not_json"): 1,
    }  # fmt: skip
    assert rejected["reading", "out_of_range"].samples[0][1] == {"deviceId": "van-9", "pointer": "/soc", "detail": "soc is 0 to 100 %"}
    assert rejected["reading", "conflict"].samples[0][1]["deviceId"] == "van-7"


def test_a_sample_holds_no_value_that_was_sent(database_url: str) -> None:
    """What stands where the id should be may be a secret, and so may any value."""
    secret = "Bearer s3cr3t/+="
    with api(database_url) as client:
        for body in (van(vehicleId=secret), van(soc=secret), van(timestamp=secret), van(vehicleId={"key": secret}), secret):
            client.post("/v1/telemetry/vehicle", json=[body])
        assert _writer(_committer(client).tally, database_url).write()
    with psycopg.connect(database_url) as conn:
        kept = str(conn.execute("SELECT string_agg(samples::text, ' ') FROM intake_reject").fetchone())
    assert "s3cr3t" not in kept
    assert '"deviceId": "van-7"' in kept


def test_the_way_here_is_measured_without_what_devices_kept(database_url: str) -> None:
    """Ten seconds each; a reading of two hours ago is late and changes no mean; sent again it is not late twice."""
    tally = Tally()
    instants = [NOW_US - 10_000_000, NOW_US - 10_000_000, NOW_US - 7_200_000_000, NOW_US - 7_200_000_000]
    tally.committed(NOW, (("meter", [*[Outcome.ACCEPTED] * 3, Outcome.DUPLICATE], instants),))
    assert _writer(tally, database_url).write()
    with psycopg.connect(database_url) as conn:
        [(_, _, counts)] = intake_log.between(conn, HOUR_AGO, AFTER)
    assert (counts.accepted, counts.lagged, counts.lag_ms, counts.late) == (3, 2, 20_000, 1)


def test_processes_add_to_the_same_minutes(database_url: str) -> None:
    """Four writers, each with its own tally, twenty times at once, minutes in any order: nothing is overwritten, none waits in a circle."""
    failed: list[bool] = []

    def work(number: int) -> None:
        tally = Tally()
        writer = _writer(tally, database_url)
        for turn in range(20):
            for minute in (range(5), range(4, -1, -1))[(turn + number) % 2]:
                _took(tally, 10, minute)
            tally.rejected(
                NOW, {"vehicle": 2}, Counter(conflict=2), {"conflict": {"deviceId": f"van-{number}", "pointer": "", "detail": ""}}
            )
            failed.append(not writer.write())

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 80
    assert not any(failed)
    with psycopg.connect(database_url) as conn:
        found = intake_log.between(conn, HOUR_AGO, AFTER)
        [rejected] = intake_log.rejected(conn, HOUR_AGO, AFTER)
        row = conn.execute("SELECT jsonb_array_length(samples) FROM intake_reject").fetchone()
    assert [counts.accepted for _, _, counts in found] == [800] * 5
    assert found[-1][2].rejected == rejected.count == 160
    assert row == (intake_log.MOST_SAMPLES,)


def test_what_cannot_be_written_is_written_later(database_url: str) -> None:
    """The database is away twice; then everything is there once."""
    tally, away = Tally(), [True, True, False]

    @contextmanager
    def connection() -> Iterator[Conn]:
        if away.pop(0):
            raise psycopg.OperationalError("away")
        with psycopg.connect(database_url) as conn:
            yield conn

    writer = IntakeWriter(tally, connection)
    for expected in (False, False, True):
        _took(tally, 5)
        tally.refused(NOW, "overloaded")
        assert writer.write() is expected
    with psycopg.connect(database_url) as conn:
        assert [counts.accepted for _, _, counts in intake_log.between(conn, HOUR_AGO, AFTER)] == [15]
        assert [one.count for one in intake_log.rejected(conn, HOUR_AGO, AFTER)] == [3]


def test_an_outage_of_weeks_takes_no_memory() -> None:
    """The oldest minutes are let go."""
    tally, newest = Tally(), minute_of(NOW)
    tally.put_back({(newest - n, "vehicle"): MinuteCounts(1) for n in range(MOST_MINUTES + 50)}, {(newest - 9_999, "reading", "conflict"): RejectCounts(1, [])})  # fmt: skip
    minutes, rejects = tally.take()
    assert len(minutes) == MOST_MINUTES
    assert (newest, "vehicle") in minutes
    assert len(rejects) == 1


def test_the_rest_is_written_when_the_process_ends(database_url: str) -> None:
    """Without waiting for the minute."""
    tally = Tally()
    writer = _writer(tally, database_url).start()
    _took(tally, 7)
    writer.close()
    with psycopg.connect(database_url) as conn:
        assert [counts.accepted for _, _, counts in intake_log.between(conn, HOUR_AGO, AFTER)] == [7]


def test_housekeeping_forgets_what_is_old(database_url: str) -> None:
    """Statistics of thirty days ago go, those of yesterday stay."""
    tally = Tally()
    for days in (31, 1):
        _took(tally, 3, days * 1440)
        tally.refused(NOW - timedelta(days=days), "not_json")
    assert _writer(tally, database_url).write()
    with psycopg.connect(database_url) as conn:
        assert housekeeping.once(conn, NOW)
        assert intake_log.begins(conn) == NOW - timedelta(days=1)
        assert conn.execute("SELECT count(*) FROM intake_reject").fetchone() == (1,)


def test_steps_are_sums_of_minutes(database_url: str) -> None:
    """Five minutes are one step; nothing is counted twice at its edges."""
    tally = Tally()
    for minute in range(1, 11):
        _took(tally, minute, minute)
    assert _writer(tally, database_url).write()
    with psycopg.connect(database_url) as conn:
        steps = intake_log.between(conn, HOUR_AGO, AFTER, timedelta(minutes=5))
    assert [(at, counts.accepted) for at, _, counts in steps] == [
        (NOW - timedelta(minutes=10), 10 + 9 + 8 + 7 + 6),
        (NOW - timedelta(minutes=5), 5 + 4 + 3 + 2 + 1),
    ]


@pytest.mark.parametrize("name", ["voltledger_readings_total", "voltledger_rejects_total", "voltledger_refused_requests_total", "voltledger_lag_seconds_total"])  # fmt: skip
def test_the_metrics_say_it_too(database_url: str, name: str) -> None:
    """As counters of this process."""
    with api(database_url) as client:
        client.post("/v1/telemetry/vehicle", json=[van(timestamp="2026-02-04T11:59:50Z"), van(soc=-1)])
        client.post("/v1/telemetry/vehicle", data="{", content_type="application/json")
        said = client.get("/metrics").get_data(as_text=True)
    values = dict(line.rsplit(" ", 1) for line in said.splitlines() if line.startswith(name))
    label = {"readings": '{outcome="accepted"}', "rejects": '{code="out_of_range"}', "refused_requests": '{code="not_json"}'}
    expected = {"lag_seconds": 10.0}.get(name.removeprefix("voltledger_").removesuffix("_total"), 1.0)
    assert float(values[name + label.get(name.removeprefix("voltledger_").removesuffix("_total"), '{side="vehicle"}')]) == expected
