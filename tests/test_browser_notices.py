"""The admin page's tab of notices in headless Chromium: a channel from its adding to its end, with a real receiver and the real delivery."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from alerting.delivery import Deliverer
from alerting.webhook import Webhook
from tests.admin_support import _now, served_admin
from tests.axe_support import findings
from tests.browser_support import BROWSER_MARKS, Watched, watch
from tests.notice_support import PRIVATE, connecting, receiver

pytestmark = BROWSER_MARKS
REFUSED = "status of 422"


@pytest.fixture
def desk(browser: Browser, database_url: str) -> Iterator[Watched]:
    """The page, with the outbox being delivered; nothing may go wrong on it but what the API refused."""
    ways = {"webhook": Webhook(PRIVATE)}
    with served_admin(database_url, notices_to_private=True) as address:
        deliverer = Deliverer(connecting(database_url), _now, PRIVATE, ways).start()
        watched = watch(browser, address)
        yield watched
        watched.page.context.close()
        deliverer.close()
    assert [fault for fault in watched.faults if REFUSED not in fault] == []


def test_a_channel_is_added_tested_seen_to_fail_switched_off_and_deleted(desk: Watched) -> None:
    with receiver(200, 500) as there:
        page = desk.go("/admin/notices")
        expect(page.locator("#admin-notices")).to_contain_text("No channel yet")
        page.get_by_role("button", name="Add a channel").click()
        page.fill("#admin-field-name", "Depot <b>office</b>")
        page.fill("#admin-field-address", "ftp://nowhere.example/")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("#admin-field-address-error")).to_contain_text("begins with https:// or http://")
        page.fill("#admin-field-address", there.url)
        page.fill("#admin-field-by", "Ada")
        page.get_by_role("button", name="Add", exact=True).click()
        outcome = page.locator("#admin-detail .admin-outcome")
        expect(outcome).to_contain_text("Added. Send it a test")
        secret = outcome.locator(".notice-secret").inner_text()
        assert len(secret) >= 40
        expect(page.locator("#admin-notices .ag-row")).to_contain_text("Depot <b>office</b>")
        expect(page.locator("#admin-notices .ag-row")).to_contain_text("http://127.0.0.1/…")

        page.get_by_role("button", name="Send a test").click()
        expect(outcome).to_contain_text("The test was sent")
        expect(page.locator(".notice-sent tbody tr")).to_contain_text("Test from Voltledger")
        page.get_by_role("button", name="Send a test").click()
        expect(outcome).to_contain_text("The test failed")
        expect(outcome).to_contain_text("it answered 500")
        expect(page.locator(".notice-sent tbody tr")).to_have_count(2)
        assert len(there.got) == 2
        assert secret not in page.content()
        assert findings(page) == []

        page.get_by_role("button", name="Failing").click()
        expect(page.locator("#admin-count")).to_have_text("1")
        page.select_option("#admin-field-enabled", "off")
        page.get_by_role("button", name="Save").click()
        expect(outcome).to_contain_text("Saved")
        expect(page.get_by_role("button", name="Send a test")).to_be_disabled()

        page.get_by_role("button", name="Delete").click()
        page.get_by_role("button", name="Delete for good?").click()
        expect(page.locator("#admin-detail-empty")).to_be_visible()
        expect(page.locator("#admin-count")).to_have_text("0")


@pytest.mark.parametrize("width", [390, 1400])
def test_the_tab_fits_and_has_no_serious_finding(browser: Browser, database_url: str, width: int) -> None:
    with served_admin(database_url, notices_to_private=True) as address:
        watched = watch(browser, address, width, 900, "dark" if width == 390 else "light")
        page = watched.go("/admin/notices")
        page.get_by_role("button", name="Add a channel").click()
        page.wait_for_timeout(1_000)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert findings(page) == []
        watched.page.context.close()
    assert watched.faults == []
