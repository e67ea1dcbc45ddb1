"""The charger's page and the list of chargers in headless Chromium: what they say, and where a click leads."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser_support import BROWSER_MARKS, FakeFleet, Watched, served, watch

pytestmark = BROWSER_MARKS


@pytest.fixture
def fleet() -> FakeFleet:
    """200 vehicles and their chargers."""
    return FakeFleet(200)


@pytest.fixture
def at(browser: Browser, fleet: FakeFleet) -> Iterator[Watched]:
    """A desk-sized page; nothing may have gone wrong on it in the end."""
    with served(fleet) as address:
        watched = watch(browser, address)
        yield watched
        watched.page.context.close()
        assert watched.faults == []


def _low(fleet: FakeFleet) -> dict[str, Any]:
    return next(row for row in fleet.rows if row["severity"])


def test_the_answer_stands_first_and_every_card_is_filled(at: Watched, fleet: FakeFleet) -> None:
    row = _low(fleet)
    page = at.go(f"/chargers/{row['meterId']}?range=7d")
    expect(page.locator("#charger-verdict h2")).to_have_text("It is the charger")
    expect(page.locator("#charger-head")).to_contain_text("11 kW class (described)")
    expect(page.locator("#charger-now")).to_contain_text(row["name"])
    expect(page.locator("#charger-energy")).to_contain_text("Received by nobody")
    expect(page.locator("#charger-sessions tbody tr")).to_have_count(8)
    expect(page.locator("#charger-matrix tbody tr")).to_have_count(3)
    expect(page.locator("#charger-assignments .tag.is-shared")).to_have_count(1)
    expect(page.locator("#charger-readings tbody tr")).to_have_count(50)
    expect(page.locator("#charger-graph .main-svg").first).to_be_visible()


def test_the_range_is_in_the_address_and_a_window_of_its_own_can_be_left(at: Watched, fleet: FakeFleet) -> None:
    page = at.go(f"/chargers/{_low(fleet)['meterId']}?from=2026-02-03T12:00:00Z&to=2026-02-04T12:00:00Z")
    expect(page.locator("#charger-past")).to_contain_text("3 Feb 2026, 13:00 to 4 Feb 2026, 13:00 UTC+1")
    link = page.locator("#charger-sessions a.button")
    expect(link).to_have_attribute(
        "href", f"/v1/meters/{_low(fleet)['meterId']}/sessions?format=csv&from=2026-02-03T12:00:00Z&to=2026-02-04T12:00:00Z"
    )
    page.get_by_text("7 d", exact=True).click()
    expect(page.locator("#charger-past")).to_be_empty()
    page.wait_for_url("**/chargers/*?range=7d")


def test_one_goes_from_vehicle_to_charger_and_back_without_loading_anew(at: Watched, fleet: FakeFleet) -> None:
    row = _low(fleet)
    page = at.go(f"/vehicles/{row['id']}")
    page.evaluate("() => { window.same = true; }")
    page.locator("#vehicle-sessions").get_by_role("link", name=row["meterId"]).first.click()
    expect(page.locator("#charger-verdict h2")).to_have_text("It is the charger")
    page.locator("#charger-now").get_by_role("link", name=row["name"]).click()
    expect(page.locator("#vehicle-verdict .verdict-head h2")).to_be_visible()
    page.go_back()
    expect(page.locator("#charger-sessions tbody tr").first).to_be_visible()
    assert page.evaluate("() => window.same")


def test_an_unknown_charger_leads_to_the_list(at: Watched) -> None:
    page = at.go("/chargers/nobody", "[data-state=unknown]")
    page.get_by_role("link", name="See all chargers").click()
    page.wait_for_url("**/chargers")
    expect(page.locator("#chargers-count")).to_contain_text("chargers")


def test_the_list_filters_sorts_keeps_both_in_the_address_and_is_a_file(at: Watched, fleet: FakeFleet, tmp_path: Path) -> None:
    """The file has the rows that are shown, with ids and plain numbers."""
    page = at.go("/chargers?state=unassigned&sort=-acKwh", "#chargers-page[data-state=ready]")
    alone = [row for row in fleet.rows if row["meterId"] and int(row["id"][4:]) % 7 == 6]
    most = max(alone, key=lambda row: row["acKwh"])
    expect(page.locator("#chargers-count")).to_contain_text(f"{len(alone)} of ")
    expect(page.locator("#chargers-table .ag-row[row-index='0']")).to_contain_text(most["meterId"])
    with page.expect_download() as download:
        page.locator("#chargers-export").click()
    download.value.save_as(tmp_path / "chargers.csv")
    rows = list(csv.reader((tmp_path / "chargers.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert (len(rows) - 1, rows[1][0], float(rows[1][4])) == (len(alone), most["meterId"], most["acKwh"])
    page.locator("#chargers-q").fill("berlin")
    page.wait_for_url("**/chargers?q=berlin&state=unassigned&sort=-acKwh")
    page.locator("#chargers-table .ag-header-cell[col-id=voltage]").click()
    page.wait_for_url("**/chargers?q=berlin&state=unassigned&sort=voltage")
    page.get_by_role("button", name="Clear").click()
    page.wait_for_url("**/chargers?sort=voltage")


def test_the_fleet_leads_to_the_charger(at: Watched, fleet: FakeFleet) -> None:
    """From the side panel and from the table."""
    row = _low(fleet)
    page = at.go(f"/?vehicle={row['id']}")
    expect(page.locator("#panel-facts a")).to_have_attribute("href", f"/chargers/{row['meterId']}")
    expect(page.locator(f"#fleet-table .ag-row[row-id='{row['id']}'] [col-id=meterId] a")).to_have_attribute(
        "href", f"/chargers/{row['meterId']}"
    )
    page.locator("#panel-facts a").click()
    expect(page.locator("#charger-verdict h2")).to_be_visible()


def test_ten_thousand_chargers_stay_usable(browser: Browser) -> None:
    """The whole list is there within seconds, and a letter typed filters it within a moment."""
    with served(FakeFleet(10_000), tick_s=5) as address:
        watched = watch(browser, address)
        page = watched.go("/chargers", "#chargers-page[data-state=ready]")
        expect(page.locator("#chargers-count")).to_contain_text("9,8")
        started = page.evaluate("() => performance.now()")
        page.locator("#chargers-q").fill("CP-09999")
        expect(page.locator("#chargers-count")).to_contain_text("1 of ")
        assert page.evaluate("() => performance.now()") - started < 3_000
        watched.page.context.close()
        assert watched.faults == []


def test_on_a_phone_nothing_is_wider_than_the_window(browser: Browser, fleet: FakeFleet) -> None:
    with served(fleet) as address:
        watched = watch(browser, address, 390, 844)
        page = watched.go(f"/chargers/{_low(fleet)['meterId']}")
        expect(page.locator("#charger-sessions tbody tr").first).to_be_visible()
        wide = "(cards) => cards.filter((card) => card.getBoundingClientRect().right > window.innerWidth).length"
        assert page.locator("#charger-page .card").evaluate_all(wide) == 0
        watched.go("/chargers", "#chargers-page[data-state=ready]")
        expect(page.locator("#chargers-table .ag-header-cell")).to_have_count(3)
        watched.page.context.close()
        assert watched.faults == []


def test_without_the_database_the_page_stays_and_fills_again_when_it_is_back(browser: Browser, fleet: FakeFleet) -> None:
    with served(fleet) as address:
        watched = watch(browser, address)
        page = watched.go(f"/chargers/{_low(fleet)['meterId']}")
        expect(page.locator("#charger-verdict h2")).to_be_visible()
        fleet.away = True
        expect(page.locator("#stale-banner")).to_be_visible()
        expect(page.locator("#charger-verdict h2")).to_be_visible()
        fleet.tick(60)
        with page.expect_response(lambda r: "charger-drawn-judged" in (r.request.post_data or "")):
            fleet.away = False
        expect(page.locator("#stale-banner")).to_be_hidden()
        watched.page.context.close()
