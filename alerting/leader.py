"""The loop of the one process that evaluates: it leads as long as its connection holds the lock, and says so when an evaluation fails."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime

import psycopg
import structlog

from alerting.evaluate import evaluate
from db import alert_state
from db.engine import Conn, connect
from db.queries.lookback import Lookback
from db.queries.policies import Policies

log = structlog.get_logger()
EVERY_S = 60.0
# Whoever does not lead looks so often whether nobody does any more; a database that is away is asked as often.
AGAIN_S = 5.0
# An evaluation takes two seconds; a statement that takes this long does not come to an end.
STATEMENT_TIMEOUT_S = 30.0
_LEADER_LOCK = 4_096_115_010


class Leader:
    """Evaluates every minute while it leads. `stop` ends it; an evaluation that has begun is brought to its end. `beside`: what only the
    leader does, from the beginning of its lead to the end.
    """

    def __init__(
        self,
        database_url: str,
        policies: Policies,
        now: Callable[[], datetime],
        stop: threading.Event,
        beside: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._url, self._policies, self._now, self._stop, self._beside = database_url, policies, now, stop, beside

    def run(self) -> None:
        """Until stopped."""
        while not self._stop.is_set():
            try:
                with connect(self._url, "alerting", STATEMENT_TIMEOUT_S) as conn:
                    self._lead(conn)
            except psycopg.Error as error:
                log.warning("alerting_without_database", error=type(error).__name__)
            self._stop.wait(AGAIN_S)

    def _lead(self, conn: Conn) -> None:
        """While this connection lasts. Raises psycopg.Error when it does not."""
        while not self._stop.is_set():
            row = conn.execute("SELECT pg_try_advisory_lock(%s)", (_LEADER_LOCK,)).fetchone()
            conn.commit()
            if row and row[0]:
                break
            self._stop.wait(AGAIN_S)
        if self._stop.is_set():
            return
        lookback = Lookback()
        with self._beside():
            while not self._stop.is_set():
                begun = time.monotonic()
                self.once(conn, lookback)
                self._stop.wait(max(0.0, EVERY_S - (time.monotonic() - begun)))

    def once(self, conn: Conn, lookback: Lookback) -> None:
        """One evaluation; a failure is written down for people to see, and resolves nothing. Raises psycopg.Error when the connection is gone."""
        now = self._now()
        try:
            report = evaluate(conn, lookback, self._policies, now)
        except Exception as error:
            lookback.forget()
            log.exception("evaluation_failed", error=type(error).__name__)
            if conn.closed or conn.broken:
                raise
            with suppress(psycopg.Error), conn.transaction():
                alert_state.failed(conn, now, f"{type(error).__name__}: {error}".splitlines()[0])
            return
        if report and (report.fired or report.resolved):
            log.info("alerts", fired=report.fired, resolved=report.resolved, notices=report.notices)
