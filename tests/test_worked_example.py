"""The contract's worked example, word for word."""

from datetime import UTC, datetime

import psycopg
import pytest

from tests.support import api

pytestmark = pytest.mark.days_ahead

MAPPING = """INSERT INTO fleet_mapping("vehicleId","meterId") VALUES ('V1','M1');"""
VEHICLE = {"vehicleId": "V1", "soc": 80, "kwhDeliveredDc": 5, "batteryTemp": 36}
METER = {"meterId": "M1", "kwhConsumedAc": 6, "voltage": 220}


def test_the_worked_example_holds_with_the_references_own_timestamp(database_url: str) -> None:
    with psycopg.connect(database_url) as sql:
        sql.execute(MAPPING)
    with api(database_url, datetime(2026, 11, 24, tzinfo=UTC)) as client:
        stamp = {"timestamp": "2026-02-04T10:00:00Z"}
        assert client.post("/v1/telemetry/vehicle", json={**VEHICLE, **stamp}).status_code == 201
        assert client.post("/v1/telemetry/meter", json={**METER, **stamp}).status_code == 201
        got = client.get("/v1/analytics/performance/V1?at=2026-02-04T12:00:00Z").get_json()
    assert got.pop("computedAt") == "2026-11-24T00:00:00Z"
    assert got == {
        "totalAc": 6,
        "totalDc": 5,
        "efficiency": 0.83,
        "avgTemp": 36,
        "vehicleId": "V1",
        "meterIds": ["M1"],
        "from": "2026-02-03T12:00:00Z",
        "to": "2026-02-04T12:00:00Z",
        "efficiencyRatio": 0.8333333,
        "uncertainty": 0.0103,
        "lossKwh": 1,
        "expected": {"low": None, "high": None},
        "coverage": {"vehicle": 1, "meter": 1},
        "readings": {"vehicle": 1, "meter": 1},
        "verdict": "low",
        "severity": "warning",
        "reason": "83.3 % is below the plain threshold of 85 % (no charging hours known)",
    }


def test_the_worked_example_holds_with_readings_of_now(database_url: str) -> None:
    with psycopg.connect(database_url) as sql:
        sql.execute(MAPPING)
    with api(database_url) as client:
        stamp = {"timestamp": "2026-02-04T11:59:00Z"}
        client.post("/v1/telemetry/vehicle", json={**VEHICLE, **stamp})
        client.post("/v1/telemetry/meter", json={**METER, **stamp})
        got = client.get("/v1/analytics/performance/V1")
    assert list(got.get_json().items())[:4] == [("totalAc", 6), ("totalDc", 5), ("efficiency", 0.83), ("avgTemp", 36)]
    assert got.get_data().startswith(b'{"totalAc":6,"totalDc":5,"efficiency":0.83,"avgTemp":36,')


def test_no_mapping_is_404_and_a_mapping_without_data_says_nothing_is_known(database_url: str) -> None:
    with api(database_url) as client:
        missing = client.get("/v1/analytics/performance/V1")
        assert (missing.status_code, missing.get_json()["detail"]) == (404, "Mapping not found")
        client.put("/v1/mappings/V1", json={"meterId": "M1"})
        empty = client.get("/v1/analytics/performance/V1").get_json()
    assert (empty["totalAc"], empty["totalDc"]) == (0, 0)
    assert (empty["efficiency"], empty["efficiencyRatio"], empty["avgTemp"], empty["verdict"]) == (None, None, None, "not_charging")
