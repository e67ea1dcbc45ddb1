"""What several tests need: the API on a real database, and the named devices that all of them use."""

import math
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
from flask.testing import FlaskClient
from psycopg import sql

import config
from api import app as api_app
from api.committer import Committer
from api.intake import Intake, Limits
from api.keys.gate import OPEN, Gate
from api.people.door import Door
from api.services import Services
from db import partitions
from db.engine import pool
from db.queries.fleet_window import FleetWindow
from db.queries.policies import Policies

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)
VAN = {"vehicleId": "van-7", "soc": 80, "kwhDeliveredDc": 5, "batteryTemp": 36, "timestamp": "2026-02-04T10:00:00Z"}
DEPOT = {"meterId": "depot-1", "kwhConsumedAc": 6, "voltage": 220, "timestamp": "2026-02-04T10:00:00Z"}


@contextmanager
def api(
    database_url: str,
    now: datetime = NOW,
    limits: dict[str, Any] | None = None,
    gate: Gate = OPEN,
    door_of: Callable[[Services], Door | None] = lambda _: None,
    **settings: Any,
) -> Iterator[FlaskClient]:
    """A client of the API alone, at a fixed instant. Without a `gate` no key is asked for, without a door nobody logs in."""
    chosen = config.Settings(_env_file=None, **settings)
    reading, writing = pool(database_url, 2, "read", 5, generic_plans=True), pool(database_url, 2, "write", 5)
    with writing.connection() as conn:
        partitions.ensure_ahead(conn, now)
    committer = Committer(writing, 2, chosen.queue_readings, chosen.commit_readings, chosen.new_old_days_per_hour, lambda: now)
    allowed = Limits(
        chosen.body_bytes,
        chosen.inflated_bytes,
        chosen.batch_readings,
        chosen.clock_ahead_s,
        chosen.oldest_reading_days,
        chosen.commit_wait_s,
    )
    intake = Intake(committer, replace(allowed, **(limits or {})), lambda: now, gate)
    services = Services(reading, intake, Policies(), lambda: now, FleetWindow(Policies(), math.inf))
    mail = chosen.smtp_host is not None
    app = api_app.create(replace(services, notices_to_private=chosen.notices_to_private, can_mail=mail, door=door_of(services)))
    app.extensions["test-pool"] = reading
    try:
        yield app.test_client()
    finally:
        committer.close()
        reading.close(2)
        writing.close(2)


def van(**changes: Any) -> dict[str, Any]:
    """The test van's reading with other values."""
    return {**VAN, **changes}


def depot(**changes: Any) -> dict[str, Any]:
    """The test depot's reading with other values."""
    return {**DEPOT, **changes}


@contextmanager
def fresh_database(server_url: str, template: str, name: str) -> Iterator[str]:
    """The URL of a copy of `template` that only its user knows. Dropped afterwards, whoever is still connected."""
    database = f"test_{os.getpid()}_{re.sub(r'[^a-z0-9]+', '_', name.lower())[:40]}"
    create_database(server_url, database, template)
    try:
        yield with_database(server_url, database)
    finally:
        drop_database(server_url, database)


def with_database(url: str, name: str) -> str:
    """The same server's URL with another database."""
    return re.sub(r"^(\w+://[^/]*/)[^?]*", rf"\g<1>{name}", url)


def create_database(url: str, name: str, template: str = "template0") -> None:
    _run(url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    # Copying the files takes a third of the time of copying block by block; the checkpoints it needs cost nothing where nothing is synced.
    _run(url, sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(name), sql.Identifier(template)))


def drop_database(url: str, name: str) -> None:
    _run(url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _run(url: str, statement: sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
