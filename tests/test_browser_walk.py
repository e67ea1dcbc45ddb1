"""A walk over every page: nothing stands in the way of people who use a screen reader, a keyboard or little contrast, and nothing goes wrong.

On each page, in two of the four combinations so that it is seen at both widths and in both colour schemes: no finding of axe-core, no console error
under a strict content policy, no request to another host, nothing wider than the window. The pictures land in ./screenshots/, which is not
committed: to be looked at before a change is called done.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.admin_support import served_admin, two_days
from tests.axe_support import findings
from tests.browser_support import BROWSER_MARKS, FakeFleet, served, watch
from tests.ingestion_support import faked
from tests.support import fresh_database

pytestmark = BROWSER_MARKS
Scheme = Literal["light", "dark"]
READY = "#main [data-state=ready]"
SIZES = {390: 844, 1400: 900}
GRAVE = ("moderate", "serious", "critical")


@dataclass(frozen=True)
class Stop:
    """A page to look at; `ready` is there when it is filled."""

    name: str
    path: str
    ready: str = READY


Stops = tuple[str, list[Stop]]


@contextmanager
def _made_up(_: Callable[[], str]) -> Iterator[Stops]:
    """A fleet of 60 without a database: everything that can be seen of vehicles and chargers."""
    fleet = FakeFleet(60)
    low = next(row for row in fleet.rows if row["severity"])
    with faked(fleet), served(fleet, tick_s=5) as address:
        yield (
            address,
            [
                Stop("fleet", "/", "#fleet-table .ag-cell"),
                Stop("panel", f"/?vehicle={low['id']}", "body:has(#panel-day .hour) #fleet-table .ag-cell"),
                Stop("alerts", "/alerts", ".alert-behind"),
                Stop("alert", f"/alerts/{int(low['id'][4:]) + 1}", ".evidence-bar"),
                Stop("alerts-history", "/alerts/history"),
                Stop("silences", "/alerts/silences"),
                Stop("vehicle", f"/vehicles/{low['id']}", "#vehicle-graph .main-svg"),
                Stop("unknown", "/vehicles/nobody", "#main [data-state=unknown]"),
                Stop("chargers", "/chargers", "#chargers-table .ag-cell"),
                Stop("charger", f"/chargers/{low['meterId']}", "#charger-graph .main-svg"),
                Stop("unknown-charger", "/chargers/nobody", "#main [data-state=unknown]"),
                Stop("ingestion", "/ingestion", "#ingestion-calendar [role=grid]"),
            ],
        )


@contextmanager
def _stale(_: Callable[[], str]) -> Iterator[Stops]:
    """Three vehicles; then the database goes away, and what was known stays."""
    fleet = FakeFleet(3)
    with served(fleet, tick_s=5) as address:
        fleet.away = True
        yield (
            address,
            [
                Stop("stale", "/", "#fleet-table .ag-cell"),
            ],
        )


@contextmanager
def _product(database: Callable[[], str]) -> Iterator[Stops]:
    """The whole product over a database with four vans."""
    with served_admin(database()) as address:
        two_days(address)
        form = "#admin-detail form"
        yield (
            address,
            [
                Stop("calm", "/alerts", "#main [data-state=calm]"),
                Stop("admin-assignments", "/admin/assignments?vehicle=van-1", form),
                Stop("admin-vehicles", "/admin/vehicles?vehicle=van-1", form),
                Stop("admin-chargers", "/admin/chargers?charger=depot-1", "#place-map canvas"),
                Stop("admin-sites", "/admin/sites"),
                Stop("admin-settings", "/admin/settings"),
                Stop("reports", "/reports", "#reports-preview[data-preview=ready]"),
                Stop("reports-sites", "/reports?report=sites", "#reports-preview[data-preview=ready]"),
            ],
        )


@contextmanager
def _empty(database: Callable[[], str]) -> Iterator[Stops]:
    """The whole product over an empty database: the first thing anybody sees of it."""
    first = "#main [data-state=empty]"
    with served_admin(database()) as address:
        yield (
            address,
            [
                Stop("empty", "/", first),
                Stop("empty-alerts", "/alerts", "#main [data-state]:not([data-state=loading])"),
                Stop("empty-chargers", "/chargers", first),
                Stop("empty-reports", "/reports", first),
                Stop("empty-ingestion", "/ingestion", first),
                Stop("empty-assignments", "/admin/assignments"),
            ],
        )


WORLDS = {"made-up": _made_up, "stale": _stale, "product": _product, "empty": _empty}


@pytest.fixture(scope="module", params=list(WORLDS))
def world(request: pytest.FixtureRequest, postgres_url: str, template_database: str) -> Iterator[Stops]:
    """One server for the four walks over it."""
    with fresh_database(postgres_url, template_database, f"walk_{request.param}") as url, WORLDS[request.param](lambda: url) as stops:
        yield stops


def _seen(page: Page, stop: Stop, scheme: Scheme, width: int, folder: Path) -> list[str]:
    """What is wrong with this page; its picture is kept."""
    page.wait_for_load_state("networkidle")
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"{stop.name}-{scheme}-{width}.png", full_page=True)
    wide = [] if page.evaluate("document.documentElement.scrollWidth <= window.innerWidth") else ["wider than the window"]
    return wide + findings(page, GRAVE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_no_page_stands_in_anybodys_way(browser: Browser, world: Stops, scheme: Scheme, width: int, project: Path) -> None:
    address, stops = world
    watched = watch(browser, address, width, SIZES[width], scheme)
    turned = (scheme == "dark") != (width == 390)  # of two pages one is seen so, the other in the opposite colours
    wrong = {}
    for stop in stops[turned::2]:
        if found := _seen(watched.go(stop.path, stop.ready), stop, scheme, width, project / "screenshots"):
            wrong[stop.name] = found
    watched.page.context.close()
    assert wrong == {}
    assert watched.faults == []
