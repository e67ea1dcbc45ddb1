"""Brings a database, empty or older, to the schema of this version."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

# Any number will do, as long as nobody else uses it: two processes that start at once must not migrate at once.
_MIGRATION_LOCK = 4_096_115_001
# Whoever stores readings queues behind a change of the schema that waits for its lock: never for long. A change takes two tables' locks at
# most, one after the other, so a reading waits for a second at the very worst.
_LOCK_TIMEOUT_MS = 400
# Together some minutes, in which a page or an export that was there before will have ended.
_TRIES = 200
_PAUSE_S = (0.1, 1.0)
_NOT_NOW = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


class RestoreUnfinished(Exception):
    """The database holds a part of a backup: its restore was interrupted."""


def migrate(database_url: str, to: str = "head", *, restoring: bool = False) -> None:
    """Upgrade to the newest revision, or to another; safe to call from several processes at once, and while readings come in.

    Revision by revision, each a transaction. Raises sqlalchemy.exc.OperationalError if unreachable, or where a lock was not to be had for
    minutes; RestoreUnfinished unless it is the restore that calls.
    """
    with _connection(database_url) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
        connection.commit()
        try:
            if not restoring and connection.execute(text("SELECT to_regclass('restore_progress')")).scalar():
                raise RestoreUnfinished("a restore of this database did not come to its end: say `python -m db restore` again")
            connection.execute(text(f"SET lock_timeout = {_LOCK_TIMEOUT_MS}"))
            connection.commit()
            _patiently(connection, to)
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
            connection.commit()


def revisions() -> list[str]:
    """All revisions that this version knows, from the first to the newest."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def _patiently(connection: Connection, to: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    for attempt in range(_TRIES):
        try:
            command.upgrade(config, to)
            connection.commit()
            return
        except DBAPIError as error:
            connection.rollback()
            if not isinstance(error.orig, _NOT_NOW) or attempt == _TRIES - 1:
                raise
            time.sleep(random.uniform(*_PAUSE_S))  # noqa: S311 # spreads retries, guards nothing


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@contextmanager
def _connection(database_url: str) -> Iterator[Connection]:
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
