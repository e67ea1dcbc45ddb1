"""The admin page in headless Chromium, over the real API and a real database: what whoever runs it does there, and what is then so."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.admin_support import sent, served_admin, two_days
from tests.browser_support import BROWSER_MARKS, Watched, watch
from tests.support import fresh_database

pytestmark = BROWSER_MARKS
REFUSED = "status of 422"  # the browser itself writes what a server refuses on its console


@pytest.fixture(scope="module")
def address(postgres_url: str, template_database: str) -> Iterator[str]:
    """A fleet of four vans and four depots, three of them assigned, with readings of the last two days."""
    with fresh_database(postgres_url, template_database, "browser_admin") as url, served_admin(url) as at:
        two_days(at)
        yield at


@pytest.fixture
def desk(browser: Browser, address: str) -> Iterator[Watched]:
    """A desk-sized page; nothing may have gone wrong on it but what the API refused."""
    watched = watch(browser, address)
    yield watched
    watched.page.context.close()
    assert [fault for fault in watched.faults if REFUSED not in fault] == []


def _meter_of(address: str, vehicle_id: str) -> str | None:
    return sent(address, "GET", f"/v1/mappings/{vehicle_id}")["meterId"]  # type: ignore[no-any-return]


def _csv(page: Page, text: str) -> None:
    page.set_input_files("#admin-file-input", FilePayload(name="moves.csv", mimeType="text/csv", buffer=text.encode()))


def test_a_charger_is_assigned_after_seeing_what_changes(desk: Watched, address: str) -> None:
    """Found by a filter; shown, done, recorded with who and why; and put back from the record."""
    page = desk.go("/admin")
    page.get_by_role("button", name="Without a charger").click()
    expect(page.locator("#admin-count")).to_have_text("1")
    page.locator("#admin-assignments .ag-row", has_text="van-4").click()
    page.wait_for_url("**vehicle=van-4*")
    page.fill("#admin-field-meterId", "depot-4")
    page.fill("#admin-field-by", "Ada")
    page.fill("#admin-field-note", "new van")
    page.get_by_role("button", name="Show what changes").click()
    outcome = page.locator("#admin-detail .admin-outcome")
    expect(outcome.locator(".is-changes tbody tr")).to_contain_text("always → until changed")
    expect(outcome).to_contain_text("Numbers of the past that change")
    assert requests.get(f"{address}/v1/mappings/van-4", timeout=5).status_code == 404
    page.get_by_role("button", name="Do it", exact=True).click()
    expect(outcome).to_contain_text("Done and recorded")
    assert _meter_of(address, "van-4") == "depot-4"
    row = page.locator("#admin-record tbody tr").first
    expect(row).to_contain_text("no charger → depot-4")
    expect(row).to_contain_text("new van")
    expect(row).to_contain_text("Ada")
    row.get_by_role("button", name="Put back").click()
    expect(page.locator("#admin-field-what")).to_have_value("none")
    page.get_by_role("button", name="Show what changes").click()
    page.get_by_role("button", name="Do it", exact=True).click()
    expect(outcome).to_contain_text("Done and recorded")
    assert _meter_of(address, "van-4") is None


def test_the_past_is_corrected_and_its_numbers_are_foreseen(desk: Watched, address: str) -> None:
    """A stretch of twelve hours; what is refused stands at its field and what was typed stays."""
    page = desk.go("/admin/assignments?vehicle=van-1")
    page.select_option("#admin-field-when", "stretch")
    page.fill("#admin-field-meterId", "depot-3")
    begin = (datetime.now().astimezone() - timedelta(hours=20)).replace(minute=0, second=0, microsecond=0)
    page.fill("#admin-field-from", "2026-02-04T12:00")
    page.fill("#admin-field-to", "2026-02-04T11:00")
    page.get_by_role("button", name="Show what changes").click()
    expect(page.locator("#admin-field-to-error")).to_contain_text("from lies before to")
    expect(page.locator("#admin-field-meterId")).to_have_value("depot-3")
    seen = begin.astimezone(UTC) + timedelta(hours=1 if _winter(begin) else 2)  # as the viewer in Berlin types it
    page.fill("#admin-field-from", f"{seen:%Y-%m-%dT%H:%M}")
    page.fill("#admin-field-to", f"{seen + timedelta(hours=12):%Y-%m-%dT%H:%M}")
    page.get_by_role("button", name="Show what changes").click()
    outcome = page.locator("#admin-detail .admin-outcome")
    expect(outcome.locator(".is-changes .tag")).to_have_text("corrects the past")
    # the van alone drew 12 × 6 kWh; on depot-3 it is one of two
    expect(outcome.locator("tbody tr", has_text="van-1")).to_contain_text("72.00 → 96.00")
    expect(outcome.locator("tbody tr", has_text="van-3")).to_contain_text("62.5 % → 125.0 %")
    page.get_by_role("button", name="Do it", exact=True).click()
    expect(page.locator("#admin-detail .timeline-list li")).to_have_count(3)
    stretch = sent(address, "GET", "/v1/mappings/van-1")["timeline"][1]
    assert (stretch["meterId"], stretch["from"]) == ("depot-3", f"{begin.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    page.locator("#admin-detail li", has_text="depot-3").get_by_role("button", name="Take out").click()
    expect(outcome).to_contain_text("What will change")
    page.get_by_role("button", name="Do it", exact=True).click()
    expect(outcome).to_contain_text("Done and recorded")
    assert {one["meterId"] for one in sent(address, "GET", "/v1/mappings/van-1")["timeline"]} == {"depot-1"}


def _winter(at: datetime) -> bool:
    return not at.astimezone(ZoneInfo("Europe/Berlin")).dst()


def test_a_bad_file_changes_nothing_and_a_good_one_is_previewed_and_done(desk: Watched, address: str) -> None:
    """Errors by line and column; unknown ids only with the switch."""
    page = desk.go("/admin/assignments")
    _csv(page, "vehicle_id,meter_id,from,to\nvan-2,depot-4,,\nvan-3,depot-4,soon,\nvan-9,depot-2,,\n")
    rows = page.locator("#admin-file-result .is-wrong tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0).locator("td")).to_have_text(
        ["3", "from", "from is RFC 3339 with an offset, like 2026-02-04T10:00:00Z", "timestamp_format"]
    )
    expect(rows.nth(1)).to_contain_text("the vehicle van-9 was never reported")
    assert page.get_by_role("button", name="Carry out").count() == 0
    assert _meter_of(address, "van-2") == "depot-2"
    page.locator("#admin-file-unknown").check()
    expect(rows).to_have_count(1)
    page.locator("#admin-file-unknown").uncheck()
    expect(rows).to_have_count(2)
    _csv(page, "vehicle_id,meter_id,from,to\nvan-2,depot-4,,\nvan-3,depot-3,,\n")
    result = page.locator("#admin-file-result")
    expect(result.locator(".is-preview tbody tr")).to_have_count(2)
    expect(result.locator(".is-preview tbody tr").nth(0)).to_contain_text("depot-2 → depot-4")
    expect(result.locator(".is-preview tbody tr").nth(1)).to_contain_text("stays as it is")
    assert _meter_of(address, "van-2") == "depot-2"
    page.get_by_role("button", name="Carry out 1 change").click()
    expect(result.locator("h3")).to_have_text("Done and recorded")
    assert _meter_of(address, "van-2") == "depot-4"
    expect(page.locator("#admin-record tbody tr").first).to_contain_text("bulk")


def test_a_charger_gets_its_position_by_a_click_on_our_map(desk: Watched, address: str) -> None:
    """And what the API refuses stands where it was typed; the API then says the position."""
    page = desk.go("/admin/chargers?show=unplaced&charger=depot-3")
    page.fill("#admin-field-ratedKw", "0")
    page.fill("#admin-field-latitude", "52.5")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#admin-field-ratedKw-error")).to_contain_text("greater than or equal to 0.001")
    expect(page.locator("#admin-field-latitude")).to_have_value("52.5")
    page.fill("#admin-field-ratedKw", "11")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#admin-field-longitude-error")).to_contain_text("come together")
    page.locator("#place-map canvas").first.wait_for()
    page.locator("#place-map").click(position={"x": 200, "y": 150})
    expect(page.locator("#place-map .place-mark")).to_be_visible()
    assert page.input_value("#admin-field-longitude")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#admin-detail .admin-outcome")).to_contain_text("ratedKw: empty → 11")
    said = sent(address, "GET", "/v1/meters/depot-3")
    assert said["latitude"] == pytest.approx(float(page.input_value("#admin-field-latitude")), abs=1e-6)
    assert said["longitude"] == pytest.approx(float(page.input_value("#admin-field-longitude")), abs=1e-6)
    assert said["ratedKw"] == 11


def test_a_site_is_made_and_a_vehicle_described_by_keyboard_alone(desk: Watched, address: str) -> None:
    """Enter on a row opens it at its first field; Enter in a field saves; thresholds are typed in per cent."""
    page = desk.go("/admin/sites")
    _keys(page, "button[data-admin=new]", "Enter")
    page.keyboard.type("ber")
    _tabs(page, "admin-field-name")
    page.keyboard.type("Berlin")
    _tabs(page, "admin-field-tariffPerKwh")
    page.keyboard.type("0.29")
    page.keyboard.press("Enter")
    expect(page.locator("#admin-detail .admin-outcome h3")).to_have_text("Saved")
    assert sent(address, "GET", "/v1/sites/ber")["tariffPerKwh"] == 0.29
    page.goto(f"{address}/admin/vehicles?q=van-3")
    expect(page.locator("#admin-vehicles .ag-row")).to_have_count(1)
    page.locator("#admin-q").focus()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('.ag-header-cell, .ag-cell') !== null"):
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#admin-field-name")).to_be_focused()
    page.keyboard.type("Van three")
    _tabs(page, "admin-field-plainLow")
    page.keyboard.type("85.5")
    page.keyboard.press("Enter")
    expect(page.locator("#admin-detail .admin-outcome h3")).to_be_focused()
    said = sent(address, "GET", "/v1/vehicles/van-3")
    assert (said["name"], said["plainLow"]) == ("Van three", 0.855)


def _keys(page: Page, selector: str, key: str) -> None:
    page.locator(selector).focus()
    page.keyboard.press(key)


def _tabs(page: Page, element_id: str) -> None:
    """Tab until there."""
    for _ in range(20):
        if page.evaluate("document.activeElement.id") == element_id:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{element_id} is not reached by Tab")


def test_the_back_button_goes_from_tab_to_tab(desk: Watched) -> None:
    """Each has its address."""
    page = desk.go("/admin")
    page.get_by_role("link", name="Settings", exact=True).click()
    expect(page.locator(".settings")).to_contain_text("VOLTLEDGER_SILENT_AFTER_S")
    page.get_by_role("link", name="Chargers", exact=True).click()
    expect(page.locator("#admin-chargers .ag-row").first).to_be_visible()
    page.go_back()
    expect(page.locator(".settings")).to_be_visible()


@pytest.mark.parametrize("tab", ["assignments?vehicle=van-1", "chargers?charger=depot-1"])
def test_on_a_phone_nothing_is_wider_than_the_window(browser: Browser, address: str, tab: str) -> None:
    """390 px."""
    watched = watch(browser, address, 390, 844)
    page = watched.go(f"/admin/{tab}")
    page.locator("#admin-detail form").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = page.locator("#admin-page :is(.card, input, select, button, .admin-tab)").evaluate_all(
        "(all) => all.filter((one) => one.getBoundingClientRect().right > window.innerWidth + 1).map((one) => one.outerHTML.slice(0, 80))"
    )
    assert [one for one in wide if "ag-" not in one] == []
    watched.page.context.close()
    assert watched.faults == []


def test_nothing_typed_is_lost_when_the_database_is_away(desk: Watched, address: str) -> None:
    """It says so, keeps the form, and reads the lists by itself when it is back."""

    def away(route: Any) -> None:
        route.fulfill(status=503, content_type="application/problem+json", body='{"detail": "the database cannot be used", "status": 503}')

    page = desk.page
    page.route("**/v1/**", away)
    page.goto(f"{address}/admin/vehicles?vehicle=van-2")
    expect(page.locator("#admin-note")).to_contain_text("The lists cannot be read yet")
    assert page.locator("#admin-detail form").count() == 0  # a form of unread values would empty them
    page.unroute("**/v1/**")
    page.fill("#admin-field-model", "e-Transit")
    expect(page.locator("#admin-note")).to_be_hidden()
    page.route("**/v1/**", away)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#admin-detail .form-error")).to_have_text("the database cannot be used")
    expect(page.locator("#admin-field-model")).to_have_value("e-Transit")
    page.unroute("**/v1/**")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#admin-detail .admin-outcome")).to_contain_text("model: empty → e-Transit")
    assert sent(address, "GET", "/v1/vehicles/van-2")["model"] == "e-Transit"
    desk.faults[:] = [fault for fault in desk.faults if "status of 503" not in fault]
