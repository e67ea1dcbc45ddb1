"""What the vehicle page reads from a real database is what the API says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from charging.losses import Price, losses
from charging.units import to_kwh
from dashboard import curves
from dashboard.over import RANGES
from dashboard.pages.vehicle import loading
from db.queries import matrix
from db.queries.policies import Policies
from tests.support import api

pytestmark = pytest.mark.days_ahead

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)
COMMON = Price(0.3, 0.35)


def _charge(name: str, meter_id: str, begin: datetime, efficiency: float) -> dict[str, Any]:
    """Two hours at 11 kW, a reading a minute of each side."""
    at = [f"{begin + timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ}" for n in range(1, 121)]
    ac = 11 / 60
    vehicles = [
        {"vehicleId": name, "soc": 20 + n / 4, "kwhDeliveredDc": round(ac * efficiency, 6), "batteryTemp": 20, "timestamp": t}
        for n, t in enumerate(at)
    ]
    return {
        "vehicles": vehicles,
        "meters": [{"meterId": meter_id, "kwhConsumedAc": round(ac, 6), "voltage": 230, "timestamp": t} for t in at],
    }


def _put(client: Any, vehicle_id: str, meter_id: str, start: str | None = None, **more: Any) -> None:
    assert (
        client.put(f"/v1/mappings/{vehicle_id}", json={"meterId": meter_id, **({"from": start} if start else {}), **more}).status_code < 300
    )


def test_sessions_losses_chargers_and_assignments_are_the_apis(database_url: str) -> None:
    """van-7 charged poorly at depot-1 twenty days ago and yesterday at depot-2, where van-8 does well."""
    with api(database_url, NOW) as client:
        client.put("/v1/sites/dear", json={"name": "Dear", "tariffPerKwh": 0.5})
        client.put("/v1/meters/depot-2", json={"siteId": "dear", "ratedKw": 11})
        _put(client, "van-7", "depot-1")
        _put(client, "van-7", "depot-2", "2026-02-01T00:00:00Z", to="2026-02-03T20:00:00Z", by="anna", note="moved earlier")
        _put(client, "van-8", "depot-2", "2026-02-03T20:00:00Z")
        for body in (
            _charge("van-7", "depot-1", NOW - timedelta(days=20), 0.7),
            _charge("van-7", "depot-2", NOW - timedelta(hours=20), 0.7),
            _charge("van-8", "depot-2", NOW - timedelta(hours=10), 0.92),
        ):
            assert client.post("/v1/telemetry/batch", json=body).status_code == 201
        window = "from=2026-02-03T12:00:00Z&to=2026-02-04T12:00:00Z"
        told = client.get(f"/v1/vehicles/van-7/losses?{window}").get_json()
        listed = client.get(f"/v1/vehicles/van-7/sessions?{window}").get_json()["sessions"]
        reading = client.get("/v1/analytics/matrix?vehicleId=van-7&from=2026-01-05T12:00:00Z&to=2026-02-04T12:00:00Z").get_json()
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        loaded = loading.load_window(conn, "van-7", RANGES["24h"], NOW, NOW, Policies(), COMMON, "EUR")
        month = loading.load_window(conn, "van-7", RANGES["30d"], NOW, NOW, Policies(), COMMON, "EUR")
        around = loading.load_chargers(conn, "van-7", NOW, NOW, Policies())
        nobody = loading.load_window(conn, "nobody", RANGES["24h"], NOW, NOW, Policies(), COMMON, "EUR")
    assert loaded.summary
    parts = losses(loaded.summary)
    assert parts
    assert (to_kwh(parts.total), to_kwh(parts.avoidable)) == (told["lossKwh"], told["avoidable"]["kwh"])
    assert [(s.start, s.summary.ac_kwh) for s in loaded.sessions] == [
        (datetime.fromisoformat(one["start"]), one["acKwh"]) for one in listed
    ]
    assert len(month.sessions) == 2
    # depot-1 and depot-2: one of them at a site of its own, so it is that site's price
    assert loaded.price == Price(told["tariffPerKwh"], told["co2KgPerKwh"]) == Price(0.5, 0.35)
    assert around.cells
    assert len(around.cells) == len(reading["cells"]) == 3
    assert [(a.meter_id, c.note) for a, c in zip(around.assignments[1:2], around.changes[:1], strict=True)] == [
        ("depot-2", "moved earlier")
    ]
    assert (nobody.summary, nobody.sessions) == (None, [])


def test_the_charts_show_readings_or_quarters_or_hours_and_the_sessions_that_touch_them(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = NOW - timedelta(hours=20)
    body = _charge("van-7", "depot-1", begin, 0.9)
    for one in (*body["meters"][::15], *body["vehicles"][::15]):  # a pause in each quarter shows how finely the counters count
        one.update({name: 0.002 for name in one if name.startswith("kwh")})
    with api(database_url, NOW) as client:
        _put(client, "van-7", "depot-1")
        assert client.post("/v1/telemetry/batch", json=body).status_code == 201
    start, end = begin + timedelta(minutes=30), begin + timedelta(minutes=90)
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        hour = loading.load_chart(conn, "van-7", start, end, NOW, Policies())
        day = loading.load_chart(conn, "van-7", NOW - timedelta(days=1), NOW, NOW, Policies())
        known = loading.load_chart(conn, "van-7", NOW - timedelta(days=1), NOW, NOW, Policies(), [])
        monkeypatch.setattr(curves, "MOST_READINGS", 50)
        dense = loading.load_chart(conn, "van-7", start, end, NOW, Policies())
        nobody = loading.load_chart(conn, "nobody", start, end, NOW, Policies())
    assert (hour.bucket, hour.bin_s, len([p for p in hour.vehicle if p.at > start]), len(hour.sessions)) == ("raw", 900, 60, 1)
    assert len(hour.vehicle) == 75  # with the predecessors
    assert [s.verdict for _, s in hour.bins] == ["ok"] * 4
    assert (day.bucket, day.bin_s, len(day.meter), len(day.sessions), len(known.sessions)) == ("15m", 3600, 8, 1, 0)
    assert (dense.bucket, dense.point_s, len(dense.vehicle)) == ("15m", 900, 4)
    assert (nobody.bins, nobody.vehicle, nobody.meter, nobody.sessions) == ([], [], [], [])


def test_where_quarters_are_too_little_to_judge_the_bins_are_hours(database_url: str) -> None:
    """3.6 kW: 0.9 kWh in a quarter of an hour."""
    begin = NOW - timedelta(hours=5)
    body = _charge("van-7", "depot-1", begin, 0.9)
    for one in body["meters"]:
        one["kwhConsumedAc"] = 0.06
    for one in body["vehicles"]:
        one["kwhDeliveredDc"] = 0.054
    with api(database_url, NOW) as client:
        _put(client, "van-7", "depot-1")
        assert client.post("/v1/telemetry/batch", json=body).status_code == 201
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        found = loading.load_chart(conn, "van-7", begin, begin + timedelta(hours=2), NOW, Policies())
    assert (found.bucket, found.bin_s, [s.verdict for _, s in found.bins]) == ("raw", 3600, ["ok", "ok"])


def test_a_matrix_that_cannot_be_read_says_why_and_leaves_the_assignments(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many pairs, or a statement that was ended after its time."""
    with api(database_url, NOW) as client:
        _put(client, "van-7", "depot-1")
    monkeypatch.setattr(matrix, "MOST_CELLS", 0)
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        around = loading.load_chargers(conn, "van-7", NOW, NOW, Policies())
        assert (around.cells, len(around.assignments)) == (None, 1)
        assert "Too many to show: 1 pairs of vehicle and charger" in around.why

    def ended(*_: Any) -> Any:
        raise psycopg.errors.QueryCanceled

    monkeypatch.setattr(matrix, "around_vehicle", ended)
    with psycopg.connect(database_url) as conn:
        around = loading.load_chargers(conn, "van-7", NOW, NOW, Policies())
    assert (around.cells, len(around.assignments)) == (None, 1)
    assert "longer than a page may wait" in around.why
