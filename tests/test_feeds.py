"""Who was on which meter when: every instant of every meter belongs to exactly one stretch, and stretches are as long as nothing changes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from charging.feeds import Assigned, Feed, feeds

VEHICLES, METERS = ("van-1", "van-2", "van-3"), ("depot-1", "depot-2", "depot-3")
SINCE, UNTIL = 0, 20
EVER = 1 << 62


def timelines(changes: list[tuple[str, int | None, str | None]]) -> list[Assigned]:
    """From-dated assignments as the database tells them: each holds until the vehicle's next one."""
    found = []
    for vehicle in VEHICLES:
        known = {-EVER if since is None else since: meter for who, since, meter in changes if who == vehicle}
        edges = [*sorted(known), EVER]
        found += [Assigned(vehicle, known[begin], begin, end) for begin, end in pairwise(edges)]
    return found


CHANGES = st.lists(
    st.tuples(st.sampled_from(VEHICLES), st.one_of(st.none(), st.integers(-3, 23)), st.sampled_from((None, *METERS))), max_size=9
)


def meter_of(assigned: list[Assigned], vehicle: str, instant: int) -> str | None:
    return next((one.meter_id for one in assigned if one.vehicle_id == vehicle and one.since_us < instant <= one.until_us), None)


def who(assigned: list[Assigned], meter: str, instant: int) -> tuple[str, ...]:
    return tuple(vehicle for vehicle in VEHICLES if meter_of(assigned, vehicle, instant) == meter)


@given(CHANGES, st.sets(st.sampled_from(VEHICLES)), st.sets(st.sampled_from(METERS)))
def test_at_every_instant_each_asked_device_is_in_exactly_one_stretch_with_whoever_was_there(
    changes: list[tuple[str, int | None, str | None]], vehicles: set[str], meters: set[str]
) -> None:
    assigned = timelines(changes)
    found = feeds(assigned, sorted(vehicles), sorted(meters), SINCE, UNTIL)
    for instant in range(SINCE + 1, UNTIL + 1):
        at = [feed for feed in found if feed.since_us < instant <= feed.until_us]
        due: set[tuple[tuple[str, ...], str]] = {((vehicle,), "") for vehicle in vehicles if meter_of(assigned, vehicle, instant) is None}
        asked = meters | {meter for vehicle in vehicles if (meter := meter_of(assigned, vehicle, instant))}
        due |= {(who(assigned, meter, instant), meter) for meter in asked}
        assert sorted((feed.vehicle_ids, feed.meter_id) for feed in at) == sorted(due)


@given(CHANGES)
def test_stretches_end_only_where_something_changes_and_lie_within_what_was_asked(
    changes: list[tuple[str, int | None, str | None]],
) -> None:
    assigned = timelines(changes)
    found = feeds(assigned, VEHICLES, METERS, SINCE, UNTIL)
    assert len(found) == len(set(found))
    for feed in found:
        assert SINCE <= feed.since_us < feed.until_us <= UNTIL
        follows = [other for other in found if other[:2] == feed[:2] and other.since_us == feed.until_us]
        assert follows == []


@given(CHANGES, st.integers(1, UNTIL - 1))
def test_a_stretch_is_the_same_from_wherever_it_is_cut(changes: list[tuple[str, int | None, str | None]], cut: int) -> None:
    assigned = timelines(changes)
    whole = feeds(assigned, VEHICLES, METERS, SINCE, UNTIL)
    late = feeds(assigned, VEHICLES, METERS, cut, UNTIL)
    assert late == sorted(
        (feed._replace(since_us=max(feed.since_us, cut)) for feed in whole if feed.until_us > cut),
        key=lambda feed: (feed.meter_id, feed.vehicle_ids, feed.since_us),
    )


def test_a_meter_nobody_was_ever_on_has_one_stretch_of_nobody() -> None:
    assert feeds([], [], ["depot-1"], SINCE, UNTIL) == [Feed((), "depot-1", SINCE, UNTIL)]


def test_a_vehicle_put_on_its_meter_again_has_one_stretch() -> None:
    assigned = [Assigned("van-1", "depot-1", -EVER, 7), Assigned("van-1", "depot-1", 7, EVER)]
    assert feeds(assigned, ["van-1"], [], SINCE, UNTIL) == [Feed(("van-1",), "depot-1", SINCE, UNTIL)]
