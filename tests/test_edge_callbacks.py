"""V16, S14: garbage at Dash's own endpoints, and errors that tell nothing but a number to ask for."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from dash import Dash
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.callbacks import MOST_BYTES
from tests.product_support import product
from tests.support import fresh_database

CALLBACKS = "/_dash-update-component"
GOOD: dict[str, Any] = {
    "output": "panel-day.children",
    "outputs": {"id": "panel-day", "property": "children"},
    "inputs": [{"id": "fleet-selected", "property": "data", "value": None}],
    "state": [{"id": "viewer", "property": "data", "value": {"zone": "UTC", "scheme": "light"}}],
    "changedPropIds": ["fleet-selected.data"],
}
SEVERAL = {
    "output": ".._pages_content.children..._pages_store.data..",
    "outputs": [{"id": "_pages_content", "property": "children"}, {"id": "_pages_store", "property": "data"}],
    "inputs": [
        {"id": "_pages_location", "property": "pathname", "value": "/"},
        {"id": "_pages_location", "property": "search", "value": ""},
    ],
    "state": [],
    "changedPropIds": ["_pages_location.pathname"],
}


@pytest.fixture(scope="module")
def dash(postgres_url: str, template_database: str) -> Iterator[Dash]:
    with fresh_database(postgres_url, template_database, "edge_callbacks") as url, product(url) as made:
        yield made


@pytest.fixture(scope="module")
def client(dash: Dash) -> FlaskClient:
    made: FlaskClient = dash.server.test_client()
    return made


@pytest.fixture(autouse=True)
def good_afterwards(client: FlaskClient) -> Iterator[None]:
    """Whatever came before, what the pages send is answered."""
    yield
    assert client.post(CALLBACKS, json=GOOD).status_code in (200, 204)
    assert client.post(CALLBACKS, json=SEVERAL).status_code == 200


def _changed(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


GARBAGE = {
    "blank": b" ",
    "empty object": b"{}",
    "list": b"[]",
    "null": b"null",
    "not json": b"output=panel-day.children",
    "nan": b'{"output": NaN}',
    "100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"output":' * 50_000 + b"1" + b"}" * 50_000,
    "lone surrogate": b'{"output": "\\ud800"}',
    "unknown output": _changed(output="nothing.children"),
    "one that runs in the browser": _changed(output="viewer.data", outputs={"id": "viewer", "property": "data"}),
    "output a list": _changed(output=["panel-day.children"]),
    "output an object": _changed(output={"id": "panel-day"}),
    "outputs null": _changed(outputs=None),
    "outputs another": _changed(outputs={"id": "main", "property": "children"}),
    "outputs a list": _changed(outputs=[GOOD["outputs"]]),
    "no inputs": _changed(inputs=[]),
    "inputs null": _changed(inputs=None),
    "inputs a string": _changed(inputs="abc"),
    "inputs without names": _changed(inputs=[{}]),
    "input of another id": _changed(inputs=[{"id": "clock", "property": "n_intervals", "value": 1}]),
    "input twice": _changed(inputs=GOOD["inputs"] * 2),
    "nested inputs": _changed(inputs=[GOOD["inputs"]]),
    "no state": _changed(state=[]),
    "state a number": _changed(state=1),
    "changed null": _changed(changedPropIds=None),
    "changed objects": _changed(changedPropIds=[{}]),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_v16_garbage_for_a_callback_is_400(client: FlaskClient, name: str) -> None:
    got = client.post(CALLBACKS, data=GARBAGE[name], content_type="application/json")
    assert (got.status_code, got.mimetype) == (400, "application/problem+json")
    assert got.get_json()["requestId"] == got.headers["X-Request-Id"]


def test_v16_too_much_for_a_callback_is_413_before_it_is_read(client: FlaskClient) -> None:
    assert client.post(CALLBACKS, data=b" " * (MOST_BYTES + 1), content_type="application/json").status_code == 413
    huge = client.post(CALLBACKS, data=b"{}", content_type="application/json", environ_overrides={"CONTENT_LENGTH": "100000000000000"})
    assert huge.status_code == 413


def test_v16_a_body_without_its_length_is_411(client: FlaskClient) -> None:
    got = client.post(CALLBACKS, data=json.dumps(GOOD), content_type="application/json", headers={"Transfer-Encoding": "chunked"})
    assert got.status_code == 411
    assert client.post(CALLBACKS, content_type="application/json").status_code == 411


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_v16_a_form_of_another_page_is_415(client: FlaskClient, kind: str) -> None:
    assert client.post(CALLBACKS, data=json.dumps(GOOD), content_type=kind).status_code == 415


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_v16_other_methods_are_refused(client: FlaskClient, method: str) -> None:
    assert client.open(CALLBACKS, method=method).status_code in (200, 405)  # a GET is any unknown page
    assert client.open(CALLBACKS, method=method).mimetype in ("text/html", "text/plain")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.sampled_from(["van-7", "24h", "UTC"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["zone", "id", "property", "value"]), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_v16_whatever_stands_in_a_callback_s_values_no_answer_is_an_error_of_ours(dash: Dash, data: st.DataObject) -> None:
    """Well-formed requests to every callback of the server, with any values: each is answered or says so in the page's note."""
    client = dash.server.test_client()
    served = {name: made for name, made in dash.callback_map.items() if "callback" in made}
    output = data.draw(st.sampled_from(sorted(served)))
    names = output[2:-2].split("...") if output.startswith("..") else [output]
    outputs = [dict(zip(("id", "property"), name.rsplit(".", 1), strict=True)) for name in names]
    body = {
        "output": output,
        "outputs": outputs if output.startswith("..") else outputs[0],
        **{
            part: [{**{key: one[key] for key in ("id", "property")}, "value": data.draw(ANYTHING)} for one in served[output][part]]
            for part in ("inputs", "state")
        },
        "changedPropIds": data.draw(st.lists(st.text(max_size=5), max_size=2)),
    }
    assert client.post(CALLBACKS, json=body).status_code < 500


@pytest.mark.parametrize(
    "path",
    [
        "/_dash-component-suites/nope/x.js",
        "/_dash-component-suites/dash/../../config.py",
        "/assets/%2e%2e/config.py",
        "/assets/..%2fconfig.py",
    ],
)
def test_v13_paths_that_lead_out_are_404_and_name_nothing(client: FlaskClient, path: str) -> None:
    got = client.get(path)
    assert (got.status_code, got.mimetype) == (404, "text/plain")
    assert got.get_data(as_text=True) == f"Not Found\nRequest {got.headers['X-Request-Id']}\n"


@pytest.mark.parametrize("path", ["/v1/broken", "/broken"])
def test_s14_an_unforeseen_error_shows_a_request_id_and_no_more(dash: Dash, caplog: pytest.LogCaptureFixture, path: str) -> None:
    def fail() -> None:
        raise RuntimeError("SELECT secret FROM hidden -- /srv/voltledger/config.py")

    if path not in {rule.rule for rule in dash.server.url_map.iter_rules()}:
        dash.server._got_first_request = False  # Flask takes no route once it has served
        dash.server.add_url_rule(path, path, fail)
    with caplog.at_level(logging.CRITICAL):
        got = dash.server.test_client().get(path)
    text = got.get_data(as_text=True)
    assert got.status_code == 500
    assert got.get_json()["requestId"] == got.headers["X-Request-Id"]
    assert not [word for word in ("SELECT", "secret", "/srv", "Traceback", "RuntimeError", ".py") if word in text]


def test_s14_debug_is_off_and_is_refused(postgres_url: str, template_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    with (
        fresh_database(postgres_url, template_database, "edge_debug") as url,
        pytest.raises(SystemExit, match="FLASK_DEBUG"),
        product(url),
    ):
        pass


def test_s14_no_debug_tool_is_served(dash: Dash, client: FlaskClient) -> None:
    assert dash.server.debug is False
    assert '"ui":false' in client.get("/").get_data(as_text=True).replace(" ", "")
