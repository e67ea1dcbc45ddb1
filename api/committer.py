"""Many requests, one commit: readings wait in a bounded queue, a committing thread takes what is there, and answers follow the commit."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice

import psycopg
import structlog
from psycopg_pool import ConnectionPool, PoolTimeout, TooManyRequests

from api.tally import Tally
from db import partitions
from db.engine import Conn, leaving_read_only, transient
from db.ingest import Outcome, Reading, store
from db.sides import METER, VEHICLE, Side

log = structlog.get_logger()

# Readings that are worth another commit beside those that run.
_CROWD = 500


class NotStored(Exception):
    """Nothing is confirmed: `kind` says why, the message is for the device."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@dataclass(slots=True, eq=False)
class Submission:
    """One request's readings on their way; `outcomes` (vehicles', then meters') or `failure` is there once `finished` is called with it."""

    vehicles: list[Reading]
    meters: list[Reading]
    finished: "Finished"
    outcomes: list[Outcome] = field(default_factory=list)
    failure: NotStored | None = None

    @property
    def size(self) -> int:
        return len(self.vehicles) + len(self.meters)


# Called by a committing thread, once for each submission: must be quick and must not raise.
Finished = Callable[[Submission], None]


class Committer:
    """The bounded queue and its committing threads. Threads start with the first submission, so that a fork before it does no harm.

    `queue_readings` and `queue_requests` bound what may wait, `commit_readings` one transaction. `short_of_room` says why nothing more should
    be written, or nothing; it is asked for every request.
    """

    def __init__(
        self,
        pool: "ConnectionPool[Conn]",
        threads: int,
        queue_readings: int,
        commit_readings: int,
        old_days_per_hour: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        queue_requests: int = 2_500,
        short_of_room: Callable[[], str] = str,
    ) -> None:
        self._pool, self._threads = pool, threads
        # A restart of the database breaks every connection of the pool, and each is found out only by using it.
        self._tries = threads + 2
        self._queue_readings, self._queue_requests = queue_readings, queue_requests
        self._commit_readings = commit_readings
        self._old_days_per_hour = old_days_per_hour
        self._now, self._short_of_room = now, short_of_room
        self._waiting: deque[Submission] = deque()
        self._waiting_readings = 0
        lock = threading.Lock()
        self._changed, self._crowded = threading.Condition(lock), threading.Condition(lock)
        self._closing = False
        self._started: list[threading.Thread] = []
        self._days: set[date] = set()
        self.tally = Tally()
        self.last_commit_s = 0.0

    @property
    def waiting_readings(self) -> int:
        """Readings in the queue now."""
        return self._waiting_readings

    def submit(self, vehicles: list[Reading], meters: list[Reading], wait_s: float) -> list[Outcome]:
        """Wait until these readings are on disk; the outcome of each, vehicles' first. Raises NotStored."""
        done = threading.Lock()  # a bare lock: an Event costs three times as much
        done.acquire()
        submission = self.enqueue(vehicles, meters, lambda _: done.release())
        if not done.acquire(timeout=wait_s):
            raise self.late(wait_s)
        if submission.failure:
            raise submission.failure
        return submission.outcomes

    def enqueue(self, vehicles: list[Reading], meters: list[Reading], finished: Finished) -> Submission:
        """Put these readings into the queue; `finished` is called when their outcome is known. Raises NotStored where there is no room."""
        submission = Submission(vehicles, meters, finished)
        with self._changed:
            self._admit(submission)
            self._waiting.append(submission)
            self._waiting_readings += submission.size
            self._changed.notify()
            if self._waiting_readings >= _CROWD:
                self._crowded.notify()
        return submission

    def late(self, wait_s: float) -> NotStored:
        """What to say where a commit took longer than `wait_s`."""
        return NotStored("commit_timeout", f"the commit did not finish within {wait_s:g} s")

    def refuse_early(self) -> None:
        """Raise NotStored where a body would be read and parsed for nothing."""
        if self._closing:
            raise NotStored("draining", "this server is stopping")
        if words := self._short_of_room():
            raise NotStored("storage_full", words)
        if self._waiting_readings >= self._queue_readings or len(self._waiting) >= self._queue_requests:
            raise NotStored("overloaded", "too many readings wait for a commit")

    def close(self, wait_s: float = 10.0) -> None:
        """Commit what has been admitted, refuse the rest, end the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._crowded.notify_all()
        for thread in self._started:
            thread.join(wait_s)

    def _admit(self, submission: Submission) -> None:
        self.refuse_early()
        if self._waiting_readings + submission.size > self._queue_readings:
            raise NotStored("overloaded", "too many readings wait for a commit")
        if not self._started:
            eager = (self._threads + 1) // 2
            self._started = [
                threading.Thread(target=self._run, args=(n < eager,), name=f"committer-{n}", daemon=True) for n in range(self._threads)
            ]
            for thread in self._started:
                thread.start()

    def _run(self, eager: bool) -> None:
        """Half of the threads take whatever waits; the others only help where much does: single readings are cheaper in few commits."""
        while batch := self._take(self._changed, 1) if eager else self._take(self._crowded, _CROWD):
            self._commit_all(batch)
            for submission in batch:
                submission.finished(submission)

    def _take(self, woken: threading.Condition, least: int) -> list[Submission]:
        """What waits, up to one commit's worth, once at least so many readings do; empty when closing."""
        while True:
            with woken:
                while self._waiting_readings < least or not self._waiting:
                    if self._closing and (least > 1 or not self._waiting):
                        return []
                    woken.wait()
            if batch := self._pop():  # else the other thread was faster
                return batch

    def _pop(self) -> list[Submission]:
        batch: list[Submission] = []
        size = 0
        with self._changed:
            while self._waiting and (not batch or size + self._waiting[0].size <= self._commit_readings):
                batch.append(self._waiting.popleft())
                size += batch[-1].size
            self._waiting_readings -= size
        return batch

    def _commit_all(self, batch: list[Submission]) -> None:
        """Together; where the database blames the data, each alone, so that one request cannot spoil its neighbours'."""
        failure = self._commit(batch)
        if failure is None:
            return
        if len(batch) > 1 and failure.kind in ("refused_by_database", "too_many_old_days"):
            for submission in batch:
                submission.failure = self._commit([submission])
        else:
            for submission in batch:
                submission.failure = failure

    def _commit(self, batch: list[Submission]) -> NotStored | None:
        for attempt in range(self._tries):
            try:
                started = time.monotonic()
                self._write(batch)
                self.last_commit_s = time.monotonic() - started
                return None
            except partitions.TooManyOldDays as error:
                return NotStored("too_many_old_days", str(error))
            except (PoolTimeout, TooManyRequests):
                return NotStored("database_unavailable", "the database cannot be reached")
            except psycopg.Error as error:
                if not transient(error) or attempt == self._tries - 1:
                    return self._gave_up(error)
                self._days.clear()
                time.sleep(0.02 * (attempt + 1))
            except Exception as error:
                log.exception("commit_failed", error=type(error).__name__)
                return NotStored("internal", "the readings could not be written")
        raise AssertionError("unreachable")

    def _gave_up(self, error: psycopg.Error) -> NotStored:
        log.warning("commit_failed", sqlstate=error.sqlstate, error=type(error).__name__)
        if error.sqlstate in ("53100", "53200"):
            return NotStored("storage_full", "the database is out of space")
        if (error.sqlstate or "").startswith(("22", "23")):
            return NotStored("refused_by_database", "the database refused the readings")
        return NotStored("database_unavailable", "the database cannot be used")

    def _write(self, batch: list[Submission]) -> None:
        vehicles = [reading for submission in batch for reading in submission.vehicles]
        meters = [reading for submission in batch for reading in submission.meters]
        now = self._now()
        instants = [r[1] for r in vehicles], [r[1] for r in meters]
        kept_from_us = self._ensure_days([*instants[0], *instants[1]], now)
        with self._pool.connection() as conn, leaving_read_only(conn):
            of_vehicles = _store_kept(conn, VEHICLE, vehicles, now, kept_from_us)
            of_meters = _store_kept(conn, METER, meters, now, kept_from_us)
        self.tally.committed(now, ((VEHICLE.name, of_vehicles, instants[0]), (METER.name, of_meters, instants[1])))
        left, right = iter(of_vehicles), iter(of_meters)
        for submission in batch:
            submission.outcomes = [*islice(left, len(submission.vehicles)), *islice(right, len(submission.meters))]

    def _ensure_days(self, instants: list[int], now: datetime) -> int | None:
        """Make what is missing of the readings' days; the first instant that is kept, where some of them lie before it."""
        if partitions.days_of(instants) <= self._days:
            return None
        with self._pool.connection() as conn:
            self._days = partitions.existing(conn)
            first_kept = partitions.begins(conn)
            kept_from_us = partitions.midnight_us(first_kept) if first_kept else None
            days = partitions.days_of([at for at in instants if kept_from_us is None or at >= kept_from_us])
            if not days <= self._days:
                while partitions.ensure(conn, days, now, self._old_days_per_hour):
                    conn.commit()
                self._days |= days
        return kept_from_us


def _store_kept(conn: Conn, side: Side, readings: list[Reading], now: datetime, kept_from_us: int | None) -> list[Outcome]:
    """Store readings; those of days that a person dropped are not taken."""
    if kept_from_us is None:
        return store(conn, side, readings, now)
    kept = iter(store(conn, side, [r for r in readings if r[1] >= kept_from_us], now))
    return [next(kept) if r[1] >= kept_from_us else Outcome.CLOSED for r in readings]
