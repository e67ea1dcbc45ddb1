"""What a person sees and does, in headless Chromium, over a made-up fleet."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.browser_support import BROWSER_MARKS, HOSTILE_NAME, FakeFleet, Watched, served, watch

pytestmark = BROWSER_MARKS
TICK_MS = 6_500  # a tick is 1 s; on a machine full of other work its answer takes longer


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


def _low(fleet: FakeFleet) -> str:
    return str(next(row["id"] for row in fleet.rows if row["severity"]))


def _map(page: Page, expression: str) -> Any:
    return page.evaluate(f"() => {{ const {{ map, items, hovered }} = voltledger.fleetMap.state; return {expression}; }}")


def test_figures_map_table_and_alerts_come_from_one_picture(at: Watched, fleet: FakeFleet) -> None:
    """The same numbers at the same time."""
    page = at.go("/")
    figures = fleet.content()["figures"]
    expect(page.locator("[data-figure=charging]")).to_have_text(str(figures["charging"]))
    expect(page.locator("#alert-list > li")).to_have_count(figures["alerts"])
    assert page.evaluate("voltledger.table.api.getDisplayedRowCount()") == fleet.size
    placed = sum(row["lat"] is not None for row in fleet.rows)
    assert _map(page, "items.reduce((n, item) => n + (item.members?.length ?? 1), 0)") == placed


def test_the_first_reading_appears_without_a_reload(at: Watched, fleet: FakeFleet) -> None:
    """An empty fleet shows the command, with this server's address; then the data comes by itself."""
    rows, fleet.rows, fleet.size = fleet.rows, [], 0
    page = at.go("/", "#fleet-page[data-state=empty]")
    expect(page.locator("#curl-vehicle")).to_contain_text(f"{at.address}/v1/telemetry/vehicle")
    expect(page.locator("#simulate-fleet")).to_have_text(f"python -m simulator run --url {at.address} --vehicles 40")
    expect(page.locator("#import-files")).to_contain_text("python -m db import")
    fleet.rows, fleet.size = rows, len(rows)
    expect(page.locator("#fleet-page")).to_have_attribute("data-state", "ready", timeout=TICK_MS)
    assert _map(page, "items.length") > 0


def test_a_tick_moves_neither_camera_nor_hover_nor_scroll(at: Watched, fleet: FakeFleet) -> None:
    """New numbers, everything else stays."""
    page = at.go("/")
    page.wait_for_function("() => voltledger.fleetMap.state.items.length > 0 && voltledger.table.rows.size > 0")
    page.evaluate("voltledger.table.api.ensureIndexVisible(120, 'top')")
    spot = _map(page, "(() => { const o = map.getPixelOrigin(), p = map.layerPointToContainerPoint([items[0].x - o.x, items[0].y - o.y]), r = map.getContainer().getBoundingClientRect(); return [p.x + r.x, p.y + r.y]; })()")  # fmt: skip
    page.mouse.move(*spot)
    expect(page.locator(".map-tip")).to_be_visible()
    kept = "[map.getCenter().lat, map.getZoom(), document.querySelector('.table .ag-body-viewport').scrollTop, Boolean(hovered)]"
    before, as_of = _map(page, kept), page.inner_text(".live-time")
    fleet.tick(60)
    expect(page.locator(".live-time")).not_to_have_text(as_of, timeout=TICK_MS)
    page.wait_for_timeout(300)
    assert _map(page, kept) == before
    expect(page.locator(".map-tip")).to_be_visible()


def _is_news(answer: Response) -> bool:
    """The browser may ask before the picture is made anew: then nothing has changed, and it asks again."""
    return "/live/fleet?since=" in answer.url and answer.status == 200


def test_a_tick_brings_what_changed_and_makes_of_it_the_whole_picture(at: Watched, fleet: FakeFleet) -> None:
    """Some kB instead of all; what the page then knows is what a newcomer would be told, in the table too."""
    page = at.go("/")
    page.wait_for_function("() => voltledger.table.rows.size > 0")
    for _ in range(2):
        fleet.tick(60)
        with page.expect_response(_is_news, timeout=3 * TICK_MS) as told:
            pass
        assert set(told.value.json()) >= {"since", "asOf", "vehicles"}
        assert "meterId" not in told.value.json()["vehicles"]
    page.wait_for_timeout(300)
    assert page.evaluate(
        "async () => JSON.stringify(await (await fetch('/live/fleet')).json()) === JSON.stringify(voltledger.live.picture)"
    )
    behind = "voltledger.live.picture.vehicles.id.filter((id, i) => voltledger.table.api.getRowNode(id).data.recordedAt !== voltledger.live.picture.vehicles.recordedAt[i])"  # fmt: skip
    assert page.evaluate(behind) == []


def test_map_and_table_filter_together_and_the_filter_is_in_the_address(at: Watched, fleet: FakeFleet) -> None:
    """A view can be sent to a colleague."""
    page = at.go("/")
    page.locator("a.figure", has_text="Charging now").click()
    charging = fleet.content()["figures"]["charging"]
    expect(page.locator("#fleet-count")).to_have_text(f"{charging} of 200 vehicles")
    assert page.url == f"{at.address}/?state=charging"
    page.locator(".legend-item", has_text="Suspect measurement").click()
    page.wait_for_function("() => voltledger.fleet.filter.verdict.length === 1")
    assert page.url.endswith("/?verdict=suspect_measurement&state=charging")
    shown = page.evaluate("voltledger.table.api.getDisplayedRowCount()")
    assert 0 < shown < charging
    assert _map(page, "items.reduce((n, item) => n + (item.members?.length ?? 1), 0)") <= shown
    page.reload()
    expect(page.locator("#fleet-count")).to_have_text(f"{shown} of 200 vehicles")
    page.locator("#fleet-clear").click()
    expect(page.locator("#fleet-count")).to_have_text("200 vehicles")
    assert page.url == f"{at.address}/"


def test_the_order_of_the_table_is_in_the_address_and_no_tick_changes_it(at: Watched, fleet: FakeFleet) -> None:
    """A click on a column's head, a tick in which verdicts change, a vehicle and back, a reload: the same order."""
    page = at.go("/?verdict=low,ok", "#fleet-table .ag-cell")
    head = page.locator("#fleet-table .ag-header-cell[col-id=lossKwh]")
    for order in ("lossKwh", "-lossKwh"):
        head.click()
        page.wait_for_function("([sort]) => voltledger.fleet.sort === sort", arg=[order])
    assert page.url == f"{at.address}/?verdict=low,ok&sort=-lossKwh".replace(",", "%2C")
    lost = sorted((row["lossKwh"] for row in fleet.rows if row["verdict"] in ("low", "ok") and row["severity"] != "critical"), reverse=True)  # fmt: skip
    first = "Array.from({ length: 30 }, (_, n) => voltledger.table.api.getDisplayedRowAtIndex(n).data.id)"
    before = page.evaluate(first)
    assert page.evaluate("voltledger.table.api.getDisplayedRowAtIndex(0).data.lossKwh") == lost[0]
    changed = next(row for row in fleet.rows if row["id"] == before[20])
    changed["lossKwh"], changed["verdict"], changed["severity"] = 99.0, "low", "warning"
    fleet.tick(60)
    page.wait_for_function("([id]) => voltledger.table.rows.get(id).lossKwh === 99", arg=[changed["id"]])
    assert page.evaluate(first) == before
    page.locator(".ag-cell .cell-vehicle").first.click()
    expect(page.locator("#vehicle-page")).to_have_attribute("data-state", "ready")
    page.go_back()
    for again in (lambda: None, page.reload):
        again()
        page.wait_for_function("() => voltledger.table.api && !voltledger.table.api.isDestroyed() && voltledger.table.first()")
        expect(page.locator("#fleet-table .ag-header-cell[col-id=lossKwh]")).to_have_attribute("aria-sort", "descending")
        assert page.evaluate("voltledger.table.first()") == changed["id"]
        assert page.url.endswith("&sort=-lossKwh")


def test_search_finds_by_name_site_and_meter(at: Watched, fleet: FakeFleet) -> None:
    """Whatever a person remembers."""
    page = at.go("/")
    for words in (fleet.rows[17]["id"], "cp-00017", "depot oslo"):
        page.locator("#fleet-q").fill(words)
        page.wait_for_function("([words]) => voltledger.fleet.filter.q === words", arg=[words])
        assert 0 < page.evaluate("voltledger.table.api.getDisplayedRowCount()") < 30


def test_selecting_shows_the_vehicle_everywhere(at: Watched, fleet: FakeFleet) -> None:
    """Panel, table and map agree; Escape lets go."""
    page = at.go("/")
    page.locator(".alert-row").first.click()
    expect(page.locator("#vehicle-panel")).to_be_visible()
    expect(page.locator("#panel-day .hour")).to_have_count(24)
    chosen = page.evaluate("voltledger.fleet.selected")
    assert page.url.endswith(f"?vehicle={chosen}")
    assert page.evaluate("voltledger.table.api.getSelectedNodes().map((node) => node.id)") == [chosen]
    page.keyboard.press("Escape")
    expect(page.locator("#alert-panel")).to_be_visible()
    assert page.url == f"{at.address}/"


def test_the_keyboard_alone_reaches_a_vehicle_and_the_way_back(at: Watched, fleet: FakeFleet) -> None:
    """Search, Enter, its panel, Escape; or a row of the table. The camera goes there only when asked."""
    page = at.go("/")
    page.wait_for_function("() => voltledger.table.rows.size > 0 && voltledger.fleetMap.state.fitted")
    wanted = next(row for row in fleet.rows[20:] if row["lat"] is not None)
    camera = _map(page, "`${map.getCenter()} ${map.getZoom()}`")
    page.locator("#fleet-q").focus()
    page.keyboard.type(wanted["id"])
    page.keyboard.press("Enter")
    expect(page.locator("#vehicle-panel")).to_be_focused()
    expect(page.locator("#panel-name")).to_have_text(wanted["name"])
    assert _map(page, "`${map.getCenter()} ${map.getZoom()}`") == camera
    for _ in range(2):  # close, the charger's link
        page.keyboard.press("Tab")
    expect(page.locator("#panel-facts a")).to_be_focused()
    page.evaluate("voltledger.views.panel()")  # as every tick does, and nobody loses his place by it
    expect(page.locator("#panel-facts a")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#panel-show")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_function("() => voltledger.fleetMap.state.map.getZoom() >= 12")
    assert _map(page, f"map.getBounds().contains([{wanted['lat']}, {wanted['lon']}])")
    page.keyboard.press("Escape")
    expect(page.locator("#fleet-q")).to_be_focused()
    expect(page.locator("#vehicle-panel")).to_be_hidden()
    page.locator(".ag-center-cols-container [col-id=efficiency]").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#panel-name")).to_have_text(wanted["name"])


def test_pages_change_without_loading_anew_and_back_works(at: Watched) -> None:
    """From the fleet to an alert to its vehicle and back."""
    page = at.go("/")
    page.evaluate("window.here = true")
    page.locator(".nav-link", has_text="Alerts").click()
    page.locator(".alert-line").first.click()
    page.get_by_role("link", name="Open the vehicle").click()
    expect(page.locator("#vehicle-page")).to_have_attribute("data-state", "ready")
    page.go_back()
    expect(page.locator("#alert-page")).to_have_attribute("data-state", "ready")
    page.go_back()
    expect(page.locator("#alerts-page")).to_have_attribute("data-state", "ready")
    page.locator(".brand").click()
    expect(page.locator("#fleet-page")).to_have_attribute("data-state", "ready")
    assert page.evaluate("window.here") is True


def test_alerts_stand_worst_first_and_what_is_unfolded_stays_so(at: Watched, fleet: FakeFleet) -> None:
    """Critical before warning; a tick does not close what somebody reads."""
    page = at.go("/alerts")
    marks = page.locator(".alert-groups > section > ul > li").evaluate_all(
        "(items) => items.map((item) => item.classList.contains('is-critical'))"
    )
    assert marks == sorted(marks, reverse=True)
    assert any(marks)
    assert not all(marks)
    page.locator(".alert-behind summary").click()
    expect(page.locator(".alert-behind li")).to_have_count(2)
    serial = page.evaluate("voltledger.live.serial")
    fleet.tick()
    page.wait_for_function("([before]) => voltledger.live.serial > before", arg=[serial])
    page.wait_for_timeout(300)
    expect(page.locator(".alert-behind li").first).to_be_visible()


def test_without_the_database_the_last_figures_stay(browser: Browser, fleet: FakeFleet) -> None:
    """A banner says so and goes by itself."""
    with served(fleet) as address:
        watched = watch(browser, address)
        page = watched.go("/")
        charging = page.inner_text("[data-figure=charging]")
        fleet.away = True
        expect(page.locator("#stale-banner")).to_contain_text("Database unreachable. Data as of", timeout=TICK_MS)
        assert page.inner_text("[data-figure=charging]") == charging
        expect(page.locator(".live-word")).to_have_text("Stale")
        fleet.away = False
        fleet.tick()
        expect(page.locator("#stale-banner")).to_be_hidden(timeout=TICK_MS)
        fleet.broken = True  # the server itself answers nothing sensible
        expect(page.locator("#stale-banner")).to_be_visible(timeout=TICK_MS)
        fleet.broken = False
        expect(page.locator("#stale-banner")).to_be_hidden(timeout=TICK_MS)
        page.context.close()


def test_a_vehicles_page_recovers_when_the_database_is_back(browser: Browser, fleet: FakeFleet) -> None:
    """No stack trace, no blank page, no reload."""
    with served(fleet) as address:
        watched = watch(browser, address)
        fleet.away = True
        page = watched.go(f"/vehicles/{_low(fleet)}", "#callback-note:not([hidden])")
        fleet.away = False
        fleet.tick(60)
        expect(page.locator("#vehicle-page")).to_have_attribute("data-state", "ready", timeout=3 * TICK_MS)
        expect(page.locator("#callback-note")).to_be_hidden()
        page.context.close()


def test_a_name_is_text_wherever_it_stands(at: Watched, fleet: FakeFleet) -> None:
    """No element is made of it and nothing runs: in the table, the panel, the map's tip and on the vehicle's page."""
    hostile = next(row["id"] for row in fleet.rows if row["name"] == HOSTILE_NAME)
    page = at.go(f"/?q={hostile}&vehicle={hostile}")
    expect(page.locator("#panel-name")).to_have_text(HOSTILE_NAME)
    expect(page.locator(".cell-vehicle").first).to_contain_text(HOSTILE_NAME)
    page.goto(f"{at.address}/vehicles/{hostile}")
    expect(page.locator("h1")).to_have_text(HOSTILE_NAME)
    assert page.locator("img[src=x]").count() == 0


def test_colours_follow_the_system_until_chosen_and_are_remembered(at: Watched) -> None:
    """And are right before the first paint."""
    page = at.go("/")
    shown = "document.documentElement.getAttribute('data-mantine-color-scheme')"
    assert page.evaluate(shown) == "light"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => {shown} === 'dark'")
    page.get_by_label("Colours and time zone").click()
    page.get_by_text("Light", exact=True).click()
    page.wait_for_function(f"() => {shown} === 'light'")
    page.reload(wait_until="commit")
    page.wait_for_selector("#react-entry-point", state="attached")
    assert page.evaluate(shown) == "light"


def test_times_name_their_zone_and_utc_can_be_chosen(at: Watched) -> None:
    """The viewer's zone by default."""
    page = at.go("/")
    expect(page.locator(".live-time")).to_contain_text("CE")
    page.get_by_label("Colours and time zone").click()
    page.get_by_text("UTC", exact=True).click()
    expect(page.locator(".live-time")).to_contain_text("UTC")


def test_a_zoom_survives_new_readings(at: Watched, fleet: FakeFleet) -> None:
    """The charts are drawn anew under the same zoom, although the window moved on."""
    row = next(row for row in fleet.rows if row["severity"])
    page = at.go(f"/vehicles/{row['id']}")
    page.wait_for_selector("#vehicle-graph .main-svg")
    page.wait_for_timeout(2_500)  # until the first picture has been seen
    shown = "() => document.querySelector('#vehicle-graph .js-plotly-plot').layout.xaxis.range.map((at) => String(at).slice(0, 16))"
    whole = page.evaluate(shown)
    panel = page.locator("#vehicle-graph .nsewdrag").first
    panel.evaluate("(panel) => panel.scrollIntoView({ block: 'center' })")
    box = panel.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 22, steps=5)
    page.mouse.up()
    expect(page.locator("#vehicle-shown")).to_contain_text("Zoomed to")
    page.wait_for_timeout(600)
    zoomed = page.evaluate(shown)
    assert zoomed != whole
    with page.expect_response(lambda r: "vehicle-graph.figure" in (r.request.post_data or ""), timeout=2 * TICK_MS):
        fleet.tick(60)
        row["recordedAt"] = int(fleet.now.timestamp()) - 1
    page.wait_for_timeout(800)
    assert page.evaluate(shown) == zoomed


def test_a_past_window_and_its_range_are_in_the_address(at: Watched, fleet: FakeFleet) -> None:
    """Deep links work, and the range stays when it is sent on."""
    page = at.go(f"/vehicles/{_low(fleet)}?at=2016-06-27T00:14:00Z")
    expect(page.locator("#vehicle-head")).to_contain_text("You are looking at the past")
    expect(page.locator("#vehicle-head")).to_contain_text("27 Jun 2016, 02:14 UTC+2")
    page.get_by_text("7 d", exact=True).click()
    expect(page.locator("#vehicle-verdict")).to_contain_text("7 days to 27 Jun 2016")
    expect(page.locator("#vehicle-sessions tbody tr")).to_have_count(7)
    assert page.url.endswith("?at=2016-06-27T00%3A14%3A00Z&range=7d") or page.url.endswith("?at=2016-06-27T00:14:00Z&range=7d")


def test_an_unknown_vehicle_says_what_would_make_it_appear(at: Watched) -> None:
    """No charts, no error."""
    page = at.go("/vehicles/nobody", "#vehicle-page[data-state=unknown]")
    expect(page.locator("#vehicle-head")).to_contain_text("Nobody has heard of nobody")


def test_no_number_on_the_map_covers_another(browser: Browser) -> None:
    """10,000 vehicles, far out and nearer; and all of them are still there."""
    fleet = FakeFleet(10_000)
    placed = sum(row["lat"] is not None for row in fleet.rows)
    with served(fleet, tick_s=5) as address:
        page = watch(browser, address).go("/")
        for zoom in (4, 6, 8):
            page.evaluate(f"voltledger.fleetMap.state.map.setView([50.5, 8.5], {zoom}, {{ animate: false }})")
            page.wait_for_function(f"() => voltledger.fleetMap.state.key?.endsWith('|{zoom}')")
            covered = "groups.filter((a, k) => groups.slice(0, k).some((b) => Math.hypot(a.x - b.x, a.y - b.y) < a.r + b.r - 6)).length"
            assert _map(page, f"(() => {{ const groups = items.filter((item) => item.members); return {covered}; }})()") == 0
            assert _map(page, "items.reduce((n, item) => n + (item.members?.length ?? 1), 0)") == placed
        page.context.close()


def test_a_group_opens_and_stacked_vehicles_stand_apart(at: Watched) -> None:
    """From the depot's circle down to each vehicle."""
    page = at.go("/")
    page.wait_for_function("() => voltledger.fleetMap.state.items.some((item) => item.members)")
    page.evaluate("voltledger.fleetMap.state.map.setView([52.3731, 4.8926], 13, { animate: false })")
    page.wait_for_timeout(400)
    depot = _map(page, "(() => { const c = map.project([52.3731, 4.8926]); return items.filter((i) => Math.hypot(i.x - c.x, i.y - c.y) < 80).map((i) => [i.x, i.y, i.index]); })()")  # fmt: skip
    assert len(depot) > 8
    assert all(index is not None for *_, index in depot)
    near = min(((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5 for i, a in enumerate(depot) for b in depot[:i])
    assert near > 6, "two vehicles cannot be told apart"
