"""V15: what the specification says is true: of every route, and of what each may be asked with."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from api.answers import ANSWERS, CSV
from api.errors import PROBLEM_TYPE
from tests.support import api, depot, fresh_database, van

Document = dict[str, Any]


@pytest.fixture(scope="module")
def client(postgres_url: str, template_database: str) -> Iterator[FlaskClient]:
    with fresh_database(postgres_url, template_database, "specification") as url, api(url) as made:
        yield made


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> Document:
    found: Document = client.get("/api/openapi.json").get_json()
    return found


def _routes(document: Document) -> list[tuple[str, str, Document]]:
    return [(method.upper(), path, route) for path, methods in document["paths"].items() for method, route in methods.items()]


def _texts(schema: Any, where: str) -> Iterator[tuple[str, Document]]:
    """Every string in a schema, with its place."""
    if isinstance(schema, dict):
        if schema.get("type") == "string":
            yield where, schema
        for name, inner in schema.items():
            yield from _texts(inner, f"{where}/{name}")
    elif isinstance(schema, list):
        for inner in schema:
            yield from _texts(inner, where)


def test_v15_every_route_tells_its_answers_and_no_answer_is_of_a_route_that_is_gone(document: Document) -> None:
    assert {f"{method} {path}" for method, path, _ in _routes(document)} == ANSWERS.keys()


def test_v15_every_refusal_is_a_problem_and_503_says_when_to_come_back(document: Document) -> None:
    said = document["components"]["responses"]
    for method, path, route in _routes(document):
        refused = {status for status in route["responses"] if status >= "400"}
        assert {"400", "401", "403", "404", "405", "422", "429", "503"} <= refused, (method, path)
        assert all(list(said[status]["content"]) == [PROBLEM_TYPE] for status in refused)
    assert "Retry-After" in said["503"]["headers"]


def test_v15_what_needs_a_key_says_so(document: Document) -> None:
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    open_to_all = [path for _, path, route in _routes(document) if "security" not in route]
    assert sorted(open_to_all) == ["/healthz", "/readyz"]


def test_v3_no_text_is_taken_that_the_database_cannot_keep(document: Document) -> None:
    """A text without a pattern, a form or a list of words lets NUL through, which PostgreSQL refuses: an error of ours instead of theirs."""
    bodies = [(name, schema) for name, schema in document["components"]["schemas"].items() if name.endswith("Body")]
    asked = [(f"{method} {path}", one) for method, path, route in _routes(document) for one in route.get("parameters", [])]
    texts = [found for name, schema in [*bodies, *asked] for found in _texts(schema, name)]
    assert len(texts) > 50
    assert [where for where, one in texts if not {"pattern", "format", "enum", "const"} & one.keys()] == []


@pytest.mark.parametrize("value", ["%00", "a%00b", "%ED%A0%80", "%FF", "'%20OR%20''='", "%F0%9F%9A%9A", "%E2%80%AE", "%0d%0a"])
def test_v10_v3_no_query_makes_an_error_of_ours(client: FlaskClient, document: Document, value: str) -> None:
    """Every text parameter of every route that reads."""
    asked = [
        (path, one["name"])
        for method, path, route in _routes(document)
        for one in route.get("parameters", [])
        if method == "GET" and one["in"] == "query" and any(True for _ in _texts(one, ""))
    ]
    assert len(asked) > 50
    for path, name in asked:
        address = f"{path.replace('{vehicleId}', 'V1').replace('{meterId}', 'M1').replace('{siteId}', 'S1')}?{name}={value}"
        got = client.get(address)
        assert got.status_code in (200, 404, 422), (address, got.get_data(as_text=True)[:300])
        got.close()


def test_a_receipt_and_a_vehicles_day_are_as_told(client: FlaskClient, document: Document) -> None:
    schemas = document["components"]["schemas"]
    receipt = client.post("/v1/telemetry/vehicle", json=van(soc=-1)).get_json()
    assert set(schemas["Problem"]["required"]) <= receipt.keys() <= schemas["Problem"]["properties"].keys()
    receipt = client.post("/v1/telemetry/batch", json={"vehicles": [van()], "meters": [depot()]}).get_json()
    assert list(receipt) == schemas["Receipt"]["required"]
    assert client.put("/v1/mappings/van-7", json={"meterId": "depot-1"}).status_code == 201
    assert list(client.get("/v1/analytics/performance/van-7").get_json()) >= schemas["Performance"]["required"]
    listed = document["paths"]["/v1/analytics/performance"]["get"]["responses"]["200"]["content"]
    assert list(listed) == ["application/json", CSV]
