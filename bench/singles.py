"""Single readings, one POST each over 64 keep-alive connections, answered after the commit: we and the peers take turns."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from bench.installation import BenchError, Installation, Missing
from bench.peers import NAIVE, NOT_GIVEN, SINGLES, Peers
from bench.processes import Cpu
from bench.readings import first_minute
from bench.table import Line, Spread

CONNECTIONS = 64
DEVICES = 10_000
BAR = 2.5  # times the naive peer
NO_WRK = "wrk is missing: apt-get install wrk (Debian, Ubuntu), brew install wrk (macOS)"
_WARM_UP_S = 2
_MINUTES_A_TURN = 60  # a turn's own stretch of time: 600,000 readings fit


@dataclass(frozen=True, slots=True)
class Turn:
    """Acknowledged readings a second, latency, and for us the CPU of one reading."""

    acked: int
    elapsed_s: float
    p50_ms: float
    p99_ms: float
    cpu: Cpu | None = None

    @property
    def per_s(self) -> float:
        return self.acked / self.elapsed_s


def available() -> bool:
    """Whether the load program is there."""
    return shutil.which("wrk") is not None


def lines(target: Installation, peers: Peers | None, seconds: int = 8, rounds: int = 3, names: Sequence[str] = SINGLES) -> list[Line]:
    """A line for each peer, all with our figure of the same run. Raises Missing without wrk, BenchError where acknowledged and stored readings differ."""
    if not available():
        raise Missing(NO_WRK)
    names = [name for name in names if peers and peers.can(name)]
    ours: list[Turn] = []
    theirs: dict[str, list[Turn]] = {name: [] for name in names}
    clock = Clock()
    for _ in range(rounds):
        for name in names:
            assert peers
            theirs[name].append(_peer_turn(peers, name, clock, seconds))
        ours.append(our_turn(target, clock, seconds))
    return _lines(ours, theirs, seconds)


def our_turn(target: Installation, clock: "Clock", seconds: int, keys: Path | None = None) -> Turn:
    """One warm-up, one measured run. `keys`: a file with a key for each device."""
    _load(target.endpoint, clock.next(), _WARM_UP_S, keys)
    used = target.cpu()
    turn = _counted(target.endpoint, target.database_url, "recorded_at", clock.next(), seconds, keys)
    return Turn(turn.acked, turn.elapsed_s, turn.p50_ms, turn.p99_ms, target.cpu() - used)


def _peer_turn(peers: Peers, name: str, clock: "Clock", seconds: int) -> Turn:
    peers.empty()
    with peers.running(name) as endpoint:
        _load(endpoint, clock.next(), _WARM_UP_S)
        return _counted(endpoint, peers.database_url, '"timestamp"', clock.next(), seconds)


class Clock:
    """Every run gets an hour that nobody wrote to."""

    def __init__(self) -> None:
        self._minute = first_minute(datetime.now(UTC))

    def next(self) -> int:
        """Its beginning, in seconds since 1970."""
        self._minute += _MINUTES_A_TURN
        return self._minute * 60


def _load(endpoint: tuple[str, int], first_s: int, seconds: int, keys: Path | None = None) -> Turn:
    """Runs wrk. Raises BenchError when an answer was not 2xx or did not come."""
    script = Path(__file__).with_name("singles.lua")
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s", "--latency", "-s", str(script)]
    environment = {**os.environ, "DEVICES": str(DEVICES), "FIRST": str(first_s), **({"KEYS": str(keys)} if keys else {})}
    address = f"http://{endpoint[0]}:{endpoint[1]}"
    said = subprocess.run([*command, address], env=environment, capture_output=True, text=True, timeout=seconds + 60, check=False)
    found = re.search(r"^FIGURES (\{.*\})$", said.stdout, re.MULTILINE)
    if not found:
        raise BenchError(f"wrk says no figures: {said.stdout[-500:]}{said.stderr[-500:]}")
    figures = json.loads(found[1])
    if figures["refused"] or figures["broken"]:
        raise BenchError(f"{figures['refused']} answers were not 2xx, {figures['broken']} did not come")
    return Turn(figures["answers"], figures["elapsed_us"] / 1e6, figures["p50_us"] / 1e3, figures["p99_us"] / 1e3)


def _counted(endpoint: tuple[str, int], url: str, column: str, first_s: int, seconds: int, keys: Path | None = None) -> Turn:
    """A run whose acknowledged readings are counted in the database: those still under way when wrk ends may be there too."""
    turn = _load(endpoint, first_s, seconds, keys)
    query = f"SELECT count(*) FROM vehicle_history WHERE {column} >= to_timestamp(%s) AND {column} < to_timestamp(%s)"
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode(), (first_s, first_s + _MINUTES_A_TURN * 60)).fetchone()
    stored = int(row[0]) if row else 0
    if not turn.acked <= stored <= turn.acked + CONNECTIONS:
        raise BenchError(f"MISMATCH: {turn.acked:,} readings were acknowledged and {stored:,} are stored")
    return turn


def _lines(ours: list[Turn], theirs: dict[str, list[Turn]], seconds: int) -> list[Line]:
    what, figure = f"single readings, {CONNECTIONS} connections", Spread.of(turn.per_s for turn in ours)
    described = f"{words(ours)}, {cpu(ours)} a reading, {len(ours)} rounds of {seconds} s"
    found = [
        Line(what, figure, "readings/s", name, Spread.of(t.per_s for t in turns), BAR if name == NAIVE else None, note=f"{words(turns)}")
        for name, turns in theirs.items()
    ]
    missing = "" if NAIVE in theirs else NOT_GIVEN
    return [Line(what, figure, "readings/s", missing, ratio_bar=BAR if missing else None, note=described), *found]


def words(turns: list[Turn]) -> str:
    """Their latency."""
    p50, p99 = Spread.of(turn.p50_ms for turn in turns), Spread.of(turn.p99_ms for turn in turns)
    return f"p50 {p50.median:.1f} ms, p99 {p99.median:.1f} ms"


def cpu(turns: list[Turn]) -> str:
    """What one of their readings cost."""
    used = [turn.cpu for turn in turns if turn.cpu]
    total = Cpu(sum(one.web_s for one in used), sum(one.postgres_s for one in used), sum(one.driver_s for one in used))
    return total.per(sum(turn.acked for turn in turns))
