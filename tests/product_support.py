"""The whole product as one Flask application over a real database, without a socket: for what must hold on every route of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dash import Dash

import config
from dashboard import app as composition
from dashboard.services import Services
from db.queries.policies import Policies
from tests.browser_support import FakeFleet
from tests.charger_support import FakeList
from tests.support import NOW, api


@contextmanager
def product(database_url: str, **chosen: Any) -> Iterator[Dash]:
    """The real API and the real pages, which show a made-up fleet, as `dashboard.app` puts them together."""
    with api(database_url, **chosen) as client:
        fleet: Any = FakeFleet(5)
        lists: Any = FakeList(fleet)
        pool = client.application.extensions["test-pool"]
        settings = config.Settings(_env_file=None, tick_s=1, **chosen)
        yield composition._dash(client.application, Services(settings, pool, fleet, Policies(), lambda: NOW, lists))
