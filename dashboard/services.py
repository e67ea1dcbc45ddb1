"""What pages need, handed to them by the composition root."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg_pool import ConnectionPool

from dashboard.charger_list import ChargerList
from dashboard.snapshot import FleetPicture
from db.engine import Conn
from db.queries.policies import Policies


@dataclass(frozen=True, slots=True)
class Services:
    """`settings` is config.Settings; pages take plain values out of it."""

    settings: Any
    pool: "ConnectionPool[Conn]"
    picture: FleetPicture
    policies: Policies
    now: Callable[[], datetime]
    chargers: ChargerList

    @contextmanager
    def read(self) -> Iterator[Conn]:
        """A connection for reading. Raises psycopg errors where the database is away: the shell turns them into a banner."""
        with self.pool.connection() as conn:
            yield conn
