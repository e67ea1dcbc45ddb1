"""What has to happen once, whichever process does it: days ahead get their tables, devices' rhythms are learned."""

import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial

import psycopg
import structlog
from psycopg_pool import ConnectionPool, PoolTimeout

from db import partitions, rollups
from db.engine import Conn
from db.sides import SIDES, Side

log = structlog.get_logger()
_EVERY_S = 60.0
_HOUSEKEEPING_LOCK = 4_096_115_003


def start(pool: "ConnectionPool[Conn]", now: Callable[[], datetime]) -> threading.Event:
    """Start the thread; set the event to end it."""
    stop = threading.Event()
    threading.Thread(target=_run, args=(pool, now, stop), name="housekeeping", daemon=True).start()
    return stop


def once(conn: Conn, now: datetime) -> bool:
    """One round; False where another process is at it. Commits after each duty, so that none holds locks while another works."""
    duties: tuple[Callable[[Conn, datetime], object], ...] = (partitions.ensure_ahead, *(partial(_learn, side) for side in SIDES))
    for duty in duties:
        with conn.transaction():
            row = conn.execute("SELECT pg_try_advisory_xact_lock(%s)", (_HOUSEKEEPING_LOCK,)).fetchone()
            if not row or not row[0]:
                return False
            duty(conn, now)
    return True


def _learn(side: Side, conn: Conn, now: datetime) -> None:
    rollups.learn_rhythms(conn, side, now)


def _run(pool: "ConnectionPool[Conn]", now: Callable[[], datetime], stop: threading.Event) -> None:
    while True:
        try:
            with pool.connection() as conn:
                once(conn, now())
        except (psycopg.Error, PoolTimeout, partitions.DayClosed) as error:  # closed: our clock went far back
            log.warning("housekeeping_failed", error=type(error).__name__)
        if stop.wait(_EVERY_S):
            return
