"""S7: every route is open because somebody decided so."""

from collections.abc import Iterator

import pytest
from dash import Dash

from edge import public
from tests.product_support import product
from tests.support import fresh_database

LISTED = {**public.FOR_EVER, **public.ASKED, **public.ASKED_PAGES}
ONLY_WITH_LOG_IN = {"/log-in", "/log-out", "/password"}  # walked by test_people_routes


@pytest.fixture(scope="module")
def dash(postgres_url: str, template_database: str) -> Iterator[Dash]:
    with fresh_database(postgres_url, template_database, "public_routes") as url, product(url) as made:
        made.server.test_client().get("/")  # Dash adds routes until its first request
        yield made


def test_s7_every_route_is_open_for_a_reason_that_is_written_down(dash: Dash) -> None:
    rules = {rule.rule for rule in dash.server.url_map.iter_rules()}
    assert len(rules) > 40
    assert {rule for rule in rules if public.reason(rule) is None} == set()


def test_s7_no_reason_is_left_of_a_route_that_is_gone(dash: Dash) -> None:
    rules = {rule.rule for rule in dash.server.url_map.iter_rules()}
    assert [listed for listed in LISTED if listed not in ONLY_WITH_LOG_IN and not any(rule.startswith(listed) for rule in rules)] == []


@pytest.mark.parametrize("path", ["/_mcp", "/mcp", "/console", "/_alive_token", "/debug"])
def test_s7_what_development_tools_serve_is_no_route(dash: Dash, path: str) -> None:
    assert path not in {rule.rule for rule in dash.server.url_map.iter_rules()}


def test_s7_what_stays_open_tells_nothing_of_the_fleet(dash: Dash) -> None:
    client = dash.server.test_client()
    for path in ("/healthz", "/readyz"):
        assert set(client.get(path).get_json()) <= {"status", "daysAhead", "warnings"}
    assert all("vehicle" not in rule and not rule.startswith("/v1") for rule in public.FOR_EVER)
