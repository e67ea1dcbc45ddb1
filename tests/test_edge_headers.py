"""S9, S10, S12: what every answer tells browsers, and whom we believe about where a request comes from."""

from collections.abc import Iterator

import pytest
from dash import Dash
from flask.testing import FlaskClient

from edge.headers import page_policy, tiles_source
from tests.product_support import product
from tests.support import fresh_database, van

# flask-compress leaves a static file it has streamed to be closed by the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PATHS = [
    "/", "/vehicles/van-7", "/alerts", "/api/swagger", "/api/start.js", "/api/openapi.json", "/healthz", "/metrics", "/v1/vehicles", "/v1/nope",
    "/_dash-layout", "/_dash-dependencies", "/assets/90-style.css", "/assets/nope", "/_dash-component-suites/nope/x.js", "/live/fleet",
]  # fmt: skip


@pytest.fixture(scope="module")
def url(postgres_url: str, template_database: str) -> Iterator[str]:
    with fresh_database(postgres_url, template_database, "edge_headers") as made:
        yield made


@pytest.fixture(scope="module")
def dash(url: str) -> Iterator[Dash]:
    with product(url) as made:
        yield made


@pytest.fixture(scope="module")
def client(dash: Dash) -> FlaskClient:
    made: FlaskClient = dash.server.test_client()
    return made


@pytest.mark.parametrize("path", PATHS)
def test_s10_every_answer_carries_the_headers_and_no_cors(client: FlaskClient, path: str) -> None:
    got = client.get(path, headers={"Origin": "https://elsewhere.example"})
    assert {name: got.headers.get(name) for name in EVERYWHERE} == EVERYWHERE
    assert "frame-ancestors 'none'" in got.headers["Content-Security-Policy"]
    assert len(got.headers.getlist("Content-Security-Policy")) == 1
    assert not [name for name in dict(got.headers) if name.lower().startswith("access-control-")]
    assert "Strict-Transport-Security" not in got.headers


def test_s10_a_reading_s_answer_carries_them_too(client: FlaskClient) -> None:
    got = client.post("/v1/telemetry/vehicle", json=van())
    assert got.status_code == 201
    assert {name: got.headers.get(name) for name in EVERYWHERE} == EVERYWHERE
    assert got.headers.getlist("X-Content-Type-Options") == ["nosniff"]


def test_s10_a_page_runs_our_files_and_dash_s_hashes_and_no_other_script(client: FlaskClient, dash: Dash) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]
    script = next(part for part in policy.split("; ") if part.startswith("script-src"))
    assert script.split()[1:] == ["'self'", *dash.csp_hashes()]
    assert len(dash.csp_hashes()) >= 1
    assert {"object-src 'none'", "base-uri 'none'", "connect-src 'self'", "img-src 'self' data: blob:"} <= set(policy.split("; "))
    assert "unsafe-eval" not in policy


def test_s10_no_page_of_ours_has_a_script_in_it_that_the_policy_stops(client: FlaskClient) -> None:
    assert "<script>" not in client.get("/api/swagger").get_data(as_text=True)
    assert client.get("/api/start.js").mimetype == "text/javascript"


def test_s10_hsts_is_said_only_where_a_setting_says_that_tls_is_the_only_way(url: str) -> None:
    with product(url, https_only=True) as made:
        assert made.server.test_client().get("/healthz").headers["Strict-Transport-Security"] == "max-age=31536000"


def test_s10_the_tiles_host_is_the_only_other_one(url: str) -> None:
    with product(url, map_tiles_url="https://{s}.tile.example.org/{z}/{x}/{y}.png") as made:
        policy = made.server.test_client().get("/").headers["Content-Security-Policy"]
    assert "img-src 'self' data: blob: https://*.tile.example.org;" in policy
    assert policy.count("https://") == 1


@pytest.mark.parametrize(
    ("template", "source"),
    [
        ("https://tile.example.org/{z}/{x}/{y}.png", "https://tile.example.org"),
        ("https://{s}.tile.example.org:8443/{z}/{x}/{y}.png?key=k", "https://*.tile.example.org:8443"),
        ("https://tiles-{s}.example.org/{z}", "https://*.example.org"),
        ("http://127.0.0.1:8080/{z}", "http://127.0.0.1:8080"),
    ],
)
def test_s10_a_tiles_template_is_named_by_its_origin(template: str, source: str) -> None:
    assert tiles_source(template) == source


@pytest.mark.parametrize("template", ["javascript:alert(1)", "//x/{z}", "https://a;script-src *//{z}", "https://{s}/{z}", "https:///{z}"])
def test_s10_a_tiles_template_cannot_widen_the_policy(template: str) -> None:
    with pytest.raises(ValueError, match="tiles"):
        page_policy([], tiles_source(template))


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "nonsense"},
    {"Origin": "https://elsewhere.example"},
    {"Origin": "http://localhost:8051"},
    {"Origin": "null"},
    {"Origin": "http://[nonsense"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
]
OWN = [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://localhost"}, {"Origin": "https://LOCALHOST"}]
WRITES = [
    ("POST", "/v1/telemetry/vehicle"),
    ("POST", "/v1/telemetry/batch"),
    ("PUT", "/v1/mappings/van-7"),
    ("DELETE", "/v1/mappings/van-7"),
    ("PATCH", "/v1/vehicles/van-7"),
    ("POST", "/_dash-update-component"),
    ("GET", "/_dash-update-component"),
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_s9_another_site_may_change_nothing_and_ask_no_callback(
    client: FlaskClient, method: str, path: str, headers: dict[str, str]
) -> None:
    got = client.open(path, method=method, json=van(), headers=headers)
    assert (got.status_code, got.mimetype, got.get_json()["type"]) == (403, "application/problem+json", "urn:voltledger:problem:other_site")


@pytest.mark.parametrize("headers", OWN)
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_s9_our_own_pages_and_programs_may(client: FlaskClient, method: str, path: str, headers: dict[str, str]) -> None:
    assert client.open(path, method=method, json=van(), headers=headers).status_code != 403


def test_s9_a_link_from_another_site_may_be_followed(client: FlaskClient) -> None:
    assert client.get("/vehicles/van-7", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_s9_what_a_browser_sends_does_not_pass_the_check_through_the_event_loop() -> None:
    from api.plain_http import Cut, cut

    plain = b"POST /v1/telemetry/vehicle HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    assert not isinstance(cut(plain + b"\r\n{}"), Cut)
    for header in (b"Origin: http://x\r\n", b"Sec-Fetch-Site: cross-site\r\n"):
        assert cut(plain + header + b"\r\n{}") is Cut.NOT_PLAIN


@pytest.mark.parametrize(("proxies", "address"), [(0, "127.0.0.1"), (1, "203.0.113.9"), (2, "198.51.100.7")])
def test_s12_a_claimed_address_is_believed_as_far_as_proxies_of_ours_vouch_for_it(url: str, proxies: int, address: str) -> None:
    from flask import request

    with product(url, proxies=proxies) as made:
        made.server.add_url_rule("/v1/who", view_func=lambda: str(request.remote_addr))
        got = made.server.test_client().get("/v1/who", headers={"X-Forwarded-For": "10.9.9.9, 198.51.100.7, 203.0.113.9"})
    assert got.get_data(as_text=True) == address
