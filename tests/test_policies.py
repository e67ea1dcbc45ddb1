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
    assert policy.learned_of("v", ("a", "b")) is not None
    assert policy.learned_of("v", ("a", "c")) is None
    assert policy.learned_of("v", ("a", "unknown")) is None
    assert policy.learned_of("v", ()) is None


def test_a_policy_is_read_again_only_when_something_changed(charged: psycopg.Connection) -> None:
    policies = Policies()
    first = policies.current(charged)
    assert policies.current(charged) is first
    expectation_version.bump(charged)
    assert policies.current(charged) is not first
