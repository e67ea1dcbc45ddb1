"""Connections: a pool for reading, another for writing, so that neither can starve the other."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import psycopg
from psycopg import Connection
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

Conn = Connection[tuple[object, ...]]
_T = TypeVar("_T")
# The server ends a statement at its own limit and says so; who has heard nothing for so much longer is not being served.
_GRACE_S = 1.0
# Asking whether a connection stands takes a server that serves some milliseconds. A page waits for this before it waits for its answer.
_CHECK_WITHIN_S = 2.0

# Worth trying again: connection lost, serialization, deadlock, shutting down, a server that only reads (another one may write), what a
# distributed engine reports for any of them, and a day's table that is missing (23514): forgetting which days exist makes it.
TRANSIENT = ("08", "25006", "40001", "40P01", "57P0", "XX000", "23514")


def transient(error: psycopg.Error, *more: str) -> bool:
    """Whether the same may succeed when tried again; `more` names further SQLSTATEs for which it may."""
    return error.sqlstate is None or error.sqlstate.startswith((*TRANSIENT, *more))


class Patient(Connection[Any]):
    """A connection that waits for its server only so long, and is closed then: a server that stands still, or that a broken network hides,
    ends no statement. `answers_within_s` bounds one wait for the server, None does not.
    """

    answers_within_s: float | None = None

    def wait(self, gen: "PQGen[_T]", interval: float = 0.1, timeout: float | None = None) -> _T:
        """Raises psycopg.OperationalError, with the connection closed, where the server does not answer in time."""
        try:
            return super().wait(gen, interval, self.answers_within_s if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:  # an answer still to come would be taken for the next one's
                self.close()
            raise

    def stands(self) -> Self:
        """Ask the server. Raises psycopg.OperationalError."""
        usual, self.answers_within_s = self.answers_within_s, _CHECK_WITHIN_S
        try:
            ConnectionPool.check_connection(self)
        finally:
            self.answers_within_s = usual
        return self


def pool(
    database_url: str,
    size: int,
    name: str,
    statement_timeout_s: float,
    *,
    check: bool = True,
    generic_plans: bool = False,
    bounded: bool = True,
) -> "ConnectionPool[Conn]":
    """A pool of `size` connections in UTC that heals within seconds after the database was away.

    `check` asks the server before every use whether the connection still stands; without it the user must be ready to try again.
    `generic_plans`: prepared statements are planned once and not for every use. For reading, whose statements name their days as
    literals: planning one anew took longer than running it. `bounded`: none of its users gives a statement more time than that.

    Raises psycopg_pool.PoolTimeout from `connection()` after one second without a connection.
    """

    def bound(conn: Patient) -> None:
        conn.answers_within_s = statement_timeout_s + _GRACE_S

    made: ConnectionPool[Any] = ConnectionPool(
        database_url,
        min_size=min(1, size),
        max_size=size,
        name=name,
        open=False,
        timeout=1.0,
        # The default backs off for minutes: after an outage of 70 s it took 51 s to serve again; with 5 it takes about one.
        reconnect_timeout=5.0,
        check=Patient.stands if check else None,
        configure=bound if bounded else None,
        connection_class=Patient,
        kwargs=_options(name, statement_timeout_s, generic_plans=generic_plans),
    )
    made.open(wait=False)
    return made


@contextmanager
def leaving_read_only(conn: Conn) -> Iterator[None]:
    """Closes a connection whose server takes no writes: after a fail-over the address leads to another one."""
    try:
        yield
    except psycopg.errors.ReadOnlySqlTransaction:
        conn.close()
        raise


def connect(database_url: str, name: str, statement_timeout_s: float) -> Conn:
    """A connection outside of any pool, for whoever needs to keep one. Raises psycopg.OperationalError."""
    made = Patient.connect(database_url, **_options(name, statement_timeout_s))
    made.answers_within_s = statement_timeout_s + _GRACE_S
    return made


def _options(name: str, statement_timeout_s: float, *, generic_plans: bool = False) -> dict[str, Any]:
    timeout_ms = int(statement_timeout_s * 1000)
    plans = " -c plan_cache_mode=force_generic_plan" if generic_plans else ""
    return {
        "autocommit": False,
        "options": f"-c TimeZone=UTC -c statement_timeout={timeout_ms} -c lock_timeout={timeout_ms} -c jit=off{plans}",
        "application_name": f"voltledger-{name}",
        "connect_timeout": 3,
        # statement_timeout does not help against a server that hangs with its connection open.
        "tcp_user_timeout": timeout_ms,
        # Who only waits sends nothing that could go unanswered: a peer that is gone without a word is found out in a quarter of a minute.
        "keepalives_idle": 5,
        "keepalives_interval": 3,
        "keepalives_count": 3,
    }
