"""What low means for whom: a vehicle's own thresholds and band, its site's, its model's, or the common ones; and a change shows at once."""

import math
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from charging.policy import Policy
from charging.verdict import Thresholds
from db import expectation_version, ingest, partitions
from db.queries import devices, performance
from db.queries.fleet_window import WINDOW, FleetWindow
from db.queries.policies import Policies
from db.sides import METER, VEHICLE
from tests.support import api
from tests.test_verdict import charged as charged_in_words

pytestmark = pytest.mark.days_ahead

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)
PLAIN = Thresholds("plain", 0.85, 0.75)


@pytest.fixture
def charged(conn: psycopg.Connection) -> psycopg.Connection:
    """van-7 took 20 kWh at 11 kW from depot-1 and 17.2 of them arrived: 86 %, below the default band of 88.4 %, above a threshold of 85 %.

    The first reading of each shows how fine its counter is.
    """
    partitions.ensure(conn, [NOW.date()], NOW)
    at = [int((NOW - timedelta(hours=4) + timedelta(minutes=n)).timestamp()) * 1_000_000 for n in range(109)]
    ingest.store(conn, VEHICLE, [("van-7", t, 1_000 if t == at[0] else 157_798, 5_000, 2_000, None, None) for t in at], NOW)
    ingest.store(conn, METER, [("depot-1", t, 1_000 if t == at[0] else 183_486, 23_000, None, None) for t in at], NOW)
    conn.execute("INSERT INTO fleet_mapping VALUES ('van-7', 'depot-1')")
    devices.describe_site(conn, "ber", "Berlin", None, None, "Europe/Berlin")
    devices.describe_vehicle(conn, "van-7", "Van 7", "Heron", "ber")
    return conn


def judged(conn: psycopg.Connection, policies: Policies) -> tuple[str, str | None, str | None]:
    """Verdict, severity and where the band comes from; the same for the vehicle alone and in the fleet's window."""
    one = performance.summaries(conn, NOW - WINDOW, NOW, ["van-7"], policies)["van-7"]
    fleet = FleetWindow(policies, math.inf).refresh(conn, NOW).summaries["van-7"]
    assert one == fleet
    return one.verdict.value, one.severity, one.band.source if one.band else None


def learn(conn: psycopg.Connection, table: str, whose: str, name: str, share: float) -> None:
    values = f"('{name}', '11 kW', {share}, 0.2, 0.005, 1e-6, 0, 1e-6, 100, 12, 9, now())"
    conn.execute(
        f"INSERT INTO {table} ({whose}, charger_class, share, overhead_kw, error, variance_share, covariance, variance_overhead, observations, sessions, days, learned_at) VALUES {values}"
    )
    expectation_version.bump(conn)


def test_without_anything_of_its_own_the_common_rule_holds(charged: psycopg.Connection) -> None:
    assert judged(charged, Policies()) == ("low", "warning", "default")
    assert judged(charged, Policies(PLAIN)) == ("ok", None, None)


def test_a_sites_thresholds_come_before_the_settings_and_a_vehicles_before_its_sites(charged: psycopg.Connection) -> None:
    policies = Policies()
    assert judged(charged, policies)[0] == "low"
    charged.execute("UPDATE site SET thresholds = 'plain'")
    expectation_version.bump(charged)
    assert judged(charged, policies) == ("ok", None, None)
    charged.execute("UPDATE vehicle SET plain_low = 0.9, plain_critical = 0.87")
    expectation_version.bump(charged)
    assert judged(charged, policies) == ("low", "critical", None)
    charged.execute("UPDATE vehicle SET thresholds = 'band'")
    expectation_version.bump(charged)
    assert judged(charged, policies) == ("low", "warning", "default")


def test_critical_is_never_above_low_where_the_two_come_from_different_places(charged: psycopg.Connection) -> None:
    charged.execute("UPDATE vehicle SET thresholds = 'plain', plain_low = 0.5")
    assert Policies(PLAIN).current(charged).thresholds_of("van-7") == Thresholds("plain", 0.5, 0.5)


def test_the_vehicles_own_band_comes_before_its_models_and_that_before_the_default(charged: psycopg.Connection) -> None:
    policies = Policies()
    devices.describe_meter(charged, "depot-1", None, 11.0, None, None, None)
    learn(charged, "peer_band", "model", "Heron", 0.09)
    assert judged(charged, policies) == ("ok", None, "peers")
    learn(charged, "learned_band", "vehicle_id", "van-7", 0.05)
    assert judged(charged, policies) == ("low", "warning", "learned")


def test_a_band_counts_for_its_class_of_charger_alone(charged: psycopg.Connection) -> None:
    policies = Policies()
    learn(charged, "learned_band", "vehicle_id", "van-7", 0.12)
    assert judged(charged, policies)[2] == "default"  # nobody knows what depot-1 is
    charged.execute("INSERT INTO learned_charger VALUES ('depot-1', 11040, now())")
    expectation_version.bump(charged)
    assert judged(charged, policies) == ("ok", None, "learned")
    devices.describe_meter(charged, "depot-1", None, 22.0, None, None, None)  # what people say comes before what was seen
    assert judged(charged, policies)[2] == "default"


def test_chargers_of_several_classes_leave_the_default() -> None:
    policy = Policy(charger_classes={"a": "11 kW", "b": "11 kW", "c": "3.7 kW"}, learned={("v", "11 kW"): object()})  # type: ignore[dict-item]
    assert [policy.class_of(meters) for meters in (("a", "b"), ("a", "c"), ("a", "unknown"), ("unknown",), ())] == [
        "11 kW",
        None,
        None,
        None,
        None,
    ]
    assert policy.learned_of("v", "11 kW") is not None
    assert policy.learned_of("v", "3.7 kW") is None
    assert policy.learned_of("v", None) is None


def test_a_dc_charger_is_judged_as_one_also_where_the_taper_keeps_the_mean_power_low() -> None:
    """15 kW on the mean at a charger for 150: its electronics draw what a DC charger's do."""
    slow = charged_in_words(dc_kwh=13.3, ac_kwh=15.0, minutes=60)
    assert Policy().judge("truck", slow).expected_low == pytest.approx(1 - 0.078 - 0.422 / 15)
    assert Policy(charger_classes={"depot-1": "DC"}).judge("truck", slow).expected_low == pytest.approx(1 - 0.09 - 0.6 / 15)


def test_a_policy_is_read_again_only_when_something_changed(charged: psycopg.Connection) -> None:
    policies = Policies()
    first = policies.current(charged)
    assert policies.current(charged) is first
    expectation_version.bump(charged)
    assert policies.current(charged) is not first


def test_the_api_tells_what_was_learned_and_what_it_rests_on(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        devices.describe_vehicle(conn, "van-7", "Van 7", "Heron", None)
        learn(conn, "learned_band", "vehicle_id", "van-7", 0.05)
        learn(conn, "peer_band", "model", "Heron", 0.09)
        conn.execute("UPDATE learned_band SET frozen_since = '2026-02-01 00:00+00'")
        conn.execute("INSERT INTO peer_band SELECT 'Heron', '3.7 kW', 0.06, 0.3, 0.01, 1e-6, 0, 1e-6, 200, 40, 9, now()")
    with api(database_url, NOW) as client:
        got = client.get("/v1/vehicles/van-7/bands").get_json()
        assert got["thresholds"] == {"use": "band", "plainLow": 0.85, "plainCritical": 0.75}
        own, peers = got["bands"]
        assert (own["chargerClass"], own["source"], own["lossShare"], own["observations"]) == ("11 kW", "learned", 0.05, 100)
        assert own["frozenSince"] == "2026-02-01T00:00:00Z"
        assert (peers["chargerClass"], peers["source"], peers["error"], peers["frozenSince"]) == ("3.7 kW", "peers", 0.01, None)
        assert client.get("/v1/vehicles/nobody/bands").get_json()["bands"] == []
