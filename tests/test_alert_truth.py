"""A simulated fleet with known faults, minute by minute: each sick charger is one alert, and nothing else is one."""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.alert_physics import Real, judge
from tests.alert_truth import Recorded, follow
from tests.support import fresh_database
from tests.truth import SICK, Truth

# Faults begin on the eighth day: seven healthy ones are learned from. From then on everything is judged every minute, until the morning after,
# when everybody has charged.
VEHICLES, DAYS, FAULTS_FROM, SEED = 40, 9, 8, 7
JUDGED_MIN = 30 * 60
FIRST = date(2026, 1, 12)  # a Monday in winter, so that the days with faults are cold and no Sunday
# A minute of CPU, but 1,800 evaluations in turn with a database: a busy machine takes many minutes for it.
pytestmark = pytest.mark.timeout(1200)
# Where the mapping is wrong everything may be said of both but that nothing is.
WRONGLY_MAPPED = "swapped_mapping"


@dataclass(frozen=True)
class Told:
    truth: Truth
    episodes: list[tuple[str, str, datetime, datetime | None, str | None, bool]]
    notices: list[tuple[str, str, str]]
    real: dict[str, Real]

    def sick(self, *classes: str) -> list[str]:
        """Vehicles with a sick charger or a bad contact, by how far beyond the line that really is."""
        return sorted(vehicle for vehicle, real in self.real.items() if real.kind in classes)

    def of(self, rule: str) -> dict[str, int]:
        """Episodes of a rule by subject."""
        return dict(Counter(subject for of, subject, *_ in self.episodes if of == rule))

    def faulty(self, *kinds: str) -> list[str]:
        return sorted(v for v in self.truth.vehicles if any(kind in kinds for kind, *_ in self.truth.faults.get(v, ())))

    def table(self) -> str:
        """By fault: how many vehicles have it, and how many had how many episodes of each rule."""
        rows: dict[str, Counter[str]] = defaultdict(Counter)
        for vehicle in self.truth.vehicles:
            kind = next((kind for kind, *_ in self.truth.faults.get(vehicle, ())), "healthy")
            rows[kind]["vehicles"] += 1
            for rule in ("low_efficiency", "suspect_measurement"):
                if episodes := self.of(rule).get(vehicle, 0):
                    rows[kind][f"{rule} x {episodes}"] += 1
        columns = ["vehicles", *sorted({name for row in rows.values() for name in row} - {"vehicles"})]
        lines = ["| truth | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
        return "\n".join(
            [*lines, *(f"| {kind} | " + " | ".join(str(row[c] or "") for c in columns) + " |" for kind, row in sorted(rows.items()))]
        )


@pytest.fixture(scope="module")
def told(postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with (
        fresh_database(postgres_url, template_database, "alert_truth") as url,
        psycopg.connect(url, options="-c TimeZone=UTC -c jit=off") as conn,
    ):
        yield _told(conn, tmp_path_factory.mktemp("truth"))


def _told(conn: psycopg.Connection, folder: Path) -> Told:
    recorded = Recorded.of(VEHICLES, DAYS, FIRST, SEED, FAULTS_FROM, JUDGED_MIN)
    truth = recorded.describe(conn, folder)
    conn.execute(
        "INSERT INTO notice_channel (name, kind, address, created_at, created_by) VALUES ('all', 'webhook', 'https://x.example', now(), 'test')"
    )
    policy = follow(conn, recorded)
    sick = [i for kind in SICK for i in recorded.faults.of(kind)]
    real = {recorded.fleet.vehicles[i].vehicle_id: judge(recorded.fleet, recorded.flows, policy, i) for i in sick}
    episodes: Any = conn.execute(
        """SELECT rule, subject_id, fired_at, resolved_at, resolved_because, notified_severity IS NOT NULL
           FROM alert_episode ORDER BY episode_id"""
    ).fetchall()
    notices: Any = conn.execute("SELECT kind, body->>'rule', body->'subject'->>'id' FROM notice ORDER BY notice_id").fetchall()
    found = Told(truth, episodes, notices, real)
    sys.stdout.write(f"\n{found.table()}\n" + "".join(f"{vehicle} {one}\n" for vehicle, one in sorted(real.items())))
    return found


@pytest.mark.slow
def test_each_charger_that_is_really_beyond_the_line_is_one_alert_that_lasts(told: Told) -> None:
    """By the rule's own definition, of what really flowed: see `tests.alert_physics`."""
    beyond = told.sick("beyond")
    assert set(told.real) == set(told.faulty(*SICK))
    assert len(beyond) == 9
    low = told.of("low_efficiency")
    assert {vehicle: low.get(vehicle, 0) for vehicle in beyond} == dict.fromkeys(beyond, 1)
    assert not [one for one in told.episodes if one[1] in beyond and one[3]]


@pytest.mark.slow
def test_nothing_else_is_called_low(told: Told) -> None:
    """Cold days, small sockets, late and repeated readings, an outage, clocks minutes off, stamps ahead, charging elsewhere, frozen counters."""
    others = set(told.of("low_efficiency")) - set(told.sick("beyond", "short"))
    assert others <= set(told.faulty(WRONGLY_MAPPED))
    assert set(told.of("low_efficiency").values()) == {1}


@pytest.mark.slow
def test_a_frozen_counter_is_a_suspect_measurement_and_nothing_else_is(told: Told) -> None:
    frozen = told.faulty("frozen_counter")
    suspect = told.of("suspect_measurement")
    assert frozen
    assert {v: n for v, n in suspect.items() if v not in told.faulty(WRONGLY_MAPPED)} == dict.fromkeys(frozen, 1)


@pytest.mark.slow
def test_a_site_outage_is_one_alert_that_holds_back_those_behind_it(told: Told) -> None:
    dark = told.of("site_dark")
    assert list(dark.values()) == [1]
    assert len(told.of("device_silent")) >= 3
    assert [kind for kind, rule, _ in told.notices if rule == "site_dark"] == ["firing", "resolved"]
    assert not [one for one in told.notices if one[1] == "device_silent"]


@pytest.mark.slow
def test_a_sick_charger_is_told_of_once(told: Told) -> None:
    sick = told.faulty(*SICK)
    firing = Counter(subject for kind, rule, subject in told.notices if (kind, rule) == ("firing", "low_efficiency") and subject in sick)
    assert set(firing.values()) == {1}
    assert set(firing) == set(told.of("low_efficiency")) & set(sick)
    assert not [one for one in told.notices if one[0] == "escalated" and one[2] in sick]
