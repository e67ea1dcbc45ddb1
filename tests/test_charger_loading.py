"""What the charger page and the list of chargers read from a real database is what the API says."""

import csv
import gzip
import io
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import psycopg
import pytest

from charging.matrix import read_charger
from dashboard.charger_list import ChargerList
from dashboard.over import over
from dashboard.pages.charger import loading
from db.engine import pool
from db.queries import matrix, meter_energy
from db.queries.fleet_window import FleetWindow
from db.queries.policies import Policies
from tests.support import api

pytestmark = pytest.mark.days_ahead

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)
POLICIES = Policies()


def _charge(name: str | None, meter_id: str, begin: datetime, efficiency: float = 0.9) -> dict[str, Any]:
    """Two hours at 12 kW, a reading a minute of each side."""
    at = [f"{begin + timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ}" for n in range(1, 121)]
    both = {"meters": [{"meterId": meter_id, "kwhConsumedAc": 0.2, "voltage": 231, "timestamp": t} for t in at]}
    if name is None:
        return both
    vehicle = {"vehicleId": name, "kwhDeliveredDc": round(0.2 * efficiency, 6), "batteryTemp": 20}
    return {**both, "vehicles": [{**vehicle, "soc": 20 + n / 4, "timestamp": t} for n, t in enumerate(at)]}


def _fill(client: Any) -> None:
    """van-7 and van-8 charge poorly at depot-1, van-8 well at depot-2; then somebody nobody knows charges at depot-1."""
    for vehicle, meter, start in (("van-7", "depot-1", None), ("van-7", "depot-2", "2026-02-03T20:00:00Z"), ("van-8", "depot-2", None)):
        client.put(f"/v1/mappings/{vehicle}", json={"meterId": meter, **({"from": start} if start else {})})
    client.put("/v1/mappings/van-8", json={"meterId": "depot-1", "from": "2026-02-03T20:00:00Z", "to": "2026-02-04T06:00:00Z"})
    client.put("/v1/sites/ber", json={"name": "Berlin"})
    client.put("/v1/meters/depot-1", json={"name": "Bay 1", "siteId": "ber", "ratedKw": 11})
    for body in (
        _charge("van-7", "depot-1", NOW - timedelta(hours=20), 0.7),
        _charge("van-8", "depot-2", NOW - timedelta(days=3), 0.92),
        _charge("van-8", "depot-1", NOW - timedelta(hours=12), 0.7),
        _charge(None, "depot-1", NOW - timedelta(hours=4)),
    ):
        assert client.post("/v1/telemetry/batch", json=body).status_code == 201


def test_the_page_is_what_the_api_says(database_url: str) -> None:
    window = "from=2026-02-03T12:00:00Z&to=2026-02-04T12:00:00Z"
    with api(database_url, NOW) as client:
        _fill(client)
        listed = client.get(f"/v1/meters/depot-1/sessions?{window}").get_json()["sessions"]
        told = client.get(f"/v1/meters/depot-1/energy?{window}").get_json()
        timeline = client.get("/v1/meters/depot-1/mappings").get_json()
        cells = client.get("/v1/analytics/matrix?meterId=depot-1&from=2026-01-05T12:00:00Z&to=2026-02-04T12:00:00Z").get_json()["cells"]
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        day = loading.load_window(conn, "depot-1", over("24h", None, None, NOW), NOW, POLICIES)
        judged = loading.load_judged(conn, "depot-1", NOW, NOW, POLICIES)
        live = loading.load_live(conn, "depot-1", NOW, POLICIES)
        other = loading.load_live(conn, "depot-2", NOW, POLICIES)
    assert [list(one.vehicle_ids) for one in day.sessions] == [one["vehicleIds"] for one in listed] == [["van-7"], ["van-8"], []]
    whole = meter_energy.total(day.timeline.energy)
    assert (whole.ac, whole.dc, whole.ac_nobody) == (72_000_000, 33_600_000, 24_000_000)
    assert sum(one["acNobodyKwh"] for one in told["bins"]) == pytest.approx(24)
    assert len(told["bins"]) == len(day.timeline.energy)
    assert len(judged.cells or ()) == len(cells) == 3
    assert read_charger("depot-1", judged.cells or ()).blame == "charger"
    assert [list(one.vehicle_ids) for one in judged.stretches] == [one["vehicleIds"] for one in timeline["timeline"]]
    assert live
    assert (live.meter.name, live.rating.kind, live.many, live.readings[0].voltage_v) == ("Bay 1", "11 kW", 0, 231)
    assert other
    assert (other.many, [one.vehicle.vehicle_id for one in other.occupants]) == (2, ["van-7", "van-8"])


def test_the_file_of_the_energy_is_of_the_window_and_adds_up(database_url: str) -> None:
    """From 16:30 on: half of the first charge."""
    with api(database_url, NOW) as client:
        _fill(client)
        answer = client.get("/v1/meters/depot-1/energy?from=2026-02-03T16:30:00Z&to=2026-02-03T17:15:00Z&bin=15m&format=csv")
        wrong = client.get("/v1/meters/depot-1/energy?from=2026-02-04T00:00:00Z&to=2026-02-03T00:00:00Z")
        nothing = client.get("/v1/meters/nobody/energy").get_json()
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(one["from_utc"][11:16], one["to_utc"][11:16], one["ac_kwh"]) for one in rows] == [
        ("16:30", "16:45", "3.0"),
        ("16:45", "17:00", "3.0"),
        ("17:00", "17:15", "3.0"),
    ]
    assert sum(float(one["dc_kwh"]) for one in rows) == pytest.approx(9 * 0.7)
    assert "voltledger-energy-depot-1.csv" in answer.headers["Content-Disposition"]
    assert (wrong.status_code, wrong.get_json()["type"]) == (422, "urn:voltledger:problem:invalid_parameter")
    assert nothing["bins"] == []


def test_nobody_heard_of_it_or_it_never_reported(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which are not the same; and a matrix that takes too long leaves the assignments."""
    with api(database_url, NOW) as client:
        client.put("/v1/mappings/van-7", json={"meterId": "depot-9"})
    monkeypatch.setattr(matrix, "MOST_CELLS", 0)
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        assert loading.load_live(conn, "nobody", NOW, POLICIES) is None
        silent = loading.load_live(conn, "depot-9", NOW, POLICIES)
        judged = loading.load_judged(conn, "depot-9", NOW, NOW, POLICIES)
        empty = loading.load_window(conn, "nobody", over("30d", None, None, NOW), NOW, POLICIES)
    assert silent
    assert (silent.meter.recorded_at, silent.many, silent.readings) == (None, 1, [])
    assert (judged.cells, len(judged.stretches)) == (None, 1)
    assert "Too many to show" in judged.why
    assert (empty.sessions, empty.timeline.energy) == ([], [])


def test_the_list_names_every_charger_once_and_survives_the_database(database_url: str) -> None:
    with api(database_url, NOW) as client:
        _fill(client)
        client.put("/v1/mappings/van-9", json={"meterId": "depot-3"})
    reading = pool(database_url, 1, "read", 5)
    known = ChargerList(reading, 900, FleetWindow(POLICIES, math.inf), lambda: NOW)
    picture = known.get()
    columns = orjson.loads(gzip.decompress(picture.body))["chargers"]
    assert columns["id"] == ["depot-1", "depot-2", "depot-3"]
    assert columns["acKwh"] == [72.0, 0.0, None]
    assert columns["vehicles"] == [[], ["van-7", "van-8"], ["van-9"]]
    assert (columns["class"][:2], columns["classFrom"][:2]) == (["11 kW", None], ["described", None])
    assert columns["verdict"] == [None, "shared_meter", "not_charging"]
    assert known.get() is picture  # within its time nothing is read
    reading.close(1)
    known.every_s = 0
    away = orjson.loads(gzip.decompress(known.get().body))
    assert (away["stale"], away["chargers"]) == (True, columns)
