"""The fleet's picture: one for all viewers, stale rather than gone."""

import gzip
import math
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
import pytest

from charging.losses import Price
from dashboard import housekeeping
from dashboard.snapshot import FleetPicture, Money
from db import alert_people, partitions
from db.engine import pool
from db.queries.fleet_window import FleetWindow
from db.queries.policies import Policies
from tests.alert_support import episode
from tests.support import api, depot, van

pytestmark = pytest.mark.days_ahead

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)


def content(picture: FleetPicture) -> Any:
    return orjson.loads(gzip.decompress(picture.get().body))


def test_the_picture_says_what_the_api_says_and_survives_the_database(database_url: str) -> None:
    with api(database_url, NOW) as client:
        client.put("/v1/mappings/van-7", json={"meterId": "depot-1"})
        client.put("/v1/meters/depot-1", json={"latitude": 52.5, "longitude": 13.4})
        client.post("/v1/telemetry/batch", json={"vehicles": [van(), van(vehicleId="van-8", latitude=1, longitude=2)], "meters": [depot()]})
    reading = pool(database_url, 1, "read", 5)
    picture = FleetPicture(reading, 0.0, 900, Money(Price(0.3, 0.35), "EUR"), FleetWindow(Policies(), math.inf), lambda: NOW)
    first = content(picture)
    assert first["vehicles"]["id"] == ["van-7", "van-8"]
    assert first["vehicles"]["positionFrom"] == ["meter", "vehicle"]
    assert first["vehicles"]["verdict"] == ["low", "unmapped"]
    assert first["figures"]["efficiency"] == 5 / 6
    assert (first["figures"]["lossKwh"], first["figures"]["counted"], first["figures"]["leftOut"]) == (1.0, 1, {"unmapped": 1})
    assert (first["alerts"], first["figures"]["alerts"]) == ([], 0)
    etag = picture.get().etag
    assert picture.get().etag == etag  # nothing changed: 304
    reading.close(1)
    away = content(picture)
    assert (away["stale"], away["vehicles"]["id"]) == (True, ["van-7", "van-8"])


def test_the_picture_counts_open_alerts_and_lists_those_that_need_someone(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        partitions.ensure_ahead(conn, NOW)
        one = episode(conn, "van-7")
        taken = episode(conn, "van-8", severity="critical")
        alert_people.acknowledge(conn, taken, "Ada", None, NOW)
        episode(conn, "van-9", held_back_by=taken)
    reading = pool(database_url, 1, "read", 5)
    picture = FleetPicture(reading, 0.0, 900, Money(Price(0.3, 0.35), "EUR"), FleetWindow(Policies(), math.inf), lambda: NOW)
    first = content(picture)
    assert {name: first["figures"][name] for name in ("alerts", "critical", "alertsToDo")} == {"alerts": 2, "critical": 1, "alertsToDo": 1}
    (alert,) = first["alerts"]
    assert (alert["episodeId"], alert["subjectId"], alert["margin"], alert["firedAt"]) == (one, "van-7", -0.0538, "2026-02-04T11:40:00Z")
    with psycopg.connect(database_url) as conn:
        alert_people.acknowledge(conn, one, "Ada", None, NOW)
    after = content(picture)
    reading.close(1)
    assert (after["alerts"], after["figures"]["alertsToDo"]) == ([], 0)
    assert after["alertsMark"] != first["alertsMark"]


def test_the_loss_costs_what_each_site_says_else_what_the_settings_say(database_url: str) -> None:
    """1 kWh is lost at each of four meters; the site of the meter comes before the vehicle's."""
    with api(database_url, NOW) as client:
        client.put("/v1/sites/dear", json={"name": "Dear", "tariffPerKwh": 0.5})
        client.put("/v1/sites/green", json={"name": "Green", "tariffPerKwh": 0.2, "co2KgPerKwh": 0.01})
        client.put("/v1/sites/plain", json={"name": "Plain"})
        for n, (vehicle_site, meter_site) in enumerate([("green", "dear"), ("green", None), ("plain", None), (None, "plain")]):
            client.put(f"/v1/vehicles/van-{n}", json={"siteId": vehicle_site})
            client.put(f"/v1/meters/depot-{n}", json={"siteId": meter_site})
            client.put(f"/v1/mappings/van-{n}", json={"meterId": f"depot-{n}"})
            client.post("/v1/telemetry/batch", json={"vehicles": [van(vehicleId=f"van-{n}")], "meters": [depot(meterId=f"depot-{n}")]})
        told = [client.get(f"/v1/vehicles/van-{n}/losses?to=2026-02-04T12:00:00Z").get_json() for n in range(4)]
    reading = pool(database_url, 1, "read", 5)
    picture = FleetPicture(reading, 0.0, 900, Money(Price(0.3, 0.35), "EUR"), FleetWindow(Policies(), math.inf), lambda: NOW)
    figures = content(picture)["figures"]
    reading.close(1)
    assert (figures["lossKwh"], figures["ownPrices"]) == (4.0, 2)
    assert figures["lossCost"] == pytest.approx(0.5 + 0.2 + 0.3 + 0.3)
    assert figures["lossCo2Kg"] == pytest.approx(0.35 + 0.01 + 0.35 + 0.35)
    assert figures["lossCost"] == pytest.approx(sum(one["tariffPerKwh"] for one in told))
    assert figures["lossCo2Kg"] == pytest.approx(sum(one["co2KgPerKwh"] for one in told))


def test_housekeeping_makes_days_and_learns_rhythms_and_only_one_process_does(database_url: str) -> None:
    with psycopg.connect(database_url) as one, psycopg.connect(database_url) as other:
        one.execute("SELECT pg_advisory_xact_lock(%s)", (housekeeping._HOUSEKEEPING_LOCK,))
        assert housekeeping.once(other, NOW) is False
        one.rollback()
        assert housekeeping.once(other, NOW) is True
        assert one.execute("SELECT count(*) FROM history_day").fetchone() == (9,)
