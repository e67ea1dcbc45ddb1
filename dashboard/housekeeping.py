"""What has to happen once, whichever process does it: days ahead get their tables, devices' rhythms are learned."""

import threading
from collections.abc import Callable
from datetime import datetime

import psycopg
import structlog
from psycopg_pool import ConnectionPool, PoolTimeout

from db import partitions, rollups
from db.engine import Conn
from db.sides import SIDES

log = structlog.get_logger()
_EVERY_S = 60.0
_HOUSEKEEPING_LOCK = 4_096_115_003


def start(pool: "ConnectionPool[Conn]", now: Callable[[], datetime]) -> threading.Event:
    """Start the thread; set the event to end it."""
    stop = threading.Event()
    threading.Thread(target=_run, args=(pool, now, stop), name="housekeeping", daemon=True).start()
    return stop


def once(conn: Conn, now: datetime) -> bool:
    """One round in the caller's transaction; False where another process is at it."""
    row = conn.execute("SELECT pg_try_advisory_xact_lock(%s)", (_HOUSEKEEPING_LOCK,)).fetchone()
    if not row or not row[0]:
        return False
    partitions.ensure_ahead(conn, now)
    for side in SIDES:
        rollups.learn_rhythms(conn, side, now)
    return True


def _run(pool: "ConnectionPool[Conn]", now: Callable[[], datetime], stop: threading.Event) -> None:
    while True:
        try:
            with pool.connection() as conn:
                once(conn, now())
        except (psycopg.Error, PoolTimeout) as error:
            log.warning("housekeeping_failed", error=type(error).__name__)
        if stop.wait(_EVERY_S):
            return
