"""One run of the simulated fleet: introduce it, fill the past, then report every minute until told to stop."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from simulator import faults as faults_of
from simulator.describe import describe, last_seen_s
from simulator.faults import LATE_UP_TO_MIN, Faults
from simulator.feed import Delivery, Feed
from simulator.fleet import Fleet, build
from simulator.post import Live, Tally, Uplink, backfill
from simulator.wire import Stopped, Wire

# Batches overtake each other on parallel connections and may be cut off half way: so much is sent again after a restart.
RESEND_S = 7200.0
SILENT_FOR_S = 5 * 3600.0
METER_STOPS_AFTER_S = 3600.0
SAY_AGAIN_S = 10.0
STATUS_EVERY_MIN = 10


@dataclass(frozen=True)
class Options:
    """What a run is asked for. `truth` is a file to write the known faults to."""

    url: str
    vehicles: int
    seed: int
    backfill_hours: float
    key: str | None
    connections: int
    healthy: bool
    live: bool
    truth: Path | None


class Speaker:
    """Prints lines, and repeated troubles at most every ten seconds. Thread-safe."""

    def __init__(self, console: Console) -> None:
        self.console, self._last_s, self._lock = console, -SAY_AGAIN_S, threading.Lock()

    def say(self, words: str) -> None:
        self.console.print(words, markup=False, highlight=False, soft_wrap=True)

    def trouble(self, words: str) -> None:
        """A reason for trying again or a refusal: there may be thousands of the same kind, one line in ten seconds is enough."""
        with self._lock:
            now_s = time.monotonic()
            if now_s - self._last_s < SAY_AGAIN_S:
                return
            self._last_s = now_s
        self.say(f"Server: {words}")


def run(options: Options, stop: threading.Event, console: Console) -> None:
    """Until stopped, or until the past is filled when `options.live` is off."""
    speaker = Speaker(console)
    try:
        _run(options, stop, speaker)
    except Stopped:
        speaker.say("Simulated fleet stopped.")


def _run(options: Options, stop: threading.Event, speaker: Speaker) -> None:
    fleet = build(options.vehicles, options.seed)
    faults = faults_of.none() if options.healthy else faults_of.assign(fleet)

    def wire() -> Wire:
        return Wire(options.url, options.key, stop, trouble=lambda reason: speaker.trouble(f"{reason}; trying again"))

    for refusal in describe(fleet, faults, wire)[:5]:
        speaker.say(f"Not described: {refusal}")
    began_s = time.time()
    seen = _seen(wire(), fleet)
    stopped_at_s = _stopped_at(fleet, faults, seen, began_s, began_s - 3600.0 * options.backfill_hours)
    if options.truth:
        _write_truth(options.truth, fleet, faults, stopped_at_s)
    after_s, first_minute = _where_to_begin(fleet, seen, stopped_at_s, began_s - 3600.0 * options.backfill_hours)
    feed = Feed(fleet, faults, first_minute, stopped_at_s)
    tally = Tally()
    uplink = Uplink([wire() for _ in range(options.connections)], tally, stop, speaker.trouble)
    rest = _fill_the_past(feed, after_s, uplink, speaker)
    took_s = time.time() - began_s
    speaker.say(f"{tally.sent:,} readings of the past in {took_s:.0f} s: {_counts(tally)}.")
    if options.live:
        speaker.say(f"{len(fleet)} vehicles and {len(fleet)} meters now report every minute.")
        Live(feed, rest, uplink).run(_status(tally, speaker))
        raise Stopped


def _seen(wire: Wire, fleet: Fleet) -> dict[str, float]:
    """Seconds of the newest reading the server has of each of our devices."""
    with wire:
        vehicles = last_seen_s(wire, "/v1/vehicles", "vehicleId", [v.vehicle_id for v in fleet.vehicles])
        meters = last_seen_s(wire, "/v1/meters", "meterId", [v.meter_id for v in fleet.vehicles])
    return vehicles | meters


def _stopped_at(fleet: Fleet, faults: Faults, seen: dict[str, float], now_s: float, window_s: float) -> dict[str, float]:
    """Since when the devices that fell silent are so. One that the server knows stays silent, also when we start anew."""
    vehicles = {fleet.vehicles[i].vehicle_id: now_s - SILENT_FOR_S for i in faults.of("vehicle_silent")}
    meters = {fleet.vehicles[i].meter_id: window_s + METER_STOPS_AFTER_S for i in faults.of("silent_meter")}
    return {device: seen.get(device, since_s - 1.0) + 1.0 for device, since_s in (vehicles | meters).items()}


def _where_to_begin(fleet: Fleet, seen: dict[str, float], stopped: dict[str, float], window_s: float) -> tuple[float, int]:
    """(deliveries up to this second are there already, first minute whose readings may still have to be sent)."""
    expected = {i for v in fleet.vehicles for i in (v.vehicle_id, v.meter_id)} - stopped.keys()
    after_s = min((seen.get(i, 0.0) for i in expected), default=0.0) - RESEND_S
    first_s = max(window_s, after_s - 60.0 * LATE_UP_TO_MIN)
    return after_s, int(first_s // 60) + 1


def _write_truth(file: Path, fleet: Fleet, faults: Faults, stopped_at_s: dict[str, float]) -> None:
    since = {device: datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") for device, at in stopped_at_s.items()}
    file.write_text(json.dumps(faults_of.truth(fleet, faults, since), indent=1) + "\n", encoding="utf-8")


def _counts(tally: Tally) -> str:
    words = f"{tally.accepted:,} accepted, {tally.duplicates:,} already there, {tally.rejected:,} rejected"
    return f"{words} {dict(tally.codes)}" if tally.codes else words


def _fill_the_past(feed: Feed, after_s: float, uplink: Uplink, speaker: Speaker) -> list[Delivery]:
    minutes = max(1, int(time.time() // 60) - feed.minute + 1)
    with _progress(speaker, minutes) as advance:
        return backfill(feed, after_s, uplink, advance)


@contextmanager
def _progress(speaker: Speaker, minutes: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal; in a log, where a bar would be litter, a line every tenth of the way."""
    if speaker.console.is_terminal:
        with Progress(
            TextColumn("Filling the past"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=speaker.console
        ) as bar:
            task = bar.add_task("", total=minutes)
            yield lambda: bar.advance(task)
        return
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if 10 * done // minutes > 10 * (done - 1) // minutes and done <= minutes:
            speaker.say(f"Filling the past: {100 * done // minutes} %")

    yield advance


def _status(tally: Tally, speaker: Speaker) -> Callable[[], None]:
    """A line every ten minutes."""
    minutes = 0

    def every_minute() -> None:
        nonlocal minutes
        minutes += 1
        if minutes % STATUS_EVERY_MIN == 0:
            speaker.say(f"{tally.sent:,} readings sent: {_counts(tally)}.")

    return every_minute
