"""The composition root: the only file that knows the API and the pages."""

import atexit
import threading
from datetime import timedelta
from typing import Any

from dash import Dash

import config
from api import app as api_app
from api.lanes import LANES
from charging.losses import Price
from dashboard import housekeeping, shell
from dashboard.charger_list import ChargerList
from dashboard.kept import answer
from dashboard.pages import admin, alert_rules, alerts, charger, chargers, fleet, ingestion, reports, vehicle
from dashboard.receiving import Receiving, server_now
from dashboard.services import Services
from dashboard.snapshot import FleetPicture, Money
from db.engine import pool
from edge import callbacks
from edge.headers import Headers
from edge.openness import Openness
from edge.proxies import behind
from edge.relay import Relayed
from edge.same_site import SameSite

_PAGES = (fleet, vehicle, chargers, charger, alerts, alert_rules, reports, ingestion, admin)


def create_app(settings: config.Settings | None = None) -> Any:
    """The WSGI application (a Flask server with Dash upon it) of one web process. The database must have been migrated."""
    return create_dash(settings).server


def create_pages() -> Any:
    """The same without the readings: for a process to which `dashboard.front` hands on what is not its own."""
    server = create_app(config.load().model_copy(update={"committer_threads": 1}))
    server.wsgi_app = Relayed(server.wsgi_app)
    del server.extensions[LANES]
    return server


def create_dash(settings: config.Settings | None = None) -> Dash:
    """The Dash application; what browser tests start."""
    settings = settings or config.load()
    config.start_logs()
    receiving = Receiving.begin(settings)
    reading, policies, window = receiving.reading, receiving.policies, receiving.window
    admin = pool(settings.database_url or "", 1, "admin", 60.0, bounded=False)
    server = api_app.create(receiving.services(settings))
    price = Price(settings.tariff_per_kwh, settings.grid_co2_kg_per_kwh)
    money = Money(price, settings.currency)
    picture = FleetPicture(reading, settings.tick_s, settings.silent_after_s, money, window, server_now)
    chargers_list = ChargerList(reading, settings.silent_after_s, window, server_now)
    dash = _dash(server, Services(settings, reading, picture, policies, server_now, chargers_list))
    # The first picture of a large fleet takes seconds: made before anybody asks for it.
    threading.Thread(target=picture.get, name="first-picture", daemon=True).start()
    stop = housekeeping.start(admin, server_now, settings.compact_after_hours, _learner(settings), settings.intake_kept_days)
    atexit.register(_close, receiving, stop, admin)
    return dash


def _learner(settings: config.Settings) -> housekeeping.Learner | None:
    if not settings.learn_after_hours:
        return None
    return housekeeping.Learner(config.child_environment(settings), timedelta(hours=settings.learn_after_hours))


def _dash(server: Any, services: Services) -> Dash:
    _serve_live(server, services)
    dash = Dash(
        "voltledger",
        server=server,
        title="Voltledger",
        update_title="",
        assets_folder=str(shell.ASSETS),
        use_pages=True,
        pages_folder="",
        serve_locally=True,
        compress=True,
        on_error=shell.on_error,
    )
    for page in _PAGES:
        page.register(dash, services)
    openness = Openness.of(services.settings)
    shell.register(dash, services, openness.notice, loud=openness.beyond_this_machine)
    _stand_before(dash, services.settings)
    return dash


def _stand_before(dash: Dash, settings: config.Settings) -> None:
    """What every request passes on its way in, and every answer on its way out. Debug would show code and values in both."""
    if dash.server.debug:
        raise SystemExit("FLASK_DEBUG and DASH_DEBUG show code and values to whoever causes an error: unset them")
    callbacks.guard(dash.server, dash.callback_map)
    inside = SameSite(dash.server.wsgi_app)
    dash.server.wsgi_app = behind(Headers(inside, dash.csp_hashes, settings.map_tiles_url, settings.https_only), settings.proxies)


def _serve_live(server: Any, services: Services) -> None:
    def get_live_fleet() -> Any:
        return answer(services.picture.get())

    server.add_url_rule("/live/fleet", view_func=get_live_fleet)


def _close(receiving: Receiving, stop: Any, admin: Any) -> None:
    receiving.end()
    stop.set()
    admin.close(timeout=2)
