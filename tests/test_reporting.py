"""Who reports, who does not, and which hours are missing."""

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from charging import reporting
from charging.reporting import Device, State
from db.queries import calendar
from tests.support import NOW, api, depot, van

pytestmark = pytest.mark.days_ahead

MINUTE = timedelta(minutes=1)


def _device(recorded: datetime | None = NOW, received: datetime | None = None, rhythm_s: int | None = None, **changes: Any) -> Device:
    facts = {"side": "vehicle", "device_id": "van-7", "name": None, "site_id": None, "site_name": None, "described": False, "mapped": False}
    return Device(**{**facts, "recorded_at": recorded, "received_at": received or recorded, "rhythm_s": rhythm_s, **changes})


@pytest.mark.parametrize(
    ("device", "state"),
    [
        (_device(NOW - 5 * MINUTE), "reporting"),
        (_device(NOW - 6 * MINUTE), "stale"),
        (_device(NOW - 15 * MINUTE), "stale"),
        (_device(NOW - 16 * MINUTE), "silent"),
        (_device(NOW - 60 * MINUTE, rhythm_s=900), "reporting"),
        (_device(NOW - 90 * MINUTE, rhythm_s=900), "stale"),
        (_device(NOW - 60 * MINUTE, received=NOW - MINUTE), "late"),
        (_device(None), "never"),
    ],
)
def test_a_device_is_judged_by_its_own_rhythm(device: Device, state: State) -> None:
    """Five rhythms are stale, fifteen are silent; old readings that just came are late and not silent."""
    assert reporting.state(device, NOW) == state


def test_hours_are_shares_of_what_was_due() -> None:
    """Of a reading a minute; the running hour counts what has passed of it; before the first reading there is nothing to miss."""
    assert reporting.shares([None, 60, 30, 0, 14], MINUTE, 15 * MINUTE) == [None, 1.0, 0.5, 0.0, 1.0]
    assert reporting.shares([0], MINUTE, 15 * MINUTE) == [0.0]
    assert reporting.shares([0], MINUTE, MINUTE) == [1.0]


def test_a_slow_device_misses_no_hour_between_its_readings() -> None:
    """Every three hours: the hours between are as complete as the one it reports in, until a reading is missed."""
    slow = timedelta(hours=3)
    assert reporting.shares([1, 0, 0, 1, 0, 0, 0, 1], slow) == [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0]


def _fill(client: Any) -> None:
    """van-7 reported every minute of the last two hours but one; van-8 an hour ago; depot-1 just now, its clock ahead."""
    minutes = [NOW - n * MINUTE for n in range(120) if not 30 <= n < 60]
    client.post("/v1/telemetry/vehicle", json=[van(timestamp=f"{at:%FT%TZ}") for at in minutes])
    client.post("/v1/telemetry/vehicle", json=van(vehicleId="van-8", timestamp=f"{NOW - 60 * MINUTE:%FT%TZ}"))
    client.post("/v1/telemetry/meter", json=depot(timestamp=f"{NOW + timedelta(seconds=30):%FT%TZ}"))
    client.put("/v1/sites/north", json={"name": "North"})
    client.put("/v1/vehicles/van-7", json={"siteId": "north", "name": "The Van"})
    client.put("/v1/vehicles/van-9", json={})


def test_the_devices_of_a_real_database(database_url: str) -> None:
    """Reporting, late, never; new, ahead; filtered by site and text; a file with the same rows."""
    with api(database_url) as client:
        _fill(client)
        with psycopg.connect(database_url) as conn:  # received when it was recorded, as a device does
            conn.execute("UPDATE live_vehicle SET received_at = recorded_at WHERE vehicle_id = 'van-8'")
        listed = client.get("/v1/ingestion/devices").get_json()["devices"]
        told = {one["deviceId"]: one for one in listed}
        assert {name: one["state"] for name, one in told.items()} == {"van-8": "silent", "van-7": "reporting", "depot-1": "reporting", "van-9": "never"}  # fmt: skip
        assert [one["deviceId"] for one in listed][0::3] == ["van-8", "van-9"]
        assert {name for name, one in told.items() if one["new"]} == {"van-8", "depot-1"}
        assert (told["depot-1"]["clockAhead"], told["depot-1"]["lagS"], told["van-7"]["clockAhead"]) == (True, -30.0, False)
        assert [one["deviceId"] for one in client.get("/v1/ingestion/devices?siteId=north&q=VAN").get_json()["devices"]] == ["van-7"]
        assert [one["deviceId"] for one in client.get("/v1/ingestion/devices?state=silent").get_json()["devices"]] == ["van-8"]
        file = client.get("/v1/ingestion/devices?state=silent&format=csv")
        assert file.headers["Content-Disposition"] == "attachment; filename=voltledger-devices.csv"
        assert file.get_data(as_text=True).splitlines()[1].startswith("vehicle,van-8,,,silent,2026-02-04T11:00:00")
        client.put("/v1/mappings/van-8", json={"meterId": "depot-1"})
        assert client.get("/v1/ingestion/devices?new=true").get_json() == {"devices": []}


def test_the_calendar_has_the_worst_first_and_every_hour(database_url: str) -> None:
    """Two hours of van-7 with half an hour missing, one reading of van-8; nothing is missing before a device's first reading."""
    with api(database_url) as client:
        _fill(client)
        got = client.get("/v1/ingestion/gaps?side=vehicle").get_json()
        assert got["devices"] == 2
        assert [one["deviceId"] for one in got["gaps"]][:: calendar.HOURS] == ["van-8", "van-7"]
        van_7 = [one for one in got["gaps"] if one["deviceId"] == "van-7"]
        assert len(van_7) == calendar.HOURS
        assert [(one["from"], one["readings"], one["shareOfDue"]) for one in van_7[-3:]] == [
            ("2026-02-04T09:00:00Z", None, None),
            ("2026-02-04T10:00:00Z", 60, None),
            ("2026-02-04T11:00:00Z", 30, round(30 / 59, 4)),
        ]
        van_8 = [one["readings"] for one in got["gaps"] if one["deviceId"] == "van-8"]
        assert van_8[-2:] == [1, 0]
        assert client.get("/v1/ingestion/gaps?side=vehicle&page=2").get_json()["gaps"] == []
        assert client.get("/v1/ingestion/gaps?side=meter&format=csv").get_data(as_text=True).count("\n") == calendar.HOURS + 1


def test_minutes_rejects_and_days_are_told(database_url: str) -> None:
    """Empty where nothing was counted yet; a window upside down is refused."""
    with api(database_url) as client:
        _fill(client)
        assert client.get("/v1/ingestion/minutes").get_json() == {"minutes": []}
        assert client.get("/v1/ingestion/rejects?format=csv").get_data(as_text=True).count("\n") == 1
        days = client.get("/v1/ingestion/days").get_json()["days"]
        assert [one["day"] for one in days][:2] == ["2026-02-03", "2026-02-04"]
        assert all(one["historyBytes"] > 0 for one in days)
        assert client.get("/v1/ingestion/minutes?from=2026-02-04T10:00:00Z&to=2026-02-04T09:00:00Z").status_code == 422
