"""Every night the days that are over teach what is normal: the same however often, at once or not at all, and no fault becomes normal."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

import config
from charging.band import default_band
from charging.verdict import Verdict
from dashboard import housekeeping
from db import cli, learner, learning, learning_sql, lessons
from db.lessons import ONE_DAY, begins
from db.queries import sessions
from db.queries.policies import Policies
from tests.learning_support import assign, charge, charge_daily, day, learn, night_after, open_days, version
from tests.support import fresh_database

pytestmark = pytest.mark.days_ahead

AFTER = timedelta(hours=6)


@pytest.fixture(scope="module")
def open_database(postgres_url: str, template_database: str) -> Iterator[str]:
    """The name of a database with twenty open days, to be copied: opening them takes longer than most tests."""
    with fresh_database(postgres_url, template_database, "open_days") as url:
        with psycopg.connect(url, autocommit=True) as conn:
            open_days(conn, 20)
        yield conninfo_to_dict(url)["dbname"]  # type: ignore[misc]


@pytest.fixture
def database_url(postgres_url: str, open_database: str, request: pytest.FixtureRequest) -> Iterator[str]:
    with fresh_database(postgres_url, open_database, request.node.name) as url:
        yield url


@pytest.fixture
def db(database_url: str) -> Iterator[Any]:
    """A database of this test's own, in autocommit as whoever learns."""
    with psycopg.connect(database_url, autocommit=True, options="-c TimeZone=UTC") as conn:
        yield conn


@pytest.fixture(autouse=True)
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test waits for nobody's commits."""
    monkeypatch.setattr(lessons, "_REST_SHARE", 0.0)
    monkeypatch.setattr(learning, "_REST_SHARE", 0.0)


def rows(db: Any, what: str) -> list[Any]:
    found: list[Any] = db.execute(f"SELECT {what}").fetchall()
    return found


def kept(db: Any) -> list[Any]:
    return rows(db, "* FROM lesson ORDER BY 1, 2, 3")


# ----------------------------------------------------------------------------------------------------------------------- lessons


def test_a_days_lessons_are_the_plain_hours_of_its_sessions(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge(db, "van-7", "depot-1", begins(day(0)) + timedelta(hours=8), quarters=15, cold=2, full=1)
    assert lessons.take_lessons(db, day(0), night_after(day(0)), Policies()) == 1
    session = sessions.of_vehicles(db, ["van-7"], begins(day(0)), begins(day(1)), night_after(day(0)))[0]
    evidence = session.summary.evidence
    assert evidence.set_aside_buckets == 3
    [taken] = kept(db)
    assert taken[:4] == ("van-7", day(0), "depot-1", 1)
    assert [len(column) for column in taken[4:7]] == [3, 3, 3], "an hour, an hour, and one with the rest"
    assert [sum(column) for column in taken[4:7]] == [evidence.plain_ac_milliwh, evidence.plain_dc_milliwh, evidence.plain_charging_s]
    assert taken[7:] == ([10_800], session.end, False)


def test_the_same_day_again_gives_the_same_lessons(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge_daily(db, "van-7", "depot-1", range(3), sessions=2)
    for _ in range(2):
        for n in range(3):
            lessons.take_lessons(db, day(n), night_after(day(n)), Policies(), vehicles_at_once=1)
        once = kept(db)
        assert len(once) == 3
        assert {row[3] for row in once} == {2}
    lessons.take_lessons(db, day(1), night_after(day(1)), Policies())
    assert kept(db) == once


def test_a_session_over_midnight_belongs_to_the_day_in_which_it_ended(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge(db, "van-7", "depot-1", begins(day(1)) - timedelta(hours=2), quarters=16)
    assert [lessons.take_lessons(db, day(n), night_after(day(n)), Policies()) for n in range(3)] == [0, 1, 0]


def test_two_days_at_once_teach_what_each_does_alone(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge_daily(db, "van-7", "depot-1", range(2), sessions=2)
    charge(db, "van-7", "depot-1", begins(day(1)) - timedelta(hours=2), quarters=8)  # until midnight
    for n in range(2):
        lessons.take_lessons(db, day(n), night_after(day(n)), Policies())
    alone = kept(db)
    assert [row[3] for row in alone] == [3, 2]
    assert lessons.take_lessons(db, day(1), night_after(day(1)), Policies(), days=2) == 2
    assert kept(db) == alone


def test_of_many_lessons_as_many_hours_are_kept_as_asked(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge_daily(db, "van-7", "depot-1", range(8), sessions=2)
    for n in range(8):
        lessons.take_lessons(db, day(n), night_after(day(n)), Policies())
    [taken] = learning_sql.lessons(db, day(7), 500)
    whole, few = learner.lessons(taken, 100), learner.lessons(list(reversed(taken)), 16)
    assert [len(lesson.hours) for lesson in whole] == [6] * 8
    assert [len(lesson.hours) for lesson in few] == [2] * 8
    assert {hour for lesson in few for hour in lesson.hours} <= {hour for lesson in whole for hour in lesson.hours}
    assert sum(hour.ac_kwh for lesson in whole for hour in lesson.hours) == pytest.approx(16 * 3 * 10.8)


def test_shared_meters_and_unassigned_vehicles_teach_nothing(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    assign(db, "van-8", "depot-1")
    charge_daily(db, "van-7", "depot-1", range(1))
    db.execute("INSERT INTO assignment VALUES ('van-9', '-infinity', NULL)")
    charge_daily(db, "van-9", "nobodys", range(1))
    assert lessons.take_lessons(db, day(0), night_after(day(0)), Policies()) == 0
    assert kept(db) == []


def test_only_ok_sessions_teach_and_low_ones_are_remembered(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge(db, "van-7", "depot-1", begins(day(0)) + timedelta(hours=2))
    charge(db, "van-7", "depot-1", begins(day(0)) + timedelta(hours=12), 0.8)
    lessons.take_lessons(db, day(0), night_after(day(0)), Policies())
    [taken] = kept(db)
    assert (taken[3], len(taken[4]), len(taken[7]), taken[9]) == (1, 3, 2, True)


# ------------------------------------------------------------------------------------------------------------------------- bands


def test_a_band_is_there_from_the_floor_on_and_judges_from_then_on(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge_daily(db, "van-7", "depot-1", range(8), 0.94, sessions=2)
    policies = Policies()
    assert [one.vehicles for one in learn(db, range(6), policies)] == [0] * 6
    assert not policies.current(db).learned
    assert [one.vehicles for one in learn(db, [6], policies)] == [1]
    learned = policies.current(db).learned["van-7", "11 kW"]
    assert (learned.days, learned.sessions, learned.observations) == (7, 14, 42)
    assert learned.line.efficiency(10.8, 1) == pytest.approx(0.94, abs=0.003)
    charge(db, "van-7", "depot-1", begins(day(9)), 0.89)
    of_default, of_learned = (
        sessions.of_vehicles(db, ["van-7"], begins(day(9)), begins(day(10)), night_after(day(9)), using)[0].summary.verdict
        for using in (None, policies)
    )
    assert (of_default, of_learned) == (Verdict.OK, Verdict.LOW), "five points less than it has shown"


def test_readers_are_told_once_and_only_when_something_changed(db: Any) -> None:
    assign(db, "van-7", "depot-1", "Kastor")
    assign(db, "van-8", "depot-2", "Kastor")
    for vehicle_id, meter_id in (("van-7", "depot-1"), ("van-8", "depot-2")):
        charge_daily(db, vehicle_id, meter_id, range(8), sessions=2)
    learn(db, range(6))
    before = version(db)
    learn(db, [6])
    assert version(db) == before + 1
    once = rows(db, "* FROM learned_band ORDER BY 1")
    learn(db, [6])
    assert version(db) == before + 1
    assert rows(db, "* FROM learned_band ORDER BY 1") == once


def test_late_readings_of_the_day_before_are_learned_from_in_the_next_night(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge_daily(db, "van-7", "depot-1", [0])
    learn(db, [0])
    charge(db, "van-7", "depot-1", begins(day(0)) + timedelta(hours=16))
    learn(db, [1])
    assert rows(db, "day, sessions FROM lesson") == [(day(0), 2)]


def test_a_vehicle_that_is_low_keeps_its_band_as_it_was_until_it_is_ok_again(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge_daily(db, "van-7", "depot-1", range(8), 0.93, sessions=2)
    learn(db, range(8))
    healthy = rows(db, "* FROM learned_band")
    charge_daily(db, "van-7", "depot-1", [8, 9], 0.86, sessions=2)
    assert [(one.vehicles, one.frozen) for one in learn(db, [8, 9])] == [(0, 1), (0, 1)]
    [frozen] = rows(db, "* FROM learned_band")
    assert frozen[:-1] == healthy[0][:-1]
    assert frozen[-1] == begins(day(8)) + timedelta(hours=17), "the end of the last session of the first day that ended low"
    charge_daily(db, "van-7", "depot-1", [10, 11], 0.93, sessions=2)
    assert [(one.vehicles, one.frozen) for one in learn(db, [10])] == [(1, 0)]
    assert rows(db, "sessions, frozen_since FROM learned_band") == [(18, None)], "those that were low taught nothing"


def test_while_an_alert_of_low_efficiency_is_open_nothing_is_learned_whatever_the_sessions_say(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge_daily(db, "van-7", "depot-1", range(8), 0.93, sessions=2)
    learn(db, range(8))
    healthy = rows(db, "* FROM learned_band")
    fired = begins(day(8)) + timedelta(hours=9)
    db.execute(
        """INSERT INTO alert_episode (rule, subject_kind, subject_id, severity, fired_at, reason, evidence)
           VALUES ('low_efficiency', 'vehicle', 'van-7', 'warning', %s, 'low', '{}')""",
        (fired,),
    )
    charge_daily(db, "van-7", "depot-1", [8, 9], 0.915, sessions=2)
    assert [(one.vehicles, one.frozen) for one in learn(db, [8, 9])] == [(0, 1), (0, 1)]
    assert rows(db, "* FROM learned_band") == [(*healthy[0][:-1], fired)]
    db.execute("UPDATE alert_episode SET resolved_at = fired_at, resolved_because = 'recovered'")
    charge_daily(db, "van-7", "depot-1", [10], 0.93, sessions=2)
    assert [(one.vehicles, one.frozen) for one in learn(db, [10])] == [(1, 0)]
    assert rows(db, "frozen_since FROM learned_band") == [(None,)]


def test_an_alert_that_fired_later_does_not_freeze_the_days_before_it(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge_daily(db, "van-7", "depot-1", range(8), 0.93, sessions=2)
    db.execute(
        """INSERT INTO alert_episode (rule, subject_kind, subject_id, severity, fired_at, reason, evidence)
           VALUES ('low_efficiency', 'vehicle', 'van-7', 'warning', %s, 'low', '{}')""",
        (begins(day(8)) + timedelta(hours=9),),
    )
    found = learn(db, range(8))
    assert sum(one.vehicles for one in found) >= 1
    assert {one.frozen for one in found} == {0}


def test_a_vehicle_that_is_low_and_has_no_band_gets_none(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge_daily(db, "van-7", "depot-1", range(8), sessions=2)
    charge(db, "van-7", "depot-1", begins(day(6)) + timedelta(hours=20), 0.80)
    for n in range(7):
        lessons.take_lessons(db, day(n), night_after(day(n)), Policies())
    assert learning.learn_bands(db, day(6), {day(6)}, night_after(day(6))).vehicles == 0
    learn(db, [7])
    assert len(rows(db, "* FROM learned_band")) == 1


def test_nothing_below_what_the_default_calls_ok_is_learned_however_slowly_it_gets_worse(db: Any) -> None:
    """Each session as bad as is still ok by its band: the fit stays at what the default calls ok, and in the end the session is low."""
    assign(db, "van-7", "depot-1")
    policies = Policies()
    ratio = 0.9
    for n in range(19):
        for hour in (8, 14):
            charge(db, "van-7", "depot-1", begins(day(n)) + timedelta(hours=hour), ratio)
        learn(db, [n], policies)
        newest = sessions.of_vehicles(db, ["van-7"], begins(day(n)), begins(day(n + 1)), night_after(day(n)), policies)[-1].summary
        ratio -= 0.004 if newest.verdict is Verdict.OK else 0
    assert newest.verdict is Verdict.LOW
    assert newest.uncertainty
    usual, [learned] = default_band(10.8, 1), policies.current(db).learned.values()
    assert learned.line.efficiency(10.8, 1) >= usual.low - newest.uncertainty
    assert learned.sessions < 19, "those that were ok by the band alone taught nothing"


def test_a_new_vehicle_is_expected_to_be_like_others_of_its_model_but_not_like_sick_ones(db: Any) -> None:
    for n in range(4):
        assign(db, f"van-{n}", f"depot-{n}", "Kastor")
    assign(db, "van-new", "depot-new", "Kastor")
    for n in range(3):
        charge_daily(db, f"van-{n}", f"depot-{n}", range(8), 0.93, sessions=2)
    charge_daily(db, "van-3", "depot-3", range(4), 0.90, sessions=2)
    charge_daily(db, "van-3", "depot-3", range(4, 8), 0.80, sessions=2)
    policies = Policies()
    learn(db, range(8), policies)
    peers = policies.current(db).learned_of("van-new", policies.current(db).class_of(("depot-new",)))
    assert peers
    assert peers.source == "peers"
    assert peers.sessions == 3 * 8 * 2 + 4 * 2
    assert peers.line.efficiency(10.8, 1) == pytest.approx(0.93, abs=0.004)


def test_what_a_charger_gives_is_learned_where_nobody_described_it(db: Any) -> None:
    assign(db, "van-7", "depot-1", rated_w=None)
    assign(db, "van-8", "depot-2", rated_w=7_400)
    charge_daily(db, "van-7", "depot-1", range(8), 0.86, kw=3.6, sessions=2)
    charge_daily(db, "van-8", "depot-2", range(8), 0.90, kw=3.6, sessions=2)
    policies = Policies()
    learn(db, range(8), policies)
    policy = policies.current(db)
    assert rows(db, "meter_id, peak_w FROM learned_charger") == [("depot-1", 3_600)]
    assert policy.charger_classes == {"depot-1": "3.7 kW", "depot-2": "7.4 kW"}
    assert set(policy.learned) == {("van-7", "3.7 kW"), ("van-8", "7.4 kW")}
    assert policy.learned["van-7", "3.7 kW"].days == 8, "also the days before its class was known"


def test_what_is_too_old_is_forgotten_but_not_of_a_vehicle_that_waits_for_its_repair(db: Any) -> None:
    for n in (7, 8):
        assign(db, f"van-{n}", f"depot-{n}")
        charge_daily(db, f"van-{n}", f"depot-{n}", range(8), 0.93, sessions=2)
    learn(db, range(8))
    charge_daily(db, "van-8", "depot-8", [8], 0.8)
    learn(db, [8])
    long_after = day(8) + timedelta(days=90)
    learning.learn_day(db, long_after, night_after(long_after), Policies())
    assert rows(db, "vehicle_id FROM learned_band") == [("van-8",)]
    assert kept(db) == []


# -------------------------------------------------------------------------------------------------------------------------- days


def test_after_a_crash_in_the_middle_nothing_is_half_and_the_day_is_due_again(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assign(db, "van-7", "depot-1")
    charge_daily(db, "van-7", "depot-1", range(8), sessions=2)
    learn(db, range(7))
    before, band = version(db), rows(db, "* FROM learned_band")

    def crash(*_: object) -> int:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(learning_sql, "forget", crash)
        with pytest.raises(RuntimeError):
            learn(db, [7])
    assert (version(db), rows(db, "* FROM learned_band")) == (before, band)
    assert day(7) in learning.due(db, night_after(day(7)), AFTER)
    learn(db, [7])
    assert rows(db, "days FROM learned_band") == [(8,)]
    assert day(7) not in learning.due(db, night_after(day(7)), AFTER)


def test_a_day_is_due_six_hours_after_its_end_and_until_it_is_too_old(db: Any) -> None:
    assert day(3) not in learning.due(db, night_after(day(3)) - timedelta(seconds=1), AFTER)
    assert learning.due(db, night_after(day(3)), AFTER) == [day(n) for n in range(-2, 4)]
    assert learning.due(db, night_after(day(3)) + timedelta(days=59), AFTER)[0] == day(3)
    assert day(3) not in learning.due(db, night_after(day(3)) + timedelta(days=60), AFTER)


def test_missed_days_are_caught_up_oldest_first_some_at_a_time(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge_daily(db, "van-7", "depot-1", range(8), sessions=2)
    now = night_after(day(7))
    told: list[learning.Learnt] = []
    first = learning.learn_due(db, now, AFTER, Policies(), most=4, done=told.append)
    assert [one.day for one in first] == [day(n) for n in range(-2, 2)]
    assert told == first
    while learning.learn_due(db, now, AFTER, Policies(), most=4):
        pass
    assert learning.due(db, now, AFTER) == []
    assert rows(db, "days FROM learned_band") == [(8,)]


def test_only_one_process_learns(db: Any, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as other:
        with learning._alone(other):
            assert learning.is_running(db)
            with pytest.raises(learning.Busy):
                learning.learn_due(db, night_after(day(0)), AFTER, Policies())
        assert not learning.is_running(db)


def test_days_gone_through_again_end_where_they_did(db: Any) -> None:
    assign(db, "van-7", "depot-1")
    charge_daily(db, "van-7", "depot-1", range(12), 0.93, sessions=2)
    learn(db, range(12))
    once = rows(db, "* FROM learned_band"), kept(db)
    learning.learn_days(db, day(3), day(9), night_after(day(11)), Policies())
    assert (rows(db, "* FROM learned_band"), kept(db)) == once
    assert rows(db, "count(*) FROM lesson_taken") == [(12,)]


def test_rows_that_others_hold_do_not_hold_up_learning(db: Any, database_url: str) -> None:
    assign(db, "van-7", "depot-1")
    charge_daily(db, "van-7", "depot-1", range(8), sessions=2)
    with psycopg.connect(database_url) as other:
        for table in ("vehicle_rollup", "meter_rollup", "live_vehicle", "live_meter"):
            other.execute(f"SELECT 1 FROM {table} FOR UPDATE".encode()).fetchall()
        db.execute("SET lock_timeout = '1s'")
        assert learn(db, range(7))[-1].vehicles == 1


# ------------------------------------------------------------------------------------------------------------- by hand and at night


def recent_days(db: Any, count: int) -> list[date]:
    """The last days before today, with charging on each; the command knows no other clock."""
    from db import partitions

    days = [datetime.now(UTC).date() - n * ONE_DAY for n in range(count, 0, -1)]
    partitions.ensure(db, [days[0] - ONE_DAY, *days, days[-1] + ONE_DAY], datetime.now(UTC) - timedelta(days=60))
    assign(db, "van-7", "depot-1")
    for one in days:
        for hour in (8, 14):
            charge(db, "van-7", "depot-1", begins(one) + timedelta(hours=hour), 0.93)
    return days


def test_by_hand_it_says_what_each_day_taught(db: Any, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr("os.nice", lambda _: 0)
    days = recent_days(db, 8)
    said = CliRunner().invoke(cli.main, ["learn"])
    assert said.exit_code == 0, said.output
    assert said.output.splitlines()[-1].startswith(
        f"{days[-1]}: 2 sessions to learn from, 1 vehicles learned, 0 frozen, 0 models, 0 chargers"
    )
    again = CliRunner().invoke(cli.main, ["learn", "--from", str(days[0]), "--to", str(days[-2])])
    assert len(again.output.splitlines()) == 7
    assert rows(db, "days FROM learned_band") == [(8,)]
    wrong = CliRunner().invoke(cli.main, ["learn", "--from", "2999-01-01"])
    assert wrong.exit_code == 2
    assert "no day that is over" in wrong.output


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the program is tied to its parent by the kernel")
def test_at_night_a_program_of_its_own_learns(db: Any, database_url: str) -> None:
    recent_days(db, 8)
    settings = config.Settings(_env_file=None).model_copy(update={"database_url": database_url})
    nightly = housekeeping.Learner(config.child_environment(settings), timedelta(minutes=1))
    now = datetime.now(UTC)
    try:
        nightly.tend(db, now)
        nightly.wait(60)
        nightly.tend(db, now)
        nightly.wait(60)
        assert rows(db, "days FROM learned_band") == [(8,)]
        assert learning.due(db, now, timedelta(minutes=1)) == []
    finally:
        nightly.stop()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the program is tied to its parent by the kernel")
def test_a_learning_that_fails_is_tried_again_after_an_hour(db: Any, database_url: str) -> None:
    recent_days(db, 1)
    settings = config.Settings(_env_file=None).model_copy(update={"database_url": database_url + "_gone"})
    nightly = housekeeping.Learner(config.child_environment(settings), timedelta(minutes=1))
    now = datetime.now(UTC)
    for later, runs in ((timedelta(), True), (timedelta(minutes=1), False), (timedelta(minutes=30), False), (timedelta(minutes=62), True)):
        nightly.tend(db, now + later)
        assert isinstance(nightly._running, subprocess.Popen) is runs
        nightly.wait(60)
    nightly.tend(db, now)
