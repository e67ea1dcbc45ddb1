"""V10, V12, V13: what is written into names and queries is text in every file, for a spreadsheet too, and never a statement, a formula or a path."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import openpyxl
import psycopg
import pytest
from flask.testing import FlaskClient

from tests.report_support import NOON, assign, charge, filled
from tests.support import api, fresh_database, van

FORMULAS = ['=cmd|"/c calc"!A1', "+1+1", "-5", "@SUM(1)", "\t=1", "\r=1", "＝1", "＋1", "－1", "＠1"]
HARMLESS = ['a "quoted" one', "two\nlines", "semi;colon", "comma,", "Zoë 🚚", "\u202e reversed", " =1"]
SQL = ["'; DROP TABLE vehicle_history; --", "' OR '1'='1", "1; SELECT pg_sleep(9)", "\\", "%", "_", "$1", "%s", "%(q)s", "{}", '"', "/*"]


@pytest.fixture(scope="module")
def client(postgres_url: str, template_database: str) -> Iterator[FlaskClient]:
    """A fleet whose names are formulas; a vehicle lost energy, so that numbers below zero are in the files too."""
    with fresh_database(postgres_url, template_database, "hostile_texts") as url:
        with filled(url, date(2026, 2, 3)) as conn:
            conn.execute("INSERT INTO site (site_id, name) VALUES ('ber', '=Berlin')")
            for n, name in enumerate(FORMULAS + HARMLESS):
                conn.execute("INSERT INTO vehicle (vehicle_id, name, site_id) VALUES (%s, %s, 'ber')", (f"van-{n}", name))
                assign(conn, f"van-{n}", f"depot-{n}")
                charge(conn, f"van-{n}", f"depot-{n}", NOON - timedelta(hours=20), 30, 1.2)  # more than came in
        with api(url, NOON) as made:
            yield made


def _tables(url: str) -> int:
    with psycopg.connect(url) as conn:
        found = conn.execute(
            "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        ).fetchone()
    return int(found[0]) if found else 0


def _rows(client: FlaskClient, path: str) -> list[dict[str, str]]:
    text = client.get(path, buffered=True).get_data(as_text=True)
    return list(csv.DictReader(io.StringIO(text, newline="")))


FILES = [
    "/v1/reports/summaries?to=2026-02-04T12:00:00Z",
    "/v1/reports/sessions?to=2026-02-04T12:00:00Z",
    "/v1/ingestion/devices?format=csv",
    "/v1/analytics/sites?format=csv",
]


@pytest.mark.parametrize("path", FILES)
def test_v12_no_text_of_a_file_is_a_formula_and_numbers_stay_numbers(client: FlaskClient, path: str) -> None:
    """Read back with csv, and put into a sheet as a spreadsheet does: openpyxl takes what begins with = for a formula."""
    rows = _rows(client, path)
    assert rows
    sheet = openpyxl.Workbook().active
    assert sheet is not None
    for number, row in enumerate(rows, 1):
        for column, text in enumerate(row.values(), 1):
            plain = re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?", text) is not None
            assert plain or text[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"}, text
            if "\r" not in text:
                assert sheet.cell(number, column, text).data_type != "f"


def test_v12_a_name_is_kept_to_the_letter_behind_its_apostrophe(client: FlaskClient) -> None:
    named = {row["vehicle_id"]: row["vehicle_name"] for row in _rows(client, FILES[0])}
    assert named == {
        **{f"van-{n}": f"'{name}" for n, name in enumerate(FORMULAS)},
        **{f"van-{n}": name for n, name in enumerate(HARMLESS, len(FORMULAS))},
    }


def test_v12_a_number_below_zero_is_written_as_one(client: FlaskClient) -> None:
    losses = [row["loss_kwh"] for row in _rows(client, FILES[0]) if row["loss_kwh"]]
    assert losses
    assert all(float(loss) < 0 for loss in losses)


@pytest.mark.parametrize("text", SQL)
def test_v10_a_statement_in_any_text_is_a_text(client: FlaskClient, text: str) -> None:
    url = client.application.extensions["test-pool"].conninfo
    before = _tables(url)
    body: dict[str, Any] = {"name": text, "model": text}
    assert client.put("/v1/vehicles/sql", json=body).status_code in (200, 201)
    found = client.get("/v1/descriptions/vehicles?limit=10000").get_json()["vehicles"]
    assert next(one for one in found if one["vehicleId"] == "sql")["name"] == text
    for path in ("vehicles", "meters", "sites", "descriptions/vehicles", "keys"):
        assert client.get(f"/v1/{path}", query_string={"after": text}).status_code == 200
    for path in ("ingestion/devices", "ingestion/gaps", "alerts"):
        assert client.get(f"/v1/{path}", query_string={"q": text}).status_code == 200
    assert client.get("/v1/vehicles/sql/history", query_string={"bucket": text}).status_code == 422
    assert client.get("/v1/vehicles", headers={"X-Forwarded-For": text, "User-Agent": text}).status_code == 200
    assert client.post("/v1/telemetry/vehicle", json=van(vehicleId=text)).status_code == 422
    assert _tables(url) == before


@pytest.mark.parametrize("path", FILES)
def test_v13_a_files_name_is_made_here(client: FlaskClient, path: str) -> None:
    said = client.get(path, buffered=True).headers["Content-Disposition"]
    assert re.fullmatch(r'attachment; filename="?[A-Za-z0-9._-]+"?', said), said


@pytest.mark.parametrize("device", ["..%2f..%2fetc%2fpasswd", "a%00.csv", "%2e%2e", 'a"%0d%0aX-A:%20b', "a;b"])
def test_v13_a_path_for_an_id_is_refused(client: FlaskClient, device: str) -> None:
    got = client.get(f"/v1/vehicles/{device}/history?format=csv")
    assert (got.status_code in (404, 422), got.mimetype) == (True, "application/problem+json")
    assert "X-A" not in got.headers


@pytest.mark.parametrize("body", ["[" * 100_000, '{"meterId":' * 30_000, '{"plainLow": NaN}', '{"plainLow": 1e999}', '{"name": "\\ud800"}'])
def test_v1_v3_v4_a_body_that_is_no_json_or_is_deep_is_refused_on_every_route(client: FlaskClient, body: str) -> None:
    for path in ("/v1/mappings/van-0", "/v1/vehicles/van-0", "/v1/sites/s"):
        got = client.put(path, data=body, content_type="application/json")
        assert (400 <= got.status_code < 500, got.mimetype) == (True, "application/problem+json"), (path, got.status_code)


def test_v15_a_telemetry_route_with_more_slashes_is_that_route(client: FlaskClient) -> None:
    """Flask takes them for one; found by the mutations."""
    for path in ("//v1/telemetry/vehicle", "///v1///telemetry/vehicle", "/v1//telemetry/batch"):
        assert client.post(path, json=van(vehicleId="slashes")).status_code < 500
