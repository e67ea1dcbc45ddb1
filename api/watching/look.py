"""A look at the database that nobody waits for longer than he wants to: one at a time, however many ask."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

import psycopg
import structlog

from api.errors import Problem
from db.engine import Conn

log = structlog.get_logger()
Seen = TypeVar("Seen")
# Readiness and metrics take milliseconds; a database that needs longer is not one to count on.
_STATEMENT_MS = 2_000


class Look(Generic[Seen]):
    """`read` is done in a thread of its own, on a connection of `connection`; both may raise what says that the database is away."""

    def __init__(self, connection: Callable[[], AbstractContextManager[Conn]], read: Callable[[Conn], Seen]) -> None:
        self._connection, self._read = connection, read
        self._changed = threading.Condition()
        self._looking, self._ended = False, 0
        self._seen: Seen | None = None

    def now(self, wait_s: float) -> Seen | None:
        """What there is to see; None where that is not known within `wait_s`. Who comes while somebody looks takes what he sees."""
        with self._changed:
            before = self._ended
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._run, name="look", daemon=True).start()
            return self._seen if self._changed.wait_for(lambda: self._ended > before, wait_s) else None

    def _run(self) -> None:
        seen = self._look()
        with self._changed:
            self._seen, self._looking = seen, False
            self._ended += 1
            self._changed.notify_all()

    def _look(self) -> Seen | None:
        try:
            with self._connection() as conn:
                conn.execute(f"SET LOCAL statement_timeout = {_STATEMENT_MS}")
                return self._read(conn)
        except (psycopg.Error, Problem) as error:
            cause = error.__cause__ or error
            log.warning("database_not_seen", error=type(cause).__name__)
        except Exception as error:
            log.exception("look_failed", error=type(error).__name__)
        return None
