"""Real charging sessions, posted by the simulator's replay over real HTTP, come out as what is known about them."""

import csv
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from werkzeug.serving import make_server

from tests.support import api

pytestmark = pytest.mark.days_ahead

SHARED = Path(__file__).parents[2] / "shared" / "data"
MADE_UP = Path(__file__).parent / "data"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
TESLA, LEAF = "VEH-TESLAS-20160626", "VEH-LEAF-2022"
shared_only = pytest.mark.skipif(not SHARED.exists(), reason=f"the real data is not here: {SHARED} does not exist")


@pytest.fixture
def served(database_url: str) -> Iterator[tuple[str, Any]]:
    """(address, client) of the API behind a real socket."""
    with api(database_url, NOW) as client:
        server = make_server("127.0.0.1", 0, client.application, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", client
        finally:
            server.shutdown()


def replay(address: str, *files: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "simulator", "replay", *map(str, files), "--url", address], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def csv_row(client: Any, at: str, vehicle_id: str) -> dict[str, str]:
    rows = csv.DictReader(io.StringIO(client.get(f"/v1/analytics/performance.csv?at={at}").get_data(as_text=True)))
    return next(row for row in rows if row["vehicle_id"] == vehicle_id)


@shared_only
def test_the_tesla_session_is_94_3_percent_in_the_api_and_in_the_csv(served: tuple[str, Any], database_url: str) -> None:
    address, client = served
    files = [SHARED / "tesla-model-s-2016" / name for name in ("vehicle.csv", "meter.csv")]
    with psycopg.connect(database_url) as conn:
        conn.execute("INSERT INTO fleet_mapping VALUES (%s, 'MTR-TESLAS-20160626')", (TESLA,))
    replay(address, *files)
    at = "2016-06-27T00:14:00Z"
    got = client.get(f"/v1/analytics/performance/{TESLA}?at={at}").get_json()
    assert (round(got["totalAc"], 3), got["totalDc"], got["efficiency"], got["verdict"], got["avgTemp"]) == (10.608, 10, 0.94, "ok", None)
    assert round(got["efficiencyRatio"], 4) == 0.9426
    row = csv_row(client, at, TESLA)
    assert (float(row["total_ac_kwh"]), float(row["total_dc_kwh"]), row["verdict"]) == (got["totalAc"], got["totalDc"], "ok")
    assert round(float(row["efficiency"]), 7) == got["efficiencyRatio"]
    replay(address, *files)
    assert client.get(f"/v1/analytics/performance/{TESLA}?at={at}").get_json()["totalDc"] == 10


@shared_only
def test_the_leaf_without_ac_has_no_efficiency_and_is_never_zero_or_infinite(served: tuple[str, Any], database_url: str) -> None:
    address, client = served
    replay(address, SHARED / "nissan-leaf-2022" / "vehicle.csv")
    with psycopg.connect(database_url) as conn:
        busiest = conn.execute("SELECT recorded_at + interval '1 hour' FROM vehicle_history ORDER BY dc_milliwh DESC LIMIT 1").fetchone()
    assert busiest
    at = busiest[0].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert client.get(f"/v1/analytics/performance/{LEAF}?at={at}").status_code == 404
    unmapped = csv_row(client, at, LEAF)
    assert (unmapped["verdict"], unmapped["efficiency"], float(unmapped["total_dc_kwh"]) > 1) == ("unmapped", "", True)
    client.put(f"/v1/mappings/{LEAF}", json={"meterId": "silent-1"})
    got = client.get(f"/v1/analytics/performance/{LEAF}?at={at}").get_json()
    assert (got["verdict"], got["efficiency"], got["efficiencyRatio"], got["lossKwh"]) == ("insufficient_data", None, None, None)


def test_the_made_up_session_with_the_same_quirks_is_judged(served: tuple[str, Any], database_url: str) -> None:
    address, client = served
    files = [MADE_UP / "vehicle.csv", MADE_UP / "meter.csv"]
    with files[0].open() as vehicle, files[1].open() as meter:
        vehicles, meters = list(csv.DictReader(vehicle)), list(csv.DictReader(meter))
    with psycopg.connect(database_url) as conn:
        conn.execute("INSERT INTO fleet_mapping VALUES (%s, %s)", (vehicles[0]["vehicleId"], meters[0]["meterId"]))
    replay(address, *files)
    at = max(row["timestamp"] for row in vehicles + meters)
    got = client.get(f"/v1/analytics/performance/{vehicles[0]['vehicleId']}", query_string={"at": at}).get_json()
    dc = sum(float(row["kwhDeliveredDc"] or 0) for row in vehicles)
    ac = sum(float(row["kwhConsumedAc"] or 0) for row in meters)
    assert (round(got["totalDc"], 6), round(got["totalAc"], 6)) == (round(dc, 6), round(ac, 6))
    assert (got["verdict"], got["avgTemp"]) == ("ok", None)
