"""Tariffs and thresholds as stored facts, and the number that tells that judging has changed."""

from typing import Any

import psycopg
import pytest

from db import expectation_version
from tests.support import api, van

pytestmark = pytest.mark.days_ahead

SITE = {"name": "Berlin", "latitude": 52.5, "longitude": 13.4, "timeZone": "Europe/Berlin"}
FACTS = {"tariffPerKwh": 0.2934, "co2KgPerKwh": 0.38, "thresholds": "plain", "plainLow": 0.86, "plainCritical": 0.7}


def test_a_site_keeps_its_tariff_and_thresholds_and_put_replaces_all_of_it(database_url: str) -> None:
    with api(database_url) as client:
        first = client.put("/v1/sites/ber", json={**SITE, **FACTS})
        assert (first.status_code, first.get_json()) == (201, {"siteId": "ber", **SITE, **FACTS})
        assert client.get("/v1/sites/ber").get_json() == first.get_json()
        again = client.put("/v1/sites/ber", json={"name": "Berlin", "tariffPerKwh": 1})
        assert (again.status_code, again.get_json()["co2KgPerKwh"], again.get_json()["timeZone"]) == (200, None, "UTC")
        assert client.get("/v1/sites/ber").get_json() == again.get_json()
        assert client.get("/v1/sites/nowhere").get_json()["detail"] == "Site not found"


def test_sites_are_paged(database_url: str) -> None:
    with api(database_url) as client:
        for site_id in ("c", "a", "b"):
            client.put(f"/v1/sites/{site_id}", json=SITE)
        page = client.get("/v1/sites?limit=2").get_json()
        rest = client.get(f"/v1/sites?limit=2&after={page['next']}").get_json()
    assert ([one["siteId"] for one in page["sites"]], page["next"]) == (["a", "b"], "b")
    assert ([one["siteId"] for one in rest["sites"]], rest["next"]) == (["c"], None)


WRONG: list[tuple[str, Any]] = [
    ("tariffPerKwh", "0.3"),
    ("tariffPerKwh", "cheap"),
    ("tariffPerKwh", float("nan")),
    ("tariffPerKwh", float("inf")),
    ("tariffPerKwh", True),
    ("tariffPerKwh", -0.01),
    ("tariffPerKwh", 1e7),
    ("co2KgPerKwh", "0.4"),
    ("co2KgPerKwh", 11),
    ("thresholds", "none"),
    ("plainLow", 1),
    ("plainLow", 0),
    ("plainCritical", float("nan")),
    ("plainCritical", 0.86),
    ("name", "a\0b"),
]


def test_what_is_no_tariff_or_threshold_is_422_and_names_the_field(database_url: str) -> None:
    with api(database_url) as client:
        for field, value in WRONG:
            got = client.put("/v1/sites/ber", json={**SITE, **FACTS, field: value})
            assert (got.status_code, field in got.get_json()["detail"]) == (422, True), (field, value)
        assert client.get("/v1/sites").get_json()["sites"] == []


def test_a_vehicle_has_thresholds_of_its_own(database_url: str) -> None:
    own = {"thresholds": "band", "plainLow": 0.5, "plainCritical": None}
    with api(database_url) as client:
        assert client.put("/v1/vehicles/van-7", json={"name": "Van 7", **own}).get_json().items() >= own.items()
        client.post("/v1/telemetry/vehicle", json=van(vehicleId="van-8"))
        seven, eight = client.get("/v1/vehicles").get_json()["vehicles"]
        assert client.get("/v1/vehicles/van-7").get_json() == seven
        assert client.put("/v1/vehicles/van-7", json={"plainLow": 0.5, "plainCritical": 0.6}).status_code == 422
        assert client.put("/v1/vehicles/van-7", json={"thresholds": "gut feeling"}).status_code == 422
        client.put("/v1/vehicles/van-7", json={"name": "Van 7"})
        assert client.get("/v1/vehicles/van-7").get_json()["thresholds"] is None
    assert seven.items() >= own.items()
    assert (eight["thresholds"], eight["plainLow"]) == (None, None)


def test_whatever_changes_judging_raises_the_version_and_nothing_else_does(database_url: str, conn: psycopg.Connection) -> None:
    def raised(path: str, body: dict[str, Any]) -> bool:
        before = expectation_version.current(conn)
        assert client.put(path, json=body).status_code in (200, 201)
        conn.rollback()
        return expectation_version.current(conn) > before

    with api(database_url) as client:
        assert raised("/v1/sites/ber", SITE)
        assert not raised("/v1/sites/ber", SITE)
        assert raised("/v1/sites/ber", {**SITE, "plainLow": 0.8})
        assert raised("/v1/sites/ber", {**SITE, "plainLow": 0.8, "tariffPerKwh": 0.3})
        assert not raised("/v1/vehicles/van-7", {"name": "Van 7"})
        assert raised("/v1/vehicles/van-7", {"name": "Van 7", "siteId": "ber"})
        assert raised("/v1/vehicles/van-7", {"name": "Van 7", "siteId": "ber", "model": "e-Van"})
        assert raised("/v1/vehicles/van-7", {"name": "Van 7", "siteId": "ber", "model": "e-Van", "thresholds": "plain"})
        assert not raised("/v1/vehicles/van-7", {"name": "The van", "siteId": "ber", "model": "e-Van", "thresholds": "plain"})
        assert raised("/v1/vehicles/van-8", {"model": "e-Van"})
        assert not raised("/v1/meters/depot-1", {"name": "Depot 1"})
        assert raised("/v1/meters/depot-1", {"name": "Depot 1", "ratedKw": 11})
        assert not raised("/v1/meters/depot-1", {"name": "Depot", "ratedKw": 11})
        assert not raised("/v1/mappings/van-7", {"meterId": "depot-1"})


def test_the_database_refuses_nonsense_too(conn: psycopg.Connection) -> None:
    conn.execute("INSERT INTO site (site_id, name) VALUES ('ber', 'Berlin')")
    for statement in (
        "UPDATE site SET tariff_per_kwh = 'NaN'",
        "UPDATE site SET tariff_per_kwh = -1",
        "UPDATE site SET co2_kg_per_kwh = 10.1",
        "UPDATE site SET thresholds = 'x'",
        "UPDATE site SET plain_low = 'NaN'",
        "UPDATE site SET plain_low = 0.7, plain_critical = 0.7",
        "INSERT INTO vehicle (vehicle_id, plain_low, plain_critical) VALUES ('v', 0.7, 0.8)",
        "INSERT INTO expectation_version (version) VALUES (1)",
    ):
        with pytest.raises(psycopg.IntegrityError), conn.transaction():
            conn.execute(statement)
