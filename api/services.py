"""What the routes need, handed to them by the composition root."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from api.errors import unavailable
from api.intake import Intake
from charging.verdict import Thresholds
from db.engine import Conn


@dataclass(frozen=True, slots=True)
class Services:
    """`pool` is for reading; readings go through the intake, and the rare change of a description or a mapping here."""

    pool: "ConnectionPool[Conn]"
    intake: Intake
    thresholds: Thresholds
    now: Callable[[], datetime]

    @contextmanager
    def connection(self) -> Iterator[Conn]:
        """A connection in a transaction that commits at the end. Raises Problem 503 where the database cannot be used."""
        try:
            with self.pool.connection() as conn:
                yield conn
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise unavailable("database_unavailable", "the database cannot be used") from error
