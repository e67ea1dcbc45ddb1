"""One real PostgreSQL for the whole run, and a database of its own for every test that asks for one."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from db.embedded import EmbeddedPostgres, running_url
from tests.support import NOW, create_database, drop_database, fresh_database, with_database

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MEMORY = Path("/dev/shm")  # noqa: S108 - private folders of ours in it
MEMORY_NEEDED_BYTES = 3 << 30  # a server's log of changes takes up to 1 GB, its databases less; several servers may run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in which something is slow or opens a browser come first: else one worker would wait for what the other began last."""
    long = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("browser")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server where the tests may create databases: TEST_DATABASE_URL, else an embedded one that lives as long as the run."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    with _data_dir(tmp_path_factory) as data_dir, EmbeddedPostgres(data_dir, shared_buffers_mb=64, durable=False) as server:
        yield server.url


@contextmanager
def _data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the server of this run keeps its files: in memory if there is room, since every test makes and drops some hundred of them."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < MEMORY_NEEDED_BYTES:
        yield tmp_path_factory.mktemp("postgres")
        return
    for left in MEMORY.glob("voltledger-test-*"):  # by runs that were killed
        if not Path(f"/proc/{left.name.split('-')[2]}").exists() and running_url(left) is None:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"voltledger-test-{os.getpid()}-", dir=MEMORY, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


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


@pytest.fixture(scope="session")
def template_with_days(postgres_url: str, template_database: str) -> Iterator[str]:
    """The name of a copy of it that has the tables of the days around NOW: making them takes longer than anything else of a short test."""
    from db import partitions

    name = f"{template_database}_days"
    create_database(postgres_url, name, template_database)
    try:
        with psycopg.connect(with_database(postgres_url, name)) as connection:
            partitions.ensure_ahead(connection, NOW)
        yield name
    finally:
        drop_database(postgres_url, name)


@pytest.fixture
def database_url(postgres_url: str, template_database: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a migrated, empty database that only this test knows. Dropped afterwards, whoever is still connected.

    A test marked `days_ahead` finds the tables of the days around NOW there; `api` makes them anyway.
    """
    marked = request.node.get_closest_marker("days_ahead") is not None
    template = request.getfixturevalue("template_with_days") if marked else template_database
    with fresh_database(postgres_url, template, request.node.name) as url:
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
