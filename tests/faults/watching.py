"""What an installation takes while something is done to it: memory, files and threads of each part, connections, transactions, table sizes.

with watching(there) as watch: …
watch.said()  →  "front +3 MB of 96, pages +12 MB of 190; longest transaction 0.4 s"
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.faults.installation import Installation, files_of, rss_mb, threads_of

EVERY_S = 0.5
# Ours, by age of their oldest transaction; the watcher's own is not.
_TRANSACTIONS = """
    SELECT count(*), coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8,
           coalesce(max(extract(epoch FROM clock_timestamp() - query_start)) FILTER (WHERE state = 'active'), 0)::float8
    FROM pg_stat_activity WHERE application_name LIKE 'voltledger-%'"""
_LIVE_BYTES = "SELECT pg_total_relation_size('live_vehicle') + pg_total_relation_size('live_meter')"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the product at one moment."""

    rss_mb: float
    files: int
    threads: int


@dataclass(frozen=True, slots=True)
class Sample:
    """All of it; `at` is of the monotonic clock. `transaction_s` and `statement_s`: the oldest that run."""

    at: float
    parts: dict[str, Part]
    connections: int
    transaction_s: float
    statement_s: float
    live_bytes: int


@dataclass
class Watch:
    """`samples` in their order: the first is from before, the last from after."""

    there: Installation
    samples: list[Sample] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def look(self, conn: psycopg.Connection) -> None:
        """Take a sample."""
        transactions = conn.execute(_TRANSACTIONS).fetchone()
        live = conn.execute(_LIVE_BYTES).fetchone()
        assert transactions
        assert live
        parts = {name: _part(pids) for name, pids in _processes(self.there).items()}
        self.samples.append(Sample(time.monotonic(), parts, transactions[0], transactions[1], transactions[2], live[0]))

    def run(self) -> None:
        """Until stopped; a database that is away is looked at again."""
        while not self._stop.is_set():
            with (
                contextlib.suppress(psycopg.Error, OSError, IndexError, ValueError),
                self.there.connect(application_name="watching") as conn,
            ):
                while not self._stop.wait(EVERY_S):
                    self.look(conn)
            self._stop.wait(EVERY_S)

    def stop(self) -> None:
        """And no more."""
        self._stop.set()

    def more_mb(self, name: str) -> float:
        """How much more memory a part held at most than at first."""
        return max(one.parts[name].rss_mb for one in self.samples) - self.samples[0].parts[name].rss_mb

    @property
    def transaction_s(self) -> float:
        """The longest transaction that was seen."""
        return max(one.transaction_s for one in self.samples)

    def said(self) -> str:
        """For the report."""
        first = self.samples[0].parts
        grown = ", ".join(f"{name} {self.more_mb(name):+.0f} MB of {first[name].rss_mb:.0f}" for name in ("front", "pages"))
        return f"{grown}; longest transaction {self.transaction_s:.1f} s"


@contextlib.contextmanager
def watching(there: Installation) -> Iterator[Watch]:
    """From before what is done until after it."""
    watch = Watch(there)
    with there.connect(application_name="watching") as conn:
        watch.look(conn)
        thread = threading.Thread(target=watch.run, name="watching", daemon=True)
        thread.start()
        try:
            yield watch
            watch.look(conn)
        finally:
            watch.stop()
            thread.join(10)


def _processes(there: Installation) -> dict[str, list[int]]:
    """The parts, by name; several processes of one are added up."""
    return {"front": there.workers, "pages": there.page_makers, "alerting": there.children("-m alerting")}


def _part(pids: list[int]) -> Part:
    return Part(sum(map(rss_mb, pids)), sum(map(files_of, pids)), sum(map(threads_of, pids)))


def cpu_s(pids: list[int]) -> float:
    """Processor time that these processes have used."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def transactions_done(there: Installation) -> int:
    """Committed and rolled back in this database so far; sessions say so within a second of being idle."""
    with there.connect() as conn:
        row = conn.execute("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert row
    return int(row[0])
