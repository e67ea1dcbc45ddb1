"""Vehicles, meters, history, mappings, the specification: what programs read."""

import pytest

from tests.support import api, depot, van

pytestmark = pytest.mark.days_ahead


def test_a_vehicle_is_shown_as_it_is_now_with_its_meter_and_verdict(database_url: str) -> None:
    with api(database_url) as client:
        client.put("/v1/mappings/van-7", json={"meterId": "depot-1"})
        client.post("/v1/telemetry/vehicle", json=van(latitude=52.52, longitude=13.405))
        client.post("/v1/telemetry/vehicle", json=van(timestamp="2026-02-04T10:01:00Z", kwhDeliveredDc=0.2, soc=81))
        client.post("/v1/telemetry/meter", json=depot())
        one = client.get("/v1/vehicles/van-7").get_json()
        assert client.get("/v1/vehicles").get_json()["vehicles"] == [one]
        assert client.get("/v1/meters/depot-1").get_json()["voltage"] == 220
        assert client.get("/v1/vehicles/nobody").status_code == 404
        assert client.get("/v1/meters/nobody").get_json()["detail"] == "Meter not found"
    assert (one["soc"], one["powerKw"], one["latitude"], one["meterId"], one["recordedAt"]) == (
        81,
        12.0,
        52.52,
        "depot-1",
        "2026-02-04T10:01:00Z",
    )
    assert one["verdict"]


def test_live_only_moves_forward(database_url: str) -> None:
    with api(database_url) as client:
        client.post("/v1/telemetry/vehicle", json=van())
        client.post("/v1/telemetry/vehicle", json=van(timestamp="2026-02-04T09:00:00Z", soc=3))
        assert client.get("/v1/vehicles/van-7").get_json()["soc"] == 80


def test_history_comes_raw_and_in_buckets_and_as_csv(database_url: str) -> None:
    stamps = ["2026-02-04T10:00:00Z", "2026-02-04T10:00:30Z", "2026-02-04T10:15:00Z", "2026-02-04T10:15:01Z"]
    with api(database_url) as client:
        client.post("/v1/telemetry/vehicle", json=[van(timestamp=stamp, kwhDeliveredDc=0.1) for stamp in stamps])
        window = "from=2026-02-04T10:00:00Z&to=2026-02-04T10:20:00Z"
        raw = client.get(f"/v1/vehicles/van-7/history?{window}&bucket=raw").get_json()
        quarter = client.get(f"/v1/vehicles/van-7/history?{window}").get_json()
        hour = client.get("/v1/vehicles/van-7/history?bucket=1h").get_json()
        table = client.get(f"/v1/vehicles/van-7/history?{window}&bucket=raw&format=csv")
    assert [point["at"] for point in raw["points"]] == stamps[1:]
    assert [(point["at"], point["readings"], point["kwhDeliveredDc"]) for point in quarter["points"]] == [
        ("2026-02-04T10:00:00Z", 2, 0.2),
        ("2026-02-04T10:15:00Z", 1, 0.1),
    ]
    assert [(point["at"], point["readings"]) for point in hour["points"]] == [("2026-02-04T09:00:00Z", 1), ("2026-02-04T10:00:00Z", 3)]
    assert table.get_data(as_text=True).splitlines()[0] == "at_utc,kwh_delivered_dc,soc_pct,battery_temp_c,readings"
    assert len(table.get_data(as_text=True).splitlines()) == 4


def test_mappings_have_a_timeline(database_url: str) -> None:
    with api(database_url) as client:
        assert client.put("/v1/mappings/van-7", json={"meterId": "depot-1"}).status_code == 201
        later = client.put("/v1/mappings/van-7", json={"meterId": "depot-2", "from": "2026-02-04T11:00:00+01:00"})
        assert (later.status_code, later.get_json()["meterId"]) == (200, "depot-2")
        assert later.get_json()["timeline"] == [
            {"meterId": "depot-1", "from": None, "to": "2026-02-04T10:00:00Z"},
            {"meterId": "depot-2", "from": "2026-02-04T10:00:00Z", "to": None},
        ]
        ended = client.delete("/v1/mappings/van-7").get_json()
        assert (ended["meterId"], ended["timeline"][-1]["from"]) == (None, "2026-02-04T12:00:00Z")
        assert client.get("/v1/mappings").get_json()["mappings"][0]["vehicleId"] == "van-7"
        assert client.get("/v1/mappings/nobody").status_code == 404
        assert client.delete("/v1/mappings/nobody").status_code == 404
        assert client.put("/v1/mappings/van-7", json={}).status_code == 422
        assert client.put("/v1/mappings/van-7", json={"meterId": "<b>"}).status_code == 422


def test_devices_and_sites_can_be_described(database_url: str) -> None:
    with api(database_url) as client:
        site = {"name": "Berlin <b>Depot</b>", "latitude": 52.5, "longitude": 13.4, "timeZone": "Europe/Berlin"}
        assert client.put("/v1/sites/ber", json=site).status_code == 201
        assert client.put("/v1/sites/ber", json=site).status_code == 200
        assert client.put("/v1/sites/ber", json={**site, "timeZone": "Nowhere"}).status_code == 422
        assert client.put("/v1/sites/ber", json={**site, "longitude": None}).status_code == 422
        assert client.put("/v1/meters/depot-1", json={"ratedKw": 11, "siteId": "ber"}).status_code == 201
        assert client.put("/v1/vehicles/van-7", json={"name": "Van 7", "siteId": "ber"}).status_code == 201
        assert client.put("/v1/vehicles/van-8", json={"siteId": "nowhere"}).get_json()["type"] == "urn:voltledger:problem:unknown_site"
        assert client.get("/v1/vehicles/van-7").get_json()["siteName"] == site["name"]
        assert client.get("/v1/meters/depot-1").get_json()["latitude"] == 52.5


def test_every_vehicle_has_a_row_in_json_and_csv(database_url: str) -> None:
    with api(database_url) as client:
        client.post("/v1/telemetry/vehicle", json=[van(), van(vehicleId="van-8")])
        client.put("/v1/mappings/van-9", json={"meterId": "depot-1"})
        rows = client.get("/v1/analytics/performance").get_json()
        table = client.get("/v1/analytics/performance?format=csv")
    assert [(row["vehicleId"], row["verdict"]) for row in rows] == [("van-7", "unmapped"), ("van-8", "unmapped"), ("van-9", "not_charging")]
    assert table.mimetype == "text/csv"
    assert table.headers["Content-Disposition"] == "attachment; filename=voltledger-24h-20260204T120000Z.csv"
    assert table.get_data(as_text=True).splitlines()[0] == (
        "vehicle_id,meter_ids,from_utc,to_utc,total_ac_kwh,total_dc_kwh,efficiency,loss_kwh,avg_battery_temp_c,coverage_vehicle,coverage_meter,"
        "uncertainty,expected_low,expected_high,verdict,severity,reason,computed_at_utc"
    )


def test_the_specification_and_its_page_come_from_this_process(database_url: str) -> None:
    with api(database_url) as client:
        spec = client.get("/api/openapi.json").get_json()
        page = client.get("/api", follow_redirects=True)
        assert client.get("/api-json", follow_redirects=True).get_json() == spec
    assert {"/v1/telemetry/vehicle", "/v1/analytics/performance/{vehicleId}", "/v1/mappings/{vehicleId}", "/healthz"} <= spec[
        "paths"
    ].keys()
    assert page.status_code == 200
    assert "https://" not in page.get_data(as_text=True).replace("https://fonts", "x")


def test_health_and_metrics_answer(database_url: str) -> None:
    with api(database_url) as client:
        client.post("/v1/telemetry/vehicle", json=[van(), van(), van(soc=-1)])
        assert client.get("/healthz").get_json() == {"status": "ok"}
        assert client.get("/readyz").get_json()["daysAhead"] == 7
        metrics = client.get("/metrics").get_data(as_text=True)
    assert 'voltledger_readings_total{outcome="accepted"} 1.0' in metrics
    assert 'voltledger_rejects_total{code="out_of_range"} 1.0' in metrics
