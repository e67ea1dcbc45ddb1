"""What a viewer's browser does and waits for, out of Chromium's own counters.

Main-thread time is CPU time of that thread (the DevTools protocol's `threadTicks`), so that whoever else uses the machine does not count;
waiting times are wall time, as a person feels them.
"""

import json
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page, Request, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from bench.installation import BenchError, Missing

FILLED = """() => document.querySelector('[data-figure=charging]')?.textContent && window.voltledger?.fleetMap?.state.items.length > 0
    ? performance.now() : null"""
READY = "(page) => document.querySelector(`#${page}-page`)?.dataset.state === 'ready' ? performance.now() - window.benchBegan : null"
# A person's drag, there and back, a step a frame: ms between frames.
PAN = """([steps, px]) => new Promise((done) => {
    const box = document.querySelector('#fleet-map'), { x, y, width, height } = box.getBoundingClientRect(), frames = [];
    const at = { bubbles: true, cancelable: true, button: 0, buttons: 1, clientX: x + width / 2, clientY: y + height / 2, view: window };
    const send = (kind) => box.dispatchEvent(new MouseEvent(kind, at));
    let before = null, left = steps;
    send('mousedown');
    const step = (now) => {
      if (before !== null) frames.push(now - before);
      before = now;
      if (!left--) { send('mouseup'); return done(frames); }
      at.clientX += px * (left > steps / 2 ? 1 : -1);
      send('mousemove');
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  })"""
# Whether a tick kept what stood there: the canvases, the table's rows, the camera.
KEPT = """() => {
    const { map } = window.voltledger.fleetMap.state;
    const now = { canvases: [...document.querySelectorAll('#fleet-map canvas')], rows: [...document.querySelectorAll('.ag-center-cols-container .ag-row')], camera: `${map.getCenter()} ${map.getZoom()}` };
    const { benchKept: before } = window;
    window.benchKept = now;
    if (!before) return true;
    const same = (a, b) => a.length === b.length && a.every((one, i) => one === b[i]);
    const rows = new Set(now.rows);
    return same(before.canvases, now.canvases) && before.rows.some((row) => rows.has(row)) && before.camera === now.camera;
  }"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Headless Chromium; raises Missing where there is none."""
    path = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
    if not path:
        raise Missing("no Chromium: run tools/setup-browser.sh")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-background-networking"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Meter:
    """The counters of a page: main-thread ms and bytes on the wire since the last look."""

    page: Page
    bytes_received: int = 0
    sizes: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._cdp = self.page.context.new_cdp_session(self.page)
        self._cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._cdp.send("Network.enable")
        self._cdp.on("Network.loadingFinished", self._received)
        self._before = self._metrics()

    def _received(self, event: dict[str, Any]) -> None:
        self.bytes_received += int(event["encodedDataLength"])

    def _metrics(self) -> dict[str, float]:
        return {one["name"]: one["value"] for one in self._cdp.send("Performance.getMetrics")["metrics"]}

    def take(self) -> tuple[dict[str, float], int]:
        """What was used since the last time: ms by kind (TaskDuration is all of it), and bytes."""
        now = self._metrics()
        used = {
            name: (now[name] - self._before[name]) * 1000
            for name in ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
        }
        received, self.bytes_received, self._before = self.bytes_received, 0, now
        return used, received


def opened(browser: Browser, width: int = 1400, height: int = 900) -> Page:
    """A page of a person who was never here: nothing in its cache."""
    page = browser.new_context(viewport={"width": width, "height": height}, timezone_id="Europe/Berlin", locale="en-GB").new_page()
    page.set_default_timeout(60_000)
    return page


def first_paint(browser: Browser, address: str) -> tuple[float, float]:
    """From asking for `/` to figures filled and vehicles drawn, nothing cached: ms as seen, and ms of the main thread's CPU."""
    page = opened(browser)
    meter = Meter(page)
    page.goto(address, wait_until="commit")
    took = float(page.wait_for_function(FILLED, polling="raf").json_value())
    used, _ = meter.take()
    page.context.close()
    return took, used["TaskDuration"]


def change_ms(page: Page, path: str, ready: str) -> float:
    """From a click on a link to the page being filled."""
    page.evaluate("(path) => { window.benchBegan = performance.now(); window.voltledger.go(path); }", path)
    try:
        return float(page.wait_for_function(READY, arg=ready, polling="raf").json_value())
    except PlaywrightTimeoutError:
        said = page.evaluate("() => [...document.querySelectorAll('#main [data-state]')].map((one) => `${one.id} ${one.dataset.state}`)")
        note = page.inner_text("#callback-note") if page.is_visible("#callback-note") else ""
        raise BenchError(f"{path} is not filled: {said} at {page.url} {note}") from None


@dataclass(frozen=True, slots=True)
class Pan:
    """ms of a frame as seen, and of the main thread's CPU in it."""

    frame_ms: float
    p95_ms: float
    main_ms: float


def pan(page: Page, meter: Meter, steps: int = 90, px: int = 9) -> Pan:
    """Drag the map there and back, a step a frame."""
    meter.take()
    frames = page.evaluate(PAN, [steps, px])
    used, _ = meter.take()
    return Pan(statistics.median(frames), sorted(frames)[int(len(frames) * 0.95)], used["TaskDuration"] / steps)


@dataclass
class Answers:
    """The server's time of every callback of a page and of its picture, in ms from the request to the first byte."""

    page: Page
    took_ms: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.page.on("requestfinished", self._note)

    def _note(self, request: Any) -> None:
        if "_dash-update-component" in request.url or "/v1/" in request.url or "/live/" in request.url:
            timing = request.timing
            self.took_ms.setdefault("all", []).append(timing["responseStart"] - timing["requestStart"])

    def slowest(self) -> float:
        """Of those since the last time; 0 where nothing was asked."""
        taken, self.took_ms = self.took_ms.get("all", []), {}
        return max(taken, default=0.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that a page sent to the server for one of its parts."""

    path: str
    body: str


def asked(browser: Browser, address: str, vehicle_id: str) -> list[Asked]:
    """What the page of this vehicle asks for itself: each part once, as often as it is drawn. Raises BenchError where it asks for nothing."""
    page, found = opened(browser), {}

    def note(request: Request) -> None:
        if request.method == "POST" and "_dash-update-component" in request.url and f'"{vehicle_id}"' in (request.post_data or ""):
            found[json.loads(request.post_data or "{}")["output"]] = Asked(request.url.removeprefix(address), request.post_data or "")

    page.on("request", note)
    page.goto(f"{address}/vehicles/{vehicle_id}")
    page.wait_for_selector("#vehicle-page[data-state=ready]")
    page.wait_for_timeout(2000)
    page.context.close()
    parts = [one for output, one in found.items() if "vehicle-" in output]
    if not parts:
        raise BenchError("the vehicle's page asked for nothing")
    return parts
