"""The process that devices talk to: it takes in readings and says how it is; everything else it hands on to the pages' process."""

import atexit
import os
from typing import Any

import config
from api import app as api_app
from api.intake import ROUTES
from dashboard.receiving import Receiving
from edge.headers import Headers
from edge.proxies import behind
from edge.relay import Relay, own_paths
from edge.same_site import SameSite

_OWN = (*ROUTES, "/healthz", "/readyz", "/metrics")


def create_app(settings: config.Settings | None = None, pages: str | None = None) -> Any:
    """The WSGI application; `pages` is the Unix socket on which the pages' process listens. The database must have been migrated."""
    settings = settings or config.load()
    config.start_logs()
    receiving = Receiving.begin(settings)
    server = api_app.create(receiving.services(settings))
    if server.debug:
        raise SystemExit("FLASK_DEBUG shows code and values to whoever causes an error: unset it")
    own = behind(Headers(SameSite(server.wsgi_app), tuple, None, settings.https_only), settings.proxies)
    server.wsgi_app = Relay(own, own_paths(_OWN), pages or os.environ[config.PAGES_SOCKET])  # type: ignore[method-assign]
    atexit.register(receiving.end)
    return server
