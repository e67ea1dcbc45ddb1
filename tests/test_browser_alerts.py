"""The alerts pages in headless Chromium, over the real API and a real database: what people read there, do there, and what is then so."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.admin_support import served_admin
from tests.alert_support import channel, episode, evaluated, evidence, notice, step
from tests.axe_support import findings as grave
from tests.browser_support import BROWSER_MARKS, HOSTILE_NAME, FakeFleet, Watched, served, watch
from tests.support import fresh_database

pytestmark = BROWSER_MARKS
READY = "#main [data-state=ready]"


@pytest.fixture(scope="module")
def database(postgres_url: str, template_database: str) -> Iterator[str]:
    """van-7 (of a hostile name) is low, a dark site holds two silent vans back, van-8 is critical, van-9 was low."""
    with fresh_database(postgres_url, template_database, "browser_alerts") as url:
        with psycopg.connect(url) as conn:
            _fill(conn, datetime.now(UTC).replace(microsecond=0))
        yield url


def _fill(conn: Any, now: datetime) -> None:
    conn.execute("INSERT INTO site (site_id, name, time_zone) VALUES ('lyon', 'Depot Lyon', 'Europe/Paris')")
    conn.execute(
        "INSERT INTO vehicle (vehicle_id, name, site_id) VALUES ('van-7', %s, 'lyon'), ('van-8', 'Grey van', NULL)", (HOSTILE_NAME,)
    )
    one = episode(conn, "van-7", now, site_id="lyon", reason=HOSTILE_NAME)
    step(conn, None, now - timedelta(minutes=36), ("ok", "pending"))
    step(conn, one, now - timedelta(minutes=20), ("pending", "firing"), reason=HOSTILE_NAME)
    notice(conn, one, channel(conn, "ops", now), now, sent_at=now)
    episode(conn, "van-8", now, severity="critical", evidence=evidence(now, 0.62))
    dark = {"devices": 50, "silent": 42, "share": 0.84, "limitShare": 0.2, "examples": ["van-20", "van-21"]}
    holder = episode(conn, "lyon", now, subject_kind="site", rule="site_dark", severity="critical", evidence=dark)
    for n in (20, 21):
        episode(conn, f"van-{n}", now, rule="device_silent", held_back_by=holder, evidence={"silentS": 1800, "rhythmS": 60})
    episode(conn, "van-9", now, resolved_at=now, resolved_because="recovered")
    evaluated(conn, now - timedelta(hours=1))


@pytest.fixture(scope="module")
def address(database: str) -> Iterator[str]:
    """The product over it."""
    with served_admin(database) as at:
        yield at


@pytest.fixture
def desk(browser: Browser, address: str) -> Iterator[Watched]:
    """A desk-sized page; nothing may have gone wrong on it in the end."""
    watched = watch(browser, address)
    yield watched
    watched.page.context.close()
    assert watched.faults == []


def _row(page: Page, subject: str) -> Any:
    return page.locator(f"li[data-subject='{subject}']")


def test_from_an_alert_to_its_evidence_somebody_takes_it_on_silences_it_and_sees_who_did(desk: Watched) -> None:
    """By keyboard alone until the history."""
    page = desk.go("/alerts", READY)
    expect(page.locator("#alerts-banner")).to_contain_text("Alerts were last evaluated at")
    expect(page.locator("#alerts-counts")).to_contain_text("3 open: 2 critical, 1 warning, 2 held back")
    expect(page.locator(".alert-groups h2")).to_contain_text(["Critical 2", "Warning 1"])
    expect(_row(page, "lyon").locator("summary")).to_contain_text("2 alerts held back by this one")
    expect(_row(page, "van-20")).to_be_hidden()
    for _ in range(4):  # one further than there are
        page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/alerts/1")
    expect(page.locator("#alert-head h1")).to_have_text(f"Low efficiency: {HOSTILE_NAME}")
    card = page.locator("#alert-evidence")
    for words in (
        "Of 11.02 kWh from the grid 8.90 kWh reached the battery",
        "80.8 %",
        "87.2–94.1 % (learned from this vehicle)",
        "5.4 points short",
        "59 · 98 %",
    ):
        expect(card).to_contain_text(words)
    expect(card.locator(".evidence-bar.is-window")).not_to_have_count(0)
    expect(page.locator("#alert-checks li")).to_have_count(4)
    expect(page.locator("#alert-steps li")).to_have_count(2)
    expect(page.locator("#alert-notices")).to_contain_text("ops (webhook): told of the alert")
    page.keyboard.press("a")
    page.keyboard.type("fetching another cable")
    page.fill("dialog [name=by]", "Ada")
    page.keyboard.press("Enter")
    expect(page.locator("#alert-people")).to_contain_text("Ada: acknowledged")
    expect(page.locator("#alert-people")).to_contain_text("fetching another cable")
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    expect(page.locator("dialog [aria-invalid=true]")).to_have_count(1)
    page.keyboard.type("in the workshop")
    page.keyboard.press("Enter")
    expect(page.locator("#alert-head")).to_contain_text("silenced until")
    expect(page.locator("#alert-people")).to_contain_text("Ada: silenced")
    page.keyboard.press("u")
    expect(_row(page, "van-7")).to_contain_text("acknowledged by Ada")
    page.locator(".admin-tab", has_text="Silences").click()
    expect(page.locator("#silences-active tbody tr")).to_contain_text("Low efficiency · vehicle van-7")
    page.get_by_role("button", name="End now").click()
    expect(page.locator("#silences-past tbody tr")).to_contain_text("by Ada")
    page.locator(".admin-tab", has_text="History").click()
    expect(page.locator("#history-list li")).to_have_count(6)
    assert "format=csv" in str(page.locator("#history-file a").get_attribute("href"))
    desk.faults[:] = [fault for fault in desk.faults if "status of 422" not in fault]  # the browser writes what was refused


@pytest.mark.slow
def test_filters_live_in_the_address_and_new_alerts_come_without_losing_focus_or_what_is_typed(desk: Watched, database: str) -> None:
    page = desk.go("/alerts?severity=critical&q=van", READY)
    expect(page.locator("#alerts-list li")).to_have_count(1)
    page.fill("#alerts-q", "nothing like it")
    expect(page.locator("#alerts-list")).to_contain_text("No open alert matches")
    assert "q=nothing" in page.url
    page.get_by_role("button", name="Clear").click()
    expect(_row(page, "van-7")).to_be_visible()
    assert "?" not in page.url
    _row(page, "van-8").locator("a").focus()
    page.keyboard.press("a")
    page.keyboard.type("half a senten")
    with psycopg.connect(database) as conn:
        new = episode(conn, "van-30", datetime.now(UTC), severity="critical")
        step(conn, new, datetime.now(UTC), ("pending", "firing"), "van-30")
    expect(_row(page, "van-30")).to_be_attached()
    expect(page.locator("dialog [name=note]")).to_have_value("half a senten")
    expect(page.locator("dialog [name=note]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(_row(page, "van-8").locator("a")).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_contain_text("next alert")
    page.keyboard.press("Escape")


def test_on_a_phone_names_never_run_and_nothing_stands_in_the_way(browser: Browser, address: str) -> None:
    """No console error under a strict content policy, nothing wider than the window, no serious finding, also in a dialog."""
    watched = watch(browser, address, 390, scheme="dark")
    for path, state in {"/alerts/1": "ready", "/alerts/4711": "unknown", "/alerts/silences": "ready"}.items():
        page = watched.go(path, f"#main [data-state={state}]")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        assert grave(page) == [], path
        assert page.locator("[onerror]").count() == 0
    page.get_by_role("button", name="New silence").click()
    assert grave(page) == []
    watched.page.context.close()
    assert watched.faults == []


@pytest.mark.slow
def test_without_the_database_the_list_stays_and_the_next_page_fills_itself_when_it_is_back(browser: Browser) -> None:
    fleet = FakeFleet(60)
    with served(fleet) as address:
        watched = watch(browser, address)
        page = watched.go("/alerts", READY)
        many = page.locator("#alerts-list li").count()
        assert many
        fleet.away = True
        expect(page.locator("#stale-banner")).to_be_visible()
        assert page.locator("#alerts-list li").count() == many
        page.locator(".admin-tab", has_text="History").click()
        expect(page.locator("#callback-note")).to_be_visible()
        fleet.away = False
        expect(page.locator("#history-list li").first).to_be_visible()
        expect(page.locator("#callback-note")).to_be_hidden()
        watched.page.context.close()
