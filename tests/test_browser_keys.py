"""The admin page's tab of keys in headless Chromium: a key from its making to its end, and what is refused at its field."""

import re

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from api.keys.secret import hash_of
from tests.admin_support import sent, served_admin, two_days
from tests.axe_support import findings
from tests.browser_support import BROWSER_MARKS, watch

pytestmark = BROWSER_MARKS


@pytest.mark.slow
def test_s3_a_key_is_made_shown_once_rotated_and_revoked(browser: Browser, database_url: str) -> None:
    with served_admin(database_url) as address:
        two_days(address)
        watched = watch(browser, address)
        page = watched.go("/admin/keys")
        expect(page.locator("#admin-keys")).to_contain_text("No key yet")
        page.get_by_role("button", name="Make a key").click()
        page.fill("#admin-field-name", "Van <b>one</b>")
        page.get_by_role("button", name="Make the key").click()
        expect(page.locator("#admin-field-vehicleIds-error")).to_contain_text("exactly one")
        page.select_option("#admin-field-binding", "meter")
        page.get_by_role("button", name="Make the key").click()
        expect(page.locator("#admin-field-meterIds-error")).to_contain_text("exactly one")
        page.select_option("#admin-field-binding", "vehicle")
        page.fill("#admin-field-vehicleIds", "van-1")
        page.fill("#admin-field-by", "Ada")
        page.get_by_role("button", name="Make the key").click()
        outcome = page.locator("#admin-detail .admin-outcome")
        expect(outcome).to_contain_text("The key is made")
        first = page.locator("#admin-key-shown").inner_text()
        assert re.fullmatch(r"[0-9a-f]{12}\.[A-Za-z0-9_-]{43}", first)
        expect(outcome.get_by_role("button", name="Copy")).to_be_visible()
        expect(page.locator("#admin-keys .ag-row")).to_contain_text("Van <b>one</b>")
        assert findings(page) == []

        page.get_by_role("button", name="Rotate").click()
        expect(outcome).to_contain_text("The key has another secret")
        second = page.locator("#admin-key-shown").inner_text()
        assert second[:13] == first[:13]
        assert second != first
        with psycopg.connect(database_url) as conn:
            kept = conn.execute("SELECT secret_hash, previous_hash, created_by FROM device_key").fetchone()
        assert kept == (hash_of(second[13:]), hash_of(first[13:]), "Ada")

        page = watched.go("/admin/keys?key=" + first[:12])
        expect(page.locator(".key-facts")).to_contain_text("van-1")
        assert second[13:] not in page.content()
        page.get_by_role("button", name="Revoke", exact=True).click()
        page.get_by_role("button", name="Revoke for good?").click()
        expect(outcome).to_contain_text("The key is revoked")
        expect(page.locator("#admin-count")).to_have_text("0")
        page.get_by_role("button", name="Revoked").click()
        expect(page.locator("#admin-count")).to_have_text("1")
        assert sent(address, "GET", "/v1/keys")["keys"][0]["state"] == "revoked"
        watched.page.context.close()
    assert [fault for fault in watched.faults if "status of 422" not in fault] == []


@pytest.mark.parametrize("width", [390, 1400])
def test_the_tab_fits_and_has_no_serious_finding(browser: Browser, database_url: str, width: int) -> None:
    with served_admin(database_url) as address:
        watched = watch(browser, address, width, 900, "dark" if width == 390 else "light")
        made = sent(
            address, "POST", "/v1/keys", json={"name": "Depot " * 20, "binding": "list", "meterIds": [f"depot-{n}" for n in range(50)]}
        )
        page = watched.go("/admin/keys?key=" + made["keyId"])
        expect(page.locator(".key-facts")).to_contain_text("and 48 more")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert findings(page) == []
        watched.page.context.close()
    assert watched.faults == []
