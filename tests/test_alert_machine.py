"""What a sequence of observations makes of a rule: every boundary, and what holds for any sequence."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.alert_rules import GONE, INGESTION, Device, Subject, dark, hot, silent
from charging.alert_settings import SETTINGS, AlertSettings, Number, checked
from charging.alerting import (
    MOST_ELAPSED_S,
    NOTHING,
    NOTHING_S,
    RECOVERED,
    Observation,
    Standing,
    Step,
    Timing,
    elapsed_s,
    severity,
    step,
    switched_off,
)

START = datetime(2026, 2, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TIMING = Timing()
LETTERS = {"ok": ".", "pending": "p", "firing": "F", "recovering": "r"}


def run(
    observations: Sequence[Observation], start: datetime = START, every_s: float = 60.0, timing: Timing = TIMING
) -> tuple[list[Standing | None], list[Step]]:
    """Where the rule stands after each evaluation, and every step."""
    standing: Standing | None = None
    stood, steps = [], []
    for n, seen in enumerate(observations):
        standing, taken = step(standing, seen, every_s if n else 0.0, start + n * timedelta(seconds=every_s), timing)
        stood.append(standing)
        if taken:
            steps.append(taken)
    return stood, steps


def states(margins: Sequence[float | None], timing: Timing = TIMING) -> str:
    """A letter for each minute: `.` ok, `p` pending, `F` firing, `r` recovering."""
    return "".join(LETTERS[one.state if one else "ok"] for one in run([Observation(m) for m in margins], timing=timing)[0])


def _is_number(margin: float | None) -> bool:
    return margin is not None and not math.isnan(margin)


LOW, AT_THE_LINE, BETWEEN, CLEAR = -0.01, 0.0, 0.01, 0.02


@pytest.mark.parametrize(
    ("margins", "expected"),
    [
        ([CLEAR] * 3, "..."),
        ([AT_THE_LINE] * 3, "..."),
        ([LOW] * 15, "p" * 15),
        ([LOW] * 16, "p" * 15 + "F"),
        ([LOW] * 10 + [AT_THE_LINE] + [LOW] * 16, "p" * 10 + "." + "p" * 15 + "F"),
        ([-1e-12] * 16, "p" * 15 + "F"),
        ([-math.inf] * 16, "p" * 15 + "F"),
        ([LOW] * 16 + [BETWEEN] * 100, "p" * 15 + "F" * 101),
        ([LOW] * 16 + [0.019999] * 30, "p" * 15 + "F" * 31),
        ([LOW] * 16 + [CLEAR] * 15, "p" * 15 + "F" + "r" * 15),
        ([LOW] * 16 + [CLEAR] * 16, "p" * 15 + "F" + "r" * 15 + "."),
        ([LOW] * 16 + [CLEAR] * 5 + [LOW] + [CLEAR] * 16, "p" * 15 + "F" + "r" * 5 + "F" + "r" * 15 + "."),
        ([LOW] * 16 + [CLEAR] * 5 + [BETWEEN] + [CLEAR] * 15, "p" * 15 + "F" + "r" * 20 + "."),
        ([LOW] * 16 + [CLEAR] * 5 + [AT_THE_LINE] + [CLEAR] * 14, "p" * 15 + "F" + "r" * 20),
        ([LOW] * 8 + [None] * 60 + [LOW] * 8, "p" * 75 + "F"),
        ([LOW] * 8 + [math.nan] * 60 + [LOW] * 7, "p" * 75),
        ([None, math.nan, None], "..."),
        ([LOW] * 16 + [CLEAR] * 8 + [None] * 30 + [CLEAR] * 8, "p" * 15 + "F" + "r" * 45 + "."),
    ],
)
def test_minutes_of_margins_and_where_they_lead(margins: list[float | None], expected: str) -> None:
    assert states(margins) == expected


def test_it_fires_when_held_for_exactly_900_s_and_not_a_second_earlier() -> None:
    standing = Standing("pending", START, held_s=840.0)
    for passed_s, state in ((59.0, "pending"), (60.0, "firing")):
        after, taken = step(standing, Observation(LOW), passed_s, START, TIMING)
        assert after
        assert after.state == state
        assert (taken is not None) == (state == "firing")


def test_it_is_over_when_well_for_exactly_900_s_and_not_a_second_earlier() -> None:
    standing = Standing("recovering", START, held_s=840.0)
    assert step(standing, Observation(CLEAR), 59.0, START, TIMING)[1] is None
    assert step(standing, Observation(CLEAR), 60.0, START, TIMING) == (None, Step("recovering", "ok", RECOVERED))


@pytest.mark.parametrize("state", ["pending", "firing", "recovering"])
def test_without_evidence_it_stays_for_24_hours_and_not_a_second_longer(state: Any) -> None:
    standing = Standing(state, START, held_s=300.0, nothing_s=NOTHING_S - 60)
    after, taken = step(standing, Observation(None), 59.0, START, TIMING)
    assert (after, taken) == (replace(standing, nothing_s=NOTHING_S - 1), None)
    assert step(standing, Observation(None), 60.0, START, TIMING) == (None, Step(state, "ok", NOTHING))


def test_a_minute_of_evidence_begins_the_24_hours_anew() -> None:
    standing = Standing("firing", START, nothing_s=NOTHING_S - 60)
    for seen in (Observation(BETWEEN), Observation(LOW, is_new=False)):
        after, _ = step(standing, seen, 60.0, START, TIMING)
        assert after
        assert after.nothing_s == 0


def test_what_was_judged_before_is_not_judged_again() -> None:
    old = Observation(LOW, is_new=False)
    stood, steps = run([Observation(LOW), *[old] * 100, *[Observation(LOW)] * 14])
    assert [one and one.state for one in stood] == ["pending"] * 115
    assert len(steps) == 1
    firing = Standing("recovering", START, held_s=840.0)
    assert step(firing, Observation(CLEAR, is_new=False), 60.0, START, TIMING) == (firing, None)


def test_it_recovers_by_the_margin_that_is_sure_and_fires_by_the_other() -> None:
    assert states([LOW] * 16) == "p" * 15 + "F"
    firing, recovering = Standing("firing", START), Standing("recovering", START, held_s=840.0)
    doubtful = Observation(0.05, sure=0.019)
    assert step(firing, doubtful, 60.0, START, TIMING)[0] == firing
    assert step(recovering, doubtful, 60.0, START, TIMING)[0] == Standing("recovering", START)
    assert step(Standing("pending", START), Observation(0.01, sure=-0.5), 60.0, START, TIMING)[0] is None
    assert step(None, Observation(0.01, sure=-0.5), 60.0, START, TIMING) == (None, None)


def test_severity_changes_no_state() -> None:
    """It may change from minute to minute; the clocks run on."""
    mixed = [Observation(LOW, "critical" if n % 2 else "warning") for n in range(16)]
    assert [one and one.state for one in run(mixed)[0]] == ["pending"] * 15 + ["firing"]


def test_a_warning_becomes_critical_when_that_held_for_as_long_as_it_takes_to_fire() -> None:
    seen = [Observation(LOW)] * 16 + [Observation(-0.2, "critical")] * 14 + [Observation(LOW)] + [Observation(-0.2, "critical")] * 15
    stood, _ = run(seen)
    called = [severity(one, what, TIMING) for one, what in zip(stood, seen, strict=True)]
    assert called == ["warning"] * 45 + ["critical"]


@pytest.mark.parametrize("step_s", [3600, -3600, 2 * 86_400, -2 * 86_400])
def test_an_evaluation_never_stands_for_more_than_90_s_or_less_than_0(step_s: int) -> None:
    assert elapsed_s(START, START + timedelta(seconds=step_s)) == (MOST_ELAPSED_S if step_s > 0 else 0.0)
    assert elapsed_s(START, START + timedelta(seconds=89)) == 89.0
    assert elapsed_s(None, START) == 0.0


def test_a_rule_that_is_switched_off_ends_where_it_stood() -> None:
    assert switched_off(Standing("firing", START)) == Step("firing", "ok", "the rule was switched off")


# ------------------------------------------------------------------------------------------------------------------- any sequence

MARGINS = st.one_of(
    st.none(),
    st.just(math.nan),
    st.sampled_from([-0.5, -1e-12, 0.0, 0.01, math.nextafter(0.02, 0), 0.02, 0.1]),
    st.floats(-1, 1, allow_nan=False),
)
# Runs of one value: single minutes seldom lead anywhere.
SEQUENCES = st.lists(st.tuples(st.builds(Observation, MARGINS, is_new=st.booleans(), sure=st.none() | MARGINS.filter(_is_number)), st.integers(1, 20)), max_size=14).map(
    lambda runs: [one for one, times in runs for _ in range(times)]
)  # fmt: skip


@given(SEQUENCES)
def test_fire_and_resolve_alternate(observations: list[Observation]) -> None:
    ends = [(taken.source, taken.target) for taken in run(observations)[1]]
    told = [pair[1] for pair in ends if pair == ("pending", "firing") or (pair[1] == "ok" and pair[0] != "pending")]
    assert told == (["firing", "ok"] * len(told))[: len(told)]


@given(SEQUENCES)
def test_every_step_begins_where_the_one_before_ended(observations: list[Observation]) -> None:
    at = "ok"
    for taken in run(observations)[1]:
        assert taken.source == at
        assert taken.target != at
        at = taken.target


@given(SEQUENCES)
def test_nothing_leaves_ok_without_a_negative_margin(observations: list[Observation]) -> None:
    never_low = [one for one in observations if not one.is_below]
    assert run(never_low) == ([None] * len(never_low), [])


@given(SEQUENCES, st.integers(-(10**6), 10**6))
def test_when_it_happens_changes_nothing(observations: list[Observation], minutes: int) -> None:
    stood, steps = run(observations)
    moved, same = run(observations, START + minutes * MINUTE)
    assert same == steps
    assert [one and replace(one, since=one.since - minutes * MINUTE) for one in moved] == stood


@given(SEQUENCES)
def test_nothing_is_held_for_longer_than_there_were_evaluations_with_evidence(observations: list[Observation]) -> None:
    with_evidence = 0
    for seen, standing in zip(observations, run(observations)[0], strict=True):
        with_evidence += not seen.says_nothing and seen.is_new
        assert standing is None or standing.held_s <= 60.0 * with_evidence


@given(SEQUENCES)
def test_it_fires_only_after_fifteen_minutes_of_evidence_below_the_line(observations: list[Observation]) -> None:
    below = 0
    for seen, standing in zip(observations, run(observations)[0], strict=True):
        if seen.is_new and not seen.says_nothing:
            below = below + 1 if seen.is_below else 0
        if standing and standing.state == "firing" and standing.since == START:
            raise AssertionError("it cannot fire at the first evaluation")
        if standing and standing.state == "pending":
            assert below <= 16
    fired = [taken for taken in run(observations)[1] if (taken.source, taken.target) == ("pending", "firing")]
    assert len(fired) <= sum(seen.is_below and seen.is_new for seen in observations) // 16


# ------------------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("rule", "settings", "said"),
    [
        ("no_such_rule", {}, "no rule 'no_such_rule'.*low_efficiency"),
        ("battery_hot", {"limitF": 130}, "battery_hot has no setting 'limitF': it has enabled, limitC"),
        ("battery_hot", {"limitC": 29.9}, "limitC is from 30 to 100 °C, not 29.9"),
        ("battery_hot", {"limitC": 100.1}, "limitC is from 30 to 100"),
        ("battery_hot", {"limitC": math.nan}, "limitC"),
        ("battery_hot", {"limitC": "55"}, "limitC is a number, not '55'"),
        ("battery_hot", {"limitC": True}, "limitC is a number, not True"),
        ("battery_hot", {"enabled": 1}, "enabled is one of true, false, not 1"),
        ("battery_hot", {"enabled": "true"}, "enabled is one of"),
        ("device_silent", {"afterRhythms": 4}, "afterRhythms is from 5 to 1000"),
        ("device_silent", {"afterRhythms": 1001}, "afterRhythms is from 5 to 1000"),
        ("device_silent", {"afterRhythms": 7.5}, "afterRhythms is a whole number, not 7.5"),
        ("device_silent", {"afterRhythms": math.inf}, "afterRhythms"),
        ("device_silent", {"afterRhythms": math.nan}, "afterRhythms"),
        ("device_silent", {"afterRhythms": 10**400}, "afterRhythms"),
        ("device_silent", {"onlyWhileCharging": 0}, "onlyWhileCharging is one of true, false, not 0"),
        ("site_dark", {"share": 0.049}, "share is from 0.05 to 0.95"),
        ("site_dark", {"share": [0.2]}, "share is a number"),
        ("low_efficiency", {"use": "bands"}, "use is one of band, plain, not 'bands'"),
        ("low_efficiency", {"plainLow": 0.7, "plainCritical": 0.7}, r"plainCritical \(0.7\) must be below plainLow \(0.7\)"),
    ],
)
def test_a_setting_that_will_not_do_is_named_with_what_would(rule: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(rule, settings)


def test_bounds_themselves_are_allowed_and_null_means_the_wider_scope() -> None:
    for rule, known in SETTINGS.items():
        for name, kind in known.items():
            for value in (kind.least, kind.most) if isinstance(kind, Number) else kind.values:
                assert checked(rule, {name: value}) == {name: value}
            assert checked(rule, {name: None}) == {}


def test_the_narrowest_scope_that_says_something_holds() -> None:
    settings = AlertSettings(
        {
            ("battery_hot", "all", ""): {"limitC": 60, "enabled": False},
            ("battery_hot", "site", "north"): {"limitC": 50},
            ("battery_hot", "vehicle", "van-7"): {"enabled": True},
        }
    )
    assert settings.of("battery_hot", "limitC", "vehicle", "van-7", "north") == 50
    assert settings.of("battery_hot", "limitC", "vehicle", "van-7", None) == 60
    assert settings.is_on("battery_hot", "vehicle", "van-7", "north")
    assert not settings.is_on("battery_hot", "vehicle", "van-8", "north")
    assert settings.of("site_dark", "share", "site", "north", "north") == 0.20


# ------------------------------------------------------------------------------------------------------------------- sightings


def device(number: int = 0, silent_s: float = 0.0, rhythm_s: int = 60, **more: Any) -> Device:
    """One that reported so long before START, the last time."""
    heard = START - timedelta(seconds=silent_s)
    return Device(Subject("vehicle", f"van-{number}"), "north", heard, heard, rhythm_s, **{"is_charging": False, **more})


def is_below(observation: Observation) -> bool:
    return observation.is_below


def test_a_battery_of_55_degrees_is_hot_and_one_of_54_99_is_not() -> None:
    for centi_c, is_hot in ((5500, True), (5499, False), (5501, True), (-4000, False)):
        seen = hot(device(battery_temp_centi_c=centi_c), AlertSettings(), START)
        assert is_below(seen.observation) == is_hot
        assert seen.observation.severity == "critical"


def test_a_temperature_older_than_a_quarter_of_an_hour_says_nothing() -> None:
    assert is_below(hot(device(silent_s=900, battery_temp_centi_c=6000), AlertSettings(), START).observation)
    assert hot(device(silent_s=901, battery_temp_centi_c=6000), AlertSettings(), START).observation.says_nothing
    assert hot(device(), AlertSettings(), START).observation.says_nothing


@pytest.mark.parametrize("rhythm_s", [1, 60, 300, 3600])
def test_a_device_is_stale_after_more_than_five_of_its_rhythms_and_told_of_ten_later(rhythm_s: int) -> None:
    whole = 5 * max(rhythm_s, 60)
    for silent_s, stale in ((whole, False), (whole + 1, True)):
        seen = silent(device(silent_s=silent_s, rhythm_s=rhythm_s), AlertSettings(), START, False)
        assert seen
        assert is_below(seen.observation) == stale
        assert seen.timing.hold_s == 2 * whole


def test_p2_people_cannot_have_it_told_before_the_device_had_the_time_to_report_after_a_step_of_our_clock() -> None:
    settings = AlertSettings({("device_silent", "all", ""): {"afterRhythms": 5}})
    seen = silent(device(), settings, START, False)
    assert seen
    assert seen.timing.hold_s == 120


def test_late_readings_are_a_sign_of_life_but_end_no_silence() -> None:
    seen = silent(device(silent_s=3600, late_at=START), AlertSettings(), START, False)
    assert seen
    assert not is_below(seen.observation)
    assert seen.observation.clearance < 0


def test_one_reading_ends_no_silence_either() -> None:
    seen = silent(device(silent_s=0), AlertSettings(), START, False)
    assert seen
    assert seen.timing.recover_s > 5 * 60


def test_a_vehicle_that_does_not_charge_may_be_silent_where_people_say_so() -> None:
    settings = AlertSettings({("device_silent", "all", ""): {"onlyWhileCharging": True}})
    for charges in (True, False):
        seen = silent(device(silent_s=3600, is_charging=charges), settings, START, False)
        assert seen
        assert is_below(seen.observation) == charges


def test_nobody_is_told_of_a_device_that_is_gone_unless_they_were_told_before() -> None:
    seven_days_s = GONE.total_seconds()
    assert silent(device(silent_s=seven_days_s), AlertSettings(), START, False)
    assert silent(device(silent_s=seven_days_s + 1), AlertSettings(), START, False) is None
    assert silent(device(silent_s=seven_days_s + 1), AlertSettings(), START, True)


def test_a_device_that_reported_in_our_future_says_nothing_of_silence() -> None:
    ahead = silent(device(silent_s=-61), AlertSettings(), START, False)
    assert ahead
    assert ahead.observation.says_nothing


def away(devices: int, silent_devices: int, silent_s: float = 400.0, share: float = 0.2, **more: Any) -> Any:
    some = [device(n, silent_s if n < silent_devices else 30.0, **more) for n in range(devices)]
    return dark(Subject("site", "north"), some, share, START)


@pytest.mark.parametrize(("devices", "silent_devices", "is_dark"), [(20, 4, False), (20, 5, True), (15, 3, False), (14, 3, True), (3, 3, True), (10, 2, False), (8, 2, False)])  # fmt: skip
def test_a_site_is_dark_where_more_than_a_fifth_and_three_at_least_are_silent(devices: int, silent_devices: int, is_dark: bool) -> None:
    seen = away(devices, silent_devices)
    assert is_below(seen.observation) == is_dark
    assert (seen.since is not None) == is_dark


@pytest.mark.parametrize("share", [n / 100 for n in range(5, 96, 5)])
def test_exactly_its_share_is_not_dark_whatever_that_is(share: float) -> None:
    assert not is_below(away(100, round(share * 100), share=share).observation)
    assert is_below(away(100, round(share * 100) + 1, share=share).observation)


def test_two_devices_are_no_site() -> None:
    assert away(2, 2) is None


def test_devices_that_fell_silent_one_after_the_other_are_no_dark_site() -> None:
    for apart_s, is_dark in ((60, True), (200, False)):
        some = [device(n, 400 + n * apart_s if n < 3 else 0) for n in range(12)]
        seen = dark(Subject("site", "north"), some, 0.2, START)
        assert seen
        assert is_below(seen.observation) == is_dark


def test_a_late_reading_of_one_leaves_a_site_dark_and_late_readings_of_most_do_not() -> None:
    """Late by way of something that delivers what it had kept; or late because the clocks of all were set back."""
    for late, is_dark in ((0, True), (2, True), (3, False), (4, False)):
        some = [device(n, 3000 if n < 4 else 30, late_at=START - 30 * timedelta(seconds=1) if n < late else None) for n in range(8)]
        seen = dark(Subject("site", "north"), some, 0.2, START)
        assert seen
        assert is_below(seen.observation) == is_dark


def test_everything_that_went_away_at_the_same_time_a_week_ago_is_gone() -> None:
    seen = away(12, 6, GONE.total_seconds() + 1)
    assert not is_below(seen.observation)


def test_p2_after_a_step_of_our_clock_every_device_has_the_time_to_report() -> None:
    assert away(12, 12).timing.hold_s == 240
    assert away(12, 12, 86_400, rhythm_s=900).timing.hold_s == 1800


def test_all_readings_have_stopped_where_more_than_half_did() -> None:
    for silent_devices, is_dark in ((6, False), (7, True)):
        seen = dark(INGESTION, [device(n, 400 if n < silent_devices else 0) for n in range(12)], 0.5, START)
        assert seen
        assert is_below(seen.observation) == is_dark
