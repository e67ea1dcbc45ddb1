"""Where each site's energy went: every meter's AC once, whoever was on it, and the parts add up."""

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from charging.losses import Price
from db import ingest, partitions
from db.queries import devices, matrix, sites
from db.queries.sites import SiteEnergy
from db.sides import METER, VEHICLE
from tests.support import api

pytestmark = pytest.mark.days_ahead

DAY = datetime(2026, 2, 3, tzinfo=UTC)
END = DAY + timedelta(days=1)
PRICE = Price(0.30, 0.35)


def charge(conn: psycopg.Connection, vehicle: str | None, meter: str | None, hour: int, ratio: float = 0.92, minutes: int = 120) -> None:
    """At 11 kW from this hour of the day on."""
    at = [int((DAY + timedelta(hours=hour, minutes=n + 1)).timestamp()) * 1_000_000 for n in range(minutes)]
    if vehicle:
        ingest.store(conn, VEHICLE, [(vehicle, t, round(183_333 * ratio), 5_000, 2_000, None, None) for t in at], END)
    if meter:
        ingest.store(conn, METER, [(meter, t, 183_333, 23_000, None, None) for t in at], END)


def assign(conn: psycopg.Connection, vehicle: str, meter: str | None, hour: int | None = None) -> None:
    conn.execute(
        "INSERT INTO assignment VALUES (%s, coalesce(%s, '-infinity'::timestamptz), %s)",
        (vehicle, None if hour is None else DAY + timedelta(hours=hour), meter),
    )


@pytest.fixture
def sited(conn: psycopg.Connection) -> psycopg.Connection:
    partitions.ensure(conn, [date(2026, 2, 3), date(2026, 2, 4)], END)
    devices.describe_site(conn, "ber", "Berlin", None, None, "Europe/Berlin")
    for meter in ("depot-1", "depot-2"):
        devices.describe_meter(conn, meter, None, 11.0, "ber", None, None)
    return conn


def ber(conn: psycopg.Connection) -> SiteEnergy:
    return next(site for site in sites.energies(conn, DAY, END, PRICE) if site.site_id == "ber")


def adds_up(site: SiteEnergy) -> bool:
    return site.ac == site.ac_counted + site.ac_nobody + sum(site.ac_left_out.values())


def test_ac_that_nobody_was_assigned_to_is_told_apart(sited: psycopg.Connection) -> None:
    assign(sited, "van-7", "depot-1")
    assign(sited, "van-7", None, 12)
    charge(sited, "van-7", "depot-1", 2)
    charge(sited, None, "depot-1", 14, minutes=60)
    site = ber(sited)
    assert (site.ac, site.ac_counted, site.ac_nobody) == (180 * 183_333, 120 * 183_333, 60 * 183_333)
    assert adds_up(site)


def test_a_shared_meters_ac_counts_once_and_blames_nobody(sited: psycopg.Connection) -> None:
    for vehicle in ("van-7", "van-8", "van-9"):
        assign(sited, vehicle, "depot-1")
    charge(sited, "van-7", "depot-1", 2, ratio=0.5)
    site = ber(sited)
    assert (site.ac, site.ac_left_out) == (120 * 183_333, {"shared_meter": 120 * 183_333})
    assert adds_up(site)


def test_ac_whose_vehicle_reports_that_nothing_arrived_is_said_apart(sited: psycopg.Connection) -> None:
    assign(sited, "van-7", "depot-1")
    charge(sited, "van-7", "depot-1", 2, ratio=0.0)
    site = ber(sited)
    assert (site.ac_not_received, site.ac_left_out) == (120 * 183_333, {"suspect_measurement": 120 * 183_333})


def test_a_vehicle_that_moves_to_another_meter_counts_at_each_for_its_time(sited: psycopg.Connection) -> None:
    assign(sited, "van-7", "depot-1")
    assign(sited, "van-7", "depot-2", 12)
    charge(sited, "van-7", "depot-1", 2)
    charge(sited, "van-7", "depot-2", 14, minutes=60)
    site = ber(sited)
    assert (site.ac_counted, site.dc_counted, site.ac_nobody) == (180 * 183_333, 180 * round(183_333 * 0.92), 0)


def test_a_sites_own_tariff_comes_before_the_common_one(sited: psycopg.Connection) -> None:
    assign(sited, "van-7", "depot-1")
    charge(sited, "van-7", "depot-1", 2)
    assert ber(sited).price == PRICE
    sited.execute("UPDATE site SET tariff_per_kwh = 0.5")
    assert ber(sited).price == Price(0.5, 0.35)


def test_meters_of_no_site_are_listed_last(sited: psycopg.Connection) -> None:
    assign(sited, "van-7", "stray")
    charge(sited, "van-7", "stray", 2)
    found = sites.energies(sited, DAY, END, PRICE)
    assert [(site.site_id, site.meters, site.ac) for site in found] == [("ber", 2, 0), (None, 1, 120 * 183_333)]


def test_the_matrix_holds_each_vehicle_at_each_charger_for_its_time(sited: psycopg.Connection) -> None:
    """van-7 is low at both chargers, van-8 is fine at one of them: it is the vehicle."""
    assign(sited, "van-7", "depot-1")
    assign(sited, "van-7", "depot-2", 12)
    assign(sited, "van-8", "depot-2")
    assign(sited, "van-8", "depot-1", 12)
    charge(sited, "van-7", "depot-1", 2, ratio=0.7)
    charge(sited, "van-8", "depot-2", 2)
    charge(sited, "van-7", "depot-2", 14, ratio=0.7)
    cells = matrix.around_vehicle(sited, "van-7", DAY, END)
    assert [(c.vehicle_id, c.meter_id, c.summary.verdict.value) for c in cells] == [
        ("van-7", "depot-1", "low"),
        ("van-7", "depot-2", "low"),
        ("van-8", "depot-2", "ok"),
    ]
    assert cells == matrix.around_meter(sited, "depot-2", DAY, END)
    sited.execute("INSERT INTO vehicle (vehicle_id, site_id) VALUES ('van-8', 'ber')")
    assert cells == matrix.of_site(sited, "ber", DAY, END)


def test_a_shared_stretch_is_no_cell(sited: psycopg.Connection) -> None:
    assign(sited, "van-7", "depot-1")
    assign(sited, "van-8", "depot-1", 6)
    charge(sited, "van-7", "depot-1", 2, ratio=0.7)
    charge(sited, "van-8", "depot-1", 14)
    cells = matrix.around_vehicle(sited, "van-7", DAY, END)
    assert [(c.vehicle_id, c.meter_id, c.summary.ac_kwh) for c in cells] == [("van-7", "depot-1", 120 * 183_333 / 1e6)]


def test_the_api_says_where_the_loss_goes_and_reads_the_matrix(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        partitions.ensure(conn, [date(2026, 2, 3), date(2026, 2, 4)], END)
        devices.describe_site(conn, "ber", "=Berlin", None, None, "Europe/Berlin")
        devices.describe_meter(conn, "depot-1", None, 11.0, "ber", None, None)
        conn.execute("UPDATE site SET tariff_per_kwh = 0.5")
        assign(conn, "van-7", "depot-1")
        charge(conn, "van-7", "depot-1", 2, ratio=0.8)
    window = "from=2026-02-03T00:00:00Z&to=2026-02-04T00:00:00Z"
    with api(database_url, END) as client:
        got = client.get(f"/v1/vehicles/van-7/losses?{window}").get_json()
        parts = got["parts"]
        assert round(sum(part["kwh"] for part in parts.values()), 6) == round(got["acKwh"] - got["dcKwh"], 6) == got["lossKwh"]
        assert parts["unexplained"]["cost"] == pytest.approx(parts["unexplained"]["kwh"] * 0.5)
        assert got["avoidable"]["kwh"] > parts["unexplained"]["kwh"] > 1
        matrix_ = client.get(f"/v1/analytics/matrix?vehicleId=van-7&{window}").get_json()
        assert [(v["vehicleId"], v["blame"]) for v in matrix_["vehicles"]] == [("van-7", "unknown")]
        site = client.get(f"/v1/analytics/sites?{window}").get_json()["sites"][0]
        assert (site["siteId"], site["tariffPerKwh"], round(sum(site["lossPartsKwh"].values()), 6)) == (
            "ber",
            0.5,
            round(site["lossKwh"], 6),
        )
        lines = client.get(f"/v1/analytics/sites?format=csv&{window}").get_data(as_text=True).splitlines()
        assert lines[1].startswith("ber,'=Berlin,2026-02-03T00:00:00Z,")
        for bad in ("from=2026-02-04T00:00:00Z&to=2026-02-03T00:00:00Z", "from=2020-01-01T00:00:00Z&to=2026-02-03T00:00:00Z"):
            assert client.get(f"/v1/analytics/sites?{bad}").status_code == 422
        assert client.get("/v1/analytics/matrix").status_code == 422
        assert client.get("/v1/analytics/matrix?vehicleId=v&meterId=m").status_code == 422
        assert client.get("/v1/vehicles/nobody/losses").status_code == 404


def test_any_window_of_a_vehicle_is_told_as_a_whole_and_bin_by_bin(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        partitions.ensure(conn, [date(2026, 2, 3), date(2026, 2, 4)], END)
        assign(conn, "van-7", "depot-1")
        charge(conn, "van-7", "depot-1", 2)
        charge(conn, "van-7", None, 14, minutes=60)
    window = "from=2026-02-03T01:30:00Z&to=2026-02-04T00:00:00Z"
    with api(database_url, END) as client:
        got = client.get(f"/v1/vehicles/van-7/efficiency?{window}&bin=1h").get_json()
        assert (got["whole"]["from"], got["whole"]["to"], got["whole"]["totalAc"]) == (
            "2026-02-03T01:30:00Z",
            "2026-02-04T00:00:00Z",
            120 * 183_333 / 1e6,
        )
        verdicts = {one["from"][11:16]: one["verdict"] for one in got["bins"]}
        assert verdicts == {"02:00": "ok", "03:00": "ok", "14:00": "insufficient_data"}
        assert {one["to"][11:16] for one in got["bins"]} == {"03:00", "04:00", "15:00"}
        assert sum(one["totalDc"] for one in got["bins"]) == pytest.approx(got["whole"]["totalDc"])
        assert (
            set(got["bins"][0])
            == set(got["whole"])
            >= {"uncertainty", "coverage", "expected", "expectedFrom", "verdict", "reason", "lossKwh"}
        )
        assert client.get(f"/v1/vehicles/nobody/efficiency?{window}").status_code == 404
        assert client.get("/v1/vehicles/van-7/efficiency?from=2025-12-01T00:00:00Z&bin=15m").status_code == 422
