"""Databases that exist for one measurement."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql


def number(url: str, statement: str, parameters: tuple[object, ...] = ()) -> float:
    """The single number that a query answers."""
    with psycopg.connect(url) as connection:
        row = connection.execute(statement.encode(), parameters).fetchone()
    return float(row[0]) if row else 0.0


@contextmanager
def scratch_database(server_url: str, name: str) -> Iterator[str]:
    """The URL of an empty database on the same server, dropped afterwards."""
    _run(server_url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    _run(server_url, sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    try:
        yield re.sub(r"^(\w+://[^/]*/)[^?]*", rf"\g<1>{name}", server_url)
    finally:
        _run(server_url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _run(url: str, statement: sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
