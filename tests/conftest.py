"""One real PostgreSQL for the whole run, and a database of its own for every test that asks for one."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from db.embedded import EmbeddedPostgres
from tests.support import create_database, drop_database, fresh_database, with_database

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server where the tests may create databases: TEST_DATABASE_URL, else an embedded one that lives as long as the run."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), shared_buffers_mb=64, durable=False) as server:
        yield server.url


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database that nobody is connected to: copying it is faster than migrating."""
    from db.schema import migrate  # here, so that tests without a database do not need it

    name = f"voltledger_template_{os.getpid()}"
    create_database(postgres_url, name)
    try:
        migrate(with_database(postgres_url, name))
        yield name
    finally:
        drop_database(postgres_url, name)


@pytest.fixture
def database_url(postgres_url: str, template_database: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a migrated, empty database that only this test knows. Dropped afterwards, whoever is still connected."""
    with fresh_database(postgres_url, template_database, request.node.name) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database without any table: for tests of the migrations themselves."""
    with fresh_database(postgres_url, "template0", request.node.name) as url:
        yield url


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection to this test's database. Nothing is committed unless the test does."""
    with psycopg.connect(database_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def project() -> Path:
    """The folder of the clone."""
    return Path(__file__).parent.parent


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One browser for a module; every test opens its own context. Not for the whole run: where it is open nothing else may use asyncio."""
    from tests.browser_support import open_browser  # here, so that tests without a browser do not need it

    with open_browser() as opened:
        yield opened
