"""The rules of the alerts in headless Chromium, over the real API and a real database: changed after seeing what the change would have meant."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import requests
from playwright.sync_api import Browser, expect

from db import ingest, partitions
from db.queries import devices
from db.sides import METER, VEHICLE
from tests.admin_support import served_admin
from tests.axe_support import findings as grave
from tests.browser_support import BROWSER_MARKS, Watched, watch
from tests.support import fresh_database

pytestmark = BROWSER_MARKS
REFUSED = ("status of 422", "status of 404")  # the browser itself writes what a server refuses on its console


@pytest.fixture(scope="module")
def address(postgres_url: str, template_database: str) -> Iterator[str]:
    """van-7 in Berlin took 20 kWh at 11 kW from depot-1 this morning and 17.2 arrived: 86 %, below the default band."""
    with fresh_database(postgres_url, template_database, "browser_alert_rules") as url:
        _fill(url, datetime.now(UTC).replace(second=0, microsecond=0))
        with served_admin(url) as at:
            yield at


def _fill(url: str, now: datetime) -> None:
    with psycopg.connect(url, options="-c TimeZone=UTC") as conn:
        partitions.ensure(conn, [now.date(), (now - timedelta(days=1)).date()], now)
        at = [int((now - timedelta(hours=4) + timedelta(minutes=n)).timestamp()) * 1_000_000 for n in range(109)]
        ingest.store(conn, VEHICLE, [("van-7", t, 1_000 if t == at[0] else 157_798, 5_000, 2_000, None, None) for t in at], now)
        ingest.store(conn, METER, [("depot-1", t, 1_000 if t == at[0] else 183_486, 23_000, None, None) for t in at], now)
        conn.execute("INSERT INTO fleet_mapping VALUES ('van-7', 'depot-1')")
        devices.describe_site(conn, "ber", "Berlin", None, None, "Europe/Berlin")
        devices.describe_vehicle(conn, "van-7", "Van 7", "Heron", "ber")


def quiet(watched: Watched) -> None:
    watched.page.context.close()
    assert [fault for fault in watched.faults if not any(words in fault for words in REFUSED)] == []


def test_a_threshold_is_saved_only_after_its_preview_and_then_holds_on_other_pages(browser: Browser, address: str) -> None:
    watched = watch(browser, address)
    page = watched.go("/alerts/rules")
    card = page.locator("#rule-low_efficiency")
    expect(card).to_contain_text("below the band expected of it")
    page.get_by_role("button", name="Set Low efficiency for one").click()
    page.select_option("[name='scope/kind']", "vehicle")
    save = card.get_by_role("button", name="Save")
    page.fill("[name='scope/id']", "nobody")
    page.keyboard.press("Enter")
    expect(card.locator(".form-error")).to_contain_text("Vehicle not found")
    page.fill("[name='scope/id']", "van-7")
    page.select_option("[name='settings/use']", "plain")
    page.fill("[name='settings/plainLow']", "120")
    page.keyboard.press("Enter")
    expect(card.locator(".field-error:not(:empty)")).to_contain_text("plainLow is from 0.01 to 0.99")
    page.fill("[name='settings/plainLow']", "85")
    page.fill("[name='by']", "Ada")
    expect(save).to_be_disabled()
    page.keyboard.press("Enter")
    expect(card.locator(".rule-told")).to_have_text("In the last 7 days: 1 alert now, 0 with the new value.")
    expect(card.locator(".rule-outcome tbody tr")).to_contain_text("points below")
    assert requests.get(f"{address}/v1/vehicles/van-7", timeout=5).json()["verdict"] == "low"
    page.fill("[name='note']", "old cable")
    expect(save).to_be_disabled()
    page.keyboard.press("Enter")
    expect(save).to_be_enabled()
    save.click()
    expect(card.locator(".rule-set")).to_contain_text("Vehicle Van 7 (van-7): low means: plain ratios, low below: 85 %Ada, ")
    expect(card.locator(".rule-said")).to_contain_text("Saved for vehicle van-7")
    assert requests.get(f"{address}/v1/vehicles/van-7", timeout=5).json()["verdict"] == "ok"
    page.goto(f"{address}/vehicles/van-7?range=24h")
    expect(page.locator("#main")).to_contain_text("is not below the plain threshold of 85 %")
    page.go_back()
    page.get_by_role("button", name="Take back Low efficiency, Vehicle Van 7 (van-7)").click()
    expect(card.locator(".rule-set")).to_have_count(0)
    assert requests.get(f"{address}/v1/vehicles/van-7", timeout=5).json()["verdict"] == "low"
    quiet(watched)


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_it_can_be_read_at_every_width_and_by_screen_readers(browser: Browser, address: str, width: int, scheme: Any) -> None:
    watched = watch(browser, address, width, 900, scheme)
    page = watched.go("/alerts/rules?rule=battery_hot&kind=site&id=ber")
    expect(page.locator("[name='scope/id']")).to_have_value("ber")
    page.fill("[name='settings/limitC']", "60")
    page.keyboard.press("Enter")
    expect(page.locator(".rule-told")).to_contain_text("In the last 7 days: 0 alerts now")
    assert not grave(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.keyboard.press("Escape")
    expect(page.locator(".admin-form")).to_have_count(0)
    assert "rule=" not in page.url
    quiet(watched)
