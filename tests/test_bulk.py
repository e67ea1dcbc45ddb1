"""Many assignments or sites from a file: all or nothing, tried before it is done, and every fault named with its line."""

import gzip
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from api.bulk import mappings as bulk
from api.bulk import table
from charging.timeline import held
from db import assignments, expectation_version
from db.assignment_changes import Author, recorded
from tests.support import NOW, api, depot, fresh_database, van
from tests.test_mappings import replayed

pytestmark = pytest.mark.days_ahead

TABLES = ("assignment", "assignment_change", "site", "expectation_version")


def post(client: FlaskClient, text: str | bytes, query: str = "unknown=accept", path: str = "mappings", **headers: str) -> Any:
    return client.post(f"/v1/{path}?{query}", data=text, headers={"Content-Type": "text/csv", **headers})


def whole(url: str) -> list[list[tuple[Any, ...]]]:
    """Every row of every table that a file may write to."""
    with psycopg.connect(url) as conn:
        return [conn.execute(f"SELECT t::text FROM {name} t ORDER BY 1".encode()).fetchall() for name in TABLES]


def timeline(client: FlaskClient, vehicle_id: str) -> list[tuple[str | None, str, str]]:
    found = client.get(f"/v1/mappings/{vehicle_id}").get_json()["timeline"]
    return [(one["meterId"], (one["from"] or "")[11:16], (one["to"] or "")[11:16]) for one in found]


@pytest.fixture(scope="module")
def refusing(postgres_url: str, template_database: str) -> Iterator[tuple[FlaskClient, str]]:
    """One server for what is refused: nothing may be left behind, and every test looks."""
    with fresh_database(postgres_url, template_database, "refusing") as url, api(url) as client:
        prepare(client)
        client.put("/v1/sites/ber", json={"name": "Berlin"})
        yield client, url


FILE = """vehicle_id,meter_id,from,to
van-1,depot-1,,
van-2,depot-9,,
van-3,depot-3,2026-02-04T08:00:00Z,2026-02-04T09:00:00+00:00
van-4,none,,
van-5,depot-5,,
"""


def prepare(client: FlaskClient) -> None:
    for n in (2, 3, 4, 5):
        client.put(f"/v1/mappings/van-{n}", json={"meterId": f"depot-{n}" if n != 3 else "depot-1"})


def test_a_dry_run_says_what_the_file_would_change_and_changes_nothing_and_the_run_does_just_that(database_url: str) -> None:
    with api(database_url) as client:
        prepare(client)
        before = whole(database_url)
        tried = post(client, FILE, "dryRun=true&unknown=accept&by=Ada&note=move").get_json()
        assert whole(database_url) == before
        done = post(client, FILE, "unknown=accept&by=Ada&note=move").get_json()
        assert {**tried, "dryRun": False, "applied": True} == done
        assert [timeline(client, f"van-{n}") for n in range(1, 6)] == [
            [("depot-1", "", "")],
            [("depot-2", "", "12:00"), ("depot-9", "12:00", "")],
            [("depot-1", "", "08:00"), ("depot-3", "08:00", "09:00"), ("depot-1", "09:00", "")],
            [("depot-4", "", "12:00"), (None, "12:00", "")],
            [("depot-5", "", "")],
        ]
        newest = client.get("/v1/mapping-changes?limit=4").get_json()["changes"]
        again = post(client, FILE.replace("depot-1,,", "depot-1,,\n"), "unknown=accept").get_json()
    assert tried["counts"] == {"rows": 5, "first": 1, "changed": 2, "corrected": 1, "unchanged": 1}
    assert [(row["line"], row["vehicleId"], row["action"]) for row in tried["rows"]] == [
        (2, "van-1", "first"),
        (3, "van-2", "changed"),
        (4, "van-3", "corrected"),
        (5, "van-4", "changed"),
        (6, "van-5", "unchanged"),
    ]
    assert tried["rows"][2]["changes"] == [
        {
            "from": "2026-02-04T08:00:00Z",
            "to": "2026-02-04T09:00:00Z",
            "meterBefore": "depot-1",
            "meterAfter": "depot-3",
            "correctsPast": True,
        }
    ]
    assert {(one["vehicleId"], one["by"], one["via"], one["note"]) for one in newest} == {
        (f"van-{n}", "Ada", "bulk", "move") for n in range(1, 5)
    }
    assert again["counts"] == {"rows": 5, "first": 0, "changed": 0, "corrected": 0, "unchanged": 5}


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffmeter_id;vehicle_id;remark\r\ndepot-1;van-1;a, b\r\n",
        '"vehicle_id","meter_id"\n"van-1","depot-1"',
        " vehicle_id , meter_id \n\n van-1 , depot-1 \n,\n",
        "vehicle_id,meter_id\rvan-1,depot-1\r",
        'remark,vehicle_id,meter_id\n"two\nlines",van-1,depot-1\n',
    ],
)
def test_a_spreadsheets_ways_of_writing_csv_are_read(database_url: str, text: str) -> None:
    with api(database_url) as client:
        assert post(client, text).get_json()["counts"]["first"] == 1
        assert timeline(client, "van-1") == [("depot-1", "", "")]


GOOD = "van-1,depot-1,,\n"
BAD = [
    ("van-9\n", 3, "", "wrong_type", "1 cells under 4 columns"),
    ("van-9,depot-1,,,\n", 3, "", "wrong_type", "5 cells"),
    (",depot-1,,\n", 3, "/vehicle_id", "missing_field", "vehicle_id"),
    ("van-9,,,\n", 3, "/meter_id", "missing_field", "write none"),
    ("van-9,None,,\n", 3, "/meter_id", "invalid_text", "small letters"),
    ("<b>,depot-1,,\n", 3, "/vehicle_id", "invalid_text", "letters"),
    ("van-9,a\0b,,\n", 3, "/meter_id", "invalid_text", "letters"),
    ("van-9,depot-1,2026-02-04T08:00:00,\n", 3, "/from", "timestamp_format", "offset"),
    ("van-9,depot-1,yesterday,\n", 3, "/from", "timestamp_format", "offset"),
    ("van-9,depot-1,,2026-02-30T08:00:00Z\n", 3, "/to", "timestamp_format", "offset"),
    ("van-9,depot-1,1999-12-31T23:59:59Z,\n", 3, "/from", "timestamp_out_of_range", "2000"),
    ("van-9,depot-1,2026-02-04T08:00:00Z,2026-02-04T08:00:00Z\n", 3, "/to", "out_of_range", "before"),
    ("van-2,depot-1,,2026-02-04T11:00:00Z\n", 3, "/to", "out_of_range", "begins now"),
    ("van-1,depot-3,2026-02-05T00:00:00Z,\n", 3, "/from", "overlap", "lines 2 and 3"),
    ("van-9,depot-1,,\n\nvan-9,depot-2,2026-02-05T00:00:00Z,\n", 5, "/from", "overlap", "lines 3 and 5"),
    ('van-9,"depot-1,,\n', 3, "", "wrong_type", "unexpected end"),
]


@pytest.mark.parametrize(("rows", "line", "pointer", "code", "said"), BAD)
def test_one_bad_row_is_named_with_its_line_and_nothing_is_applied(
    refusing: tuple[FlaskClient, str], rows: str, line: int, pointer: str, code: str, said: str
) -> None:
    client, url = refusing
    before = whole(url)
    for query in ("unknown=accept", "dryRun=true&unknown=accept"):
        got = post(client, f"vehicle_id,meter_id,from,to\n{GOOD}{rows}", query)
        (error,) = got.get_json()["errors"]
        assert (got.status_code, got.mimetype) == (422, "application/problem+json")
        assert (error["line"], error["pointer"], error["code"]) == (line, pointer, code)
        assert said in error["detail"]
        assert f"line {line}" in got.get_json()["detail"]
    assert whole(url) == before


@pytest.mark.parametrize(
    ("text", "line", "pointer"),
    [
        ("", 1, "/vehicle_id"),
        ("vehicle_id,from\n", 1, "/meter_id"),
        ("vehicle_id,meter_id,to,to\n", 1, "/to"),
        ('"vehicle_id,meter_id', 1, ""),
        (b"vehicle_id,meter_id\nvan-1,depot-1\nvan-\xff,depot-2\n", 3, ""),
    ],
)
def test_a_file_that_cannot_be_read_says_why(refusing: tuple[FlaskClient, str], text: str | bytes, line: int, pointer: str) -> None:
    got = post(refusing[0], text)
    assert (got.status_code, got.get_json()["errors"][0]["line"], got.get_json()["errors"][0]["pointer"]) == (422, line, pointer)
    assert post(refusing[0], "vehicle_id,meter_id\n").get_json()["counts"]["rows"] == 0


def test_every_bad_row_is_told_at_once(database_url: str) -> None:
    with api(database_url) as client:
        got = post(client, "vehicle_id,meter_id\n" + "van-1,<b>\n" * 150).get_json()
    assert (len(got["errors"]), got["errorsTruncated"], got["errors"][-1]["line"]) == (100, True, 101)
    assert got["detail"].startswith("150 lines are wrong and nothing is changed; line 2, meter_id: ")


def test_a_mapping_to_nothing_is_refused_unless_accepted(database_url: str) -> None:
    text = "vehicle_id,meter_id\nvan-7,depot-1\nvan-8,depot-1\nvan-7x,depot-8\nvan-9,depot-9\n"
    with api(database_url) as client:
        client.post("/v1/telemetry/vehicle", json=van())
        client.post("/v1/telemetry/meter", json=depot())
        client.put("/v1/vehicles/van-8", json={"name": "Van 8"})
        client.put("/v1/mappings/van-9", json={"meterId": "depot-9"})
        got = post(client, text, "")
        assert got.status_code == 422
        assert [(one["line"], one["pointer"], one["code"]) for one in got.get_json()["errors"]] == [
            (4, "/vehicle_id", "unknown_device"),
            (4, "/meter_id", "unknown_device"),
        ]
        assert post(client, text, "unknown=accept").get_json()["counts"]["first"] == 3
        assert post(client, text, "").get_json()["counts"]["unchanged"] == 4
        assert post(client, text, "unknown=maybe").status_code == 422


def test_a_vehicle_may_have_several_stretches_that_touch(database_url: str) -> None:
    rows = [
        "van-1,depot-3,2026-02-04T10:00:00Z,",
        "van-1,depot-1,,2026-02-04T08:00:00Z",
        "van-1,depot-2,2026-02-04T08:00:00Z,2026-02-04T10:00:00Z",
    ]
    with api(database_url) as client:
        got = post(client, "vehicle_id,meter_id,from,to\n" + "\n".join(rows)).get_json()
        assert timeline(client, "van-1") == [("depot-1", "", "08:00"), ("depot-2", "08:00", "10:00"), ("depot-3", "10:00", "")]
    assert [(row["line"], row["action"]) for row in got["rows"]] == [(2, "first"), (3, "first"), (4, "first")]
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        assert replayed(conn, "van-1") == assignments.load(conn, ["van-1"])["van-1"]


def test_size_type_and_encoding_are_judged_before_the_rows(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "vehicle_id,meter_id\nvan-1,depot-1\n"
    with api(database_url) as client:
        assert post(client, text, **{"Content-Type": "application/json"}).status_code == 415
        assert post(client, text, **{"Content-Encoding": "br"}).status_code == 415
        assert post(client, b"x" * (table.BODY_BYTES + 1)).status_code == 413
        assert post(client, gzip.compress(text.encode()), **{"Content-Encoding": "gzip"}).get_json()["counts"]["first"] == 1
        monkeypatch.setattr(table, "MOST_ROWS", 2)
        assert post(client, text + "van-2,depot-2\n").status_code == 200
        assert post(client, text + "van-2,depot-2\nvan-3,depot-3\n").status_code == 413
        assert client.get("/v1/mappings/van-3").status_code == 404


def test_ten_thousand_rows_take_a_few_statements(database_url: str) -> None:
    """Counted, not timed: a machine may be slow, a query for each row is wrong on any."""
    with psycopg.connect(database_url) as conn:
        asked = 0
        execute = conn.execute

        def counting(*args: Any, **more: Any) -> Any:
            nonlocal asked
            asked += 1
            return execute(*args, **more)

        conn.execute = counting  # type: ignore[method-assign]
        lines = ["vehicle_id,meter_id,from,to", *(f"van-{n},depot-{n},," for n in range(10_000))]
        began = time.process_time()
        for text in ("\n".join(lines), "\n".join(lines).replace("depot-", "post-")):
            done = bulk.assign_file(conn, text.encode(), NOW, Author("t", "bulk"), dry_run=False, accept_unknown=True)
            assert len(done) == 10_000
        assert (asked, time.process_time() - began < 20) == (8, True)
        assert len(recorded(conn)) == 20_000


def test_a_file_and_single_changes_at_one_time_never_mix(database_url: str) -> None:
    vehicles = [f"van-{n}" for n in range(8)]

    def files(worker: int) -> None:
        with psycopg.connect(database_url) as conn:
            for n in range(6):
                start = (NOW + timedelta(minutes=n)).isoformat()
                rows = [f"{vehicle_id},bulk-{worker}-{n},{start}," for vehicle_id in vehicles]
                text = "\n".join(["vehicle_id,meter_id,from,to", *rows]).encode()
                bulk.assign_file(conn, text, NOW, Author(str(worker), "bulk"), dry_run=False, accept_unknown=True)
                conn.commit()

    def singles(worker: int) -> None:
        with psycopg.connect(database_url) as conn:
            for n in range(40):
                start, end = NOW + timedelta(minutes=n % 7, seconds=worker), NOW + timedelta(minutes=n % 7 + 1)
                assignments.assign(
                    conn, vehicles[n % 8], f"single-{worker}", start, NOW, Author(str(worker), "api"), end if n % 2 else None
                )
                conn.commit()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, worker) for worker, work in enumerate((files, files, singles, singles))]:
            done.result()
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        stored = assignments.load(conn, vehicles)
        for vehicle_id in vehicles:
            said = replayed(conn, vehicle_id)
            assert all(held(stored[vehicle_id], step.start) == held(said, step.start) for step in (*stored[vehicle_id], *said))


SITES = "site_id;name;latitude;longitude;time_zone;tariff_per_kwh;co2_kg_per_kwh\n"


def test_sites_come_from_a_file_and_what_it_does_not_name_stays(database_url: str) -> None:
    text = f"{SITES}ber;Berlin;52.5;13.4;Europe/Berlin;0.2934;0.38\noslo;Oslo;;;;;\n"
    with api(database_url) as client:
        client.put("/v1/sites/ber", json={"name": "Berlin", "thresholds": "plain", "plainLow": 0.8})
        before = whole(database_url)
        tried = post(client, text, "dryRun=true", "sites").get_json()
        assert whole(database_url) == before
        assert post(client, text, "", "sites").get_json() == {**tried, "dryRun": False, "applied": True}
        assert post(client, text, "", "sites").get_json()["counts"] == {"rows": 2, "new": 0, "changed": 0, "unchanged": 2}
        assert post(client, "site_id,tariff_per_kwh\noslo,1.25\nber,\n", "", "sites").get_json()["counts"]["changed"] == 2
        berlin, oslo = client.get("/v1/sites").get_json()["sites"]
    assert tried["counts"] == {"rows": 2, "new": 1, "changed": 1, "unchanged": 0}
    assert tried["rows"][0]["changes"][-1] == {"field": "co2KgPerKwh", "before": None, "after": 0.38}
    assert (berlin["timeZone"], berlin["thresholds"], berlin["plainLow"], berlin["tariffPerKwh"]) == ("Europe/Berlin", "plain", 0.8, None)
    assert (oslo["name"], oslo["timeZone"], oslo["tariffPerKwh"], oslo["latitude"]) == ("Oslo", "UTC", 1.25, None)


@pytest.mark.parametrize(
    ("row", "pointer", "code"),
    [
        ("oslo;Oslo;;;;cheap;", "/tariff_per_kwh", "wrong_type"),
        ("oslo;Oslo;;;;0,29;", "/tariff_per_kwh", "wrong_type"),
        ("oslo;Oslo;;;;NaN;", "/tariff_per_kwh", "wrong_type"),
        ("oslo;Oslo;;;;1e3;", "/tariff_per_kwh", "wrong_type"),
        ("oslo;Oslo;;;;-1;", "/tariff_per_kwh", "out_of_range"),
        ("oslo;Oslo;;;;;11", "/co2_kg_per_kwh", "out_of_range"),
        ("oslo;Oslo;91;0;;;", "/latitude", "out_of_range"),
        ("oslo;Oslo;59;;;;", "/latitude", "missing_field"),
        ("oslo;Oslo;;;Norway/Oslo;;", "/time_zone", "invalid_text"),
        ("oslo;;;;;;", "/name", "missing_field"),
        (f"oslo;{'x' * 201};;;;;", "/name", "invalid_text"),
        (";Oslo;;;;;", "/site_id", "missing_field"),
        ("os lo;Oslo;;;;;", "/site_id", "invalid_text"),
        ("ber;Berlin again;;;;;", "/site_id", "overlap"),
    ],
)
def test_one_bad_site_is_named_with_its_line_and_none_is_stored(
    refusing: tuple[FlaskClient, str], row: str, pointer: str, code: str
) -> None:
    client, url = refusing
    before = whole(url)
    got = post(client, f"{SITES}ber;Berlin Mitte;;;;0.3;\n{row}\n", "", "sites")
    (error,) = got.get_json()["errors"]
    assert (got.status_code, error["line"], error["pointer"], error["code"]) == (422, 3, pointer, code)
    assert whole(url) == before


def test_a_file_of_sites_raises_the_version_once(database_url: str, conn: psycopg.Connection) -> None:
    before = expectation_version.current(conn)
    conn.rollback()
    with api(database_url) as client:
        post(client, "site_id,name\na,A\nb,B\n", "", "sites")
        post(client, "site_id,name\na,A\nb,B\n", "", "sites")
    assert expectation_version.current(conn) == before + 1


def test_the_specification_shows_the_files(database_url: str) -> None:
    with api(database_url) as client:
        paths = client.get("/api/openapi.json").get_json()["paths"]
    for path in ("/v1/mappings", "/v1/sites"):
        assert list(paths[path]["post"]["requestBody"]["content"]) == ["text/csv"]
        assert "dryRun" in {parameter["name"] for parameter in paths[path]["post"]["parameters"]}
    assert {parameter["name"] for parameter in paths["/v1/mappings/{vehicleId}"]["delete"]["parameters"]} == {
        "vehicleId",
        "from",
        "by",
        "note",
        "dryRun",
    }
