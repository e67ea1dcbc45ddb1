"""Once an hour a part of what is stored is compared with itself: an error in our sums shall be told by us, not found by somebody else.

The newest hour each time, and one of the month before by chance, so that what went wrong later is found too. `python -m db verify` compares all.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog

from db import verify
from db.engine import Conn
from db.rollups import QUARTER

log = structlog.get_logger()
# Two hours of 20,000 devices take the database some four seconds: a thousandth of its time.
EVERY_S = 3_600.0
FIRST_AFTER_S = 300.0  # after a restart the pages and the readings come first
AGAIN_S = 600.0  # after one that failed
HOUR = timedelta(hours=1)
EARLIEST_HOURS = 30 * 24
MOST_TOLD = 5  # of the differences, in the log
_WORK_MEM = "32MB"  # an hour of 10,000 devices a side is grouped in memory


class Check:
    """For the housekeeping's thread; the values are for any. `chance` picks the hour of the past. `clock` is monotonic, in seconds."""

    def __init__(self, chance: random.Random | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._chance, self._clock = chance or random.Random(), clock  # noqa: S311 -- which hour is looked at is no secret
        self._made_at = clock()
        self._due_at = self._made_at + FIRST_AFTER_S
        self._differences: int | None = None
        self._took_s: float | None = None

    def tend(self, conn: Conn, now: datetime) -> None:
        """Compare if it is time. Ends the connection's transactions. May raise the database's errors: then it is tried again soon."""
        if self._clock() >= self._due_at:
            self._due_at = self._clock() + AGAIN_S
            self.compare(conn, now)
            self._due_at = self._clock() + EVERY_S

    def compare(self, conn: Conn, now: datetime) -> None:
        """Now."""
        begun, count = self._clock(), 0
        with _roomy(conn):
            for start, end in self._windows(now):
                for difference in verify.differences(conn, start, end):
                    count += 1
                    if count <= MOST_TOLD:
                        log.error("sums_differ", what=str(difference))
        self._differences, self._made_at = count, self._clock()
        self._took_s = self._made_at - begun
        if count:
            log.error("sums_checked", differences=count)

    def age_s(self) -> float:
        """Since the newest comparison that came to its end; where there was none, since we began."""
        return self._clock() - self._made_at

    def differences(self) -> float | None:
        """What it found."""
        return self._differences

    def took_s(self) -> float | None:
        """How long it took."""
        return self._took_s

    def _windows(self, now: datetime) -> list[tuple[datetime, datetime]]:
        quarter = now - timedelta(minutes=now.minute % 15, seconds=now.second, microseconds=now.microsecond)
        newest = (quarter - HOUR, quarter + QUARTER)
        past = quarter - timedelta(hours=self._chance.randint(2, EARLIEST_HOURS))
        return [newest, (past, past + HOUR)]


@contextmanager
def _roomy(conn: Conn) -> Iterator[None]:
    """With memory for grouping; the connection is a pool's, so it goes back as it was."""
    conn.execute(f"SET work_mem = '{_WORK_MEM}'".encode())
    conn.commit()
    try:
        yield
    finally:
        if not conn.closed:
            conn.rollback()
            conn.execute("RESET work_mem")
            conn.commit()
