"""DNS rebinding: a stranger's name that leads here opens nothing, and who was meant is told how to mend it."""

from collections.abc import Iterator

import pytest
from dash import Dash

from api.plain_http import Cut, cut
from edge.hosts import is_ours, names
from tests.product_support import product
from tests.support import fresh_database, van

OURS = names("volts.example.org, Other.Example.", "127.0.0.1", None, "https://public.example:8443/x")


@pytest.fixture(scope="module")
def dash(postgres_url: str, template_database: str) -> Iterator[Dash]:
    with fresh_database(postgres_url, template_database, "hosts") as url, product(url) as made:
        yield made


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8050", "[::1]:8050", "10.0.0.7", "localhost", "app:8050", "volts.example.org", "VOLTS.example.org.:443", "other.example",
     "public.example", "van.local", "a.internal", ""],
)  # fmt: skip
def test_our_names_addresses_and_names_that_nobody_can_own_are_ours(host: str) -> None:
    assert is_ours(host, OURS)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8050", "volts.example.org.evil.example", "127.0.0.1.nip.io", "[::1", "localhost@evil.example"]
)
def test_other_names_are_not(host: str) -> None:
    assert not is_ours(host, OURS)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/v1/vehicles"), ("GET", "/live/fleet"), ("POST", "/v1/telemetry/vehicle")]
)
def test_a_strangers_name_is_421_and_says_how_to_mend_it(dash: Dash, method: str, path: str) -> None:
    got = dash.server.test_client().open(
        path, method=method, headers={"Host": "evil.example:8050"}, json=van() if method == "POST" else None
    )
    assert (got.status_code, got.mimetype) == (421, "application/problem+json")
    assert "VOLTLEDGER_ALLOWED_HOSTS" in got.get_json()["detail"]
    assert "evil" not in got.get_data(as_text=True)


def test_who_shows_a_key_may_use_any_name(dash: Dash) -> None:
    headers = {"Host": "evil.example", "Authorization": "Bearer a.b"}
    assert dash.server.test_client().get("/v1/vehicles", headers=headers).status_code == 200


def test_what_a_browser_sends_never_takes_the_lane_that_asks_for_no_name() -> None:
    head = b"GET /v1/analytics/performance/V1 HTTP/1.1\r\nHost: evil.example\r\n"
    assert cut(head + b"\r\n") is not Cut.NOT_PLAIN
    assert cut(head + b"Accept-Language: de\r\n\r\n") is Cut.NOT_PLAIN
