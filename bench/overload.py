"""Ten times too much: what still comes through, how the rest is refused, and how soon a normal load is served as before.

Two kinds of too many: 3,600 devices that always have another reading and wait as they are told when refused, and 640 clients, ten times the
connections of the peak, that hammer without a pause. A normal load (333 readings a second) runs before, during and after, and is judged.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.databases import number
from bench.installation import BenchError, Installation
from bench.posts import of_device
from bench.processes import PeakMemory
from bench.race import percentile_ms
from bench.readings import first_minute
from bench.swarm import Answer, Group, Swarm, Tally
from bench.table import Line, Spread

PEAK_CONNECTIONS = 64
NORMAL_PER_S = 333  # 20,000 devices, a reading a minute
NORMAL_SOCKETS = 100
GOODPUT_BAR = 0.8
REFUSED_WITHIN_MS = 200.0
NORMAL_AGAIN_S = 10.0
NORMAL_IS = 1.5  # times the p99 of before
# A device that was refused waits what the server says, 1 to 30 s; here a tenth of it: the load stays ten times too much with fewer sockets.
RETRY_SCALE = 0.1
_BEFORE_S = 6.0
_AFTER_S = 20.0


@dataclass(frozen=True, slots=True)
class Storm:
    """Who comes: how many sockets, and what part of Retry-After they wait."""

    name: str
    sockets: int
    retry_scale: float


STORMS = (
    Storm("3,600 devices that wait as told", 3600, RETRY_SCALE),  # with the normal ones below what one web process holds open
    Storm("640 clients without a pause", 640, 0.0),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`good_per_s` and `refused_per_s` count everybody, while the storm lasted."""

    good_per_s: float
    refused_per_s: float
    storm: Tally
    before_p99_ms: float
    normal_again_s: float
    after_p99_ms: float
    more_memory_mb: float
    driver_share: float


def lines(target: Installation, seconds: float = 60.0, storms: tuple[Storm, ...] = STORMS) -> list[Line]:
    """Four lines a storm. Raises BenchError when a refusal is not a 503 as it should be, or a reading was lost."""
    peak = goodput(target, PEAK_CONNECTIONS, 5.0)
    return [line for storm in storms for line in _storm_lines(storm, peak, run(target, storm, seconds), seconds)]


def goodput(target: Installation, connections: int, seconds: float) -> float:
    """Readings a second that so many connections get in, after a second of warming up."""
    group = Group(list(_devices(f"peak-{time.time_ns()}", connections)))
    with Swarm(target.endpoint, [group]) as swarm:
        began = swarm.run(seconds + 1)
    return sum(began + 1 <= answer.at < began + 1 + seconds for answer in group.tally.good) / seconds


def run(target: Installation, storm: Storm, seconds: float) -> Outcome:
    """Before, storm and after, in one go."""
    name, ends_s = f"storm{storm.sockets}", _BEFORE_S + seconds
    normal = Group(list(_devices(f"{name}-normal", NORMAL_SOCKETS)), NORMAL_SOCKETS / NORMAL_PER_S, RETRY_SCALE)
    many = Group(list(_devices(f"{name}-many", storm.sockets)), None, storm.retry_scale, _BEFORE_S, ends_s)
    with Swarm(target.endpoint, [normal, many]) as swarm:
        time.sleep(1.0)  # the server takes the sockets in
        memory, cpu = PeakMemory(process.pid for process in target.web()), target.cpu()
        began = swarm.run(ends_s + _AFTER_S, meanwhile=memory.look)
        cpu = target.cpu() - cpu
    _check(target, name, (normal.tally, many.tally), NORMAL_SOCKETS + storm.sockets)
    before = _p99_ms(normal.tally.good, began + 1, began + _BEFORE_S)
    good, refused = (
        sum(began + _BEFORE_S <= answer.at < began + ends_s for answer in answers) / seconds
        for answers in (normal.tally.good + many.tally.good, normal.tally.refused + many.tally.refused)
    )
    again = _normal_again_s(normal.tally.good, began + ends_s, before)
    after = _p99_ms(normal.tally.good, began + ends_s + _AFTER_S / 2, began + ends_s + _AFTER_S)
    return Outcome(good, refused, many.tally, before, again, after, memory.more_mb, cpu.driver_s / (ends_s + _AFTER_S))


def _devices(name: str, count: int) -> Iterator[Iterator[bytes]]:
    start = first_minute(datetime.now(UTC)) * 60
    return (of_device(f"{name}-{device:04d}", start, step_s=1) for device in range(count))


def _p99_ms(answers: list[Answer], start: float, end: float) -> float:
    """Of what was due in this stretch of time."""
    return percentile_ms([answer.at - answer.due for answer in answers if start <= answer.due < end], 99)


def _normal_again_s(answers: list[Answer], end: float, before_ms: float) -> float:
    """The end of the first second after the storm whose p99 is normal; the whole time that was looked when none was."""
    for second in range(int(_AFTER_S) - 1):
        if 0 < _p99_ms(answers, end + second, end + second + 1) <= NORMAL_IS * before_ms:
            return second + 1.0
    return _AFTER_S


def _check(target: Installation, name: str, tallies: tuple[Tally, ...], devices: int) -> None:
    """What is acknowledged is stored; beyond that at most the one reading of each device whose answer did not come."""
    others = {answer: count for tally in tallies for answer, count in tally.others.items()}
    misshapen = sum(tally.misshapen_refusals for tally in tallies)
    if others or misshapen:
        raise BenchError(f"unexpected answers: {misshapen} refusals without Retry-After or problem+json, {others}")
    acked = sum(len(tally.good) for tally in tallies)
    stored = int(number(target.database_url, "SELECT count(*) FROM vehicle_history WHERE vehicle_id LIKE %s", (f"{name}-%",)))
    if not acked <= stored <= acked + devices:
        raise BenchError(f"MISMATCH: {acked:,} acknowledged, {stored:,} stored")


def _storm_lines(storm: Storm, peak: float, out: Outcome, seconds: float) -> list[Line]:
    what = f"ten times too much, {storm.name}"
    note = (
        f"{seconds:.0f} s; {out.refused_per_s:,.0f} refusals/s, {out.storm.resets:,} resets; good answers p50 {out.storm.good_ms(50):.0f} ms, "
        f"p99 {out.storm.good_ms(99):.0f} ms; driver {100 * out.driver_share:.0f} % of a core"
    )
    looked = f"not within the {_AFTER_S:.0f} s that were looked at; " if out.normal_again_s >= _AFTER_S else ""
    again = f"{looked}p99 of 333 readings/s was {out.before_p99_ms:.1f} ms before and {out.after_p99_ms:.1f} ms ten seconds after"
    found = [
        Line(f"{what}: goodput", Spread((out.good_per_s,)), "readings/s", "peak at 64", Spread((peak,)), GOODPUT_BAR, note=note),
        Line(f"{what}: normal again after", Spread((out.normal_again_s,)), "s", bar=NORMAL_AGAIN_S, less_is_better=True, note=again),
        Line(f"{what}: memory of the web", Spread((out.more_memory_mb,)), "MB more"),
    ]
    if out.storm.refused:
        refusals = Spread((out.storm.refused_ms(99),))
        found.append(Line(f"{what}: p99 of a refusal", refusals, "ms", bar=REFUSED_WITHIN_MS, less_is_better=True))
    return found
