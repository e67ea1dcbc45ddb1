"""The fleet in columns says what it says device by device, and only what changed is worked out again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from charging.verdict import Summary
from dashboard.fleet_columns import COLUMNS, Column, FleetColumns, judged, rounded
from db.queries import devices
from db.queries.devices import MeterNow, VehicleNow
from db.queries.fleet_now import FleetNow
from db.queries.fleet_window import FleetWindow
from db.queries.policies import Policies
from tests.support import api, depot, van

pytestmark = pytest.mark.days_ahead

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)
SILENT_AFTER_S = 900


@pytest.fixture
def client(database_url: str) -> Any:
    """Vehicles of every kind: placed by themselves, by their meter, by its site, by nobody; charging, idle, silent, never heard of."""
    with api(database_url, NOW) as client:
        client.put("/v1/sites/north", json={"name": "North", "latitude": 50.1234567, "longitude": 8.7654321})
        client.put("/v1/vehicles/van-3", json={"name": "Three", "siteId": "north"})
        client.put("/v1/vehicles/van-9", json={"name": "Never"})
        client.put("/v1/meters/depot-2", json={"siteId": "north"})
        client.put("/v1/meters/depot-9", json={"latitude": 1.5, "longitude": 2.5})
        for vehicle_id, meter_id in (("van-1", "depot-1"), ("van-2", "depot-2"), ("van-9", "depot-9")):
            client.put(f"/v1/mappings/{vehicle_id}", json={"meterId": meter_id})
        for minute in range(8):
            report(client, minute)
        yield client


def report(client: Any, minute: int) -> None:
    at = (NOW - timedelta(minutes=9 - minute)).isoformat()
    energies = {"van-1": 0.123457, "van-2": 0.0, "van-3": 0.008333}
    vehicles = [
        {"vehicleId": name, "soc": 50.05 + minute, "kwhDeliveredDc": energy, "batteryTemp": 20.25 + minute / 10, "timestamp": at}
        for name, energy in energies.items()
    ]
    vehicles[2] |= {"latitude": 12.3456789, "longitude": -3.4567891}
    meters = [depot(meterId=f"depot-{n}", timestamp=at, kwhConsumedAc=0.15) for n in (1, 2)]
    answer = client.post("/v1/telemetry/batch", json={"vehicles": [*vehicles, van(vehicleId="van-4")], "meters": meters})
    assert answer.status_code in (200, 201)


def one_by_one(v: VehicleNow, meter: MeterNow | None, summary: Summary | None) -> dict[str, Any]:
    """A row as devices' own words have it."""
    silent = v.recorded_at is None or (NOW - v.recorded_at).total_seconds() > SILENT_AFTER_S
    own, its = (v.latitude, v.longitude), (meter.latitude, meter.longitude) if meter else (None, None)
    where = ("vehicle", *own) if own[0] is not None else ("meter", *its) if its[0] is not None else (None, None, None)
    return {
        "id": v.vehicle_id,
        "name": v.name,
        "site": v.site_name,
        "meterId": v.meter_id,
        "positionFrom": where[0],
        "lat": rounded(where[1], 5),
        "lon": rounded(where[2], 5),
        "soc": rounded(v.soc_pct, 1),
        "powerKw": rounded(v.power_kw, 1),
        "batteryTemp": rounded(v.battery_temp_c, 1),
        "recordedAt": int(v.recorded_at.timestamp()) if v.recorded_at else None,
        "charging": not silent and (v.power_kw or 0) > 0.5,
        "silent": silent,
        **judged(summary),
    }


def test_the_columns_say_what_each_device_says_of_itself_after_every_tick(client: Any, database_url: str) -> None:
    fleet, columns, window = FleetNow(), FleetColumns(SILENT_AFTER_S), FleetWindow(Policies())
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        for minute in (8, 9):
            summaries = window.refresh(conn, NOW).summaries
            drawn, charging, silent = columns.of(fleet.vehicles(conn, NOW), fleet.meters(conn), summaries, NOW)
            meters = {m.meter_id: m for m in devices.meters(conn)}
            known = devices.vehicles(conn, NOW)
            rows = [one_by_one(v, meters.get(v.meter_id or ""), summaries.get(v.vehicle_id)) for v in known]
            assert tuple(drawn) == COLUMNS
            assert drawn == {name: [row[name] for row in rows] for name in COLUMNS}
            assert (charging.tolist(), silent.tolist()) == (drawn["charging"], drawn["silent"])
            assert set(drawn["positionFrom"]) == {"vehicle", "meter", None}
            assert (True in drawn["charging"], None in drawn["powerKw"], True in drawn["silent"]) == (True, True, True)
            conn.rollback()
            report(client, minute)


def test_a_tick_in_which_nothing_changed_gives_the_very_same_lists(client: Any, database_url: str) -> None:
    fleet, columns = FleetNow(), FleetColumns(SILENT_AFTER_S)
    with psycopg.connect(database_url) as conn:
        first, again = (columns.of(fleet.vehicles(conn, NOW), fleet.meters(conn), {}, NOW)[0] for _ in range(2))
    assert all(first[name] is again[name] for name in COLUMNS)


def test_a_column_makes_only_values_of_changed_numbers_and_leaves_the_list_before_alone() -> None:
    made: list[float] = []

    def make(number: float) -> str:
        made.append(number)
        return str(number)

    column = Column(make)
    first = column.of(np.array([1.0, np.nan, 3.0]))
    made.clear()
    assert column.of(np.array([1.0, np.nan, 4.0])) == ["1.0", "nan", "4.0"]
    assert made == [4.0]
    assert first == ["1.0", "nan", "3.0"]
    assert column.of(np.array([5.0])) == ["5.0"]
