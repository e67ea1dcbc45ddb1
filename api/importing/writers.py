"""Connections that store at the same time, each its own share of the devices: they never wait for each other's rows, nor can they deadlock."""

import queue
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Self

import numpy as np
import psycopg
from numpy.typing import NDArray

from db import partitions
from db.columns import Columns
from db.engine import Conn, transient
from db.ingest import Outcome, store_columns
from db.sides import Side

# One busy connection leaves a part of two cores idle; a third one brings nothing more.
CONNECTIONS = 2
_TRIES = 5
_FIRST_PAUSE_S = 0.1
_LOCK_NOT_AVAILABLE = "55P03"  # a day's table could not be made because something else held the lock
_OPTIONS = "-c TimeZone=UTC -c jit=off"
_OUT_OF_LOCKS = "53200"

Outcomes = NDArray[np.int8]


class NotStored(Exception):
    """A writer gave up: the database refuses the readings, or stays away. The message is the database's."""


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Job:
    """Readings for one transaction. `remember` may write what must be committed with them; `stored` hears of the commit.

    `received_at` is when they came, None for the moment of storing.
    """

    side: Side
    columns: Columns
    remember: Callable[[Conn, Outcomes, datetime], None] = _nothing
    stored: Callable[[Outcomes], None] = _nothing
    received_at: datetime | None = None


def shares(ids: list[str], count: int) -> NDArray[np.int64]:
    """Which of `count` writers each device belongs to, the same in every run."""
    writer = {name: zlib.crc32(name.encode()) % count for name in set(ids)}
    return np.fromiter((writer[name] for name in ids), dtype=np.int64, count=len(ids))


def part_of(columns: Columns, chosen: NDArray[np.bool_]) -> Columns:
    """The chosen readings."""
    ids = np.array(columns.ids, dtype=object)[chosen].tolist()
    return Columns(ids, columns.recorded_at_us[chosen], columns.values[:, chosen])


class Writers:
    """Use as a context: leaving it stores what was put. `rest` is how long a writer pauses, as a multiple of what storing took."""

    def __init__(
        self, database_url: str, count: int = CONNECTIONS, rest: float = 0.0, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._writers = [_Writer(database_url, rest, now) for _ in range(count)]

    @property
    def count(self) -> int:
        return len(self._writers)

    def put(self, number: int, job: Job) -> None:
        """Give a writer its next job; waits while it has enough to do. Raises NotStored."""
        self._check()
        self._writers[number].jobs.put(job)

    def finish(self) -> None:
        """Wait until all that was put is stored. Raises NotStored."""
        for writer in self._writers:
            writer.jobs.join()
        self._check()

    def _check(self) -> None:
        for writer in self._writers:
            if writer.failure:
                raise NotStored(str(writer.failure).strip()) from writer.failure

    def __enter__(self) -> Self:
        for writer in self._writers:
            writer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for writer in self._writers:
            writer.jobs.put(None)
        for writer in self._writers:
            writer.join()


class _Writer(threading.Thread):
    """One connection and its queue. After a failure it throws away what comes, so that nobody waits for it."""

    def __init__(self, database_url: str, rest: float, now: Callable[[], datetime]) -> None:
        super().__init__(daemon=True)
        self._database_url, self._rest, self._now = database_url, rest, now
        self._conn: Conn | None = None
        self._days: set[date] = set()
        self.jobs: queue.Queue[Job | None] = queue.Queue(maxsize=1)
        self.failure: Exception | None = None

    def run(self) -> None:
        while (job := self.jobs.get()) is not None:
            try:
                if not self.failure:
                    self._do(job)
            except Exception as error:  # noqa: BLE001 - whatever it is, the thread that put the job raises it
                self.failure = error
            self.jobs.task_done()
        self._hang_up()

    def _do(self, job: Job) -> None:
        began = time.monotonic()
        job.stored(self._store(job))
        time.sleep(self._rest * (time.monotonic() - began))

    def _store(self, job: Job) -> Outcomes:
        for attempt in range(_TRIES):
            try:
                return self._transaction(job)
            except psycopg.Error as error:
                self._undo()
                if error.sqlstate == _OUT_OF_LOCKS and len(job.columns.ids) > 1:
                    return self._in_halves(job)
                if not transient(error, _LOCK_NOT_AVAILABLE) or attempt == _TRIES - 1:
                    raise
                time.sleep(_FIRST_PAUSE_S * 4**attempt)
        raise AssertionError("unreachable")

    def _transaction(self, job: Job) -> Outcomes:
        if self._conn is None:
            self._conn = psycopg.connect(self._database_url, options=_OPTIONS, application_name="voltledger-import", connect_timeout=10)
        now = self._now()
        kept = self._ensure_days(self._conn, job.columns.recorded_at_us, now)
        outcomes = np.full(len(job.columns.ids), Outcome.CLOSED, dtype=np.int8)
        columns = job.columns if kept.all() else part_of(job.columns, kept)
        outcomes[kept] = store_columns(self._conn, job.side, columns, job.received_at or now)
        job.remember(self._conn, outcomes, now)
        self._conn.commit()
        return outcomes

    def _in_halves(self, job: Job) -> Outcomes:
        """Readings of thousands of days touch more tables than a transaction may lock: by time, in two transactions or more."""
        count = len(job.columns.ids)
        early = np.zeros(count, dtype=bool)
        early[np.argsort(job.columns.recorded_at_us, kind="stable")[: count // 2]] = True
        outcomes = np.empty(count, dtype=np.int8)
        outcomes[early] = self._store(replace(job, columns=part_of(job.columns, early), remember=_nothing, stored=_nothing))

        def remember(conn: Conn, of_late: Outcomes, now: datetime) -> None:
            outcomes[~early] = of_late
            job.remember(conn, outcomes, now)

        self._store(replace(job, columns=part_of(job.columns, ~early), remember=remember))
        return outcomes

    def _ensure_days(self, conn: Conn, at_us: NDArray[np.int64], now: datetime) -> NDArray[np.bool_]:
        """Make what is missing of the readings' days, whatever their number; which readings are of days that a person did not drop."""
        kept = np.ones(len(at_us), dtype=bool)
        if _days_of(at_us) <= self._days:
            return kept
        self._days = partitions.existing(conn)
        if first_kept := partitions.begins(conn):
            kept = at_us >= partitions.midnight_us(first_kept)
        days = _days_of(at_us[kept])
        while partitions.ensure(conn, days, now):
            conn.commit()
        conn.commit()
        self._days |= days
        return kept

    def _undo(self) -> None:
        self._days.clear()
        try:
            if self._conn is not None:
                self._conn.rollback()
        except psycopg.Error:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._conn is not None:
            self._conn.close()
        self._conn = None


def _days_of(recorded_at_us: NDArray[np.int64]) -> set[date]:
    numbers = np.unique(np.concatenate([recorded_at_us, recorded_at_us - 1]) // partitions.US_PER_DAY)
    noons = numbers * partitions.US_PER_DAY + partitions.US_PER_DAY // 2
    return partitions.days_of(noons.tolist())
