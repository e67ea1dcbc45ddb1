"""The nightly learning of 10,000 vehicles, as the server runs it, and what it does to readings that are committed meanwhile."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from bench import processes
from bench.databases import number, scratch_database
from bench.dataset import fleet
from bench.installation import PROJECT, BenchError
from bench.nights import fill, yesterday
from bench.race import percentile_ms
from bench.table import Line, Spread
from db import ingest, learning, lessons, partitions, schema
from db.embedded import EmbeddedPostgres
from db.sides import METER, VEHICLE, Side

VEHICLES = 10_000
# What so many vehicles and meters send, one reading a minute each, in 20 commits a second.
COMMITS_PER_S = 20
_NIGHT_S = 120.0
_QUIET_S = 20.0


@contextmanager
def database() -> Iterator[str]:
    """One of our own with our tables: on DATABASE_URL's server, or on one in a temporary folder."""
    with ExitStack() as closing:
        if given := os.environ.get("DATABASE_URL"):
            url = closing.enter_context(scratch_database(given, f"voltledger_bench_{os.getpid()}"))
        else:
            folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="voltledger-bench-", ignore_cleanup_errors=True)))
            folder.chmod(0o755)  # the server's user has to reach its cluster in there
            url = closing.enter_context(EmbeddedPostgres(folder / "data", shared_buffers_mb=512)).url
        schema.migrate(url)
        yield url


def lines(url: str, vehicles: int = VEHICLES, quiet_s: float = _QUIET_S) -> list[Line]:
    """A night's figures. Raises BenchError where the day was not learned from."""
    day = yesterday()
    fill(url, fleet(vehicles, 1), day)
    _as_every_night(url, day)
    quiet, during = Commits(url, vehicles), Commits(url, vehicles)
    with quiet.running():
        time.sleep(quiet_s)
    postgres = Postgres(url)
    before, began = processes.driver_cpu_s(), time.perf_counter()
    with during.running():
        said = _learn(url)
    took_s, own_s = time.perf_counter() - began, processes.driver_cpu_s() - before - during.cpu_s
    learned = number(url, "SELECT count(*) FROM learned_band")
    if learned < 0.9 * vehicles:
        raise BenchError(f"only {learned:.0f} of {vehicles} vehicles have a band: {said}")
    return [
        Line(f"the night after a day of {vehicles:,} vehicles", Spread.of([took_s]), "s", bar=_NIGHT_S, less_is_better=True, note=said),
        Line("its CPU: the program", Spread.of([own_s]), "s"),
        Line("its CPU: PostgreSQL, with what is committed meanwhile", Spread.of([postgres.used_s()]), "s"),
        latency(quiet, during, 50),
        latency(quiet, during, 99),
    ]


def latency(quiet: "Commits", during: "Commits", percentile: int) -> Line:
    ours, theirs = (Spread.of([percentile_ms(one.waits_s, percentile)]) for one in (during, quiet))
    what = f"a commit of {during.each} readings meanwhile, {percentile}th percentile"
    return Line(
        what,
        ours,
        "ms",
        "the same before",
        theirs,
        less_is_better=True,
        note=f"{len(during.waits_s):,} commits, {len(quiet.waits_s):,} before",
    )


def _as_every_night(url: str, day: datetime) -> None:
    """The bands of the night before are there, and the day before is to be taken once more."""
    with psycopg.connect(url, autocommit=True, options="-c TimeZone=UTC -c jit=off") as connection:
        before = day.date() - lessons.ONE_DAY
        learning.learn_bands(
            connection, before, {before}, lessons.begins(day.date()) + (datetime.now(UTC) - lessons.begins(datetime.now(UTC).date())) / 2
        )


def _learn(url: str) -> str:
    """What the program says."""
    environment = {**os.environ, "DATABASE_URL": url, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "db", "learn"]
    ended = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BenchError(ended.stderr or ended.stdout)
    return ended.stdout.strip()


class Postgres:
    """CPU seconds of the server since this was made; 0 where it runs elsewhere."""

    def __init__(self, url: str) -> None:
        with psycopg.connect(url) as connection:
            found = processes.tree(connection.info.backend_pid)
        self._pid = found[0].parent if found and found[0].name == "postgres" else None
        self._before = self._now()

    def _now(self) -> float:
        found = processes.tree(self._pid) if self._pid else []
        return processes.cpu_s(found[:1], reaped=True) + processes.cpu_s(found[1:])

    def used_s(self) -> float:
        return self._now() - self._before


class Commits:
    """Readings of now, committed at a steady rate by a thread; `waits_s` from when each was due to its commit, so that none hides a delay."""

    def __init__(self, url: str, vehicles: int) -> None:
        self.each = max(1, round(vehicles / 60 / COMMITS_PER_S)) * 2
        self.waits_s: list[float] = []
        self.cpu_s = 0.0
        self._url, self._vehicles = url, vehicles

    @contextmanager
    def running(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _run(self, stop: threading.Event) -> None:
        with psycopg.connect(self._url, options="-c TimeZone=UTC -c jit=off") as connection:
            partitions.ensure_ahead(connection, datetime.now(UTC))
            connection.commit()
            due, n, used = time.perf_counter(), 0, time.thread_time()
            while not stop.wait(max(0.0, due - time.perf_counter())):
                for side in (VEHICLE, METER):
                    ingest.store(connection, side, self._readings(side, n), datetime.now(UTC))
                connection.commit()
                self.waits_s.append(time.perf_counter() - due)
                due, n = due + 1 / COMMITS_PER_S, n + 1
            self.cpu_s = time.thread_time() - used

    def _readings(self, side: Side, n: int) -> list[ingest.Reading]:
        at_us, half = time.time_ns() // 1000, self.each // 2
        devices = [(n * half + one) % self._vehicles for one in range(half)]
        measures = (5_000, 2_100) if side is VEHICLE else (23_000,)
        prefix = "veh" if side is VEHICLE else "mtr"
        return [(f"{prefix}-{device:05d}", at_us, 168_000, *measures, None, None) for device in devices]
