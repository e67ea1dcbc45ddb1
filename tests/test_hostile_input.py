"""V1–V11: hostile input has an exact answer, never a 500, and the next good request is served."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.schemas import VEHICLE_WIRE, Clock, readings
from tests.support import api, fresh_database, van

HEADERS = {"Content-Type": "application/json"}
CLOCK = Clock(0, 4_000_000_000_000_000)


@pytest.fixture(scope="module")
def shared(postgres_url: str, template_database: str) -> Iterator[tuple[FlaskClient, str]]:
    """One server for the whole file: what one hostile request leaves behind must not hurt the next."""
    with fresh_database(postgres_url, template_database, "hostile") as url, api(url) as made:
        yield made, url


@pytest.fixture
def database_url(shared: tuple[FlaskClient, str]) -> str:
    return shared[1]


@pytest.fixture
def client(shared: tuple[FlaskClient, str]) -> Iterator[FlaskClient]:
    made, url = shared
    with psycopg.connect(url) as conn:
        conn.execute("TRUNCATE vehicle_history, meter_history, vehicle_rollup, meter_rollup, live_vehicle, live_meter")
    yield made
    assert made.post("/v1/telemetry/vehicle", json=van(vehicleId="after")).status_code == 201


def _post(client: FlaskClient, body: bytes, path: str = "vehicle") -> Any:
    return client.post(f"/v1/telemetry/{path}", data=body, headers=HEADERS)


def _raw(name: str, value: str) -> bytes:
    whole = {key: json.dumps(v) for key, v in van().items()}
    whole[name] = value
    return ("{" + ",".join(f'"{k}":{v}' for k, v in whole.items()) + "}").encode()


NOT_JSON = {
    "v1 NaN": _raw("soc", "NaN"),
    "v1 Infinity": _raw("soc", "Infinity"),
    "v1 1e999": _raw("soc", "1e999"),
    "v3 lone surrogate": _raw("vehicleId", '"\\ud800"'),
    "v3 bad utf-8": _raw("vehicleId", '"a').replace(b'"a', b'"\xff"'),
    "v3 overlong": b'{"vehicleId":"\xc0\x80"}',
    "v3 bom": b"\xef\xbb\xbf{}",
    "v3 utf-16": "{}".encode("utf-16"),
    "v4 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "v5 trailing garbage": b"{} x",
    "v5 empty": b"",
    "v5 null": b"null",
    "v5 string": b'"x"',
    "v5 number": b"1",
}


@pytest.mark.parametrize("name", NOT_JSON)
@pytest.mark.parametrize("path", ["vehicle", "meter", "batch"])
def test_what_is_not_a_reading_in_json_is_400(client: FlaskClient, name: str, path: str) -> None:
    got = _post(client, NOT_JSON[name], path)
    assert (got.status_code, got.mimetype) == (400, "application/problem+json")


CODES = [
    ("v1", "soc", "true", "wrong_type"),
    ("v1", "kwhDeliveredDc", '"12.5"', "wrong_type"),
    ("v1", "kwhDeliveredDc", "null", "wrong_type"),
    ("v2", "kwhDeliveredDc", "1e308", "out_of_range"),
    ("v2", "kwhDeliveredDc", "-1", "out_of_range"),
    ("v2", "kwhDeliveredDc", "50.000001", "out_of_range"),
    ("v2", "soc", "100.0001", "out_of_range"),
    ("v2", "batteryTemp", "-300", "out_of_range"),
    ("v2", "soc", "1" + "0" * 300, "out_of_range"),
    ("v3", "vehicleId", '"a\\u0000b"', "invalid_text"),
    ("v11", "vehicleId", '"<img src=x onerror=alert(1)>"', "invalid_text"),
    ("v11", "vehicleId", '"../../etc/passwd"', "invalid_text"),
    ("v11", "vehicleId", '"=cmd()"', "invalid_text"),
    ("v11", "vehicleId", json.dumps("x" * 65), "invalid_text"),
    ("v11", "vehicleId", '"van 7 "', "invalid_text"),
    ("v11", "vehicleId", '"van-7\\n"', "invalid_text"),
    ("v11", "vehicleId", json.dumps("van-🚚"), "invalid_text"),
    ("v11", "vehicleId", json.dumps("van\u202e7"), "invalid_text"),
    ("v11", "vehicleId", '""', "invalid_text"),
    ("v11", "vehicleId", "7", "wrong_type"),
    ("v10", "vehicleId", json.dumps("x'; DROP TABLE vehicle_history; --"), "invalid_text"),
    ("p9", "timestamp", '"2026-02-04T10:00:00"', "timestamp_format"),
    ("p9", "timestamp", '"yesterday"', "timestamp_format"),
    ("p1", "timestamp", '"10000-01-01T00:00:00Z"', "timestamp_format"),
    ("p9", "timestamp", "1770199200", "wrong_type"),
    ("v2", "latitude", "91", "out_of_range"),
]


@pytest.mark.parametrize(("code", "name", "value", "fault"), CODES)
def test_a_bad_field_has_its_code_and_pointer(client: FlaskClient, code: str, name: str, value: str, fault: str) -> None:
    got = _post(client, _raw(name, value))
    assert got.status_code == 422, code
    assert (f"/{name}", fault) in [(e["pointer"], e["code"]) for e in got.get_json()["errors"]]


@pytest.mark.parametrize("name", ["vehicleId", "soc", "kwhDeliveredDc", "batteryTemp", "timestamp"])
def test_a_missing_field_is_an_error_and_null_is_not(client: FlaskClient, name: str) -> None:
    body = van()
    del body[name]
    got = client.post("/v1/telemetry/vehicle", json=body)
    assert (got.status_code, got.get_json()["errors"][0]["code"]) == (422, "missing_field")
    assert client.post("/v1/telemetry/vehicle", json=van(vehicleId="null", soc=None, batteryTemp=None)).status_code in (200, 201)


def test_v2_the_smallest_numbers_are_zero_and_stored_as_such(client: FlaskClient, database_url: str) -> None:
    assert _post(client, _raw("kwhDeliveredDc", "-0.0")).status_code == 201
    assert _post(client, _raw("kwhDeliveredDc", "5e-324")).status_code == 200
    with psycopg.connect(database_url) as conn:
        assert conn.execute("SELECT dc_milliwh FROM vehicle_history WHERE vehicle_id = 'van-7'").fetchall() == [(0,)]


def test_v4_of_a_repeated_key_the_last_wins_and_unknown_ones_are_ignored(client: FlaskClient, database_url: str) -> None:
    body = json.dumps(van(nonsense={"deep": [1]}))[:-1] + ',"soc":12}'
    assert _post(client, body.encode()).status_code == 201
    with psycopg.connect(database_url) as conn:
        assert conn.execute("SELECT soc_centi_pct FROM vehicle_history WHERE vehicle_id = 'van-7'").fetchone() == (1200,)


def test_v4_a_5000_digit_integer_is_refused(client: FlaskClient) -> None:
    assert _post(client, _raw("soc", "9" * 5000)).status_code in (400, 422)


def test_v5_a_misshapen_batch_says_what_is_wrong(client: FlaskClient) -> None:
    assert _post(client, b"[]", "batch").status_code == 400
    assert _post(client, b"{}", "batch").get_json()["errors"][0]["code"] == "missing_field"
    assert _post(client, b'{"vehicles": 1}', "batch").get_json()["errors"][0]["code"] == "wrong_type"
    assert _post(client, b"{}").status_code == 422
    assert _post(client, b"[1, null]").get_json()["errors"][0] == {
        "index": 0,
        "pointer": "/0",
        "code": "wrong_type",
        "detail": "a reading is a JSON object, not a number",
    }


@pytest.mark.parametrize("length", ["100000000000000", "6000000"])
def test_v6_a_giant_content_length_is_413_before_anything_is_read(client: FlaskClient, length: str) -> None:
    got = client.post("/v1/telemetry/vehicle", data=b"{}", headers=HEADERS, environ_overrides={"CONTENT_LENGTH": length})
    assert got.status_code == 413


def test_v7_a_batch_of_5001_is_413_and_5000_are_stored(client: FlaskClient) -> None:
    many = [van(vehicleId=f"v{n}") for n in range(5_001)]
    assert client.post("/v1/telemetry/vehicle", json=many).status_code == 413
    assert client.post("/v1/telemetry/vehicle", json=many[:5_000]).get_json()["accepted"] == 5_000


def test_at_most_a_hundred_errors_are_listed_and_it_is_said(client: FlaskClient) -> None:
    got = client.post("/v1/telemetry/vehicle", json=[van(soc=-1)] * 101).get_json()
    assert (len(got["errors"]), got["errorsTruncated"], got["rejected"]) == (100, True, 101)


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nope", "/v1/telemetry", "/v1/vehicles/a/b/c", "/v1/%00", "/v1/..%2f..%2fetc/passwd"])
def test_an_unknown_path_under_v1_is_404_in_json(client: FlaskClient, path: str) -> None:
    for method in ("GET", "POST"):
        got = client.open(path, method=method)
        assert (got.status_code, got.mimetype) == (404, "application/problem+json")


def test_a_wrong_method_under_v1_is_405_in_json_with_allow(client: FlaskClient) -> None:
    got = client.get("/v1/telemetry/vehicle")
    assert (got.status_code, got.mimetype) == (405, "application/problem+json")
    assert "POST" in got.headers["Allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/analytics/performance/V1?at=yesterday",
        "/v1/analytics/performance/V1?at=2026-02-04T10:00:00",
        "/v1/analytics/performance/V1?at=9999-12-31T23:59:59Z",
        "/v1/analytics/performance?format=xml",
        "/v1/vehicles/V1/history?bucket=1s",
        "/v1/vehicles/V1/history?from=2026-02-05T00:00:00Z&to=2026-02-04T00:00:00Z",
        "/v1/vehicles?limit=0",
        "/v1/vehicles/%3Cimg%3E",
    ],
)
def test_a_bad_parameter_is_422_and_says_which(client: FlaskClient, path: str) -> None:
    got = client.get(path)
    assert (got.status_code, got.mimetype) == (422, "application/problem+json")
    assert got.get_json()["detail"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.one_of(ANYTHING, st.fixed_dictionaries({name: st.one_of(st.just(value), ANYTHING) for name, value in van().items()})), max_size=4
    )
)
def test_whatever_comes_each_item_is_either_a_row_or_has_a_fault(items: list[Any]) -> None:
    rows, indexes, faults = readings(VEHICLE_WIRE, items, CLOCK, "/{}", 0)
    assert len(rows) == len(indexes)
    assert sorted(set(indexes) | {int(str(f["index"])) for f in faults}) == list(range(len(items)))
    assert not set(indexes) & {int(str(f["index"])) for f in faults}
