"""Evaluations on real PostgreSQL: what is written, what people are told, and that neither a restart nor a clock changes that."""

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors

from alerting import evaluate as evaluation
from alerting.leader import Leader
from charging.alerting import NOTHING, SWITCHED_OFF
from db import ingest
from db.queries.lookback import Lookback
from db.queries.policies import Policies
from db.sides import METER, VEHICLE
from tests.alert_world import KW, MINUTE, Fleet
from tests.session_support import charging_conn, flow
from tests.support import fresh_database

pytestmark = pytest.mark.days_ahead

__all__ = ["charging_conn"]


@pytest.fixture
def conn(charging_conn: psycopg.Connection) -> Iterator[psycopg.Connection]:
    charging_conn.rollback()
    yield charging_conn
    charging_conn.rollback()


def past(fleet: Fleet, efficiency: float, minutes: int = 70, vehicle: int = 1) -> None:
    """A charge up to now, in one go and without evaluations."""
    begin = fleet.at - minutes * MINUTE
    meter, van = f"depot-{vehicle}", f"van-{vehicle}"
    ingest.store(fleet.conn, METER, flow(METER, meter, begin, minutes, KW), fleet.now)
    ingest.store(fleet.conn, VEHICLE, flow(VEHICLE, van, begin, minutes, KW * efficiency, temp_c=20), fleet.now)
    fleet.charge(efficiency, van)


def test_a_low_vehicle_goes_through_every_state_and_every_step_has_its_evidence(conn: psycopg.Connection) -> None:
    fleet = Fleet(conn)
    past(fleet, 0.70)
    fleet.run(16)
    assert fleet.told("low_efficiency") == ["firing"]
    fleet.charge(0.93)
    fleet.run(125)
    steps = [(row[3], row[4]) for row in fleet.transitions() if row[1] == "low_efficiency"]
    assert steps[:2] == [("ok", "pending"), ("pending", "firing")]
    assert steps[-2:] == [("firing", "recovering"), ("recovering", "ok")]
    assert fleet.told("low_efficiency") == ["firing", "resolved"]
    for *_, reason, evidence in fleet.transitions():
        assert reason
        assert {"acKwh", "dcKwh", "windowFrom", "windowTo", "coverage", "uncertainty", "expected", "margin"} <= evidence.keys()
        assert evidence["acKwh"] > 10
        assert evidence["expected"]["low"] < evidence["expected"]["high"]
        assert evidence["margin"] is not None
    fired = next(row for row in fleet.transitions() if row[4] == "firing")
    assert fired[7]["margin"] == pytest.approx(fired[7]["judgedRatio"] - fired[7]["threshold"])
    assert fired[7]["threshold"] == pytest.approx(fired[7]["expected"]["low"] - fired[7]["slack"])


def test_two_open_episodes_of_one_alert_cannot_be(conn: psycopg.Connection) -> None:
    fleet = Fleet(conn)
    past(fleet, 0.70)
    fleet.run(16)
    with pytest.raises(errors.UniqueViolation):
        conn.execute(
            """INSERT INTO alert_episode (rule, subject_kind, subject_id, severity, fired_at, reason, evidence)
               SELECT rule, subject_kind, subject_id, severity, fired_at, reason, evidence FROM alert_episode"""
        )


def test_steps_are_a_record(conn: psycopg.Connection) -> None:
    fleet = Fleet(conn)
    past(fleet, 0.70)
    fleet.run(2)
    with pytest.raises(errors.RaiseException, match="is a record"):
        conn.execute("UPDATE alert_transition SET reason = 'nothing happened'")


def test_a_vehicle_that_stands_still_keeps_its_alert_and_does_not_get_one(conn: psycopg.Connection) -> None:
    """What was low in its last charge is judged once; the clocks stand while nothing is new."""
    fleet = Fleet(conn, 2)
    past(fleet, 0.70)
    fleet.run(16)
    past(fleet, 0.70, vehicle=2)
    fleet.run(3)
    fleet.charge(None, "van-1", "van-2")
    fleet.run(90)
    assert [fleet.state("low_efficiency", f"van-{n}") for n in (1, 2)] == ["firing", "pending"]
    assert fleet.told("low_efficiency") == ["firing"]


def test_p5_late_data_does_not_fire_retroactively(conn: psycopg.Connection) -> None:
    """Six hours later the vehicle's readings of an ordinary charge come in, and say that it was a bad one."""
    fleet = Fleet(conn)
    begin = fleet.at
    ingest.store(conn, METER, flow(METER, "depot-1", begin, 120, KW), begin)
    fleet.minute = 6 * 60
    fleet.run(3)
    ingest.store(conn, VEHICLE, flow(VEHICLE, "van-1", begin, 120, KW * 0.6), fleet.now)
    fleet.run(40)
    assert fleet.state("low_efficiency", "van-1") == "pending"
    assert fleet.notices() == []


def test_p5_late_data_that_makes_a_running_alert_look_well_resolves_nothing_at_once(conn: psycopg.Connection) -> None:
    fleet = Fleet(conn)
    past(fleet, 0.70)
    fleet.run(16)
    fleet.charge(None)
    fleet.run(5)
    conn.execute("UPDATE live_vehicle SET late_at = %s", (fleet.now,))
    fleet.run(20)
    assert fleet.told("low_efficiency") == ["firing"]
    assert fleet.state("low_efficiency", "van-1") == "firing"


@pytest.mark.parametrize("off", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=2)])
def test_p2_a_step_of_our_clock_fires_and_resolves_nothing(conn: psycopg.Connection, off: timedelta) -> None:
    """With an alert of each kind open, and with devices of a slow rhythm."""
    fleet = Fleet(conn, 8, 4)
    for n in range(5, 9):
        for name in (f"van-{n}", f"depot-{n}"):
            fleet.members[name].rhythm_min = 5
    past(fleet, 0.70)
    fleet.run(5)
    conn.execute("UPDATE live_vehicle SET rhythm_s = 300 WHERE vehicle_id >= 'van-5'")
    conn.execute("UPDATE live_meter SET rhythm_s = 300 WHERE meter_id >= 'depot-5'")
    fleet.members["depot-2"].reports = False
    fleet.members["van-3"].temp_c = 60
    fleet.run(25)
    before = fleet.notices()
    assert sorted(rule for _, rule, _ in before) == ["battery_hot", "device_silent", "low_efficiency"]
    for clock in (off, timedelta(), off, timedelta()):
        fleet.clock_off = clock
        fleet.run(6)
    assert fleet.notices() == before
    assert not [row for row in fleet.episodes() if row[4]]


def test_a_dark_site_of_twelve_devices_is_one_notice_and_those_still_silent_afterwards_are_told_then(conn: psycopg.Connection) -> None:
    fleet = Fleet(conn, 14, 8)
    fleet.run(3)
    for member in fleet.of(fleet.at_site("north")):
        member.reports = False
    fleet.run(25)
    assert fleet.notices() == [("firing", "site_dark", "north")]
    held = [row for row in fleet.episodes() if row[0] == "device_silent"]
    assert len(held) == 12
    assert {row[8] for row in held} == {"site_dark"}
    for name in fleet.at_site("north"):
        fleet.members[name].reports = name not in ("van-2", "depot-5")
    fleet.run(20)
    assert sorted(fleet.notices()[1:]) == [
        ("firing", "device_silent", "depot-5"),
        ("firing", "device_silent", "van-2"),
        ("resolved", "site_dark", "north"),
    ]


def test_readings_that_stop_altogether_are_one_notice(conn: psycopg.Connection) -> None:
    fleet = Fleet(conn, 6, 3)
    fleet.run(3)
    for member in fleet.members.values():
        member.reports = False
    fleet.run(30)
    assert fleet.notices() == [("firing", "site_dark", "ingestion")]
    for member in fleet.members.values():
        member.reports = True
    fleet.run(25)
    assert fleet.notices()[1:] == [("resolved", "site_dark", "ingestion")]
    assert not [row for row in fleet.episodes() if not row[4]]


def test_a_silence_withholds_and_what_fires_when_it_ends_is_told_then(conn: psycopg.Connection) -> None:
    fleet = Fleet(conn, 2)
    past(fleet, 0.70)
    conn.execute(
        """INSERT INTO alert_silence (rule, subject_kind, subject_id, starts_at, ends_at, reason, created_at, created_by)
           VALUES ('low_efficiency', 'vehicle', 'van-1', %(now)s, %(until)s, 'known', %(now)s, 'test')""",
        {"now": fleet.now, "until": fleet.now + 30 * MINUTE},
    )
    fleet.run(29)
    assert fleet.state("low_efficiency", "van-1") == "firing"
    assert fleet.notices() == []
    fleet.run(1)
    assert fleet.notices() == [("firing", "low_efficiency", "van-1")]


def test_what_is_over_before_its_silence_ends_is_told_to_nobody(conn: psycopg.Connection) -> None:
    fleet = Fleet(conn)
    conn.execute(
        "INSERT INTO alert_silence (starts_at, ends_at, reason, created_at, created_by) VALUES (%(now)s, %(until)s, 'x', %(now)s, 'test')",
        {"now": fleet.now, "until": fleet.now + 40 * MINUTE},
    )
    fleet.members["van-1"].temp_c = 60
    fleet.run(5)
    fleet.members["van-1"].temp_c = 20
    fleet.run(45)
    assert [row[5] for row in fleet.episodes()] == ["recovered"]
    assert fleet.notices() == []


def test_what_comes_and_goes_is_called_flapping_once_and_then_nobody_hears_of_it(conn: psycopg.Connection) -> None:
    fleet = Fleet(conn)
    for _ in range(5):
        fleet.members["van-1"].temp_c = 60
        fleet.run(3)
        fleet.members["van-1"].temp_c = 20
        fleet.run(18)
    assert fleet.told("battery_hot") == ["firing", "resolved", "firing", "resolved", "flapping"]
    assert len(fleet.episodes()) == 5


def test_after_six_quiet_hours_it_is_told_as_ever(conn: psycopg.Connection) -> None:
    fleet = Fleet(conn)
    for _ in range(3):
        fleet.members["van-1"].temp_c = 60
        fleet.run(3)
        fleet.members["van-1"].temp_c = 20
        fleet.run(18)
    fleet.minute += 6 * 60
    fleet.members["van-1"].temp_c = 60
    fleet.run(3)
    assert fleet.told("battery_hot")[-2:] == ["flapping", "firing"]


def test_a_rule_that_is_switched_off_closes_what_it_had_open(conn: psycopg.Connection) -> None:
    fleet = Fleet(conn)
    past(fleet, 0.70)
    fleet.run(16)
    conn.execute("INSERT INTO alert_setting VALUES ('low_efficiency', 'site', 'north', '{\"enabled\": false}', %s, 'test')", (fleet.now,))
    fleet.run(1)
    assert [row[5] for row in fleet.episodes()] == [SWITCHED_OFF]
    assert fleet.told("low_efficiency") == ["firing", "resolved"]
    assert fleet.transitions()[-1][7]["acKwh"]


def test_an_alert_without_evidence_for_24_hours_is_closed_with_that_reason(conn: psycopg.Connection) -> None:
    fleet = Fleet(conn)
    past(fleet, 0.70)
    fleet.run(16)
    # Nothing of the last day is evidence any more; of the 24 hours without it all but a minute have been counted.
    fleet.minute += 26 * 60
    fleet.evaluate()
    assert fleet.state("low_efficiency", "van-1") == "firing"
    conn.execute("UPDATE alert_standing SET nothing_s = 24 * 3600 - 61")
    fleet.minute += 1
    fleet.evaluate()
    assert [row[5] for row in fleet.episodes() if row[0] == "low_efficiency"] == [None]
    fleet.minute += 1
    fleet.evaluate()
    assert [row[5] for row in fleet.episodes() if row[0] == "low_efficiency"] == [NOTHING]
    assert fleet.told("low_efficiency") == ["firing", "resolved"]


@pytest.mark.slow
def test_noise_of_a_point_around_a_healthy_level_is_told_to_nobody_in_24_hours(conn: psycopg.Connection) -> None:
    chance = random.Random(5)
    fleet = Fleet(conn)
    for _ in range(24 * 60):
        fleet.charge(0.92 + chance.uniform(-0.01, 0.01))
        fleet.run(1)
    assert fleet.notices() == []
    assert fleet.transitions() == []


@pytest.mark.slow
def test_noise_around_the_line_is_two_alerts_at_most_and_then_flapping(conn: psycopg.Connection) -> None:
    chance = random.Random(5)
    fleet = Fleet(conn)
    level = 0.0
    for minute in range(12 * 60):
        if minute % 20 == 0:
            level = 0.87 + chance.uniform(-0.01, 0.01)
        fleet.charge(level + chance.uniform(-0.01, 0.01))
        fleet.run(1)
    told = fleet.told("low_efficiency")
    assert told.count("firing") <= 2
    assert told.count("flapping") <= 1
    assert told[0] == "firing"
    assert len(told) <= 5


# ------------------------------------------------------------------------------------------------------------------- failing, restarting


def test_an_evaluation_that_fails_is_written_down_and_resolves_nothing(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        fleet = Fleet(conn)
        past(fleet, 0.70)
        fleet.run(16)
        conn.commit()
        leader = Leader(database_url, Policies(), lambda: fleet.now, None)  # type: ignore[arg-type]  # nobody stops it
        fleet.minute += 1
        with monkeypatch.context() as broken:
            broken.setattr(evaluation, "silent", _fails)
            leader.once(conn, fleet.lookback)
            failed_at = fleet.now
            fleet.minute += 5
            leader.once(conn, fleet.lookback)
        assert conn.execute("SELECT failed_at, error FROM alert_evaluation").fetchone() == (failed_at, "ZeroDivisionError: no such luck")
        assert fleet.state("low_efficiency", "van-1") == "firing"
        assert [row[4] for row in fleet.episodes()] == [None]
        conn.commit()
        leader.once(conn, fleet.lookback)
        assert conn.execute("SELECT failed_at, error, wall_at FROM alert_evaluation").fetchone() == (None, None, fleet.now)


def _fails(*_: Any) -> None:
    raise ZeroDivisionError("no such luck\nsecond line")


def test_a_second_evaluator_does_nothing_while_one_is_at_it(database_url: str) -> None:
    with psycopg.connect(database_url) as first, psycopg.connect(database_url) as second:
        fleet = Fleet(first)
        first.commit()
        with first.transaction():
            fleet.evaluate()
            assert evaluation.evaluate(second, Lookback(), Policies(), fleet.now) is None
            second.rollback()
        assert evaluation.evaluate(second, Lookback(), Policies(), fleet.now)


class Fragile(psycopg.Connection[Any]):
    """One of which the statement of that number fails. `left` counts down, None: it holds."""

    left: int | None = None
    count = 0
    breaks: Any = None

    def used(self) -> None:
        self.count += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                assert self.breaks
                self.left = None
                self.breaks()


class Counted(psycopg.Cursor[Any]):
    def execute(self, *args: Any, **more: Any) -> Any:
        self.connection.used()  # type: ignore[attr-defined]
        return super().execute(*args, **more)

    def executemany(self, *args: Any, **more: Any) -> None:
        self.connection.used()  # type: ignore[attr-defined]
        super().executemany(*args, **more)


def fragile(url: str) -> Fragile:
    return Fragile.connect(url, cursor_factory=Counted, options="-c TimeZone=UTC")


class Broken(Exception):
    pass


def _story(fleet: Fleet, evaluated: Callable[[], None]) -> tuple[list[Any], list[Any], list[Any]]:
    """Some forty evaluations in which every rule fires, one is withheld, one escalates or recovers; what is known at their end."""

    def run(minutes: int) -> None:
        for _ in range(minutes):
            fleet.report()
            evaluated()

    past(fleet, 0.75)
    run(4)
    fleet.members["van-2"].temp_c = 58
    for name in ("van-4", "depot-4", "van-5"):
        fleet.members[name].reports = False
    run(14)
    fleet.members["van-2"].temp_c = 30
    run(3)
    for name in ("van-4", "van-5"):
        fleet.members[name].reports = True
    run(18)
    return fleet.episodes(), fleet.transitions(), fleet.outbox()


def _undisturbed(url: str) -> tuple[tuple[list[Any], list[Any], list[Any]], list[int], list[int]]:
    """The story, how many statements each evaluation took, and how many steps it made."""
    statements: list[int] = []
    with fragile(url) as conn:
        fleet = Fleet(conn, 6, 3)

        def evaluated() -> None:
            conn.commit()
            conn.count = 0
            fleet.evaluate()
            statements.append(conn.count)
            conn.commit()

        return _story(fleet, evaluated), statements, [report.transitions for report in fleet.reports]


@pytest.fixture(scope="module")
def undisturbed(postgres_url: str, template_database: str) -> Any:
    with fresh_database(postgres_url, template_database, "undisturbed") as url:
        return _undisturbed(url)


def test_the_story_has_everything_that_can_happen(undisturbed: Any) -> None:
    (episodes, transitions, outbox), _, _ = undisturbed
    assert {row[0] for row in episodes} >= {"low_efficiency", "battery_hot", "site_dark", "device_silent"}
    assert {row[0] for row in outbox} >= {"firing", "resolved"}
    assert len(transitions) > 15


@pytest.mark.slow
def test_aborted_at_any_statement_and_started_anew_it_comes_to_the_same(database_url: str, undisturbed: Any) -> None:
    """Every statement of an evaluation that makes a step, and one of every other."""
    expected, statements, steps = undisturbed
    with fragile(database_url) as conn:
        fleet = Fleet(conn, 6, 3)
        number = 0

        def evaluated() -> None:
            nonlocal number
            conn.commit()
            whole = statements[number]
            for k in range(whole) if steps[number] else (number % whole,):
                fleet.restart()
                conn.left = k
                with pytest.raises(Broken):
                    fleet.evaluate()
                conn.rollback()
            conn.left = None
            fleet.restart()
            fleet.evaluate()
            conn.commit()
            number += 1

        conn.breaks = _breaks
        assert _story(fleet, evaluated) == expected


def _breaks() -> None:
    raise Broken


@pytest.mark.slow
def test_killed_in_the_middle_and_begun_anew_it_comes_to_the_same(database_url: str, undisturbed: Any) -> None:
    """The server ends the connection at a statement of every evaluation; and the answer to a commit may be lost."""
    expected, statements, _ = undisturbed
    with psycopg.connect(database_url, autocommit=True) as other:
        fleet = Fleet(fragile(database_url), 6, 3)
        number = 0

        def evaluated() -> None:
            nonlocal number
            fleet.conn.commit()
            conn: Any = fleet.conn
            conn.left = 1 + number * 7 % (statements[number] - 1)
            conn.breaks = lambda: other.execute("SELECT pg_terminate_backend(%s)", (conn.info.backend_pid,))
            with pytest.raises(psycopg.OperationalError):
                fleet.evaluate()
            conn.close()
            fleet.conn = fragile(database_url)
            fleet.restart()
            fleet.evaluate()
            fleet.conn.commit()
            if number % 3 == 0:
                fleet.restart()
                fleet.evaluate()  # it was done, but nobody heard of it
                fleet.conn.commit()
            number += 1

        assert _story(fleet, evaluated) == expected
        fleet.conn.close()
