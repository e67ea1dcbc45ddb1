"""Connections: a pool for reading, another for writing, so that neither can starve the other."""

from typing import Any

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool

Conn = Connection[tuple[object, ...]]

# Worth trying again: connection lost, serialization, deadlock, shutting down, what a distributed engine reports for any of them, and a
# day's table that is missing (23514): forgetting which days exist makes it.
TRANSIENT = ("08", "40001", "40P01", "57P0", "XX000", "23514")


def transient(error: psycopg.Error, *more: str) -> bool:
    """Whether the same may succeed when tried again; `more` names further SQLSTATEs for which it may."""
    return error.sqlstate is None or error.sqlstate.startswith((*TRANSIENT, *more))


def pool(
    database_url: str, size: int, name: str, statement_timeout_s: float, *, check: bool = True, generic_plans: bool = False
) -> "ConnectionPool[Conn]":
    """A pool of `size` connections in UTC that heals within seconds after the database was away.

    `check` asks the server before every use whether the connection still stands; without it the user must be ready to try again.
    `generic_plans`: prepared statements are planned once and not for every use. For reading, whose statements name their days as
    literals: planning one anew took longer than running it.

    Raises psycopg_pool.PoolTimeout from `connection()` after one second without a connection.
    """
    made: ConnectionPool[Conn] = ConnectionPool(
        database_url,
        min_size=min(1, size),
        max_size=size,
        name=name,
        open=False,
        timeout=1.0,
        # The default backs off for minutes: after an outage of 70 s it took 51 s to serve again; with 5 it takes about one.
        reconnect_timeout=5.0,
        check=ConnectionPool.check_connection if check else None,
        kwargs=_options(name, statement_timeout_s, generic_plans=generic_plans),
    )
    made.open(wait=False)
    return made


def connect(database_url: str, name: str, statement_timeout_s: float) -> Conn:
    """A connection outside of any pool, for whoever needs to keep one. Raises psycopg.OperationalError."""
    return psycopg.connect(database_url, **_options(name, statement_timeout_s))


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
        "keepalives_idle": 5,
    }
