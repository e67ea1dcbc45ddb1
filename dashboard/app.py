"""The composition root: the only file that knows the API and the pages."""

import atexit
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from dash import Dash

import config
from api import app as api_app
from api.committer import Committer
from api.intake import Intake, Limits
from api.intake_writer import IntakeWriter
from api.keys.gate import Gate
from api.keys.ring import Pace, Ring
from api.services import Services as ApiServices
from charging.losses import Price
from charging.verdict import Thresholds
from dashboard import housekeeping, shell
from dashboard.charger_list import ChargerList
from dashboard.kept import answer
from dashboard.pages import admin, alert_rules, alerts, charger, chargers, fleet, ingestion, reports, vehicle
from dashboard.services import Services
from dashboard.snapshot import FleetPicture, Money
from db.engine import connect, pool
from db.queries.fleet_window import FleetWindow
from db.queries.policies import Policies
from db.room import Room
from edge import callbacks
from edge.headers import Headers
from edge.openness import Openness
from edge.proxies import behind
from edge.same_site import SameSite

_PAGES = (fleet, vehicle, chargers, charger, alerts, alert_rules, reports, ingestion, admin)


def create_app(settings: config.Settings | None = None) -> Any:
    """The WSGI application (a Flask server with Dash upon it) of one web process. The database must have been migrated."""
    return create_dash(settings).server


def create_dash(settings: config.Settings | None = None) -> Dash:
    """The Dash application; what browser tests start."""
    settings = settings or config.load()
    config.start_logs()
    if not settings.database_url:
        raise SystemExit("DATABASE_URL is not set: start with `python -m dashboard`, which brings its own PostgreSQL")
    policies = Policies(Thresholds(settings.thresholds, settings.plain_low, settings.plain_critical))
    reading = pool(settings.database_url, settings.read_connections, "read", settings.statement_timeout_s, generic_plans=True)
    writing = pool(settings.database_url, settings.committer_threads, "write", settings.statement_timeout_s, check=False)
    admin = pool(settings.database_url, 1, "admin", 60.0, bounded=False)
    committer = Committer(
        writing,
        settings.committer_threads,
        settings.queue_readings,
        settings.commit_readings,
        settings.new_old_days_per_hour,
        _now,
        settings.queue_requests,
        _short_of_room(settings),
    )
    gate = _gate(settings)
    intake = Intake(committer, _limits(settings), _now, gate)
    window = FleetWindow(policies)
    price = Price(settings.tariff_per_kwh, settings.grid_co2_kg_per_kwh)
    mail = settings.smtp_host is not None
    server = api_app.create(
        ApiServices(reading, intake, policies, _now, window, settings.tick_s, price, settings.currency, settings.notices_to_private, mail)
    )
    money = Money(price, settings.currency)
    picture = FleetPicture(reading, settings.tick_s, settings.silent_after_s, money, window, _now)
    chargers_list = ChargerList(reading, settings.silent_after_s, window, _now)
    dash = _dash(server, Services(settings, reading, picture, policies, _now, chargers_list))
    # The first picture of a large fleet takes seconds: made before anybody asks for it.
    threading.Thread(target=picture.get, name="first-picture", daemon=True).start()
    stop = housekeeping.start(admin, _now, settings.compact_after_hours, _learner(settings), settings.intake_kept_days)
    writer = IntakeWriter(committer.tally, reading.connection).start()
    atexit.register(_close, committer, writer, stop, gate, reading, writing, admin)
    return dash


def _now() -> datetime:
    return datetime.now(UTC)


def _short_of_room(settings: config.Settings) -> Callable[[], str]:
    """Says nothing where nobody told us where the log is."""
    if settings.wal_dir is None:
        return str
    return Room(settings.wal_dir, settings.least_free_gb, settings.least_free_pct).short


def _learner(settings: config.Settings) -> housekeeping.Learner | None:
    if not settings.learn_after_hours:
        return None
    return housekeeping.Learner(config.child_environment(settings), timedelta(hours=settings.learn_after_hours))


def _limits(settings: config.Settings) -> Limits:
    return Limits(
        body_bytes=settings.body_bytes,
        inflated_bytes=settings.inflated_bytes,
        batch_readings=settings.batch_readings,
        clock_ahead_s=settings.clock_ahead_s,
        oldest_reading_days=settings.oldest_reading_days,
        commit_wait_s=settings.commit_wait_s,
    )


def _gate(settings: config.Settings) -> Gate:
    """Open unless keys are required."""
    if not settings.require_keys:
        return Gate()
    pace = Pace(settings.key_readings_per_min, settings.key_burst_readings, settings.gateway_readings_per_min)
    url, timeout_s = settings.database_url or "", settings.statement_timeout_s
    return Gate(Ring(lambda: connect(url, "keys", timeout_s), pace).start(), settings.proxies)


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


def _close(committer: Committer, writer: IntakeWriter, stop: Any, gate: Gate, *pools: Any) -> None:
    committer.close()
    writer.close()
    if gate.ring:
        gate.ring.close()
    stop.set()
    for one in pools:
        one.close(timeout=2)
