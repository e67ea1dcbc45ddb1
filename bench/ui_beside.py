"""What viewers cost those who report: readings one by one, as 20,000 devices send them, in turns without and with fifty open pages.

Nobody looks in the turns without: what making the fleet's picture costs is in the viewers' account too. A vehicle's page asks for the
picture as every page does, and for its own parts when its vehicle has reported, once a minute: with the requests that a browser sent.
"""

import itertools
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bench import dataset, wire
from bench.installation import BenchError, Installation
from bench.swarm import Group, Swarm, Tally
from bench.table import Line, Spread
from bench.ui_browser import Asked
from bench.ui_fleet import Filled
from bench.ui_viewers import VIEWERS, Viewers
from db.sides import METER, VEHICLE

READINGS_PER_S = 333  # 20,000 devices, a reading a minute
ON_VEHICLES = 10  # of the viewers
CPU_BAR = 25.0
P99_BAR = 1.5
_VEHICLE_EVERY_S = 60.0  # a vehicle reports
_SETTLED_S, _WARM_S = 2.0, 10.0


@dataclass(frozen=True, slots=True)
class Turn:
    """Milliseconds from when a reading was due to its answer, CPU of web and PostgreSQL as a share of a core, and a page's answers in ms."""

    p50_ms: float
    p99_ms: float
    cpu_percent: float
    page_ms: Sequence[float] = ()


def lines(target: Installation, filled: Filled, asked: Sequence[Asked], tick_s: float, rounds: int, seconds: float) -> list[Line]:
    """`asked`: what a browser sent for the page of `filled.vehicle_id`. Raises BenchError when any answer is an error."""
    alone, watched = [], []
    devices = _devices(filled)
    _turn(target, devices, (), _WARM_S)  # what was stored before is swept up, connections and caches warm up
    for _ in range(rounds):
        time.sleep(_SETTLED_S)
        alone.append(_turn(target, devices, (), seconds))
        with Viewers(target.endpoint, tick_s):
            time.sleep(_SETTLED_S)  # everybody has a picture
            watched.append(_turn(target, devices, _pages(filled, asked), seconds))
    return [_cpu(alone, watched), _p99(alone, watched), _page(watched)]


def _devices(filled: Filled) -> list[Iterator[bytes]]:
    """A source for each second's place: it goes through its sixty devices, so that each of these reports once a minute."""
    names = [(side, name) for side in (VEHICLE, METER) for name in dataset.names(side, filled.cars.size).tolist()]
    return [_reported(itertools.cycle(names[n::READINGS_PER_S])) for n in range(READINGS_PER_S) if n < len(names)]


def _reported(devices: "itertools.cycle[tuple[object, str]]") -> Iterator[bytes]:
    for side, name in devices:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")  # whole seconds were told by the feed before, with other values
        if side is VEHICLE:
            body = {"vehicleId": name, "timestamp": at, "soc": 55, "kwhDeliveredDc": 0.11, "batteryTemp": 31.5}
        else:
            body = {"meterId": name, "timestamp": at, "kwhConsumedAc": 0.12, "voltage": 230.4}
        yield wire.request("POST", f"/v1/telemetry/{'vehicle' if side is VEHICLE else 'meter'}", json.dumps(body).encode())


def _pages(filled: Filled, asked: Sequence[Asked]) -> list[Group]:
    """A group for each part of the page: the parts of one page are asked for at once, as a browser does."""
    shown = dataset.names(VEHICLE, ON_VEHICLES).tolist()
    return [Group([itertools.cycle([_request(one, filled.vehicle_id, name)]) for name in shown], _VEHICLE_EVERY_S) for one in asked]


def _request(one: Asked, recorded: str, shown: str) -> bytes:
    body = one.body.replace(f'"{recorded}"', f'"{shown}"').encode()
    return wire.request("POST", one.path, body, {"Accept": "application/json", "Accept-Encoding": "gzip, deflate, br, zstd"})


def _turn(target: Installation, devices: Sequence[Iterator[bytes]], pages: Sequence[Group], seconds: float) -> Turn:
    reporting = Group(devices, 1.0)
    with Swarm(target.endpoint, [reporting, *pages]) as swarm:
        before, began = target.cpu(), time.monotonic()
        swarm.run(seconds)
        cpu, lasted_s = target.cpu() - before, time.monotonic() - began
    for tally in (reporting.tally, *(page.tally for page in pages)):
        _all_good(tally)
    answers = [1000 * (answer.at - answer.sent) for page in pages for answer in page.tally.good]
    tally = reporting.tally
    return Turn(tally.since_due_ms(50), tally.since_due_ms(99), 100 * (cpu.web_s + cpu.postgres_s) / lasted_s, answers)


def _all_good(tally: Tally) -> None:
    if tally.refused or tally.others or tally.resets or not tally.good:
        raise BenchError(
            f"{len(tally.good)} good answers, {len(tally.refused)} refusals, {tally.resets} resets, others: {dict(tally.others)}"
        )


def _cpu(alone: Sequence[Turn], watched: Sequence[Turn]) -> Line:
    more = Spread.of(there.cpu_percent - without.cpu_percent for without, there in zip(alone, watched, strict=True))
    both = f"{Spread.of(t.cpu_percent for t in watched)} with viewers, {Spread.of(t.cpu_percent for t in alone)} % without"
    what = f"{VIEWERS} viewers, {ON_VEHICLES} of them on vehicle pages"
    return Line(what, more, "% of a core", bar=CPU_BAR, less_is_better=True, note=f"web and PostgreSQL, {both}: taking in the readings")


def _p99(alone: Sequence[Turn], watched: Sequence[Turn]) -> Line:
    without, there = Spread.of(turn.p99_ms for turn in alone), Spread.of(turn.p99_ms for turn in watched)
    p50 = [statistics.median(turn.p50_ms for turn in turns) for turns in (alone, watched)]
    note = f"p99 {there} ms with viewers, {without} ms without; p50 {p50[1]:.1f} and {p50[0]:.1f} ms"
    what = f"{READINGS_PER_S} single readings/s beside them: p99, with ÷ without"
    return Line(what, Spread((there.median / without.median,)), "×", bar=P99_BAR, less_is_better=True, note=note)


def _page(watched: Sequence[Turn]) -> Line:
    answers = sorted(ms for turn in watched for ms in turn.page_ms)
    note = f"the slowest of {len(answers)}: {answers[-1]:.0f} ms"
    return Line("a vehicle page's part beside them, p50", Spread((statistics.median(answers),)), "ms", note=note)
