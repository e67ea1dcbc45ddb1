"""People in a browser: they log in, are told what is wrong, come back to where they were, see what is for them, and are out when they are out."""

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from db.people import Role
from tests.axe_support import findings
from tests.browser_support import BROWSER_MARKS, QuietHandler, Watched, watch
from tests.people_support import PASSWORD, Peopled, peopled
from tests.support import fresh_database

pytestmark = BROWSER_MARKS
# What Chromium itself says of an answer that refuses; everything else on the console is a fault.
REFUSED = ("status of 401", "status of 403", "status of 429")


@pytest.fixture(scope="module")
def world(postgres_url: str, template_database: str) -> Iterator[tuple[Peopled, str]]:
    with fresh_database(postgres_url, template_database, "browser_people") as url, peopled(url) as made:
        server = make_server("127.0.0.1", 0, made.dash.server, threaded=True, request_handler=QuietHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def log_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """By the keyboard alone."""
    page.wait_for_selector("#email")
    page.keyboard.type(email)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def entered(browser: Browser, world: tuple[Peopled, str], role: Role, path: str = "/", width: int = 1400) -> Watched:
    """A browser in which somebody of that role logged in on the way to a page."""
    watched = watch(browser, world[1], width=width)
    watched.page.goto(world[1] + path)
    log_in(watched.page, world[0].add(role))
    watched.page.wait_for_url(world[1] + path)
    return watched


def unexpected(watched: Watched) -> list[str]:
    watched.page.context.close()
    return [fault for fault in watched.faults if not any(one in fault for one in REFUSED)]


def test_s6_somebody_logs_in_comes_back_to_where_they_were_and_logs_out(browser: Browser, world: tuple[Peopled, str]) -> None:
    watched = watch(browser, world[1])
    page = watched.page
    page.goto(world[1] + "/ingestion?range=7d")
    assert page.title() == "Log in · Voltledger"
    log_in(page, world[0].add("viewer"), "not the password")
    page.wait_for_selector("#fault")
    assert page.locator("#fault").inner_text() == "The address or the password is wrong."
    assert page.evaluate("document.activeElement.id") == "password"
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(world[1] + "/ingestion?range=7d")
    page.wait_for_selector(".live-state.is-live")
    page.click(".person > summary")
    assert page.locator("#person-name").inner_text() == "Viewer"
    assert page.locator("#person-role").inner_text() == "viewer@example.org · viewer"
    page.click("[data-log-out]")
    page.wait_for_url(world[1] + "/log-in")
    page.go_back()
    page.wait_for_selector("#email")
    assert unexpected(watched) == []


def test_s6_an_open_page_of_somebody_who_is_disabled_shows_the_log_in(browser: Browser, world: tuple[Peopled, str]) -> None:
    watched = entered(browser, world, "technician", "/alerts")
    watched.page.wait_for_selector(".live-state.is-live")
    admin = world[0].logged_in("admin")
    found = next(one for one in admin.ask("/v1/people").json["people"] if one["email"] == "technician@example.org")
    changed = {"name": "Technician", "role": "technician", "active": False}
    assert admin.ask(f"/v1/people/{found['personId']}", "PUT", json=changed).status_code == 200
    watched.page.wait_for_url("**/log-in?next=%2Falerts")
    assert admin.ask(f"/v1/people/{found['personId']}", "PUT", json={**changed, "active": True}).status_code == 200
    log_in(watched.page, "technician@example.org")
    watched.page.wait_for_url(world[1] + "/alerts")
    assert unexpected(watched) == []


OFFERED = [("viewer", []), ("admin", ["Reports", "Admin"])]


@pytest.mark.parametrize(("role", "more"), OFFERED)
def test_s8_nothing_is_offered_that_would_be_refused(browser: Browser, world: tuple[Peopled, str], role: Role, more: list[str]) -> None:
    watched = entered(browser, world, role)
    page = watched.page
    page.wait_for_selector(".live-state.is-live")
    links = page.locator(".header nav a:visible").all_inner_texts()
    assert [one.split()[0] for one in links] == ["Fleet", "Alerts", *more[:1], "Ingestion", *more[1:]]
    page.evaluate("voltledger.go('/admin')")  # a link that somebody sent
    page.wait_for_selector("#admin-page" if role == "admin" else ".plain-card h1")
    if role != "admin":
        assert page.locator("h1").inner_text() == "Not for your role"
    assert unexpected(watched) == []


def test_an_administrator_adds_somebody_who_takes_another_password(browser: Browser, world: tuple[Peopled, str]) -> None:
    watched = entered(browser, world, "admin", "/admin/people")
    page = watched.page
    page.wait_for_selector("#admin-page[data-state=ready]")
    page.click("[data-admin=new]")
    page.fill("#admin-field-email", "fresh@example.org")
    page.fill("#admin-field-name", '<img src=x onerror="alert(1)">')
    page.select_option("#admin-field-role", "technician")
    assert page.locator("#admin-field-by").input_value() == "admin@example.org"
    page.click("text=Add them")
    password = page.locator("#admin-password-shown").inner_text()
    assert page.locator("#admin-detail h2").inner_text() == '<img src=x onerror="alert(1)">'
    fresh = watch(browser, world[1], width=390, scheme="dark")
    fresh.page.goto(world[1] + "/alerts")
    log_in(fresh.page, "fresh@example.org", password)
    fresh.page.wait_for_url("**/password?next=%2Falerts")
    for name, typed in (("current", password), ("new", "nine red vans at dusk"), ("again", "nine red vans at dusk")):
        fresh.page.fill(f"#{name}", typed)
    fresh.page.click("button[type=submit]")
    fresh.page.wait_for_url(world[1] + "/alerts")
    fresh.page.wait_for_selector(".live-state.is-live")
    page.reload()
    page.wait_for_selector("#admin-page[data-state=ready]")
    page.get_by_text("fresh@example.org").first.click()
    page.click("text=End log-ins")
    page.click("text=Log them out everywhere?")
    page.wait_for_selector("text=Their log-ins are ended")
    fresh.page.wait_for_url("**/log-in?next=%2Falerts")
    assert unexpected(fresh) == []
    assert unexpected(watched) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_log_in_page_fits_a_phone_and_a_screen_reader(browser: Browser, world: tuple[Peopled, str], scheme: str) -> None:
    watched = watch(browser, world[1], width=390, scheme=scheme)  # type: ignore[arg-type]
    watched.page.goto(world[1] + "/log-in?next=/alerts")
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert findings(watched.page) == []
    log_in(watched.page, "nobody@example.org", "wrong")
    watched.page.wait_for_selector("#fault")
    assert findings(watched.page) == []
    assert unexpected(watched) == []
