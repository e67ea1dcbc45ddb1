"""The vehicle page in headless Chromium: what its cards say, and at which pace they are asked for."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser_support import BROWSER_MARKS, FakeFleet, Watched, knows_the_picture, served, watch

pytestmark = BROWSER_MARKS
# On the viewer's clocks, whatever zone the browser is in.
AXIS_IS = "(ends) => document.querySelector('#vehicle-graph .js-plotly-plot')?._fullLayout?.xaxis.range.every((end, n) => String(end).startsWith(ends[n]))"
HEARD = "#vehicle-graph .js-plotly-plot[data-heard]"  # drawn, and what is done on it has an effect


@pytest.fixture
def fleet() -> FakeFleet:
    """200 vehicles."""
    return FakeFleet(200)


@pytest.fixture
def at(browser: Browser, fleet: FakeFleet) -> Iterator[Watched]:
    """A desk-sized page on the fleet; nothing may have gone wrong on it in the end."""
    with served(fleet) as address:
        watched = watch(browser, address)
        yield watched
        watched.page.context.close()
        assert watched.faults == []


def _low(fleet: FakeFleet) -> dict[str, Any]:
    return next(row for row in fleet.rows if row["severity"])


def _answers(page: Page) -> list[str]:
    """Which parts of the page are asked for from now on, by an output of each."""
    asked: list[str] = []
    names = ("drawn-live", "drawn-window", "drawn-chargers")
    page.on("request", lambda r: asked.extend(name for name in names if f"vehicle-{name}.data" in (r.post_data or "")))
    return asked


def test_the_cards_of_a_known_vehicle(at: Watched, fleet: FakeFleet) -> None:
    """A month: 30 sessions, five of which have too little evidence, the loss in money, the vehicle to blame, a corrected assignment."""
    row = _low(fleet)
    page = at.go(f"/vehicles/{row['id']}?range=30d")
    sessions = page.locator("#vehicle-sessions")
    expect(sessions.locator("tbody tr")).to_have_count(30)
    expect(sessions.locator("caption")).to_contain_text("30 sessions, newest first, times in Europe/Berlin")
    assert sessions.locator("tbody tr", has_text="Too little evidence").count() == 5
    why = sessions.locator(".why").first
    expect(why.locator("p")).to_be_hidden()
    why.locator("summary").click()
    expect(why.locator("p")).to_contain_text("is below the expected")
    losses = page.locator("#vehicle-losses")
    lost = row["acKwh"] - row["dcKwh"]
    expect(losses.locator("tfoot tr").first.locator("td").nth(0)).to_have_text(f"{row['acKwh'] * (1 - row['efficiency']):.2f}")
    expect(losses.locator("tfoot tr").first.locator("td").nth(1)).to_have_text(f"{lost * 0.3:.2f}")
    expect(losses.locator(".loss-bar .part").first).to_be_visible()
    chargers = page.locator("#vehicle-chargers")
    expect(chargers.locator("li").first).to_contain_text("it is the vehicle")
    expect(chargers.locator("tbody tr")).to_have_count(3)
    expect(page.locator("#vehicle-assignments .tag")).to_have_text(["now", "corrected"])
    expect(page.locator("#vehicle-verdict")).to_contain_text("(default: nothing learned yet)")


def test_the_sessions_file_is_of_the_window_on_the_screen(at: Watched, fleet: FakeFleet) -> None:
    """It follows the range."""
    page = at.go(f"/vehicles/{_low(fleet)['id']}?at=2026-02-04T12:00:00Z")
    link = page.locator("#vehicle-sessions a.button")
    expect(link).to_have_attribute(
        "href", f"/v1/vehicles/{_low(fleet)['id']}/sessions?format=csv&from=2026-02-03T12:00:00Z&to=2026-02-04T12:00:00Z"
    )
    page.get_by_text("7 d", exact=True).click()
    expect(link).to_have_attribute(
        "href", f"/v1/vehicles/{_low(fleet)['id']}/sessions?format=csv&from=2026-01-28T12:00:00Z&to=2026-02-04T12:00:00Z"
    )


def test_a_reading_asks_for_what_is_live_and_not_for_the_month(at: Watched, fleet: FakeFleet) -> None:
    """The range of 30 days and the chargers wait for their minute; an opened reason stays open. Over 24 hours the range follows."""
    row = _low(fleet)
    page = at.go(f"/vehicles/{row['id']}?range=30d")
    page.locator("#vehicle-sessions .why summary").first.click()
    knows_the_picture(page)
    asked = _answers(page)
    _reads(page, fleet, row)
    assert asked == ["drawn-live"]
    assert page.locator("#vehicle-sessions .why[open]").count() == 1
    page.get_by_text("24 h", exact=True).click()
    expect(page.locator("#vehicle-sessions tbody tr")).to_have_count(1)
    asked.clear()
    with page.expect_response(lambda r: "vehicle-drawn-window" in (r.request.post_data or "")):
        _reads(page, fleet, row)
    assert set(asked) == {"drawn-live", "drawn-window"}


def _reads(page: Page, fleet: FakeFleet, row: dict[str, Any]) -> None:
    """The vehicle reports, and the page has seen it."""
    with page.expect_response(lambda r: "vehicle-drawn-live" in (r.request.post_data or "")):
        fleet.report(row)
    page.wait_for_timeout(500)  # for what should not be asked


def test_the_parts_of_a_loss_are_told_apart_without_colour(at: Watched, fleet: FakeFleet) -> None:
    """Each has a pattern of its own."""
    page = at.go(f"/vehicles/{_low(fleet)['id']}")
    keys = page.locator("#vehicle-losses .part-key")
    expect(keys).to_have_count(5)
    patterns = keys.evaluate_all("(keys) => keys.map((key) => getComputedStyle(key).backgroundImage.replace(/rgba?\\([^)]*\\)/g, ''))")
    assert len(set(patterns)) == 5


def test_on_a_phone_a_session_is_a_block_with_named_values(browser: Browser, fleet: FakeFleet) -> None:
    """And no card is wider than the window."""
    with served(fleet) as address:
        watched = watch(browser, address, 390, 844)
        page = watched.go(f"/vehicles/{_low(fleet)['id']}?range=7d")
        first = page.locator("#vehicle-sessions tbody tr").first
        expect(first).to_be_visible()
        assert first.evaluate("(row) => getComputedStyle(row).display") == "grid"
        names = first.locator("td").evaluate_all("(cells) => cells.map((cell) => getComputedStyle(cell, '::before').content)")
        assert names[:2] == ['"Start"', '"Duration"']
        wide = page.locator("#vehicle-page .card").evaluate_all(
            "(cards) => cards.filter((card) => card.getBoundingClientRect().right > window.innerWidth).length"
        )
        assert wide == 0
        assert page.locator("#vehicle-sessions .scroll-x").evaluate("(box) => box.scrollWidth <= box.clientWidth")
        watched.page.context.close()
        assert watched.faults == []


def _drag(page: Page, graph: str = "#vehicle-graph", begin: float = 0.3, end: float = 0.5) -> None:
    panel = page.locator(f"{graph} .nsewdrag").first
    panel.evaluate("(panel) => panel.scrollIntoView({ block: 'center' })")
    box = panel.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * begin, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, box["y"] + 22, steps=5)
    page.mouse.up()


def test_a_drag_loads_what_is_looked_at_and_back_undoes_it(at: Watched, fleet: FakeFleet) -> None:
    """One question for the charts alone, once the drag is over; the address holds the zoom, and a colleague sees the same."""
    page = at.go(f"/vehicles/{_low(fleet)['id']}")
    shown, rows = page.locator("#vehicle-shown"), page.locator("#vehicle-sessions tbody tr")
    expect(shown).to_contain_text("efficiency and energy: 1 h · curves: 15 min")
    page.wait_for_selector(HEARD)
    asked = _answers(page)
    _drag(page)
    expect(shown).to_contain_text("curves: every reading")
    page.wait_for_url("**/vehicles/*?range=24h&from=*&to=*")
    assert asked == ["drawn-window"]
    zoomed, address = shown.locator("b").inner_text(), page.url
    page.go_back()
    expect(shown).to_contain_text("Drag over a chart to zoom")
    page.go_forward()
    expect(shown.locator("b")).to_have_text(zoomed)
    shown.get_by_role("link", name="Whole range, 24 hours").click()
    expect(shown).to_contain_text("curves: 15 min")
    page.wait_for_url(lambda url: "from=" not in url)
    expect(rows).to_have_count(1)
    at.go(address.removeprefix(at.address))
    expect(shown.locator("b")).to_have_text(zoomed)


def test_a_session_leads_to_its_part_of_the_charts_and_is_marked_in_both(at: Watched, fleet: FakeFleet) -> None:
    """From its row, and from the strip; another range leaves the zoom. Times stand where the clocks of the viewer say."""
    page = at.go(f"/vehicles/{_low(fleet)['id']}?range=7d")
    rows, shown = page.locator("#vehicle-sessions tbody tr"), page.locator("#vehicle-shown")
    expect(rows).to_have_count(7)
    page.wait_for_selector(HEARD)
    rows.nth(2).get_by_role("link", name="Show in chart").click()
    expect(shown.locator("b")).to_be_visible()
    assert page.locator("#vehicle-sessions tr.is-shown").count() == 1
    expect(rows.nth(2)).to_have_class("is-shown")
    drawn = "() => { const { calcdata, data, layout } = document.querySelector('#vehicle-graph .js-plotly-plot'); const n = data.findIndex((t) => t.name === 'Charging'); return calcdata[n][0].p - layout.meta.offsetMs; }"
    start, end = (rows.nth(2).get_attribute("data-session") or "").split("/")
    middle = f"(Date.parse('{start}') + Date.parse('{end}')) / 2"
    assert abs(page.evaluate(drawn) - page.evaluate(middle)) < 1_000
    page.get_by_text("7 d", exact=True).click()
    page.get_by_text("24 h", exact=True).click()
    expect(shown).to_contain_text("Drag over a chart to zoom")
    page.wait_for_url(lambda url: "from=" not in url)
    expect(page.locator("#vehicle-sessions tr.is-shown")).to_have_count(0)
    strip = page.locator("#vehicle-graph .xy7 .nsewdrag, #vehicle-graph .nsewdrag.drag[data-subplot=xy7]").first
    strip.evaluate("(panel) => panel.scrollIntoView({ block: 'center' })")
    box = strip.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.78, box["y"] + box["height"] / 2)
    page.wait_for_timeout(300)
    page.mouse.click(box["x"] + box["width"] * 0.78, box["y"] + box["height"] / 2)
    expect(shown).to_contain_text("Zoomed to")
    expect(page.locator("#vehicle-sessions tr.is-shown")).to_have_count(1)


def test_any_range_is_chosen_by_two_times_and_stands_in_the_address(at: Watched, fleet: FakeFleet) -> None:
    """The keyboard alone reaches it; a range that ends before it begins is said, not shown."""
    vehicle_id = _low(fleet)["id"]
    page = at.go(f"/vehicles/{vehicle_id}")
    page.locator(".range-any > summary").focus()
    page.keyboard.press("Enter")
    since, until = page.locator("#vehicle-any-from"), page.locator("#vehicle-any-to")
    expect(since).to_be_focused()
    expect(since).not_to_have_value("")
    since.fill("2026-11-20T08:00")
    until.fill("2026-11-20T07:00")
    until.press("Enter")
    expect(page.locator("#vehicle-any-said")).to_have_text("The range ends before it begins.")
    until.fill("2026-11-20T20:00")
    until.press("Enter")
    page.wait_for_url(re.compile("from=2026-11-20T07:00:00Z&to=2026-11-20T19:00:00Z$"))
    expect(page.get_by_text("Chosen", exact=True)).to_be_visible()
    page.wait_for_function(AXIS_IS, arg=["2026-11-20 08:00", "2026-11-20 20:00"])
    page.go_back()
    expect(page.get_by_text("Chosen", exact=True)).to_have_count(0)
