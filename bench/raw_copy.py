"""The limit of the way in: raw COPY of the same rows into the same partitioned, indexed tables, without any of our work."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg

from bench.databases import number, scratch_database
from bench.race import Pass, race
from bench.readings import Buffers, CopyFormat
from db import partitions
from db.schema import migrate
from db.sides import METER, VEHICLE


@contextmanager
def tables(server_url: str) -> Iterator[str]:
    """The URL of a second database on the product's server, with the product's tables, its days ready."""
    with scratch_database(server_url, "voltledger_raw_copy") as url:
        migrate(url)
        with psycopg.connect(url) as connection:
            now = datetime.now(UTC)
            partitions.ensure(connection, [now.date() + timedelta(days=n) for n in (-2, -1, 0, 1)], now)
        yield url


def form(url: str) -> CopyFormat:
    """How COPY wants the rows of this database's tables."""
    with psycopg.connect(url) as connection:
        return CopyFormat(connection)


def copy(url: str, form: CopyFormat, buffers: Sequence[Buffers], connections: int, seconds: float) -> Pass:
    """As many of these batches as go in, a transaction each."""
    statements = form.statement(VEHICLE).encode(), form.statement(METER).encode()

    @contextmanager
    def sender() -> Iterator[Callable[[Buffers], None]]:
        with psycopg.connect(url, options="-c TimeZone=UTC") as connection:

            def send(rows: Buffers) -> None:
                for statement, buffer in zip(statements, rows, strict=True):
                    with connection.cursor().copy(statement) as target:
                        target.write(buffer)
                connection.commit()

            yield send

    return race(sender, buffers, connections, seconds)


def stored(url: str) -> int:
    """Rows in both histories."""
    return int(number(url, "SELECT (SELECT count(*) FROM vehicle_history) + (SELECT count(*) FROM meter_history)"))
