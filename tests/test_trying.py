"""Whoever changes assignments can see first what that changes, and nothing of the trial stays."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support import api, depot, van

pytestmark = pytest.mark.days_ahead

HOURS = [f"2026-02-04T{hour:02}:30:00Z" for hour in range(1, 12)]


def _charge(client: FlaskClient) -> None:
    """The van gets 5 kWh an hour; the first depot gives 8, the second 5.5."""
    client.post("/v1/telemetry/vehicle", json=[van(timestamp=at) for at in HOURS])
    for meter_id, kwh in (("depot-1", 8), ("depot-2", 5.5)):
        client.post("/v1/telemetry/meter", json=[depot(meterId=meter_id, kwhConsumedAc=kwh, timestamp=at) for at in HOURS])


def _left(client: FlaskClient) -> tuple[Any, Any]:
    return client.get("/v1/mappings").get_json(), client.get("/v1/mapping-changes").get_json()


def test_a_trial_says_what_would_change_and_changes_nothing(database_url: str) -> None:
    """A correction of four hours: the stretch, the meters, and the efficiency of the stretch before and after."""
    with api(database_url) as client:
        _charge(client)
        client.put("/v1/mappings/van-7", json={"meterId": "depot-1"})
        before = _left(client)
        wanted = {"meterId": "depot-2", "from": "2026-02-04T04:00:00Z", "to": "2026-02-04T08:00:00Z"}
        got = client.put("/v1/mappings/van-7?dryRun=true", json=wanted)
        said = got.get_json()
        assert (got.status_code, said["dryRun"]) == (200, True)
        assert [(c["from"], c["to"], c["meterBefore"], c["meterAfter"], c["correctsPast"]) for c in said["changes"]] == [
            ("2026-02-04T04:00:00Z", "2026-02-04T08:00:00Z", "depot-1", "depot-2", True)
        ]
        assert [one["meterId"] for one in said["timeline"]] == ["depot-1", "depot-2", "depot-1"]
        assert [(one["before"]["totalAc"], one["after"]["totalAc"]) for one in said["pastNumbers"]["vehicles"]] == [(32, 22)]
        assert _left(client) == before
        done = client.put("/v1/mappings/van-7", json=wanted).get_json()
        assert done["changes"] == said["changes"]


def test_the_numbers_of_whoever_shared_the_charger_are_told(database_url: str) -> None:
    """Where the van is put on another one's charger, both become a group."""
    with api(database_url) as client:
        _charge(client)
        client.put("/v1/mappings/van-8", json={"meterId": "depot-2"})
        said = client.put("/v1/mappings/van-7?dryRun=true", json={"meterId": "depot-2"}).get_json()
        assert [one["vehicleId"] for one in said["pastNumbers"]["vehicles"]] == ["van-7", "van-8"]


def test_what_only_concerns_the_future_changes_no_number(database_url: str) -> None:
    """From now on."""
    with api(database_url) as client:
        _charge(client)
        client.put("/v1/mappings/van-7", json={"meterId": "depot-1"})
        assert client.put("/v1/mappings/van-7?dryRun=true", json={"meterId": "depot-2"}).get_json()["pastNumbers"] is None


def test_taking_out_can_be_tried(database_url: str) -> None:
    """The one before would go on."""
    with api(database_url) as client:
        _charge(client)
        client.put("/v1/mappings/van-7", json={"meterId": "depot-1"})
        client.put("/v1/mappings/van-7", json={"meterId": "depot-2", "from": "2026-02-04T04:00:00Z"})
        before = _left(client)
        said = client.delete("/v1/mappings/van-7?from=2026-02-04T04:00:00Z&dryRun=true").get_json()
        assert [(c["meterBefore"], c["meterAfter"]) for c in said["changes"]] == [("depot-2", "depot-1")]
        assert _left(client) == before
        assert client.delete("/v1/mappings/van-9?dryRun=true").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/mappings/van-7", {"meterId": "depot-1", "from": "2026-02-04T04:00:00Z", "to": "2026-02-04T03:00:00Z"}, "/to"),
        ("/v1/mappings/van-7", {"meterId": "depot-1", "from": "1999-02-04T04:00:00Z"}, "/from"),
        ("/v1/vehicles/van-7", {"siteId": "nowhere"}, "/siteId"),
        ("/v1/vehicles/van-7", {"plainLow": 0.8, "plainCritical": 0.9}, "/plainCritical"),
        ("/v1/meters/depot-1", {"latitude": 52.5}, "/longitude"),
        ("/v1/meters/depot-1", {"ratedKw": "much"}, "/ratedKw"),
        ("/v1/sites/ber", {"name": "Berlin", "timeZone": "Berlin"}, "/timeZone"),
    ],
)  # fmt: skip
def test_a_refusal_names_its_field(database_url: str, path: str, body: dict[str, Any], pointer: str) -> None:
    """So that a form can say it where it was typed."""
    with api(database_url) as client:
        got = client.put(path, json=body)
        assert (got.status_code, [one["pointer"] for one in got.get_json()["errors"]]) == (422, [pointer])


def test_descriptions_list_every_device_and_what_nobody_said(database_url: str) -> None:
    """Reported, described or only assigned; a meter's own position is told from a described one and from its site's."""
    with api(database_url) as client:
        _charge(client)
        client.put("/v1/mappings/van-7", json={"meterId": "depot-9"})
        client.put("/v1/sites/ber", json={"name": "Berlin", "latitude": 52.5, "longitude": 13.4})
        client.put("/v1/vehicles/van-8", json={"name": "Van 8", "plainLow": 0.8})
        client.put("/v1/meters/depot-1", json={"siteId": "ber"})
        client.put("/v1/meters/depot-2", json={"latitude": 52.6, "longitude": 13.5, "ratedKw": 11})
        vehicles = client.get("/v1/descriptions/vehicles").get_json()
        assert [(v["vehicleId"], v["name"], v["meterId"], v["plainLow"]) for v in vehicles["vehicles"]] == [
            ("van-7", None, "depot-9", None),
            ("van-8", "Van 8", None, 0.8),
        ]
        meters = client.get("/v1/descriptions/meters").get_json()["meters"]
        assert [(m["meterId"], m["placedBy"], m["latitude"], m["ratedKw"]) for m in meters] == [
            ("depot-1", "site", None, None),
            ("depot-2", "description", 52.6, 11),
            ("depot-9", None, None, None),
        ]
        page = client.get("/v1/descriptions/meters?limit=1").get_json()
        assert (len(page["meters"]), page["next"]) == (1, "depot-1")
