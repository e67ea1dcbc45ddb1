"""People in tests: a product that asks them to log in, and whoever a test needs, with cheap passwords."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from dash import Dash
from flask.testing import FlaskClient

import config
from api.keys.gate import Gate
from api.keys.ring import Ring
from api.people.door import CSRF_COOKIE, CSRF_HEADER, Door
from api.people.passwords import Passwords
from api.people.presence import Presence
from api.services import Services as ApiServices
from dashboard import app as composition
from dashboard.services import Services
from db import people
from db.engine import connect
from db.people import Role, Wanted
from db.queries.policies import Policies
from edge.openness import Openness
from tests.browser_support import FakeFleet
from tests.charger_support import FakeList
from tests.support import api

PASSWORD = "seven brown vans at noon"
CHEAP = Passwords(memory_kib=64, passes=1)  # what hashing costs is the matter of one test
FETCH = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
NAVIGATE = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
BEGAN = datetime(2026, 2, 4, 12, tzinfo=UTC)


@dataclass
class Peopled:
    """The product, closed. `later` moves the clock by which log-ins grow old;"""

    dash: Dash
    door: Door
    url: str
    clock: list[datetime]

    def later(self, by: timedelta) -> None:
        self.clock[0] += by

    def add(self, role: Role = "viewer", email: str = "", password: str = PASSWORD, one_time: bool = False) -> str:
        """Somebody, unless they are there; their address."""
        address = email or f"{role}@example.org"
        until = self.clock[0] + timedelta(days=1) if one_time else None
        with psycopg.connect(self.url) as conn:
            if people.by_email(conn, address) is None:
                people.create(conn, Wanted(address, role.title(), role), CHEAP.hash(password), "test", self.clock[0], until)
        return address

    def client(self) -> FlaskClient:
        """A browser of somebody."""
        made: FlaskClient = self.dash.server.test_client()
        return made

    def logged_in(self, role: Role = "viewer") -> "Somebody":
        """A browser in which somebody of that role has logged in."""
        client = self.client()
        answer = log_in(client, self.add(role))
        assert answer.status_code == 303, answer.text
        return Somebody(client)

    def look(self) -> None:
        """What every process does every second."""
        self.door.logged_in._after_a_look(b"")


@dataclass
class Somebody:
    """A browser with a log-in; sends what our pages send."""

    client: FlaskClient

    @property
    def csrf(self) -> str:
        found = self.client.get_cookie(CSRF_COOKIE)
        return found.value if found else ""

    def ask(self, path: str, method: str = "GET", **more: Any) -> Any:
        headers = {**FETCH, CSRF_HEADER: self.csrf, **more.pop("headers", {})}
        return self.client.open(path, method=method, headers=headers, **more)

    def open(self, path: str) -> Any:
        return self.client.get(path, headers=NAVIGATE)


def log_in(client: FlaskClient, email: str, password: str = PASSWORD, then: str = "/", address: str = "127.0.0.1") -> Any:
    """The answer to the form."""
    form = {"email": email, "password": password, "next": then}
    return client.post("/log-in", data=form, headers=NAVIGATE, environ_base={"REMOTE_ADDR": address})


@contextmanager
def peopled(database_url: str, **chosen: Any) -> Iterator[Peopled]:
    """The real API and pages, where people log in and programs need keys."""
    clock = [BEGAN]
    logged_in = Presence(lambda: connect(database_url, "log-ins", 5), lambda: clock[0]).start()
    ring = Ring(lambda: connect(database_url, "keys", 5)).start()
    settings = config.Settings(_env_file=None, tick_s=1, require_login=True, require_keys=True, **chosen)
    doors: list[Door] = []

    def door_of(services: ApiServices) -> Door:
        doors.append(Door(services.connection, logged_in, lambda: clock[0], CHEAP, plain_http=Openness.of(settings).plain_http))
        return doors[0]

    try:
        with api(database_url, gate=Gate(ring), door_of=door_of) as client:
            fleet: Any = FakeFleet(5)
            lists: Any = FakeList(fleet)
            pool = client.application.extensions["test-pool"]
            dash = composition._dash(client.application, Services(settings, pool, fleet, Policies(), lambda: clock[0], lists), doors[0])
            yield Peopled(dash, doors[0], database_url, clock)
    finally:
        logged_in.close()
        ring.close()
