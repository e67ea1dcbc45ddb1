"""`make bench-ui`: what people wait for, with 10,000 vehicles, in headless Chromium, next to the bars that we hold ourselves to.

It fills a database of its own, so it needs no data set; it takes less than ten minutes and ends by itself. Every figure comes from the
product as a user starts it, over HTTP, while readings come in as from 20,000 devices.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Browser, Page

from bench import ui_beside, wire
from bench import ui_browser as browsers
from bench.__main__ import DOCUMENT, replaced, version
from bench.installation import BenchError, Installation, Missing, installation
from bench.machine import described
from bench.table import Line, Spread, markdown, notes
from bench.ui_browser import Answers, Meter
from bench.ui_fleet import Feed, Filled, fill
from bench.ui_viewers import VIEWERS, Viewers
from config import Settings

TICK_S = float(Settings.model_fields["tick_s"].default)
_FRAME_BAR_MS = 17.0  # 60 a second, and what a clock of whole tenths makes of it
_SETTLED_S = 1.5  # after a tick's answer its work is over


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often."""

    paints: int = 5
    drags: int = 3
    changes: int = 3
    ticks: int = 30
    turns: int = 3
    turn_s: float = 30.0  # a picture's day is renewed twice a minute


QUICK = Rounds(paints=2, drags=1, changes=1, ticks=5, turns=1)


def lines(target: Installation, filled: Filled, rounds: Rounds) -> list[Line]:
    """All of it; the fleet must have been filled."""
    first_picture_s = _timed(lambda: _picture(target))
    with Feed(target.endpoint, filled.cars), browsers.chromium() as browser:
        made = [_paint(browser, target, rounds, first_picture_s)]
        page = browsers.opened(browser)
        page.goto(target.address)
        page.wait_for_function(browsers.FILLED, polling="raf")
        time.sleep(_SETTLED_S)
        made += _pans(page, rounds)
        made += _pages(page, filled, rounds)
        made += _ticks(page, target, rounds)
        asked = browsers.asked(browser, target.address, filled.vehicle_id)
    made += ui_beside.lines(target, filled, asked, TICK_S, rounds.turns, rounds.turn_s)
    return [*made, _unchanged(target)]


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _picture(target: Installation, path: str = "/live/fleet", etag: str = "") -> bytearray:
    with wire.Connection(target.endpoint) as connection:
        return connection.exchange(wire.request("GET", path, headers={"If-None-Match": f'"{etag}"'} if etag else None))


def _paint(browser: Browser, target: Installation, rounds: Rounds, first_picture_s: float) -> Line:
    took = [browsers.first_paint(browser, target.address) for _ in range(rounds.paints)]
    cpu_ms = statistics.median(main for _, main in took)
    note = f"nothing cached in the browser; {cpu_ms:,.0f} ms of CPU on its main thread; the first picture after the fleet was stored took {first_picture_s:.1f} s"
    return Line("first useful paint of `/`, cold", Spread.of(seen / 1000 for seen, _ in took), "s", bar=2.5, less_is_better=True, note=note)


# --------------------------------------------------------------------------------------------------------------------- the map


def _pans(page: Page, rounds: Rounds) -> list[Line]:
    meter = Meter(page)
    made = []
    for name, camera in (
        ("the whole fleet", None),
        ("a country", "[50.5, 8.5], 7"),
        ("every vehicle by itself", "[50.5, 8.5], 9"),
        ("a depot", None),
    ):
        _look_at(page, name, camera)
        turns = [browsers.pan(page, meter) for _ in range(rounds.drags)]
        note = f"95 of 100 within {max(t.p95_ms for t in turns):.1f} ms; main thread {statistics.median(t.main_ms for t in turns):.1f} ms of CPU a frame"
        frames = Spread.of(t.frame_ms for t in turns)
        made.append(Line(f"a frame while panning, {name}", frames, "ms", bar=_FRAME_BAR_MS, less_is_better=True, note=note))
    page.get_by_label("Show the whole fleet").click()
    page.wait_for_timeout(800)
    return made


def _look_at(page: Page, name: str, camera: str | None) -> None:
    if name == "a depot":
        page.evaluate("""() => { const { picture } = window.voltledger.live, { map } = window.voltledger.fleetMap.state;
            map.setView([picture.vehicles.lat[0], picture.vehicles.lon[0]], 13, { animate: false }); }""")
    elif camera:
        page.evaluate(f"() => {{ window.voltledger.fleetMap.state.map.setView({camera}, {{ animate: false }}); }}")
    page.wait_for_timeout(500)


# ------------------------------------------------------------------------------------------------------------------- the pages


def _pages(page: Page, filled: Filled, rounds: Rounds) -> list[Line]:
    """Changing pages as a person does, and how long the server took for each of them."""
    answers = Answers(page)
    vehicle = f"/vehicles/{filled.vehicle_id}"
    seen: dict[str, list[float]] = {}
    server: dict[str, list[float]] = {}
    for _ in range(rounds.changes):
        for name, path, ready in (("reports", "/reports", "reports"), ("vehicle, 24 h", vehicle, "vehicle"), ("fleet", "/", "fleet")):
            answers.slowest()
            seen.setdefault(name, []).append(browsers.change_ms(page, path, ready) / 1000)
            page.wait_for_timeout(800)
            server.setdefault(name, []).append(answers.slowest())
        answers.slowest()
        browsers.change_ms(page, f"{vehicle}?range=30d", "vehicle")
        page.wait_for_timeout(1500)
        server.setdefault("vehicle, 30 d", []).append(answers.slowest())
        browsers.change_ms(page, "/", "fleet")
        page.wait_for_timeout(800)
    bars = {"vehicle, 24 h": 500.0, "vehicle, 30 d": 1000.0}
    note = "the slowest of its requests, from the request to the first byte"
    return [
        *(Line(f"page change to {n}", Spread.of(took), "s", bar=1.0, less_is_better=True) for n, took in seen.items()),
        *(
            Line(f"server time of {n}", Spread.of(took), "ms", bar=bars.get(n), less_is_better=True, note=note)
            for n, took in server.items()
        ),
    ]


# ------------------------------------------------------------------------------------------------------------------- the ticks


def _ticks(page: Page, target: Installation, rounds: Rounds) -> list[Line]:
    """A page that stays open, with fifty others beside it."""
    meter, used, received, kept = Meter(page), [], [], []
    page.evaluate(browsers.KEPT)
    with Viewers(target.endpoint, TICK_S) as viewers:
        before, began = target.cpu(), time.monotonic()
        _next_tick(page)
        meter.take()
        for _ in range(rounds.ticks):
            _next_tick(page)
            milliseconds, size = meter.take()
            used.append(milliseconds)
            received.append(size / 1000)
            kept.append(page.evaluate(browsers.KEPT))
        cpu, lasted_s = target.cpu() - before, time.monotonic() - began
    share = 100 * (cpu.web_s + cpu.postgres_s) / lasted_s
    kinds = {name: statistics.median(one[name] for one in used) for name in ("ScriptDuration", "RecalcStyleDuration", "LayoutDuration")}
    words = ", ".join(f"{name.removesuffix('Duration').lower()} {value:.0f}" for name, value in kinds.items())
    asked = viewers.asked
    whole = len(_picture(target)) / 1000
    pictures = f"{len(asked.pictures)} pictures in {lasted_s / TICK_S:.0f} ticks for {len(asked.sizes) + asked.same:,} questions"
    stays = f"canvases, rows and camera stayed in {sum(kept)} of {len(kept)} ticks; {words} ms"
    return [
        Line("a tick on the wire", Spread.of(received), "kB", bar=150.0, less_is_better=True, note=f"the whole picture: {whole:.0f} kB"),
        Line("a tick on the main thread", Spread.of(one["TaskDuration"] for one in used), "ms", bar=120.0, less_is_better=True, note=stays),
        Line(
            f"{VIEWERS} viewers and the browser",
            Spread((share,)),
            "% of a core",
            bar=25.0,
            less_is_better=True,
            note=f"web and PostgreSQL, with taking in the readings; {pictures}",
        ),
        Line(
            "the picture's answer, p50",
            Spread((statistics.median(asked.took_ms),)),
            "ms",
            note=f"p99 {sorted(asked.took_ms)[int(len(asked.took_ms) * 0.99)]:.0f} ms",
        ),
    ]


def _next_tick(page: Page) -> None:
    page.wait_for_event("requestfinished", lambda request: "/live/fleet" in request.url, timeout=4 * TICK_S * 1000)
    page.wait_for_timeout(_SETTLED_S * 1000)


def _unchanged(target: Installation) -> Line:
    """Nobody reports any more: the share of questions answered with 304."""
    with Viewers(target.endpoint, 1.0, 1) as one:
        time.sleep(2 * TICK_S)
    total = len(one.asked.sizes) + one.asked.same
    note = f"{len(one.asked.sizes)} of {total} answers had a body: the first, and one for each new window of 24 hours"
    return Line("nothing changed: answered 304", Spread((100 * one.asked.same / total,)), "%", note=note)


# --------------------------------------------------------------------------------------------------------------------- command


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 1 when it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.ui", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds: rough figures in two minutes")
    parser.add_argument("--write", action="store_true", help=f"keep the table in {DOCUMENT.name}")
    given = parser.parse_args(arguments)
    if given.write and given.quick:
        parser.error("only full figures are kept")
    try:
        with installation() as target:
            began = time.monotonic()
            filled = fill(target.database_url)
            print(f"{filled.readings:,} readings stored in {time.monotonic() - began:.0f} s", flush=True)
            made = lines(target, filled, QUICK if given.quick else Rounds())
            text = f"{markdown(made)}\n\n{notes(made)}\n\n{described(version(target.database_url))}"
    except (Missing, BenchError) as error:
        print(f"not measured: {error}", flush=True)
        return 1
    print(text, flush=True)
    if given.write:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(), "ui", text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
