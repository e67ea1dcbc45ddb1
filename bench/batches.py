"""Batches of 1,000 readings over HTTP, as fast as they go in, next to raw COPY of the same rows at the same concurrency."""

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from bench import raw_copy, wire
from bench.installation import BenchError, Installation
from bench.processes import Cpu
from bench.race import Pass, race
from bench.readings import READINGS, Batch, batch, body, first_minute
from bench.table import Line, Spread

CONNECTIONS = 4
BAR = 0.2  # of raw COPY; the aim is 0.35
WAYS = ("COPY", "JSON", "gzip")
SHAPES = {"minute": "a minute of 1,000 devices", "buffer": "a gateway's buffer, 20 devices × 50 minutes"}
_WARM_UP_S = 1.0
_MOST_PREPARED = 3000  # batches held in memory at once: 300 MB of JSON
_GZIP_LEVEL = 6  # what devices use that do not think about it


@dataclass(frozen=True, slots=True)
class Turn:
    """One way's turn: what went in, and the CPU that it took."""

    went: Pass
    cpu: Cpu

    @property
    def readings_per_s(self) -> float:
        return self.went.per_s(READINGS)


def lines(target: Installation, seconds: float = 5.0, rounds: int = 3, shapes: Sequence[str] = tuple(SHAPES)) -> list[Line]:
    """A line for each shape and encoding. Raises BenchError when what was acknowledged is not what is stored."""
    with raw_copy.tables(target.database_url) as copy_url:
        return [line for shape in shapes for line in _shape_lines(shape, measure(target, copy_url, shape, seconds, rounds))]


def measure(target: Installation, copy_url: str, shape: str, seconds: float, rounds: int) -> dict[str, list[Turn]]:
    """The turns of each way, which alternate: COPY, JSON, gzip, COPY, …"""
    stream = _Stream(target, copy_url, shape)
    rates = {way: stream.turn(way, 20, _WARM_UP_S).readings_per_s for way in WAYS}
    turns: dict[str, list[Turn]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            prepared = min(_MOST_PREPARED, int(rates[way] / READINGS * seconds * 1.5) + CONNECTIONS)
            turns[way].append(stream.turn(way, prepared, seconds))
            rates[way] = max(rates[way], turns[way][-1].readings_per_s)
    return turns


class _Stream:
    """Batches of one shape, every one with new keys in either database."""

    def __init__(self, target: Installation, copy_url: str, shape: str) -> None:
        self._target, self._copy_url, self._shape = target, copy_url, shape
        self._start = first_minute(datetime.now(UTC))
        self._next = {"ours": 0, "COPY": 0}

    def turn(self, way: str, prepared: int, seconds: float) -> Turn:
        """Sends up to `prepared` batches, and counts the rows that are there more than before."""
        database = "COPY" if way == "COPY" else "ours"
        url = self._copy_url if way == "COPY" else self._target.database_url
        first = self._next[database]
        batches = [batch(self._shape, number, self._start) for number in range(first, first + prepared)]
        before = raw_copy.stored(url)
        turn = self._copy(batches, seconds) if way == "COPY" else self._post(batches, seconds, packed=way == "gzip")
        self._next[database] += turn.went.sent
        more = raw_copy.stored(url) - before
        if more != turn.went.sent * READINGS:
            raise BenchError(f"MISMATCH: {way} acknowledged {turn.went.sent * READINGS:,} readings and {more:,} were stored")
        return turn

    def _copy(self, batches: list[Batch], seconds: float) -> Turn:
        form = raw_copy.form(self._copy_url)
        buffers = [form.buffers(each) for each in batches]
        before = self._target.cpu()
        return Turn(raw_copy.copy(self._copy_url, form, buffers, CONNECTIONS, seconds), self._target.cpu() - before)

    def _post(self, batches: list[Batch], seconds: float, *, packed: bool) -> Turn:
        requests = [_request(each, packed=packed) for each in batches]
        before = self._target.cpu()
        return Turn(post(self._target, requests, CONNECTIONS, seconds), self._target.cpu() - before)


def _request(readings: Batch, *, packed: bool) -> bytes:
    if packed:
        return wire.request("POST", "/v1/telemetry/batch", gzip.compress(body(readings), _GZIP_LEVEL), {"Content-Encoding": "gzip"})
    return wire.request("POST", "/v1/telemetry/batch", body(readings))


def post(target: Installation, requests: Sequence[bytes], connections: int, seconds: float) -> Pass:
    """Posts these batches. Raises BenchError on any answer but 201 with all of them accepted."""

    @contextmanager
    def sender() -> Iterator[Callable[[bytes], None]]:
        with wire.Connection(target.endpoint) as connection:

            def send(prepared: bytes) -> None:
                answer = connection.exchange(prepared)
                if wire.status(answer) != 201 or json.loads(wire.content(answer))["accepted"] != READINGS:
                    raise BenchError(f"not all accepted: {bytes(answer[:600]).decode()}")

            yield send

    return race(sender, requests, connections, seconds)


def _shape_lines(shape: str, turns: dict[str, list[Turn]]) -> list[Line]:
    limit = Spread.of(turn.readings_per_s for turn in turns["COPY"])
    return [
        Line(
            what=f"batches of {READINGS:,}, {CONNECTIONS} connections, {way}: {SHAPES[shape]}",
            ours=Spread.of(turn.readings_per_s for turn in turns[way]),
            unit="readings/s",
            against="raw COPY",
            theirs=limit,
            ratio_bar=BAR,
            note=f"{_cpu(turns[way])} a reading; COPY {_cpu(turns['COPY'])}; {_latency(turns[way])} a batch",
        )
        for way in WAYS[1:]
    ]


def _cpu(turns: list[Turn]) -> str:
    total = Cpu(sum(t.cpu.web_s for t in turns), sum(t.cpu.postgres_s for t in turns), sum(t.cpu.driver_s for t in turns))
    return total.per(sum(turn.went.sent for turn in turns) * READINGS)


def _latency(turns: list[Turn]) -> str:
    p50, p99 = (Spread.of(turn.went.milliseconds(percent) for turn in turns).median for percent in (50, 99))
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"
