"""One vehicle's 24 hours: how many answers a second next to the naive peer, and how fast while readings come in."""

import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bench import filled, wire
from bench.installation import BenchError, Installation
from bench.peers import NAIVE, NOT_GIVEN, Peers
from bench.posts import of_device
from bench.processes import Cpu
from bench.swarm import Group, Swarm, Tally
from bench.table import Line, Spread

VEHICLES = 1000
BUSY_CONNECTIONS = 32
BUSY_BAR = 3.0  # times the naive peer's answers a second
MEDIAN_MS = 2.5
ASKED_PER_S = 50
READINGS_PER_S = 333  # 20,000 devices, a reading a minute
P99_MS = 25.0
_SOCKETS = 50
_SAME = 0.01  # of the totals: the windows of two servers end a moment apart


@dataclass(frozen=True, slots=True)
class Turn:
    """One server's turn: milliseconds of an answer at one connection, answers a second at 32, and our CPU for these."""

    alone_ms: float
    busy_answers: int
    busy_per_s: float
    busy_p99_ms: float
    cpu: Cpu | None = None


def lines(target: Installation, peers: Peers | None, seconds: float = 5.0, rounds: int = 3, vehicles: int = VEHICLES) -> list[Line]:
    """Alone, busy, and with ingestion. Raises BenchError when an answer is an error, or when we and the peer do not say the same."""
    now = datetime.now(UTC)
    filled.ours(target.database_url, vehicles, now)
    given = peers if peers and peers.can(NAIVE) else None
    if given:
        given.empty()
        filled.peers(given.database_url, vehicles, now)
    ours, theirs = _take_turns(target, given, vehicles, seconds, rounds)
    return [*_next_to_peer(ours, theirs, vehicles), *while_readings_come_in(target, vehicles, seconds * 3)]


def _take_turns(target: Installation, peers: Peers | None, vehicles: int, seconds: float, rounds: int) -> tuple[list[Turn], list[Turn]]:
    ours, theirs = [], []
    for _ in range(rounds):
        if peers:
            with peers.running(NAIVE) as endpoint:
                theirs.append(_turn(endpoint, vehicles, seconds))
                _compare(endpoint, target.endpoint)
        ours.append(_turn(target.endpoint, vehicles, seconds, target))
    return ours, theirs


def _turn(endpoint: tuple[str, int], vehicles: int, seconds: float, target: Installation | None = None) -> Turn:
    ask(endpoint, vehicles, BUSY_CONNECTIONS, 1.0)  # caches and connections warm up
    alone, _ = ask(endpoint, vehicles, 1, seconds / 2)
    before = target.cpu() if target else None
    busy, lasted_s = ask(endpoint, vehicles, BUSY_CONNECTIONS, seconds)
    used = target.cpu() - before if target and before else None
    return Turn(alone.good_ms(50), len(busy.good), len(busy.good) / lasted_s, busy.good_ms(99), used)


def ask(endpoint: tuple[str, int], vehicles: int, connections: int, seconds: float) -> tuple[Tally, float]:
    """So many connections that ask for one vehicle after the other, and how long it took. Raises BenchError on any answer but 200."""
    group = Group(_questions(vehicles, connections))
    with Swarm(endpoint, [group]) as swarm:
        began = swarm.run(seconds)
    _all_good(group.tally)
    return group.tally, group.tally.last_answer_s() - began


def while_readings_come_in(target: Installation, vehicles: int, seconds: float) -> list[Line]:
    """50 questions a second while the vehicles that are asked for report, 333 readings a second, into the same open quarter of an hour."""
    asking = Group(_questions(vehicles, _SOCKETS), _SOCKETS / ASKED_PER_S)
    now = int(time.time())
    reporting = Group([of_device(filled.vehicle(n), now, step_s=1) for n in range(min(READINGS_PER_S, vehicles))], 1.0)
    with Swarm(target.endpoint, [asking, reporting]) as swarm:
        swarm.run(seconds)
    for tally in (asking.tally, reporting.tally):
        _all_good(tally)
    p50, p99 = asking.tally.since_due_ms(50), asking.tally.since_due_ms(99)
    into = reporting.tally
    note = f"p50 {p50:.1f} ms; readings p50 {into.since_due_ms(50):.1f} ms, p99 {into.since_due_ms(99):.1f} ms, {len(into.good):,} in {seconds:.0f} s"
    what = f"one vehicle's 24 h, {ASKED_PER_S} a second while {len(reporting.sources)} readings/s come in: p99"
    return [Line(what, Spread((p99,)), "ms", bar=P99_MS, less_is_better=True, note=note)]


def _questions(vehicles: int, connections: int) -> Sequence[Iterator[bytes]]:
    """Each connection goes through all vehicles, from another one on."""
    asked = [wire.request("GET", f"/v1/analytics/performance/{filled.vehicle(number)}") for number in range(vehicles)]
    starts = (vehicles * n // connections for n in range(connections))
    return [itertools.cycle(asked[start:] + asked[:start]) for start in starts]


def _all_good(tally: Tally) -> None:
    if tally.refused or tally.others or tally.resets or not tally.good:
        raise BenchError(
            f"{len(tally.good)} good answers, {len(tally.refused)} refusals, {tally.resets} resets, others: {dict(tally.others)}"
        )


def _compare(theirs: tuple[str, int], ours: tuple[str, int]) -> None:
    """A fast answer to another question would be no answer."""
    said = []
    for endpoint in (theirs, ours):
        with wire.Connection(endpoint) as connection:
            answer = connection.exchange(wire.request("GET", f"/v1/analytics/performance/{filled.vehicle(7)}"))
        said.append(json.loads(wire.content(answer)))
    for key in ("totalAc", "totalDc", "avgTemp"):
        if abs(said[0][key] - said[1][key]) > _SAME * abs(said[0][key]):
            raise BenchError(f"MISMATCH: the peer says {said[0]}, we say {said[1]}")


def _next_to_peer(ours: list[Turn], theirs: list[Turn], vehicles: int) -> list[Line]:
    what, against = f"one vehicle's 24 h, {vehicles:,} vehicles", NAIVE if theirs else NOT_GIVEN
    alone, busy = Spread.of(turn.alone_ms for turn in ours), Spread.of(turn.busy_per_s for turn in ours)
    their_alone = Spread.of(turn.alone_ms for turn in theirs) if theirs else None
    their_busy = Spread.of(turn.busy_per_s for turn in theirs) if theirs else None
    used = [turn.cpu for turn in ours if turn.cpu]
    cpu = Cpu(sum(u.web_s for u in used), sum(u.postgres_s for u in used), sum(u.driver_s for u in used))
    note = f"p99 {Spread.of(t.busy_p99_ms for t in ours).median:.0f} ms; {cpu.per(sum(turn.busy_answers for turn in ours))} an answer"
    return [
        Line(f"{what}, 1 connection: median, HTTP included", alone, "ms", against, their_alone, bar=MEDIAN_MS, less_is_better=True),
        Line(f"{what}, {BUSY_CONNECTIONS} connections", busy, "answers/s", against, their_busy, BUSY_BAR, note=note),
    ]
