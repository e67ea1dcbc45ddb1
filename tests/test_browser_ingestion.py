"""The ingestion page in headless Chromium: its cards, the calendar by mouse and keyboard, its address, and an empty or absent database."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser_support import BROWSER_MARKS, HOSTILE_NAME, FakeFleet, Watched, served, watch
from tests.ingestion_support import faked

pytestmark = BROWSER_MARKS
READY = "#ingestion-calendar [role=grid]"


@pytest.fixture
def fleet() -> FakeFleet:
    """20 vehicles on the map; the intake's devices are its own."""
    return FakeFleet(20)


@pytest.fixture
def at(browser: Browser, fleet: FakeFleet) -> Iterator[Watched]:
    """A desk-sized page; nothing may have gone wrong on it in the end."""
    with faked(fleet), served(fleet) as address:
        watched = watch(browser, address)
        yield watched
        watched.page.context.close()
        assert watched.faults == []


def test_the_cards_say_who_is_silent_and_fit_a_phone(browser: Browser, fleet: FakeFleet) -> None:
    """All six, and no card is cut."""
    with faked(fleet), served(fleet) as address:
        watched = watch(browser, address, 390)
        page = watched.go("/ingestion", READY)
        expect(page.locator("#ingestion-head")).to_contain_text("Of 122 devices 3 are silent")
        expect(page.locator("#ingestion-now .card")).to_have_count(6)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        wide = page.locator("#ingestion-page .card").evaluate_all("(all) => all.filter((one) => one.getBoundingClientRect().right > window.innerWidth).length")  # fmt: skip
        assert wide == 0
        _reject(page)
        _patterns(page)
        watched.page.context.close()
        assert watched.faults == []


def _reject(page: Page) -> None:
    """Opened by a click it says who, why and what to do."""
    first = page.locator("#ingestion-rejects details").first
    first.locator("summary").click()
    for words in ("12 readings", "veh-007 /soc: soc is 0 to 100 %", "never a counter's total"):
        expect(first).to_contain_text(words)


def _patterns(page: Page) -> None:
    """Colour is not the only cue: all and none are plain, the lightest and the darkest; every other level has a pattern of its own."""
    patterns = page.locator(".gap-key").evaluate_all("(keys) => keys.map((key) => getComputedStyle(key).backgroundImage.replace(/rgba?\\([^)]*\\)/g, ''))")  # fmt: skip
    assert len(patterns) == 6
    assert len(set(patterns)) == 5


def test_the_calendar_is_walked_by_keyboard_and_by_mouse(at: Watched) -> None:
    """One tab stop, arrows and Home, words for what is focused; Enter opens the device at that hour, and back comes back here."""
    page = at.go("/ingestion", READY)
    expect(page.locator("#ingestion-calendar [role=row]")).to_have_count(50)
    assert page.locator("#ingestion-calendar [role=gridcell]").count() == 50 * 168
    assert page.locator("#ingestion-calendar i[tabindex='0']").count() == 1
    page.locator("#ingestion-calendar i[tabindex='0']").focus()
    page.keyboard.press("Home")
    expect(page.locator("#gap-tip")).to_contain_text("30 readings, 50 % of those due (one every 1 min)")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#gap-tip")).to_contain_text("had not reported yet")
    assert "had not reported yet" in str(page.evaluate("document.activeElement.getAttribute('aria-label')"))
    page.keyboard.press("ArrowUp")
    for _ in range(25):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#gap-tip")).to_contain_text("0 readings, 0 % of those due")
    page.locator("#ingestion-calendar i[data-row='3'][data-hour='150']").hover()
    expect(page.locator("#gap-tip")).to_contain_text(HOSTILE_NAME)
    page.locator("#ingestion-calendar i[data-row='0'][data-hour='25']").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/vehicles/veh-000?at=*")
    page.go_back()
    expect(page.locator(READY)).to_be_visible()


def test_filters_and_pages_live_in_the_address(at: Watched) -> None:
    """What is chosen is in the address and in the file's; the address alone shows the same; another choice begins with the first page."""
    page = at.go("/ingestion?page=2", READY)
    expect(page.locator("#gap-pages")).to_have_text("60 devices, page 2 of 2")
    page.locator("#ingestion-previous").click()
    expect(page.locator("#gap-pages")).to_have_text("60 devices, page 1 of 2")
    page.locator("#ingestion-next").click()
    expect(page.locator("#gap-pages")).to_have_text("60 devices, page 2 of 2")
    page.get_by_text("Meters", exact=True).first.click()
    expect(page.locator("#gap-pages")).to_have_text("61 devices, page 1 of 2")
    page.locator("#ingestion-q").fill("met-00")
    expect(page.locator("#gap-pages")).to_have_text("10 devices, page 1 of 1")
    assert parse_qs(urlparse(page.url).query) == {"side": ["meter"], "q": ["met-00"]}
    assert page.locator("#gap-head a.button").get_attribute("href") == "/v1/ingestion/gaps?format=csv&side=meter&page=1&q=met-00"
    page.goto(f"{at.address}/ingestion?side=meter&site=south&q=met-00&disk=500")
    expect(page.locator("#gap-pages")).to_have_text("5 devices, page 1 of 1")
    expect(page.locator("#ingestion-days")).to_contain_text("fills a disk of 500 GB")


@pytest.mark.slow
def test_the_first_reading_appears_by_itself_and_an_outage_keeps_the_figures(at: Watched, fleet: FakeFleet) -> None:
    """Empty: the command. Then data without a reload. Then the database goes away and comes back."""
    rows, fleet.rows, fleet.size = fleet.rows, [], 0
    page = at.go("/ingestion", "#ingestion-page[data-state=empty]")
    expect(page.locator("#curl-vehicle")).to_contain_text(f"{at.address}/v1/telemetry/vehicle")
    fleet.rows, fleet.size = rows, len(rows)
    expect(page.locator("#ingestion-page")).to_have_attribute("data-state", "ready")
    expect(page.locator("#ingestion-now")).to_contain_text("56 of 60")
    fleet.away = True
    expect(page.locator("#stale-banner")).to_be_visible()
    expect(page.locator("#ingestion-now")).to_contain_text("56 of 60")
    fleet.away = False
    expect(page.locator("#stale-banner")).to_be_hidden()
