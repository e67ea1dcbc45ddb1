"""Alerts as people ask for them, and what they do with them, on a real database."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from db import alert_people
from db.alert_people import Matcher
from db.queries import alert_story, alerts
from db.queries.alerts import Wanted
from tests.alert_support import NOW, channel, episode, evaluated, evidence, notice, standing, step

Conn = Any
OPEN = Wanted()


def ids(conn: Conn, wanted: Wanted = OPEN, **more: Any) -> list[int]:
    return [one.episode_id for one in alerts.episodes(conn, wanted, NOW, 100, **more)]


def described(conn: Conn) -> None:
    conn.execute("INSERT INTO site (site_id, name, time_zone) VALUES ('lyon', 'Depot Lyon', 'Europe/Paris')")
    conn.execute("INSERT INTO vehicle (vehicle_id, name, site_id) VALUES ('van-7', 'Blue van', 'lyon')")


def test_each_filter_leaves_what_it_asks_for(conn: Conn) -> None:
    described(conn)
    blue = episode(conn, "van-7", site_id="lyon")
    worse = episode(conn, "van-8", severity="critical", state="recovering")
    over = episode(conn, "van-9", resolved_at=NOW, resolved_because="recovered")
    meter = episode(conn, "depot-1", subject_kind="meter", rule="device_silent", evidence={})
    site = episode(conn, "lyon", subject_kind="site", rule="site_dark", evidence={})
    assert ids(conn) == [site, meter, worse, blue]
    assert ids(conn, worst_first=True)[0] == worse
    for wanted, found in [
        (Wanted("any"), [site, meter, over, worse, blue]),
        (Wanted("firing"), [site, meter, blue]),
        (Wanted("recovering"), [worse]),
        (Wanted("resolved"), [over]),
        (Wanted(rule="device_silent"), [meter]),
        (Wanted(severity="critical"), [worse]),
        (Wanted(site_id="lyon"), [site, blue]),
        (Wanted(vehicle_id="van-7"), [blue]),
        (Wanted(meter_id="depot-1"), [meter, worse, blue]),
        (Wanted(q="BLUE"), [blue]),
        (Wanted(q="%"), []),
        (Wanted(q="depot"), [site, meter]),
        (Wanted(acknowledged=True), []),
        (Wanted(silenced=False, held_back=False, severity="critical"), [worse]),
    ]:
        assert ids(conn, wanted) == found, wanted
    first = alerts.episodes(conn, Wanted(vehicle_id="van-7"), NOW, 1)[0]
    assert (first.name, first.site_name, first.state, first.evidence) == ("Blue van", "Depot Lyon", "firing", evidence())


def test_pages_follow_each_other_without_a_gap_or_a_repetition(conn: Conn) -> None:
    made = [episode(conn, f"van-{n}", resolved_at=NOW, resolved_because="recovered") for n in range(7)]
    found, before = [], None
    while page := alerts.episodes(conn, Wanted("resolved"), NOW, 3, before):
        before = page[-1].episode_id
        found += [one.episode_id for one in page]
    assert found == made[::-1]


def test_a_silence_covers_what_it_names_for_as_long_as_it_lasts(conn: Conn) -> None:
    episode(conn, "van-7", site_id="lyon")

    def silenced(matcher: Matcher, later: timedelta = timedelta(minutes=1)) -> bool:
        made = alert_people.silence(conn, matcher, NOW + timedelta(hours=1), "known", "ada", NOW)
        found = alerts.episodes(conn, OPEN, NOW + later, 1)[0].silence_id == made.silence_id
        alert_people.end_silence(conn, made.silence_id, "ada", NOW)
        return found

    assert silenced(Matcher())
    assert silenced(Matcher("low_efficiency", "vehicle", "van-7", "lyon"))
    assert not silenced(Matcher("battery_hot"))
    assert not silenced(Matcher(subject_kind="vehicle", subject_id="van-8"))
    assert not silenced(Matcher(subject_kind="meter", subject_id="van-7"))
    assert not silenced(Matcher(site_id="oslo"))
    assert not silenced(Matcher(), timedelta(hours=1))


def test_a_silence_ends_within_a_year_and_only_once(conn: Conn) -> None:
    for wrong in (NOW, NOW - timedelta(1), NOW + timedelta(days=367)):
        with pytest.raises(alert_people.WrongEnd):
            alert_people.silence(conn, Matcher(), wrong, "known", "ada", NOW)
    made = alert_people.silence(conn, Matcher(), NOW + timedelta(days=366), "known", "ada", NOW)
    ended = alert_people.end_silence(conn, made.silence_id, "bob", NOW)
    assert (ended.ended_by, ended.active(NOW)) == ("bob", False)
    assert alert_people.end_silence(conn, made.silence_id, "eve", NOW + timedelta(1)) == ended
    with pytest.raises(alert_people.UnknownSilence):
        alert_people.end_silence(conn, 4711, "bob", NOW)
    assert conn.execute("SELECT by, action FROM alert_action ORDER BY action_id").fetchall() == [
        ("ada", "silenced"),
        ("bob", "silence ended"),
    ]


def test_acknowledging_again_changes_nothing_and_a_resolved_one_cannot_be(conn: Conn) -> None:
    one = episode(conn)
    assert alert_people.acknowledge(conn, one, "ada", "on my way", NOW)
    assert not alert_people.acknowledge(conn, one, "ada", "on my way", NOW + timedelta(1))
    assert not alert_people.acknowledge(conn, one, "bob", "me too", NOW + timedelta(1))
    found = alerts.episode(conn, one, NOW)
    assert found
    assert (found.acknowledged_at, found.acknowledged_by, found.acknowledged_note) == (NOW, "ada", "on my way")
    told = alert_story.story(conn, one, NOW)
    assert told
    assert [(a.by, a.action, a.note) for a in told.actions] == [("ada", "acknowledged", "on my way"), ("bob", "noted", "me too")]
    over = episode(conn, "van-8", resolved_at=NOW, resolved_because="recovered")
    with pytest.raises(alert_people.Resolved):
        alert_people.acknowledge(conn, over, "ada", None, NOW)
    with pytest.raises(alert_people.UnknownEpisode):
        alert_people.acknowledge(conn, 4711, "ada", None, NOW)


def test_what_is_held_back_stands_under_the_alert_that_explains_it_while_that_is_open(conn: Conn) -> None:
    dark = episode(conn, "lyon", subject_kind="site", rule="site_dark", severity="critical", evidence={})
    behind = [episode(conn, f"van-{n}", rule="device_silent", held_back_by=dark, evidence={}) for n in range(5)]
    assert [one.episode_id for one in alerts.needing(conn, NOW, 10)] == [dark]
    many, newest = alerts.held_back(conn, [dark], NOW, 2)[dark]
    assert (many, [one.episode_id for one in newest]) == (5, behind[:2:-1])
    told = alerts.counts(conn, NOW)
    assert (told.open, told.shown, told.critical, told.needing) == (6, 1, 1, 1)
    conn.execute("DELETE FROM alert_standing WHERE episode_id = %s", (dark,))
    conn.execute("UPDATE alert_episode SET resolved_at = %s, resolved_because = 'recovered' WHERE episode_id = %s", (NOW, dark))
    assert len(alerts.needing(conn, NOW, 10)) == 5


def test_counts_tell_apart_what_people_did(conn: Conn) -> None:
    assert alerts.counts(conn, NOW) == alerts.Counts(0, 0, 0, 0, 0, 0, 0, 0)
    taken = episode(conn, "van-7", severity="critical")
    alert_people.acknowledge(conn, taken, "ada", None, NOW)
    episode(conn, "van-8", state="recovering")
    alert_people.silence(conn, Matcher(subject_kind="vehicle", subject_id="van-8"), NOW + timedelta(1), "known", "ada", NOW)
    episode(conn, "van-9")
    standing(conn, "battery_hot", "vehicle", "van-9", "pending", NOW)
    assert alerts.counts(conn, NOW) == alerts.Counts(
        open=3, shown=3, critical=1, recovering=1, acknowledged=1, silenced=1, needing=1, pending=1
    )


def test_an_alert_tells_its_whole_story(conn: Conn) -> None:
    step(conn, None, NOW - timedelta(days=3), ("ok", "pending"))
    step(conn, None, NOW - timedelta(days=3), ("pending", "ok"))
    step(conn, None, NOW - timedelta(minutes=35), ("ok", "pending"))
    one = episode(conn)
    step(conn, one, NOW - timedelta(minutes=20), ("pending", "firing"))
    step(conn, None, NOW, ("ok", "pending"), "van-8")
    notice(conn, one, channel(conn), sent_at=NOW)
    made = alert_people.silence(conn, Matcher(), NOW + timedelta(1), "known", "ada", NOW, one)
    alert_people.end_silence(conn, made.silence_id, "bob", NOW)
    told = alert_story.story(conn, one, NOW)
    assert told
    assert [(s.from_state, s.to_state) for s in told.steps] == [("ok", "pending"), ("pending", "firing")]
    assert told.steps[0].at == NOW - timedelta(minutes=35)
    assert [(a.by, a.action) for a in told.actions] == [("ada", "silenced"), ("bob", "silence ended")]
    assert [(n.kind, n.channel, n.sent_at) for n in told.notices] == [("firing", "ops", NOW)]
    assert alert_story.story(conn, 4711, NOW) is None


def test_what_may_become_an_alert_says_why(conn: Conn) -> None:
    described(conn)
    standing(conn, "low_efficiency", "vehicle", "van-7", "pending", NOW)
    step(conn, None, NOW, ("ok", "pending"))
    standing(conn, "device_silent", "meter", "depot-1", "pending", NOW - timedelta(1))
    first, second = alerts.pending(conn, OPEN, 10)
    assert (first.name, first.site_name, first.reason, first.severity) == (
        "Blue van",
        "Depot Lyon",
        "80.8 % is below the expected 87.2 %",
        "warning",
    )
    assert (second.subject_id, second.reason) == ("depot-1", None)
    assert alerts.pending(conn, replace(OPEN, site_id="lyon"), 10) == [first]


def test_the_devices_list_begins_with_what_is_open(conn: Conn) -> None:
    one = episode(conn)
    over = episode(conn, resolved_at=NOW, resolved_because="recovered")
    assert [e.episode_id for e in alerts.of_subject(conn, "vehicle", "van-7", NOW, 10)] == [one, over]


def test_people_learn_how_the_newest_evaluation_went(conn: Conn) -> None:
    for wall_at, failed_at, state in [
        (None, None, "never"),
        (NOW - timedelta(minutes=3), None, "fine"),
        (NOW - timedelta(minutes=3, seconds=1), None, "late"),
        (NOW - timedelta(minutes=1), NOW - timedelta(minutes=2), "fine"),
        (NOW - timedelta(minutes=2), NOW - timedelta(minutes=1), "failed"),
        (None, NOW, "failed"),
    ]:
        evaluated(conn, wall_at, failed_at, "disk full" if failed_at else None)
        found = alert_story.evaluation(conn, NOW)
        assert (found.state, found.since, found.error) == (state, wall_at or failed_at, "disk full" if state == "failed" else None)


def test_the_mark_changes_with_every_step_and_with_what_people_do(conn: Conn) -> None:
    one = episode(conn)
    marks = [alerts.mark(conn)]
    step(conn, one, NOW, ("pending", "firing"))
    marks.append(alerts.mark(conn))
    alert_people.acknowledge(conn, one, "ada", None, NOW)
    marks.append(alerts.mark(conn))
    evaluated(conn, None, NOW)
    marks.append(alerts.mark(conn))
    assert len(set(marks)) == 4
    assert alerts.mark(conn) == marks[-1]
