"""The contract's table of answers, and what a receipt promises."""

import gzip
import json
import threading
from datetime import UTC, datetime

import psycopg
import pytest

from tests.support import api, depot, van

pytestmark = pytest.mark.days_ahead

JSON = {"Content-Type": "application/json"}


def _rows(url: str, table: str = "vehicle_history") -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row
    return int(row[0])


def test_stored_is_201_and_a_resend_is_200_and_counts_once(database_url: str) -> None:
    with api(database_url) as client:
        first, again = (client.post("/v1/telemetry/vehicle", json=van()) for _ in range(2))
    assert (first.status_code, first.get_json()["accepted"]) == (201, 1)
    assert (again.status_code, again.get_json()["accepted"], again.get_json()["duplicates"]) == (200, 0, 1)
    assert _rows(database_url) == 1


def test_an_empty_array_is_200(database_url: str) -> None:
    with api(database_url) as client:
        for path, body in (("vehicle", []), ("meter", []), ("batch", {"vehicles": [], "meters": []})):
            got = client.post(f"/v1/telemetry/{path}", json=body)
            assert (got.status_code, got.get_json()["received"]) == (200, 0)


def test_valid_neighbours_of_a_bad_reading_are_stored_with_207(database_url: str) -> None:
    batch = {"vehicles": [van(), van(vehicleId="van-8", soc=101)], "meters": [depot(), depot(voltage="220")]}
    with api(database_url) as client:
        got = client.post("/v1/telemetry/batch", json=batch)
    receipt = got.get_json()
    assert got.status_code == 207
    assert (receipt["received"], receipt["accepted"], receipt["duplicates"], receipt["rejected"]) == (4, 2, 0, 2)
    assert [(e["index"], e["pointer"], e["code"]) for e in receipt["errors"]] == [
        (1, "/vehicles/1/soc", "out_of_range"),
        (3, "/meters/1/voltage", "wrong_type"),
    ]
    assert (_rows(database_url), _rows(database_url, "meter_history")) == (1, 1)


def test_one_invalid_object_or_all_invalid_is_422_and_nothing_is_stored(database_url: str) -> None:
    with api(database_url) as client:
        for body in (van(soc=-1), [van(soc=-1), van(soc=101)]):
            got = client.post("/v1/telemetry/vehicle", json=body)
            assert (got.status_code, got.mimetype) == (422, "application/problem+json")
            assert got.get_json()["errors"][0]["code"] == "out_of_range"
    assert _rows(database_url) == 0


def test_a_conflict_is_told_and_the_first_reading_stays(database_url: str) -> None:
    with api(database_url) as client:
        client.post("/v1/telemetry/vehicle", json=van())
        alone = client.post("/v1/telemetry/vehicle", json=van(soc=81))
        among = client.post("/v1/telemetry/vehicle", json=[van(soc=82), van(vehicleId="van-8")])
    assert (alone.status_code, alone.get_json()["errors"][0]["code"]) == (422, "conflict")
    assert (among.status_code, among.get_json()["accepted"], among.get_json()["rejected"]) == (207, 1, 1)
    with psycopg.connect(database_url) as conn:
        assert conn.execute("SELECT soc_centi_pct FROM live_vehicle WHERE vehicle_id = 'van-7'").fetchone() == (8000,)


def test_duplicates_and_conflicts_within_one_batch_are_told_apart(database_url: str) -> None:
    with api(database_url) as client:
        receipt = client.post("/v1/telemetry/vehicle", json=[van(), van(), van(soc=1)]).get_json()
        again = client.post("/v1/telemetry/vehicle", json=[van(soc=1), van()]).get_json()
    assert (receipt["accepted"], receipt["duplicates"], receipt["rejected"]) == (1, 1, 1)
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 1, 1)
    assert again["errors"][0]["index"] == 0


def test_gzip_is_taken_and_bombs_and_broken_gzip_are_not(database_url: str) -> None:
    whole = gzip.compress(json.dumps(van()).encode())
    with api(database_url, limits={"inflated_bytes": 10_000}) as client:

        def post(data: bytes, encoding: str = "gzip") -> int:
            return client.post("/v1/telemetry/vehicle", data=data, headers={**JSON, "Content-Encoding": encoding}).status_code

        assert post(whole) == 201
        assert post(whole[:-5]) == 400
        assert post(whole + whole) == 400
        assert post(gzip.compress(b" " * 1_000_000)) == 413
        assert post(gzip.compress(whole)) == 400
        assert post(whole, "br") == 415
        assert post(json.dumps(van(soc=81, vehicleId="van-9")).encode(), "identity") == 201


def test_too_large_and_wrong_type_are_refused(database_url: str) -> None:
    with api(database_url, limits={"body_bytes": 2_000, "batch_readings": 3}) as client:
        assert client.post("/v1/telemetry/vehicle", data=b" " * 2_001, headers=JSON).status_code == 413
        giant = client.post("/v1/telemetry/vehicle", json=[van(vehicleId=f"v{n}") for n in range(4)])
        assert (giant.status_code, giant.get_json()["type"]) == (413, "urn:voltledger:problem:batch_too_large")
        assert client.post("/v1/telemetry/vehicle", data=json.dumps(van()), headers={"Content-Type": "text/plain"}).status_code == 415
    assert _rows(database_url) == 0


@pytest.mark.parametrize("stamp", ["2026-02-04T12:05:01Z", "2099-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "1970-01-01T00:00:00Z"])
def test_p1_a_clock_that_is_wrong_is_told_so(database_url: str, stamp: str) -> None:
    with api(database_url) as client:
        got = client.post("/v1/telemetry/vehicle", json=van(timestamp=stamp))
    assert (got.status_code, got.get_json()["errors"][0]["code"]) == (422, "timestamp_out_of_range")


def test_p1_the_edge_of_the_clock_is_taken_and_the_past_is_open(database_url: str) -> None:
    with api(database_url) as client:
        for stamp in ("2026-02-04T12:05:00Z", "2000-01-02T00:00:00Z", "2016-06-27T02:14:00+02:00"):
            assert client.post("/v1/telemetry/vehicle", json=van(timestamp=stamp)).status_code == 201


def test_p1_the_past_can_be_closed_by_a_setting(database_url: str) -> None:
    with api(database_url, oldest_reading_days=30) as client:
        assert client.post("/v1/telemetry/vehicle", json=van(timestamp="2026-01-01T00:00:00Z")).status_code == 422
        assert client.post("/v1/telemetry/vehicle", json=van(timestamp="2026-02-01T00:00:00Z")).status_code == 201


def test_only_so_many_days_of_the_past_open_in_an_hour(database_url: str) -> None:
    with api(database_url, new_old_days_per_hour=3) as client:
        codes = [
            client.post("/v1/telemetry/vehicle", json=van(timestamp=f"2020-01-{day:02d}T12:00:00Z")).status_code for day in range(1, 6)
        ]
        ordinary = client.post("/v1/telemetry/vehicle", json=van())
        refused = client.post("/v1/telemetry/vehicle", json=van(timestamp="2020-01-20T12:00:00Z"))
    assert codes == [201, 201, 201, 503, 503]
    assert ordinary.status_code == 201
    assert (refused.get_json()["type"], "Retry-After" in refused.headers) == ("urn:voltledger:problem:too_many_old_days", True)


def test_p7_midnight_belongs_to_the_new_day_and_to_the_quarter_it_ends(database_url: str) -> None:
    with api(database_url, datetime(2026, 2, 4, 12, tzinfo=UTC)) as client:
        assert client.post("/v1/telemetry/vehicle", json=van(timestamp="2015-03-01T00:00:00Z")).status_code == 201
        got = client.get("/v1/vehicles/van-7/history?from=2015-02-28T12:00:00Z&to=2015-03-01T00:00:00Z").get_json()
    assert [(p["at"], p["kwhDeliveredDc"]) for p in got["points"]] == [("2015-02-28T23:45:00Z", 5.0)]


def test_p3_fifty_parallel_resends_store_one_row_and_one_is_accepted(database_url: str) -> None:
    receipts = []
    with api(database_url) as client:

        def post() -> None:
            receipts.append(client.application.test_client().post("/v1/telemetry/vehicle", json=van()).get_json())

        threads = [threading.Thread(target=post) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (sum(r["accepted"] for r in receipts), sum(r["duplicates"] for r in receipts), _rows(database_url)) == (1, 49, 1)


def test_c4_with_the_database_away_nothing_is_confirmed_and_the_process_lives(database_url: str) -> None:
    gone = database_url.replace("/test_", "/gone_")
    import math

    from api import app as api_app
    from api.committer import Committer
    from api.intake import Intake, Limits
    from api.services import Services
    from db.engine import pool
    from db.queries.fleet_window import FleetWindow
    from db.queries.policies import Policies
    from tests.support import NOW

    reading, writing = pool(gone, 1, "read", 5), pool(gone, 1, "write", 5)
    committer = Committer(writing, 1, 20_000, 5_000, 400)
    app = api_app.create(
        Services(
            reading,
            Intake(committer, Limits(5 << 20, 20 << 20, 5_000, 300, None, 5.0), lambda: NOW),
            Policies(),
            lambda: NOW,
            FleetWindow(Policies(), math.inf),
        )
    )
    client = app.test_client()
    got = client.post("/v1/telemetry/vehicle", json=van())
    assert (got.status_code, got.get_json()["type"], got.mimetype) == (
        503,
        "urn:voltledger:problem:database_unavailable",
        "application/problem+json",
    )
    assert 1 <= int(got.headers["Retry-After"]) <= 30
    assert client.get("/readyz").status_code == 503
    assert client.get("/v1/analytics/performance/van-7").status_code == 503
    assert client.get("/healthz").status_code == 200
    committer.close()
    assert client.post("/v1/telemetry/vehicle", json=van()).get_json()["type"] == "urn:voltledger:problem:draining"
    reading.close(1)
    writing.close(1)
