"""The admin page as it is served: the real pages and the real API over a real database, in this process."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from werkzeug.serving import make_server

import config
from api import app as api_app
from api.committer import Committer
from api.intake import Intake, Limits
from api.services import Services as ApiServices
from charging.losses import Price
from dashboard import app as composition
from dashboard.charger_list import ChargerList
from dashboard.services import Services
from dashboard.snapshot import FleetPicture, Money
from db import partitions
from db.engine import pool
from db.queries.fleet_window import FleetWindow
from db.queries.policies import Policies
from tests.browser_support import QuietHandler
from tests.support import depot, van


@contextmanager
def served_admin(database_url: str, **chosen: Any) -> Iterator[str]:
    """The address of the whole product on a free port."""
    settings = config.Settings(_env_file=None, DATABASE_URL=database_url, port=0, **chosen)
    reading, writing = pool(database_url, 4, "read", 5, generic_plans=True), pool(database_url, 2, "write", 5)
    with writing.connection() as conn:
        partitions.ensure_ahead(conn, _now())
    committer = Committer(writing, 2, settings.queue_readings, settings.commit_readings, settings.new_old_days_per_hour, _now)
    limits = Limits(
        settings.body_bytes, settings.inflated_bytes, settings.batch_readings, settings.clock_ahead_s, None, settings.commit_wait_s
    )
    policies, window, price = Policies(), FleetWindow(Policies(), math.inf), Price(0.3, 0.35)
    services = ApiServices(reading, Intake(committer, limits, _now), policies, _now, window, 1.0, price, "EUR", settings.notices_to_private)
    api = api_app.create(services)
    picture = FleetPicture(reading, 1.0, 900, Money(price, "EUR"), window, _now)
    dash = composition._dash(api, Services(settings, reading, picture, policies, _now, ChargerList(reading, 900, window, _now)))
    server = make_server("127.0.0.1", 0, dash.server, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        committer.close()
        reading.close(2)
        writing.close(2)


def _now() -> datetime:
    return datetime.now(UTC)


def two_days(address: str) -> None:
    """Four vans and four depots that report there hour by hour; three of the vans have a charger."""
    hours = [f"{_now() - timedelta(hours=hour):%Y-%m-%dT%H:00:00Z}" for hour in range(1, 40)]
    for n in range(1, 5):
        sent(address, "POST", "/v1/telemetry/vehicle", json=[van(vehicleId=f"van-{n}", timestamp=hour) for hour in hours])
        meter = [depot(meterId=f"depot-{n}", kwhConsumedAc=5 + n, timestamp=hour) for hour in hours]
        sent(address, "POST", "/v1/telemetry/meter", json=meter)
    for n in (1, 2, 3):
        sent(address, "PUT", f"/v1/mappings/van-{n}", json={"meterId": f"depot-{n}"})


def sent(address: str, method: str, path: str, **more: Any) -> Any:
    """What the API answers, as JSON; it must not refuse."""
    answer = requests.request(method, address + path, timeout=20, **more)
    assert answer.ok, answer.text
    return answer.json()
