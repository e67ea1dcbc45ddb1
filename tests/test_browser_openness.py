"""S16, S10: what the pages say about who is let in, and that the specification's page lives with the policy."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.admin_support import served_admin
from tests.browser_support import BROWSER_MARKS, FakeFleet, served, watch

pytestmark = BROWSER_MARKS
SAYINGS = [
    ({}, "footer #openness", "Open on this machine only: no log-in is set up"),
    ({"host": "0.0.0.0", "insecure_open": True}, "#openness.banner", "Open to everybody who can reach this address: no log-in is set up"),
]


@pytest.mark.parametrize(("chosen", "where", "sentence"), SAYINGS)
def test_s16_every_page_says_so(browser: Browser, chosen: dict[str, Any], where: str, sentence: str) -> None:
    with served(FakeFleet(3), tick_s=5, **chosen) as address:
        watched = watch(browser, address)
        for path in ("/", "/alerts", "/chargers"):
            watched.page.goto(address + path)
            assert watched.page.locator(where).inner_text() == sentence
        watched.page.context.close()
    assert watched.faults == []


@pytest.fixture
def address(database_url: str) -> Iterator[str]:
    with served_admin(database_url) as made:
        yield made


def test_s10_the_specifications_page_runs_under_the_policy(browser: Browser, address: str) -> None:
    watched = watch(browser, address)
    watched.page.goto(f"{address}/api")
    watched.page.get_by_text("/v1/telemetry/vehicle").first.wait_for()
    watched.page.context.close()
    assert watched.faults == []


def test_s10_a_script_put_into_a_page_does_not_run(browser: Browser, address: str) -> None:
    """The policy works at all: what it must stop is stopped, and said on the console."""
    watched = watch(browser, address)
    watched.page.goto(address)
    watched.page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.broken = true";
        document.body.append(script);
    }""")
    assert watched.page.evaluate("window.broken") is None
    watched.page.context.close()
    assert any("Content Security Policy" in fault for fault in watched.faults)


def test_s9_a_page_of_another_site_cannot_write(browser: Browser, address: str) -> None:
    """A browser sends a form from another port of this machine; the answer is 403."""
    with served(FakeFleet(1)) as elsewhere:
        watched = watch(browser, elsewhere)
        watched.page.goto(elsewhere + "/healthz")
        got: list[int] = []
        watched.page.on("response", lambda r: got.append(r.status) if r.url.startswith(address) else None)
        watched.page.route(
            "**/form",
            lambda route: route.fulfill(
                content_type="text/html", body=f'<form method="post" action="{address}/v1/telemetry/vehicle"><button>Send</button></form>'
            ),
        )
        watched.page.goto(elsewhere + "/form")
        watched.page.click("button")
        watched.page.wait_for_load_state()
        watched.page.context.close()
    assert got == [403]
