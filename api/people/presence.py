"""Who is logged in, as this process knows it: all open log-ins in memory, read anew where something changed, so that no poll costs a query."""

import re
import secrets
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256

import psycopg
import structlog

from api.errors import Problem, unavailable
from db import log_ins, people
from db.engine import Conn
from db.log_ins import LogIn

log = structlog.get_logger()

LOOK_EVERY_S = 1.0  # a look is one row where nothing changed
HOLDS_S = 5.0  # what was read earlier than this is not trusted any more: somebody who was disabled may be in it
TELL_EVERY_S = 30.0
WAIT_S = 2.0  # for a look that somebody needs who has just logged in at another process
IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}\Z")


def made() -> str:
    """What a new log-in's cookie holds: 256 bits by chance."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> bytes:
    """What is kept of it."""
    return sha256(token.encode()).digest()


class Presence:
    """See the module. `connect` opens a connection of its own; `now` is the clock by which log-ins grow old.

    A log-in is over `idle` after its person last did something, and `absolute` after it began, whatever was done.
    """

    def __init__(
        self, connect: Callable[[], Conn], now: Callable[[], datetime], idle: timedelta = IDLE, absolute: timedelta = ABSOLUTE
    ) -> None:
        self._connect, self._now, self.idle, self.absolute = connect, now, idle, absolute
        self._conn: Conn | None = None
        self._open: dict[bytes, LogIn] = {}
        self._seen: dict[bytes, datetime] = {}  # by this process, and not told yet
        self._version = -1
        self._read_at_s = self._all_at_s = -float("inf")
        self._looked = threading.Condition()
        self._wanted = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def start(self) -> "Presence":
        """Look every second from now on."""
        self.look()
        self._thread = threading.Thread(target=self._run, name="log-ins", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop looking, and tell what was seen."""
        self._stopped = True
        self._wanted.set()
        if self._thread:
            self._thread.join(timeout=HOLDS_S)

    def find(self, token: str, *, does_something: bool) -> LogIn | None:
        """Whose log-in it is; None where it is none or over. `does_something`: the person, and not only the page's clock.

        Raises Problem 503 where log-ins cannot be read.
        """
        if not _TOKEN.match(token):
            return None
        name = hash_of(token)
        found = self._open.get(name) or self._after_a_look(name)
        if time.monotonic() - self._read_at_s > HOLDS_S:
            raise _unknown()
        if found is None or self._is_over(found):
            return None
        if does_something:
            self._seen[name] = self._now()
        return found

    def _is_over(self, found: LogIn) -> bool:
        now, seen = self._now(), self._seen.get(found.token_hash, found.seen_at)
        return now - found.made_at >= self.absolute or now - max(seen, found.seen_at) >= self.idle

    def _after_a_look(self, name: bytes) -> LogIn | None:
        """What is not known may be a moment old: a look that begins after now, shared by all who wait for one."""
        if not self.renew():
            raise _unknown()
        return self._open.get(name)

    def renew(self) -> bool:
        """Know what was changed up to now, as whoever changed something in this process wants; whether that could be read in time."""
        asked_at_s = time.monotonic()
        self._wanted.set()
        with self._looked:
            return self._looked.wait_for(lambda: self._read_at_s >= asked_at_s, WAIT_S)

    # ------------------------------------------------------------------------------------------------- reading

    def _run(self) -> None:
        while not self._stopped:
            self._wanted.wait(LOOK_EVERY_S)
            self._wanted.clear()
            self.look()
        self.tell()
        self._drop()

    def look(self) -> bool:
        """Read what changed, and tell what was seen when it is time; whether that could be done."""
        began_s = time.monotonic()
        try:
            if began_s - self._all_at_s >= TELL_EVERY_S:
                self.tell()
            self._read(self._connection(), began_s)
        except psycopg.Error as error:
            log.warning("log_ins_not_read", error=type(error).__name__, sqlstate=error.sqlstate)
            self._drop()
            return False
        with self._looked:
            self._read_at_s = began_s
            self._looked.notify_all()
        return True

    def _read(self, conn: Conn, began_s: float) -> None:
        version = people.version(conn)
        if version == self._version and began_s - self._all_at_s < TELL_EVERY_S:
            return
        self._open = {one.token_hash: one for one in log_ins.open_log_ins(conn)}
        self._version = version
        self._all_at_s = began_s

    def tell(self) -> None:
        """Write when log-ins were seen, and the end of those that are over. Raises psycopg.Error; what could not be written waits."""
        seen, self._seen = self._seen, {}
        try:
            conn = self._connection()
            if seen:
                log_ins.add_seen(conn, seen)
            # A little later than they are refused, for what other processes have not told yet.
            log_ins.end_old(conn, self.idle + timedelta(seconds=3 * TELL_EVERY_S), self.absolute, self._now())
        except psycopg.Error:
            self._seen = {**seen, **self._seen}
            raise

    def _connection(self) -> Conn:
        if self._conn is None:
            self._conn = self._connect()
            self._conn.autocommit = True
        return self._conn

    def _drop(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None


def _unknown() -> Problem:
    return unavailable("log_ins_unknown", "who is logged in cannot be read from the database")
