"""What has to happen once, whichever process does it: days ahead get their tables, rhythms are learned, old statistics are forgotten, and
days that are over are made small and learned from.
"""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import partial

import psycopg
import structlog
from psycopg_pool import ConnectionPool, PoolTimeout

from dashboard.checking import Check
from db import compaction, intake_log, learning, partitions, rollups, tether
from db.engine import Conn
from db.sides import SIDES, Side

log = structlog.get_logger()
_EVERY_S = 60.0
# After a compaction that failed: what stood in its way (a dump, a full disk) does not go within a minute, and half a rebuild costs as much.
_COMPACTION_PAUSE = timedelta(hours=1)
# After a learning that failed: what stood in its way does not go within a minute.
_LEARNING_PAUSE = timedelta(hours=1)
_HOUSEKEEPING_LOCK = 4_096_115_003


def start(
    pool: "ConnectionPool[Conn]",
    now: Callable[[], datetime],
    compact_after_hours: float = 0,
    learner: "Learner | None" = None,
    intake_kept_days: int = intake_log.KEPT.days,
    check: Check | None = None,
) -> threading.Event:
    """Start the thread; set the event to end it. Days are compacted so many hours after their end, with 0 never."""
    stop = threading.Event()
    arguments = (pool, now, timedelta(hours=compact_after_hours), learner, timedelta(days=intake_kept_days), check, stop)
    threading.Thread(target=_run, args=arguments, name="housekeeping", daemon=True).start()
    return stop


def once(conn: Conn, now: datetime, intake_kept: timedelta = intake_log.KEPT) -> bool:
    """One round; False where another process is at it. Commits after each duty, so that none holds locks while another works."""
    forget = partial(intake_log.forget, kept=intake_kept)
    duties: tuple[Callable[[Conn, datetime], object], ...] = (partitions.ensure_ahead, *(partial(_learn, side) for side in SIDES), forget)
    for duty in duties:
        with conn.transaction():
            row = conn.execute("SELECT pg_try_advisory_xact_lock(%s)", (_HOUSEKEEPING_LOCK,)).fetchone()
            if not row or not row[0]:
                return False
            duty(conn, now)
    return True


def _learn(side: Side, conn: Conn, now: datetime) -> None:
    rollups.learn_rhythms(conn, side, now)


def compact(conn: Conn, now: datetime, after: timedelta) -> list[date]:
    """Compact one day that has been over for `after`, if there is one; which. None where another process is at it.

    Raises psycopg.errors.LockNotAvailable or QueryCanceled where an old transaction does not end: come back later.
    """
    with _autocommitting(conn):
        try:
            return compaction.compact_due(conn, now, after, most=1)
        except compaction.Busy:
            return []


class Learner:
    """The nightly learning, in a program of its own: half a minute of arithmetic in this one would hold up the readings.

    `environment` names the database and the thresholds; a day is learned from `after` its end. For one thread.
    """

    def __init__(self, environment: Mapping[str, str], after: timedelta) -> None:
        self._environment, self._after = environment, after
        self._running: subprocess.Popen[str] | None = None
        self._again_at: datetime | None = None

    def tend(self, conn: Conn, now: datetime) -> None:
        """Say what one that ran has done; start one where a day is due and nobody learns yet. Call it often."""
        if self._running and self._running.poll() is None:
            return
        if self._running:
            self._tell(self._running, now)
            self._running = None
        if self._again_at is None or now >= self._again_at:
            self._again_at = None
            with conn.transaction():
                wanted = learning.due(conn, now, self._after) and not learning.is_running(conn)
            if wanted:
                self._running = self._start()

    def stop(self) -> None:
        """End one that runs: what it has not finished it begins again."""
        if self._running and self._running.poll() is None:
            self._running.terminate()
            self._running.wait()

    def wait(self, timeout_s: float) -> None:
        """Until the one that runs has ended. Raises subprocess.TimeoutExpired."""
        if self._running:
            self._running.wait(timeout_s)

    def _start(self) -> "subprocess.Popen[str]":
        hours = self._after / timedelta(hours=1)
        # On Linux it ends when this thread does.
        command = tether.command([sys.executable, "-m", "db", "learn", "--after-hours", str(hours)], at_parent_death=signal.SIGTERM)
        return subprocess.Popen(
            command, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def _tell(self, ended: "subprocess.Popen[str]", now: datetime) -> None:
        said = ended.communicate()[0].splitlines()
        if ended.returncode == 0:
            for line in said:
                log.info("day_learned", said=line)
        else:
            self._again_at = now + _LEARNING_PAUSE
            log.warning("learning_failed", code=ended.returncode, said=said[-1:])


@contextmanager
def _autocommitting(conn: Conn) -> Iterator[None]:
    conn.autocommit = True
    try:
        yield
    finally:
        if not conn.closed:
            conn.autocommit = False


def _run(
    pool: "ConnectionPool[Conn]",
    now: Callable[[], datetime],
    compact_after: timedelta,
    learner: Learner | None,
    intake_kept: timedelta,
    check: Check | None,
    stop: threading.Event,
) -> None:
    compacts_again_at: datetime | None = None
    while True:
        try:
            with pool.connection() as conn:
                once(conn, now(), intake_kept)
                if learner:
                    learner.tend(conn, now())
                if check:
                    check.tend(conn, now())
                if compact_after and (compacts_again_at is None or now() >= compacts_again_at):
                    compacts_again_at = now() + _COMPACTION_PAUSE  # unless it succeeds
                    for day in compact(conn, now(), compact_after):
                        log.info("day_compacted", day=str(day))
                    compacts_again_at = None
        except (psycopg.Error, PoolTimeout, partitions.DayClosed, OSError) as error:  # closed: our clock went far back; no process to spare
            log.warning("housekeeping_failed", error=type(error).__name__)
        if stop.wait(_EVERY_S):
            if learner:
                learner.stop()
            return
