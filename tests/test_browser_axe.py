"""Nothing on any page stands in the way of people who use a screen reader, a keyboard or little contrast."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.browser_support import FakeFleet, open_browser, served, watch

# flask-compress leaves a static file it has streamed to be closed by the garbage collector
pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
GRAVE = ("serious", "critical")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all pages."""
    with open_browser() as opened:
        yield opened


def grave(page: Any) -> list[str]:
    """Serious and critical findings: rule, and the first elements it names."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:3]]}" for one in found if one["impact"] in GRAVE]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_no_page_has_a_serious_finding(browser: Browser, scheme: Any, width: int) -> None:
    fleet = FakeFleet(60)
    low = next(row["id"] for row in fleet.rows if row["severity"])
    pages = {"/": "ready", f"/?vehicle={low}": "ready", "/alerts": "ready", f"/vehicles/{low}": "ready", "/vehicles/nobody": "unknown"}
    found: dict[str, list[str]] = {}
    with served(fleet) as address:
        watched = watch(browser, address, width, 900, scheme)
        for path, state in pages.items():
            page = watched.go(path, f"#main [data-state={state}]")
            page.wait_for_function("() => !document.querySelector('.ag-root-wrapper') || document.querySelector('.ag-cell')")
            page.wait_for_timeout(1_500)
            if findings := grave(page):
                found[path] = findings
        watched.page.context.close()
    assert not found, found
