"""The simulated truth against what the product says: sick chargers are found, and nothing else is called one."""

import sys
from datetime import UTC, date, datetime

import psycopg
import pytest

from charging.verdict import Verdict
from db import learning
from db.embedded import EmbeddedPostgres
from db.queries.policies import Policies
from db.schema import migrate
from simulator import record
from tests import truth
from tests.truth import DAY, Findings, Truth

VEHICLES, DAYS, SEED, FAULTS_FROM_DAY = 120, 10, 7, 8
FIRST = date(2026, 1, 12)  # a Monday in winter: Helsinki and Oslo are cold, and a Sunday of rest lies before the faults
# What must never look like a bad charger. Late and repeated readings go with every vehicle from the first day of faults on.
HARMLESS = ("charges_elsewhere", "site_outage", "clock_skew", "future_stamp", "frozen_counter")
COLD_SITES = ("hel", "osl")
SMALL_SOCKETS_KW = (2.3, 3.7)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Truth, Findings]:
    """The truth about a recorded fleet, and what was said of it night by night."""
    folder = tmp_path_factory.mktemp("truth")
    record.write(folder / "recording", VEHICLES, DAYS, FIRST, SEED, FAULTS_FROM_DAY)
    policies = Policies()

    def learn(conn: psycopg.Connection, day: datetime) -> None:
        learning.learn_day(conn, day.date(), day + DAY, policies)
        conn.commit()

    with EmbeddedPostgres(folder / "postgres", shared_buffers_mb=128, durable=False) as server:
        migrate(server.url)
        found = truth.follow(server.url, folder / "recording", datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC), DAYS, learn)
    told = truth.read_truth(folder / "recording")
    sys.stdout.write(f"\n{truth.report(told, found)}\n")
    return told, found


@pytest.mark.slow
def test_sick_chargers_are_found_within_their_second_session(told: tuple[Truth, Findings]) -> None:
    found = truth.detections(*told, "sick_charger")
    assert len(found) == 24
    assert sum(session is not None for session in found.values()) >= 0.95 * len(found), found


@pytest.mark.slow
def test_a_bad_contact_whose_loss_grows_with_the_current_is_found_too(told: tuple[Truth, Findings]) -> None:
    assert None not in truth.detections(*told, "resistance").values()


@pytest.mark.slow
def test_false_alarms_are_rarer_than_one_in_a_thousand_vehicle_days(told: tuple[Truth, Findings]) -> None:
    alarms, days = truth.false_alarms(*told), len(told[1].days)
    assert days == VEHICLES * DAYS
    assert len(alarms) <= days / 1000, alarms


@pytest.mark.slow
def test_nothing_harmless_and_no_cold_day_or_small_socket_looks_like_a_bad_charger(told: tuple[Truth, Findings]) -> None:
    alarms = truth.false_alarms(*told)
    kinds = {told[0].kind(one.vehicle_id, one.began, one.at) for one in alarms}
    assert not kinds & set(HARMLESS)
    assert not [one for one in alarms if one.vehicle_id[:3] in COLD_SITES or told[0].rated_kw[one.vehicle_id] in SMALL_SOCKETS_KW]


@pytest.mark.slow
def test_what_is_no_fault_of_the_charger_is_called_what_it_is(told: tuple[Truth, Findings]) -> None:
    table = truth.confusion(told[0], told[1].sessions)
    assert table["charges_elsewhere"].most_common(1)[0][0] == Verdict.CHARGED_ELSEWHERE
    assert table["frozen_counter"].most_common(1)[0][0] == Verdict.SUSPECT_MEASUREMENT
    assert table["site_outage"].most_common(1)[0][0] == Verdict.INSUFFICIENT_DATA


@pytest.mark.slow
def test_the_healthy_are_mostly_ok_and_not_merely_unjudged(told: tuple[Truth, Findings]) -> None:
    healthy = truth.confusion(told[0], told[1].sessions)[truth.HEALTHY]
    assert healthy[Verdict.OK] > 0.9 * healthy.total()
