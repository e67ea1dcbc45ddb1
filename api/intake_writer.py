"""Writes what a process counted into the table that all processes share, once a minute and when it ends."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from api.tally import Tally
from db import intake_log
from db.engine import Conn

log = structlog.get_logger()

EVERY_S = 60.0


class IntakeWriter:
    """A thread of its own; `connection` gives one whose transaction commits at the end. What cannot be written waits for the next time."""

    def __init__(self, tally: Tally, connection: Callable[[], AbstractContextManager[Conn]], every_s: float = EVERY_S) -> None:
        self._tally, self._connection, self._every_s = tally, connection, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="intake-writer", daemon=True)

    def start(self) -> "IntakeWriter":
        """From now on every minute."""
        self._thread.start()
        return self

    def close(self, wait_s: float = 5.0) -> None:
        """Write the rest. Call it when nothing is committed any more and the pool still stands."""
        self._stop.set()
        self._thread.join(wait_s)

    def write(self) -> bool:
        """Once, now; whether it is written."""
        minutes, rejects = self._tally.take()
        if not minutes and not rejects:
            return True
        try:
            with self._connection() as conn:
                intake_log.add(conn, minutes, rejects)
            return True
        except (psycopg.Error, PoolTimeout) as error:
            self._tally.put_back(minutes, rejects)
            log.warning("intake_not_written", error=type(error).__name__)
            return False

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.write()
        self.write()
