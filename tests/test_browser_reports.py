"""The page of reports in headless Chromium, over the real API: what is previewed is the report, and a file is whole or not saved."""

import http.client
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser, Page, Route, expect

import config
from charging.verdict import Summary
from dashboard import app as composition
from db.queries.policies import Policies
from tests.browser_support import BROWSER_MARKS, FakeFleet, Watched, watch
from tests.report_support import NOON, asked, serving
from tests.support import api, fresh_database
from tests.test_reports import small_fleet
from tests.test_reports_stream import NOBODY, assert_free, broken, stream_of

pytestmark = BROWSER_MARKS
READY = "#reports-preview[data-preview=ready]"
# Chromium itself tells the console of every answer that is no success.
TOLD = "error: Failed to load resource"


@contextmanager
def pages(database_url: str, fleet: FakeFleet) -> Iterator[int]:
    """The port of the pages upon the real API, whose clock stands at noon."""
    with api(database_url, NOON) as client:
        services: Any = SimpleNamespace(
            settings=config.Settings(_env_file=None, tick_s=1), picture=fleet, policies=Policies(), now=lambda: NOON, read=None
        )
        composition._dash(client.application, services)
        with serving(client.application) as port:
            yield port


@pytest.fixture(scope="module")
def fleet() -> FakeFleet:
    """What the live picture shows; the reports are of the database."""
    return FakeFleet(30)


@pytest.fixture(scope="module")
def port(postgres_url: str, template_database: str, fleet: FakeFleet) -> Iterator[int]:
    """Of one server for the module: no test changes its database."""
    with fresh_database(postgres_url, template_database, "browser_reports") as url:
        small_fleet(url)
        with pages(url, fleet) as found:
            yield found


@pytest.fixture
def at(browser: Browser, port: int) -> Iterator[Watched]:
    """A desk-sized page; nothing may have gone wrong on it in the end but answers that a test asks for."""
    watched = watch(browser, f"http://127.0.0.1:{port}")
    yield watched
    watched.page.context.close()
    assert [fault for fault in watched.faults if not fault.startswith(TOLD)] == []


def body(port: int, path: str) -> bytes:
    with asked(port, path) as answer:
        assert answer.status == 200
        return answer.read()


def saved(page: Page) -> tuple[str, bytes]:
    """The name and the content of what the button downloads."""
    with page.expect_download() as coming:
        page.locator("#report-download").click()
    expect(page.locator("#report-transfer")).to_contain_text("Complete")
    return coming.value.suggested_filename, Path(coming.value.path()).read_bytes()


def commanded(page: Page, address: str) -> str:
    """The path in the command on the page."""
    return page.inner_text("#report-curl").removeprefix(f"curl -fOJ '{address}").removesuffix("'")


def cells(page: Page) -> list[list[str]]:
    """As text, numbers unrounded, nothing where nothing is known."""
    found: list[list[str]] = page.locator(".report-table tbody tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.querySelector('.is-none') ? '' : cell.querySelector('[title]:not(.verdict)')?.title ?? cell.textContent))"
    )
    return found


def told(cell: Any) -> str:
    """A value of JSON as the page writes it."""
    if cell is None:
        return ""
    if isinstance(cell, list):
        return " ".join(cell)
    return f"{cell:g}" if isinstance(cell, float) and cell.is_integer() else str(cell).replace("False", "false").replace("True", "true")


def test_the_preview_is_the_beginning_of_the_report(at: Watched, port: int) -> None:
    """What opens without a question: everybody's last 24 hours. Same columns, same rows, units in the head, the verdict's shape."""
    page = at.go("/reports", READY)
    whole = orjson.loads(body(port, "/v1/reports/summaries?format=json&zone=Europe/Berlin"))
    columns = orjson.loads(body(port, "/v1/reports/columns"))["summaries"]
    assert cells(page) == [[told(row[column["key"]]) for column in columns] for row in whole["rows"]]
    heads = page.locator(".report-table thead th").all_inner_texts()
    assert heads == [f"{column['name']} {column['unit']}".strip() for column in columns]
    expect(page.locator("#reports-preview-of")).to_have_text(
        "2026-02-03 13:00:00+01:00 to 2026-02-04 13:00:00+01:00 Europe/Berlin, 24 h · 4 rows"
    )
    assert page.locator(".report-table .glyph").count() == 2 * 4
    assert page.locator(".report-columns tbody tr").count() == len(columns)
    page.locator("#report-report-sessions").check()
    expect(page.locator("#reports-preview-of")).to_contain_text("· 5 rows")
    sessions = orjson.loads(body(port, "/v1/reports/sessions?format=json&zone=Europe/Berlin"))
    keys = [column["key"] for column in orjson.loads(body(port, "/v1/reports/columns"))["sessions"]]
    assert cells(page) == [[told(row[key]) for key in keys] for row in sessions["rows"]]


@pytest.mark.parametrize("query", ["format=csv&separator=semicolon&decimal=comma&bom=true", "format=json&verdict=low", "format=parquet&report=sessions"])  # fmt: skip
def test_the_file_is_what_the_command_gets(at: Watched, port: int, query: str) -> None:
    page = at.go(f"/reports?day=2026-02-04&zone=Europe/Berlin&{query}", READY)
    name, content = saved(page)
    assert content == body(port, commanded(page, at.address))
    report, form = ("sessions", "parquet") if "sessions" in query else ("summaries", "json" if "json" in query else "csv")
    assert name == f"voltledger-{report}-2026-02-04-Europe-Berlin.{form}"


def test_energy_by_site_is_worked_out_when_asked(at: Watched, port: int) -> None:
    page = at.go("/reports?report=sites&from=2026-02-03T12:00:00Z&to=2026-02-04T12:00:00Z", READY)
    assert page.locator(".report-table").count() == 0
    page.get_by_role("button", name="Work it out").click()
    expect(page.locator("#reports-preview-of")).to_have_text("2026-02-03 12:00:00 to 2026-02-04 12:00:00 UTC · 1 row")
    name, content = saved(page)
    assert (name, content) == ("voltledger-sites.csv", body(port, commanded(page, at.address)))
    first = dict(zip(*[line.split(",") for line in content.decode().splitlines()], strict=True))
    assert page.locator(".report-table td.is-number").nth(1).locator("[title]").get_attribute("title") == first["ac_kwh"].removesuffix(".0")


def no_file(page: Page) -> list[Any]:
    """Fills with what is downloaded nevertheless."""
    found: list[Any] = []
    page.on("download", lambda download: found.append(download))  # noqa: PLW0108 -- a builtin is not taken
    return found


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_transfer_that_is_cut_fails_visibly_and_saves_nothing(at: Watched, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    page = at.go(f"/reports?format={form}", READY)
    files = no_file(page)
    stream_of(monkeypatch, lambda: broken(3))
    page.locator("#report-download").click()
    expect(page.locator("#report-transfer")).to_have_text("Failed: The connection was broken off. No file was saved.")
    expect(page.locator("#report-download")).to_have_text("Try again")
    monkeypatch.undo()
    assert not files
    assert saved(page)[1]


def answering(part: bytes) -> Callable[[Route], None]:
    """An answer in good order with this content."""
    return lambda route: route.fulfill(body=part, headers={"X-Total-Vehicles": "4"})


def test_an_end_that_came_too_early_is_seen_without_the_transfers_help(at: Watched, port: int) -> None:
    """A proxy may close a broken answer as if it were whole: between two rows only their number shows it."""
    page = at.go("/reports", READY)
    files = no_file(page)
    whole = body(port, "/v1/reports/summaries?zone=Europe/Berlin")
    cut = {b"\r\n".join(whole.split(b"\r\n")[:3]) + b"\r\n": "The file has 2 rows, but the report goes through 4 vehicles", whole[:-9]: "The transfer ended before the file did"}  # fmt: skip
    for part, words in cut.items():
        page.unroute_all()
        page.route(re.compile("/v1/reports/summaries[?]"), answering(part))
        page.locator("#report-download").click()
        expect(page.locator("#report-transfer")).to_have_text(f"Failed: {words}. No file was saved.")
    assert not files


def endless(ended: list[bool]) -> Iterator[dict[str, Summary]]:
    try:
        for n in range(1_000_000):
            yield {f"van-{n:06}-{m:04}": NOBODY for m in range(1000)}
    finally:
        ended.append(True)


def test_cancel_ends_the_report_on_the_server_and_frees_its_place(at: Watched, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []
    page = at.go("/reports", READY)
    files = no_file(page)
    with monkeypatch.context() as patched:
        stream_of(patched, lambda: endless(ended))
        page.locator("#report-download").click()
        expect(page.locator("#report-transfer")).to_contain_text("MB/s")
        with asked(port, "/v1/reports/sessions") as busy:
            assert busy.status == 503
        page.keyboard.press("Enter")  # the focus is on Cancel
        expect(page.locator("#report-transfer")).to_have_text("Cancelled. No file was saved.")
        assert_free(port)
    assert (ended, files) == ([True], [])


def test_a_busy_server_is_told_in_words_and_asked_again(at: Watched, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.errors.RETRY_AFTER_S", (2, 2))
    page = at.go("/reports", READY)
    go_on = threading.Event()

    def held() -> Iterator[dict[str, Summary]]:
        yield {f"van-{m:04}": NOBODY for m in range(600)}
        go_on.wait(20)

    with monkeypatch.context() as patched:
        stream_of(patched, held)
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        line.request("GET", "/v1/reports/summaries")
        answer = line.getresponse()
    page.locator("#report-download").click()
    expect(page.locator("#report-transfer")).to_contain_text("The server is busy: 1 reports are being written")
    expect(page.locator("#report-transfer")).to_contain_text("Asked again in")
    with page.expect_download() as coming:
        go_on.set()
        answer.read()
        line.close()
    assert Path(coming.value.path()).read_bytes() == body(port, "/v1/reports/summaries?zone=Europe/Berlin")


def test_the_address_is_the_report(at: Watched) -> None:
    """What is chosen stands in it, and a colleague who opens it sees the same; a day on which the clocks change says its hours."""
    page = at.go("/reports", READY)
    assert page.url == f"{at.address}/reports?zone=Europe/Berlin"
    page.locator("#report-window-day").check()
    page.locator("#report-day").fill("2025-10-26")
    page.locator("#report-verdict-low").check()
    page.locator("#report-site").select_option("Berlin")
    page.locator("#report-separator").select_option("semicolon")
    page.locator("#report-decimal").select_option("comma")
    page.locator("#report-bom").check()
    page.locator("#report-vehicleId").fill("van-1 van-3")
    page.locator("#report-vehicleId").press("Enter")
    expect(page.locator("#report-window-hint")).to_contain_text("25 hours: the clocks are changed on this day")
    expect(page.locator("#reports-preview-of")).to_contain_text(
        "2025-10-26 00:00:00+02:00 to 2025-10-27 00:00:00+01:00 Europe/Berlin, 25 h · 0 rows"
    )
    url, command = page.url, page.inner_text("#report-curl")
    assert url.endswith(
        "?day=2025-10-26&zone=Europe/Berlin&verdict=low&site=ber&vehicleId=van-1&vehicleId=van-3&separator=semicolon&decimal=comma&bom=true"
    )
    colleague = at.go(url.removeprefix(at.address), READY)
    assert (colleague.url, colleague.inner_text("#report-curl")) == (url, command)
    assert colleague.locator("#report-vehicleId").input_value() == "van-1, van-3"
    expect(colleague.locator("#report-site option:checked")).to_have_text("Berlin")
    assert colleague.locator("#report-verdict-low").is_checked()
    expect(colleague.locator("#reports-preview-of")).to_contain_text("25 h")


ADDRESSES = [
    "?zone=Asia/Tokyo",
    "?last=7d&zone=UTC",
    "?window=at&last=30d&zone=UTC",
    "?to=2026-02-04T12:00:00Z&last=7d&zone=Europe/Berlin&format=parquet",
    "?from=2026-02-03T00:00:00.123456Z&to=2026-02-04T12:00:00%2B01:00&zone=UTC&format=json",
    "?window=range&zone=UTC",
    "?report=sites&day=2026-03-29&zone=Europe/Berlin",
    "?report=sessions&day=2026-03-29&zone=Europe/Berlin&site=ber&site=ham&vehicleId=van-7",
]


def test_every_choice_survives_its_address_and_times_follow_the_zones_clocks(at: Watched) -> None:
    page = at.go("/reports", READY)
    again = page.evaluate("(all) => all.map((one) => { const { fromQuery, toQuery } = voltledger.reportChoice; return toQuery(fromQuery(one, 'UTC')); })", ADDRESSES)  # fmt: skip
    assert again == ADDRESSES
    times = {
        ("2026-03-29T01:59:59", "Europe/Berlin"): "2026-03-29T00:59:59Z",
        ("2026-03-29T02:30", "Europe/Berlin"): "2026-03-29T01:30:00Z",  # skipped: as if the clocks had not been changed yet
        ("2026-03-29T03:00", "Europe/Berlin"): "2026-03-29T01:00:00Z",
        ("2026-10-25T02:30", "Europe/Berlin"): "2026-10-25T00:30:00Z",  # the first of two
        ("2026-10-25T03:00", "Europe/Berlin"): "2026-10-25T02:00:00Z",
        ("2026-02-04T00:00", "Asia/Kathmandu"): "2026-02-03T18:15:00Z",
        ("nonsense", "UTC"): "nonsense",
    }
    assert page.evaluate("(all) => all.map((one) => voltledger.reportChoice.instant(...one))", [list(one) for one in times]) == list(
        times.values()
    )
    hours = page.evaluate(
        "['2026-03-29', '2026-10-25', '2026-06-01', '2026-02-30x'].map((day) => voltledger.reportChoice.dayHours(day, 'Europe/Berlin'))"
    )
    assert hours == [23, 25, 24, None]


def test_what_the_server_refuses_stands_at_its_field(at: Watched) -> None:
    page = at.go("/reports", READY)
    page.locator("#report-vehicleId").fill("van-99")
    page.locator("#report-vehicleId").press("Enter")
    expect(page.locator("[data-field=vehicleId] .field-error")).to_have_text("nobody ever heard of van-99")
    expect(page.locator("#report-vehicleId")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#report-download")).to_be_disabled()
    page.locator("#report-vehicleId").fill("")
    page.locator("#report-vehicleId").press("Enter")
    expect(page.locator(READY)).to_be_visible()
    assert page.locator(".field-error").count() == 0
    expect(page.locator("#report-download")).to_be_enabled()
    page.locator("#report-window-day").check()
    assert page.url == f"{at.address}/reports?day={page.locator('#report-day').input_value()}&zone=Europe/Berlin"
    page.locator("#report-day").fill("")
    expect(page.locator("[data-field=day] .field-error")).to_have_text("Say which day.")
    expect(page.locator("#report-download")).to_be_disabled()
    page.goto(f"{at.address}/reports?from=2026-02-05T00:00:00Z&to=2026-02-04T00:00:00Z")
    expect(page.locator("[data-field=from] .field-error")).to_have_text("must lie before to")


def test_while_the_database_is_away_the_last_preview_stays_and_then_comes_back(at: Watched, fleet: FakeFleet) -> None:
    page = at.go("/reports", READY)
    page.route(re.compile("/v1/reports/summaries/preview"), lambda route: route.fulfill(status=503, body="{}"))
    fleet.away = True
    page.locator("#report-refresh").click()
    expect(page.locator("#reports-preview-of")).to_contain_text("The database cannot be reached")
    assert page.locator(".report-table tbody tr").count() == 4
    page.unroute_all()
    fleet.tick(5)
    fleet.away = False
    expect(page.locator(READY)).to_be_visible(timeout=15_000)


def test_an_empty_database_says_what_to_do(browser: Browser, database_url: str) -> None:
    fleet = FakeFleet(0)
    with pages(database_url, fleet) as port:
        watched = watch(browser, f"http://127.0.0.1:{port}", 390, 844)
        page = watched.go("/reports", "#reports-page[data-state=empty]")
        expect(page.locator("#curl-vehicle")).to_be_visible()
        grown = FakeFleet(3)
        fleet.rows, fleet.size = grown.rows, grown.size
        page.wait_for_selector(READY)  # without a reload
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        watched.page.context.close()
        assert watched.faults == []
