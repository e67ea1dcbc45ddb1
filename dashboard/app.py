"""The composition root of the pages: the only file that knows them and the API. The process that takes in readings has its own, `dashboard.front`."""

import atexit
import os
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from dash import Dash

import config
from api import app as api_app
from api.lanes import LANES
from api.people.door import Door
from api.people.passwords import Passwords
from api.people.presence import Presence
from api.people.roles import MAY
from api.services import Services as ApiServices
from api.watching.exposition import EXPOSITION, Pools
from charging.losses import Price
from dashboard import housekeeping, shell, watched
from dashboard.charger_list import ChargerList
from dashboard.checking import Check
from dashboard.kept import answer
from dashboard.pages import admin, alert_rules, alerts, charger, chargers, fleet, ingestion, reports, vehicle
from dashboard.receiving import Receiving, server_now
from dashboard.services import Services
from dashboard.snapshot import FleetPicture, Money
from db.embedded import keeps
from db.engine import connect, pool
from edge import callbacks, log_in
from edge.headers import Headers
from edge.hosts import Hosts, names
from edge.openness import Openness
from edge.proxies import behind
from edge.relay import Relayed
from edge.same_site import SameSite

_PAGES_NICE = 5  # a page may wait for a reading, and no reading for a page
_PAGES = (fleet, vehicle, chargers, charger, alerts, alert_rules, reports, ingestion, admin)


def create_app(settings: config.Settings | None = None) -> Any:
    """The WSGI application (a Flask server with Dash upon it) of one web process. The database must have been migrated."""
    return create_dash(settings).server


def create_pages() -> Any:
    """The same without the readings: for a process to which `dashboard.front` hands on what is not its own."""
    os.nice(_PAGES_NICE)
    server = create_app(config.load().model_copy(update={"committer_threads": 1}))
    server.wsgi_app = Relayed(server.wsgi_app, server.extensions[EXPOSITION].text)
    del server.extensions[LANES]
    return server


def create_dash(settings: config.Settings | None = None) -> Dash:
    """The Dash application; what browser tests start."""
    settings = settings or config.load()
    config.start_logs(settings.log_format)
    receiving = Receiving.begin(settings)
    reading, policies, window = receiving.reading, receiving.policies, receiving.window
    admin = pool(settings.database_url or "", 1, "admin", 60.0, bounded=False)
    services = receiving.services(settings)
    door = _door(settings, services)
    server = api_app.create(replace(services, door=door))
    price = Price(settings.tariff_per_kwh, settings.grid_co2_kg_per_kwh)
    money = Money(price, settings.currency)
    picture = FleetPicture(reading, settings.tick_s, settings.silent_after_s, money, window, server_now)
    chargers_list = ChargerList(reading, settings.silent_after_s, window, server_now)
    dash = _dash(server, Services(settings, reading, picture, policies, server_now, chargers_list), door)
    # The first picture of a large fleet takes seconds: made before anybody asks for it.
    threading.Thread(target=picture.get, name="first-picture", daemon=True).start()
    check = Check()
    stop = housekeeping.start(admin, server_now, settings.compact_after_hours, _learner(settings), settings.intake_kept_days, check)
    pools = {"read": reading, "write": receiving.writing, "admin": admin}
    _watch(server, pools, watched.figures(picture, check, _own_disk(settings)))
    atexit.register(_close, receiving, stop, admin, door)
    return dash


def _watch(server: Any, pools: dict[str, Any], figures: list[watched.Figure]) -> None:
    """What only the composition root knows, among the metrics."""
    server.extensions[EXPOSITION].add(Pools(pools))
    server.extensions[EXPOSITION].add_figures(figures)


def _own_disk(settings: config.Settings) -> Path | None:
    """Where the database in use is our own, the folder of its data."""
    return settings.data_dir if settings.database_url and keeps(settings.data_dir, settings.database_url) else None


def _learner(settings: config.Settings) -> housekeeping.Learner | None:
    if not settings.learn_after_hours:
        return None
    return housekeeping.Learner(config.child_environment(settings), timedelta(hours=settings.learn_after_hours))


def _door(settings: config.Settings, services: ApiServices) -> Door | None:
    """Nobody logs in unless that is required."""
    if not settings.require_login:
        return None
    url, timeout_s = settings.database_url or "", settings.statement_timeout_s
    idle, absolute = timedelta(minutes=settings.log_in_idle_min), timedelta(hours=settings.log_in_hours)
    logged_in = Presence(lambda: connect(url, "log-ins", timeout_s), server_now, idle, absolute).start()
    return Door(services.connection, logged_in, server_now, Passwords(), plain_http=Openness.of(settings).plain_http)


def _dash(server: Any, services: Services, door: Door | None = None) -> Dash:
    """The pages upon the API. `door`: where people log in; None: they need not."""
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
    if door:
        shell.name_the_person(dash, lambda: _facts(door))
    _stand_before(dash, services.settings, door)
    return dash


def _facts(door: Door) -> dict[str, str]:
    """What a page knows of whoever looks at it."""
    found = door.present()
    return {"who": found.name, "email": found.email, "role": found.role, "may": " ".join(sorted(MAY[found.role]))} if found else {}


def _stand_before(dash: Dash, settings: config.Settings, door: Door | None) -> None:
    """What every request passes on its way in, and every answer on its way out. Debug would show code and values in both."""
    if dash.server.debug:
        raise SystemExit("FLASK_DEBUG and DASH_DEBUG show code and values to whoever causes an error: unset them")
    if door:
        log_in.guard(dash.server, door)
    callbacks.guard(dash.server, dash.callback_map)
    inside = SameSite(Hosts(dash.server.wsgi_app, names(settings.allowed_hosts, settings.host, settings.published_on, settings.public_url)))
    dash.server.wsgi_app = behind(Headers(inside, dash.csp_hashes, settings.map_tiles_url, settings.https_only), settings.proxies)


def _serve_live(server: Any, services: Services) -> None:
    def get_live_fleet() -> Any:
        return answer(services.picture.get())

    server.add_url_rule("/live/fleet", view_func=get_live_fleet)


def _close(receiving: Receiving, stop: Any, admin: Any, door: Door | None) -> None:
    receiving.end()
    if door:
        door.logged_in.close()
    stop.set()
    admin.close(timeout=2)
