"""What the alerts pages say, as functions of data: lists, the card of one alert, silences, and what they say where nothing is known."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.components.plain import plain
from dashboard.over import RANGES
from dashboard.pages import alerts as pages
from dashboard.pages.alerts import asked, evidence, frame, history, inbox, of_subject, page, silences, words
from dashboard.pages.alerts.loading import BARS, Bins, Card, History, Inbox, Silences, evidence_window
from db.alert_people import Silence
from db.queries.alert_story import Evaluation, Notice, Step
from db.queries.alerts import Counts, Pending, Wanted
from tests.alert_fakes import counts, episode, fine, silence, story
from tests.browser_support import FakeFleet, timeline

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"


def said(part: Any) -> str:
    """The text that people read, parts next to each other."""
    found = plain(part)
    return "" if found is None else found if isinstance(found, str) else "".join(said_plain(found))


def said_plain(part: Any) -> list[str]:
    return [part] if isinstance(part, str) else [text for child in part[2] for text in said_plain(child)]


def box(*shown: Any, **changes: Any) -> Inbox:
    known = Inbox(NOW, Wanted(), counts(len(shown), sum(one.severity == "critical" for one in shown)), shown, {}, [], fine(NOW), [])
    return replace(known, **changes)


def card(one: Any, **changes: Any) -> Card:
    return replace(Card(NOW, story(one, NOW), (0, []), None, 1, fine(NOW)), **changes)


def test_the_list_begins_with_the_critical_ones_and_folds_what_they_hold_back() -> None:
    warning, critical = episode(1, NOW), episode(2, NOW, severity="critical", subject_id="van-8")
    behind = episode(3, NOW, subject_id="van-9", rule="device_silent", evidence={"silentS": 1800, "rhythmS": 60})
    parts = inbox.parts(box(warning, critical, held={2: (70, [behind])}), False, False, "Europe/Berlin")
    words_ = said(parts["alerts-list"])
    assert words_.index("Critical") < words_.index("van-8") < words_.index("70 alerts held back by this one") < words_.index("Warning")
    assert "and 69 more" in words_
    assert "5.4 points short" in words_
    assert "Times in Europe/Berlin" in words_
    assert "24 Nov 2026, 12:00" in words_


def test_badges_tell_what_people_did_and_how_it_stands() -> None:
    one = episode(
        1,
        NOW,
        state="recovering",
        flapping=True,
        acknowledged_by=HOSTILE,
        acknowledged_at=NOW,
        silenced_until=NOW,
        silenced_because="known",
    )
    told = said(inbox.parts(box(one), False, False, "UTC")["alerts-list"])
    for badge in ("recovering", "flapping", f"acknowledged by {HOSTILE}", "silenced until 24 Nov 2026, 12:00"):
        assert badge in told


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (Counts(0, 0, 0, 0, 0, 0, 0, 0), "No open alert"),
        (Counts(0, 0, 0, 0, 0, 0, 0, 4), "No open alert; 4 pending"),
        (
            Counts(1012, 12, 3, 1, 2, 1, 8, 4),
            "12 open: 3 critical, 9 warning, 1 recovering, 2 acknowledged, 1 silenced, 1,000 held back; 4 pending",
        ),
    ],
)
def test_counts_are_in_words(told: Counts, expected: str) -> None:
    assert said(inbox.counted(told)) == expected


def test_an_empty_list_says_what_to_do_next() -> None:
    assert "Nothing needs anyone" in said(inbox.parts(box(), False, False, "UTC")["alerts-list"])
    assert inbox.state(box(), False, False) == "calm"
    assert "Clear the filter" in said(inbox.parts(box(), False, True, "UTC")["alerts-list"])
    assert "Nothing is pending" in said(inbox.parts(box(), True, True, "UTC")["alerts-list"])
    waiting = Pending("battery_hot", "vehicle", "van-9", HOSTILE, None, None, NOW, 240, "warning", None)
    assert f"{HOSTILE}" in said(inbox.parts(box(pending=[waiting]), True, True, "UTC")["alerts-list"])


@pytest.mark.parametrize(
    ("state", "words_"),
    [
        ("late", "last evaluated at 24 Nov 2026, 13:00 Europe/Berlin. Nothing is resolved meanwhile"),
        ("failed", "then it failed: disk full. Nothing is resolved meanwhile"),
        ("never", "not been evaluated yet"),
    ],
)
def test_who_reads_that_nothing_is_wrong_knows_whether_anybody_looked(state: Any, words_: str) -> None:
    from zoneinfo import ZoneInfo

    evaluation = Evaluation(state, NOW, NOW, None, None, "disk full" if state == "failed" else None)
    assert words_ in said(frame.banner(evaluation, ZoneInfo("Europe/Berlin"), "Europe/Berlin"))
    assert frame.banner(fine(NOW), UTC, "UTC") is None


# rule and severity with their evidence; what is said of it; the measure that stands in lists
TOLD = [
    ("low_efficiency", "warning", {"acKwh": 10.0, "dcKwh": 8.0, "efficiencyRatio": 0.8, "threshold": 0.85, "margin": -0.05}, "The threshold is 85.0 %", "80.0 %"),
    ("suspect_measurement", "warning", {"acKwh": 10.0, "dcKwh": 12.0, "efficiencyRatio": 1.2}, "contradict each other", "120.0 %"),
    ("device_silent", "warning", {"lastReceivedAt": "2026-11-24T11:00:00Z", "rhythmS": 60, "silentS": 3600, "alertAfterS": 900}, "last reading came 24 Nov 2026, 11:00 UTC; one is due every 1 min", "1 h 0 min"),
    ("battery_hot", "critical", {"batteryTempC": 61.25, "limitC": 55, "recordedAt": "2026-11-24T11:59:00Z"}, "61.2 °C at 24 Nov 2026, 11:59 UTC; the limit is 55 °C", "61.2 °C"),
    ("site_dark", "critical", {"devices": 50, "silent": 42, "share": 0.84, "limitShare": 0.2, "examples": ["van-1"]}, "42 of 50 devices went silent together (84 %; limit 20 %)", "42 of 50"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "severity", "told", "happened", "measured"), TOLD)
def test_the_card_says_in_words_and_numbers_what_happened(
    rule: str, severity: str, told: dict[str, Any], happened: str, measured: str
) -> None:
    one = episode(1, NOW, rule=rule, severity=severity, evidence=told)
    assert happened in words.happened(one, UTC, "UTC")
    assert words.measure(rule, told)[0] == measured
    assert words.checks(one)
    assert happened in said(evidence.parts(card(one), "UTC")["alert-evidence"])


@pytest.mark.parametrize("rule", [*words.RULES, "a rule of tomorrow"])
def test_evidence_may_lack_anything_and_be_of_any_kind(rule: str) -> None:
    """Then the reason speaks, and nothing is made up."""
    for told in (
        {},
        {
            "acKwh": "much",
            "expected": 3,
            "coverage": None,
            "windowFrom": "x",
            "windowTo": 7,
            "examples": "van",
            "silentS": True,
            "meterIds": None,
        },
    ):
        one = episode(1, NOW, rule=rule, evidence=told, reason=HOSTILE)
        shown = json.dumps([plain(part) for part in evidence.parts(card(one), "UTC").values()])
        for nonsense in ("nan", "None", "Infinity", "much"):
            assert nonsense not in shown
        assert evidence_window(one) is None


def test_a_critical_one_begins_with_what_is_urgent() -> None:
    assert "Take van-7 off depot-1" in words.checks(episode(1, NOW, severity="critical"))[0]
    assert "another charger" in words.checks(episode(1, NOW))[0]


def test_the_chart_sets_off_the_window_and_leaves_gaps_as_gaps() -> None:
    fleet = FakeFleet(20)
    end = NOW + timedelta(hours=1)
    bins = Bins(timeline(fleet.rows[0], RANGES["24h"], end).bins, 3600, end)
    shown = json.dumps(plain(evidence.parts(card(episode(1, NOW), bins=bins), "UTC")["alert-evidence"]))
    assert shown.count('"evidence-bar is-window"') == 2  # 10:58 to 11:58
    assert shown.count("evidence-bar") >= BARS
    assert "no readings" in shown
    assert "belong to the alert's window" in shown


def test_the_story_names_each_step_who_did_what_and_who_was_told() -> None:
    one = episode(1, NOW)
    parts = evidence.parts(card(one), "UTC")
    steps = said(parts["alert-steps"])
    assert steps.index("Alert (warning)") < steps.index("Limit crossed")
    assert "11.02 kWh AC" in steps
    assert "Ada: acknowledged" in said(parts["alert-people"])
    assert "ops (webhook): told of the alert" in said(parts["alert-notices"])
    back = Step(NOW, "recovering", "ok", None, "recovered", {})
    failed = Notice("firing", "mail", "email", NOW, 3, None, NOW, "550 no such user")
    told = evidence.parts(card(one, story=replace(story(one, NOW), steps=[back], actions=[], notices=[failed])), "UTC")
    assert "Resolved" in said(told["alert-steps"])
    assert "Nobody has done anything" in said(told["alert-people"])
    assert "given up 24 Nov 2026, 12:00 after 3 tries: 550 no such user" in said(told["alert-notices"])


@pytest.mark.parametrize(
    ("changes", "channels", "why"),
    [
        ({"silenced_until": NOW, "silenced_because": "known"}, 1, "silenced until"),
        ({"held_back_by": 9}, 1, "a consequence of another alert"),
        ({"flapping": True}, 1, "comes and goes"),
        ({}, 0, "no channel is set up"),
        ({}, 1, "no channel wants this severity"),
    ],
)
def test_where_nobody_was_told_it_says_why(changes: dict[str, Any], channels: int, why: str) -> None:
    one = episode(1, NOW, **changes)
    told = card(one, story=replace(story(one, NOW), notices=[]), channels=channels)
    assert why in said(evidence.parts(told, "UTC")["alert-notices"])


def test_history_pages_with_the_filter_in_every_address() -> None:
    over = episode(7, NOW, state="resolved", resolved_at=NOW, resolved_because="no evidence for 24 hours")
    found = History(NOW, asked.history("a&b", None, "critical", None, None), 9, [over], 7, fine(NOW), [])
    parts = history.parts(found, "UTC")
    shown = json.dumps([plain(parts[name]) for name in ("history-foot", "history-file")])
    assert "/alerts/history?state=any&severity=critical&q=a%26b&before=7" in shown
    assert "/v1/alerts?state=any&severity=critical&q=a%26b&format=csv" in shown
    assert "lasted 1 h 0 min" in said(parts["history-list"])
    assert "no evidence for 24 hours" in said(parts["history-list"])
    empty = replace(found, wanted=Wanted("any"), page=[], older=None, before_id=None)
    assert "No alert has ever been" in said(history.parts(empty, "UTC")["history-list"])


def test_silences_say_what_until_when_why_and_who() -> None:
    parts = silences.parts(Silences(NOW, [silence(2, NOW)], [_ended()], fine(NOW)), "UTC")
    for told in ("Low efficiency · vehicle van-7", "24 Nov 2026, 15:00, 3 h 0 min more", "in the workshop", "Ada", "End now"):
        assert told in said(parts["silences-active"])
    assert "Every alert" in said(parts["silences-past"])
    assert "by Bob" in said(parts["silences-past"])
    none = silences.parts(Silences(NOW, [], [], fine(NOW)), "UTC")
    assert "No silence holds" in said(none["silences-active"])


def _ended() -> Silence:
    return silence(1, NOW, ended_at=NOW, ended_by="Bob", rule=None, subject_kind=None, subject_id=None)


def test_a_device_shows_its_alerts_or_that_it_never_had_one() -> None:
    assert "van-7" in said(of_subject.drawn([episode(1, NOW)], "vehicle", "van-7", NOW, "UTC"))
    assert "This charger never had one" in said(of_subject.drawn([], "meter", "depot-1", NOW, "UTC"))


def test_what_the_controls_say_is_what_is_wanted() -> None:
    assert asked.inbox(None, None, None, None, None) == Wanted(held_back=False)
    assert asked.inbox(" van\0 ", "new", "critical", "battery_hot", "lyon") == Wanted(
        rule="battery_hot", severity="critical", site_id="lyon", acknowledged=False, q="van"
    )
    assert asked.inbox("", "held", "", "", "") == Wanted(held_back=True)
    assert asked.history("", "nonsense", "", "", "") == Wanted("any")
    assert [asked.page_before(text) for text in ("12", "x", "²", None, "9" * 19)] == [12, None, None, None, None]


def test_layouts_take_the_filter_of_their_address_and_need_no_database() -> None:
    shown = json.dumps(page.layout(q="van", state="nonsense", severity="critical", site="lyon"), default=lambda part: part.to_plotly_json())
    assert '"value": "van"' in shown
    assert '"value": "critical"' in shown
    assert "nonsense" not in shown
    for layout in (pages.layout, page.history_layout, page.silences_layout, page.alert_layout):
        assert layout()
