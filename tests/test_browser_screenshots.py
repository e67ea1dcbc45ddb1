"""Pictures of every page, to be looked at before a change is called done. They land in ./screenshots/, which is not committed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser_support import FakeFleet, Watched, open_browser, served, watch

# flask-compress leaves a static file it has streamed to be closed by the garbage collector
QUIET = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
pytestmark = [pytest.mark.browser, *QUIET]
SIZES = {390: 844, 1400: 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all pictures."""
    with open_browser() as opened:
        yield opened


def _shoot(watched: Watched, path: str, file: Path, ready: str = "#main [data-state=ready]") -> None:
    page = watched.go(path, ready)
    page.wait_for_timeout(1_800)
    file.parent.mkdir(exist_ok=True)
    page.screenshot(path=file, full_page=True)
    assert file.stat().st_size > 10_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_pages(browser: Browser, project: Path, scheme: Any, width: int) -> None:
    """Fleet, chosen vehicle, alerts, one of them, vehicle, unknown vehicle."""
    fleet = FakeFleet(200)
    low = next(row["id"] for row in fleet.rows if row["severity"])
    pages = {
        "fleet": "/",
        "panel": f"/?vehicle={low}",
        "alerts": "/alerts",
        "alert": f"/alerts/{int(low[4:]) + 1}",
        "vehicle": f"/vehicles/{low}",
    }
    with served(fleet) as address:
        watched = watch(browser, address, width, SIZES[width], scheme)
        for name, path in pages.items():
            _shoot(watched, path, project / "screenshots" / f"{name}-{scheme}-{width}.png")
        _shoot(watched, "/vehicles/nobody", project / "screenshots" / f"unknown-{scheme}-{width}.png", "[data-state=unknown]")
        watched.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_states(browser: Browser, project: Path, scheme: Any, width: int) -> None:
    """Empty, nothing to do, stale."""
    fleet = FakeFleet(0)
    with served(fleet) as address:
        watched = watch(browser, address, width, SIZES[width], scheme)
        _shoot(watched, "/", project / "screenshots" / f"empty-{scheme}-{width}.png", "[data-state=empty]")
        calm = FakeFleet(3)
        fleet.rows, fleet.size = calm.rows, calm.size
        _shoot(watched, "/alerts", project / "screenshots" / f"calm-{scheme}-{width}.png", "[data-state=calm]")
        fleet.away = True
        _shoot(watched, "/", project / "screenshots" / f"stale-{scheme}-{width}.png")
        watched.page.context.close()
