"""Setting a stretch of a timeline is what doing it minute by minute would be."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.assigning import Wish, overlapping, plan, plan_all
from charging.timeline import ALWAYS, FOREVER, Step, Timeline, changes, held, next_start, occupied, set_stretch, without

START = datetime(2026, 2, 4, tzinfo=UTC)
MINUTES = 24
METERS = st.sampled_from([None, "depot-1", "depot-2", "depot-3"])


def at(minute: int) -> datetime:
    """Minute -1 is always."""
    return ALWAYS if minute < 0 else START + timedelta(minutes=minute)


def minutes(timeline: Timeline) -> list[str | None]:
    """The meter in every minute, beginning with the time before the first."""
    return [held(timeline, at(minute)) for minute in range(-1, MINUTES)]


TIMELINES = st.dictionaries(st.integers(-1, MINUTES - 1), METERS, max_size=6).map(
    lambda steps: tuple(Step(at(minute), steps[minute]) for minute in sorted(steps))
)
STRETCHES = st.tuples(st.integers(-1, MINUTES - 2), st.one_of(st.none(), st.integers(0, MINUTES - 1)), METERS).filter(
    lambda one: one[1] is None or one[0] < one[1]
)


@given(TIMELINES, st.lists(STRETCHES, max_size=5))
def test_setting_stretches_is_what_the_minutes_say(timeline: Timeline, stretches: list[tuple[int, int | None, str | None]]) -> None:
    for start, end, meter_id in stretches:
        naive = minutes(timeline)
        until = next((n for n in range(start + 1, MINUTES) if any(s.start == at(n) for s in timeline)), MINUTES) if end is None else end
        naive[start + 1 : until + 1] = [meter_id] * (until - start)
        before, timeline = timeline, set_stretch(timeline, at(start), None if end is None else at(end), meter_id)
        assert minutes(timeline) == naive
        assert list(timeline) == sorted(set(timeline), key=lambda step: step.start)
        assert {s for s in before if not at(start) <= s.start <= at(until)} <= set(timeline), "steps elsewhere stay"
        assert set_stretch(timeline, at(start), at(until) if until < MINUTES else FOREVER, meter_id) is timeline, "again: nothing changes"


@given(TIMELINES, TIMELINES)
def test_changes_are_the_minutes_that_differ_and_lead_there_and_back(before: Timeline, after: Timeline) -> None:
    found = changes(before, after)
    forth = back = before
    for change in found:
        assert change.before != change.after
        forth = set_stretch(forth, change.start, change.end, change.after)
    back = after
    for change in found:
        back = set_stretch(back, change.start, change.end, change.before)
    assert minutes(forth) == minutes(after)
    assert minutes(back) == minutes(before)
    covered = [any(c.start <= at(m) < c.end for c in found) for m in range(-1, MINUTES)]
    assert covered == [a != b for a, b in zip(minutes(before), minutes(after), strict=True)]


@given(TIMELINES, st.integers(-1, MINUTES - 1))
def test_taking_an_assignment_out_lets_the_one_before_go_on(timeline: Timeline, minute: int) -> None:
    if not any(step.start == at(minute) for step in timeline):
        with pytest.raises(KeyError):
            without(timeline, at(minute))
        return
    rest, until = without(timeline, at(minute)), next_start(timeline, at(minute))
    before = held(tuple(step for step in timeline if step.start < at(minute)), at(minute))
    expected = [before if at(minute) <= at(m) < until else held(timeline, at(m)) for m in range(-1, MINUTES)]
    assert minutes(rest) == expected


@given(st.dictionaries(st.sampled_from(["van-1", "van-2", "van-3"]), TIMELINES))
def test_a_meters_stretches_are_the_minutes_of_its_vehicles(vehicles: dict[str, Timeline]) -> None:
    stretches = [
        (vehicle_id, step.start, next_start(timeline, step.start))
        for vehicle_id, timeline in vehicles.items()
        for step in timeline
        if step.meter_id == "depot-1"
    ]
    found = list(occupied(stretches))
    for minute in range(-1, MINUTES):
        on_it = tuple(sorted(v for v, timeline in vehicles.items() if held(timeline, at(minute)) == "depot-1"))
        assert next((one.vehicle_ids for one in found if one.start <= at(minute) < one.end), ()) == on_it
    assert all(one.end <= two.start and (one.end, one.vehicle_ids) != two[::2] for one, two in pairwise(found))


def test_a_stretch_that_does_not_end_after_it_begins_is_refused() -> None:
    for end in (at(3), at(2)):
        with pytest.raises(ValueError, match="ends after"):
            set_stretch((), at(3), end, "depot-1")


def test_saying_none_of_a_new_vehicle_is_kept_and_changes_nothing() -> None:
    made = plan(Wish("van-7", None), (), at(5))
    assert (made.after, made.changes, made.first) == ((Step(ALWAYS, None),), (), True)


def test_only_what_begins_before_now_of_an_assigned_vehicle_corrects_the_past() -> None:
    known = (Step(ALWAYS, "depot-1"),)
    for start, corrects in ((at(4), True), (at(5), False), (at(6), False), (None, False)):
        made = plan(Wish("van-7", "depot-2", start), known, at(5))
        assert [made.corrects_past(change, at(5)) for change in made.changes] == [corrects]
    first = plan(Wish("van-7", "depot-2", at(1)), (), at(5))
    assert [first.corrects_past(change, at(5)) for change in first.changes] == [False]


def test_wishes_of_one_vehicle_are_carried_out_in_the_order_of_time_whatever_the_files() -> None:
    later, earlier = Wish("van-7", "depot-2", at(5)), Wish("van-7", "depot-1", None, at(5))
    both = plan_all([later, earlier], {}, at(9))
    assert [place for place, _ in both] == [1, 0]
    assert both[1][1].after == (Step(ALWAYS, "depot-1"), Step(at(5), "depot-2"))
    assert [one.first for _, one in both] == [True, True]
    assert overlapping([later, earlier], {}, at(9)) == []


def test_overlapping_stretches_of_one_vehicle_are_found_and_touching_ones_are_not() -> None:
    wishes = [
        Wish("van-7", "depot-1", at(1), at(9)),
        Wish("van-8", "depot-1", at(1), at(9)),
        Wish("van-7", "depot-2", at(9)),
        Wish("van-7", "depot-3", at(2), at(3)),
        Wish("van-7", None, at(20), at(21)),
    ]
    assert overlapping(wishes, {}, at(0)) == [(0, 3), (2, 4)]
