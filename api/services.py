"""What the routes need, handed to them by the composition root."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from api.errors import unavailable
from api.intake import Intake
from api.people.door import Door
from charging.losses import Price
from db.engine import Conn
from db.queries.fleet_window import FleetDay, FleetWindow
from db.queries.policies import Policies


@dataclass(frozen=True, slots=True)
class Services:
    """`pool` is for reading; readings go through the intake, and the rare change of a description or a mapping here.

    `window` is the fleet's last 24 hours, shared with the live picture; `day_age_s` is how old its result may be for an answer.
    `price` holds where a site has none of its own. `notices_to_private`: notices may go to private addresses; `can_mail`: a mail server is set.
    `door`: where people log in; None: they need not.
    """

    pool: "ConnectionPool[Conn]"
    intake: Intake
    policies: Policies
    now: Callable[[], datetime]
    window: FleetWindow
    day_age_s: float = 0.0
    price: Price = Price(0.30, 0.35)
    currency: str = "EUR"
    notices_to_private: bool = False
    can_mail: bool = False
    door: Door | None = None

    def day(self) -> FleetDay:
        """Every vehicle's last 24 hours. Raises Problem 503 where the database cannot be used."""
        return self.window.day(self.connection, self.now, self.day_age_s)

    @contextmanager
    def reading(self) -> Iterator[Conn]:
        """A connection on which every statement stands alone, which saves beginning and ending a transaction. Raises Problem 503 likewise."""
        with self.connection() as conn:
            conn.autocommit = True
            try:
                yield conn
            finally:
                if not conn.closed:
                    conn.autocommit = False

    @contextmanager
    def connection(self) -> Iterator[Conn]:
        """A connection in a transaction that commits at the end. Raises Problem 503 where the database cannot be used."""
        try:
            with self.pool.connection() as conn:
                yield conn
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise unavailable("database_unavailable", "the database cannot be used") from error
