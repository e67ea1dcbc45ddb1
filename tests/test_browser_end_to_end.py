"""From the wire to the screen: the real server, the real database, a real browser."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from playwright.sync_api import Browser, expect
from psycopg.conninfo import conninfo_to_dict

from tests.browser_support import BROWSER_MARKS, Watched, watch
from tests.support import free_port, fresh_database, with_database
from tests.test_real_data import MADE_UP, SHARED, TESLA, shared_only

pytestmark = BROWSER_MARKS


@dataclass
class Installation:
    """A running product: its address, its database, and the process that is all of it."""

    address: str
    database_url: str
    process: "subprocess.Popen[bytes]"

    def post(self, path: str, body: Any) -> requests.Response:
        return requests.post(self.address + path, json=body, timeout=10)


@pytest.fixture(scope="module")
def installation(postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with fresh_database(postgres_url, template_database, "end_to_end") as url:
        port = free_port()
        environment = {**os.environ, "DATABASE_URL": url, "VOLTLEDGER_PORT": str(port), "VOLTLEDGER_TICK_S": "1"}
        log = (tmp_path_factory.mktemp("log") / "server.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "dashboard"], cwd=Path(__file__).parents[1], env=environment, stdout=log, stderr=log
        )
        made = Installation(f"http://127.0.0.1:{port}", url, process)
        try:
            _wait_ready(made)
            yield made
        finally:
            process.terminate()
            process.wait(20)
            log.close()


def _wait_ready(made: Installation) -> None:
    """The socket listens before the application is loaded, which takes a while on a busy machine: then an answer is only late."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        with suppress(requests.RequestException):
            if requests.get(f"{made.address}/readyz", timeout=5).ok:
                return
        assert made.process.poll() is None, "the server ended while it was starting"
        time.sleep(0.1)
    raise AssertionError("the server did not become ready in 90 s")


@pytest.fixture
def at(installation: Installation, browser: Browser) -> Iterator[Watched]:
    """A desk-sized page on it."""
    watched = watch(browser, installation.address)
    yield watched
    watched.page.context.close()


_V1_ON_SCREEN = """() => {
  const { map } = voltledger.fleetMap.state, box = map.getContainer().getBoundingClientRect(), at = map.latLngToContainerPoint([52.52, 13.4]);
  return [box.x + at.x, box.y + at.y];
}"""
# Attributes that would run something: of all elements, also those that a library made.
_HANDLERS = "() => [...document.querySelectorAll('*')].flatMap((one) => one.getAttributeNames().filter((name) => /^on/i.test(name)))"


def _content(at: Watched) -> Any:
    return expect(at.page.locator("body"))


def test_the_first_reading_appears_without_a_reload_and_is_judged(installation: Installation, at: Watched) -> None:
    at.page.goto(installation.address)
    _content(at).to_contain_text("curl")  # an empty database says what to do
    stamp = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    with psycopg.connect(installation.database_url) as conn:
        conn.execute("INSERT INTO fleet_mapping VALUES ('V1', 'M1')")
    reading = {
        "vehicleId": "V1",
        "soc": 80,
        "kwhDeliveredDc": 5,
        "batteryTemp": 36,
        "timestamp": stamp.isoformat(),
        "latitude": 52.52,
        "longitude": 13.4,
    }
    assert installation.post("/v1/telemetry/vehicle", reading).status_code == 201
    assert (
        installation.post(
            "/v1/telemetry/meter", {"meterId": "M1", "kwhConsumedAc": 6, "voltage": 220, "timestamp": stamp.isoformat()}
        ).status_code
        == 201
    )
    _content(at).to_contain_text("83.3")
    at.page.goto(f"{installation.address}/alerts")
    _content(at).to_contain_text("V1")
    _content(at).to_contain_text("83.3")
    assert at.faults == []


@shared_only
def test_the_tesla_session_is_94_3_percent_on_its_page(installation: Installation, at: Watched) -> None:
    files = [str(SHARED / "tesla-model-s-2016" / name) for name in ("vehicle.csv", "meter.csv")]
    with psycopg.connect(installation.database_url) as conn:
        conn.execute("INSERT INTO fleet_mapping VALUES (%s, 'MTR-TESLAS-20160626')", (TESLA,))
    subprocess.run([sys.executable, "-m", "simulator", "replay", *files, "--url", installation.address], check=True, capture_output=True)
    at.page.goto(f"{installation.address}/vehicles/{TESLA}?at=2016-06-27T00:14:00Z")
    _content(at).to_contain_text("94.3")
    _content(at).to_contain_text("10.608")
    _content(at).to_contain_text("10.000")
    assert at.faults == []


def test_a_vehicle_without_a_meter_says_so_and_shows_no_number(installation: Installation, at: Watched) -> None:
    subprocess.run(
        [sys.executable, "-m", "simulator", "replay", str(MADE_UP / "vehicle.csv"), "--url", installation.address],
        check=True,
        capture_output=True,
    )
    with (MADE_UP / "vehicle.csv").open() as lines:
        rows = [line.split(",") for line in lines.read().splitlines()]
    column = {name: n for n, name in enumerate(rows[0])}
    last = rows[-1]
    at.page.goto(f"{installation.address}/vehicles/{last[column['vehicleId']]}?at={last[column['timestamp']]}")
    _content(at).to_contain_text("no meter is assigned")
    for nonsense in ("Infinity", "NaN", "undefined"):
        _content(at).not_to_contain_text(nonsense)
    assert at.faults == []


def test_v11_a_name_may_be_any_text_and_nothing_of_it_runs(installation: Installation, at: Watched) -> None:
    name = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>'
    requests.put(f"{installation.address}/v1/vehicles/V1", json={"name": name}, timeout=10)
    for path in ("/", "/alerts", "/vehicles/V1"):
        at.page.goto(installation.address + path)
        _content(at).to_contain_text("<img src=x")
        assert at.page.evaluate("window.ran") is None
        assert at.page.evaluate(_HANDLERS) == []
        if path == "/":
            at.page.wait_for_function("() => voltledger.fleetMap.state.fitted")
            at.page.mouse.move(*at.page.evaluate(_V1_ON_SCREEN))
            expect(at.page.locator(".map-tip-title")).to_contain_text("<img src=x")
            assert at.page.evaluate(_HANDLERS) == []
    assert at.page.evaluate("window.ran") is None
    assert at.faults == []


def test_the_button_downloads_the_24_hour_summary_of_all_vehicles(installation: Installation, at: Watched) -> None:
    at.page.goto(installation.address)
    with at.page.expect_download() as started:
        at.page.get_by_text("Download 24 h CSV").click()
    text = Path(started.value.path()).read_text()
    assert text.startswith("vehicle_id,meter_ids,from_utc,to_utc,total_ac_kwh")
    assert "\nV1,M1," in text.replace("\r\n", "\n")


def test_the_api_page_needs_no_other_host(installation: Installation, at: Watched) -> None:
    at.page.goto(f"{installation.address}/api")
    _content(at).to_contain_text("/v1/telemetry/vehicle")
    assert [fault for fault in at.faults if fault.startswith("another host")] == []


def test_an_unknown_path_under_v1_is_json_and_not_the_dashboard(installation: Installation) -> None:
    for method, path, status in (("GET", "/v1/nope", 404), ("POST", "/v1/nope", 404), ("GET", "/v1/telemetry/vehicle", 405)):
        got = requests.request(method, installation.address + path, timeout=10)
        assert (got.status_code, got.headers["Content-Type"]) == (status, "application/problem+json")


def test_v6_chunked_bodies_are_read_whole_or_refused_never_cut(installation: Installation) -> None:
    def chunks(size: int) -> Iterator[bytes]:
        yield b"[]"
        for _ in range(size // 65536):
            yield b" " * 65536

    json = {"Content-Type": "application/json"}
    address = f"{installation.address}/v1/telemetry/vehicle"
    assert requests.post(address, data=chunks(4 << 20), headers=json, timeout=20).status_code == 200
    assert requests.post(address, data=chunks(6 << 20), headers=json, timeout=20).status_code == 413


def test_c4_with_the_database_away_the_last_figures_stay_under_a_banner_and_it_recovers(installation: Installation, at: Watched) -> None:
    at.page.goto(installation.address)
    _content(at).to_contain_text("83.3")
    with _database_away(installation.database_url):
        _content(at).to_contain_text("Database unreachable")
        _content(at).to_contain_text("83.3")
        assert requests.get(f"{installation.address}/healthz", timeout=5).status_code == 200
        assert requests.get(f"{installation.address}/readyz", timeout=10).status_code == 503
    expect(at.page.get_by_text("Database unreachable")).not_to_be_visible(timeout=20_000)


@contextmanager
def _database_away(url: str) -> Iterator[None]:
    """Nobody may connect to this database any more, and who was is thrown out."""
    name = conninfo_to_dict(url)["dbname"]
    with psycopg.connect(with_database(url, "postgres"), autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
