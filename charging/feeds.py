"""Who was on which meter when, as stretches in which that did not change: each meter's energy belongs to exactly one of them at a time."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple


class Assigned(NamedTuple):
    """A vehicle on a meter (None: on none) in (since, until], in µs since 2000."""

    vehicle_id: str
    meter_id: str | None
    since_us: int
    until_us: int


class Feed(NamedTuple):
    """(since, until]: these vehicles, ordered, and no other were on this meter. No vehicle: nobody was. No meter ("") : a vehicle without one."""

    vehicle_ids: tuple[str, ...]
    meter_id: str
    since_us: int
    until_us: int


def feeds(assigned: Iterable[Assigned], vehicle_ids: Sequence[str], meter_ids: Sequence[str], since_us: int, until_us: int) -> list[Feed]:
    """Every stretch of these vehicles and meters within (since, until], ordered by meter, vehicles and time.

    `assigned` must hold whoever was on one of these meters; the stretches of the vehicles' other meters are given too.
    """
    by_meter: dict[str, list[Assigned]] = {meter_id: [] for meter_id in meter_ids}
    by_vehicle: dict[str, list[Assigned]] = {vehicle_id: [] for vehicle_id in vehicle_ids}
    for one in assigned:
        cut = one._replace(since_us=max(one.since_us, since_us), until_us=min(one.until_us, until_us))
        if one.meter_id is None or cut.since_us >= cut.until_us:
            continue
        by_meter.setdefault(one.meter_id, []).append(cut)
        if one.vehicle_id in by_vehicle:
            by_vehicle[one.vehicle_id].append(cut)
    found = [feed for meter_id, on_it in by_meter.items() for feed in _of_meter(meter_id, on_it, since_us, until_us)]
    found += [
        Feed((vehicle_id,), "", *gap)
        for vehicle_id, known in by_vehicle.items()
        for gap in _gaps(sorted(_spans(known)), since_us, until_us)
    ]
    wanted_meters, wanted = set(meter_ids), set(vehicle_ids)
    return sorted((f for f in found if f.meter_id in wanted_meters or wanted.intersection(f.vehicle_ids)), key=_place)


def _place(feed: Feed) -> tuple[str, tuple[str, ...], int]:
    return feed.meter_id, feed.vehicle_ids, feed.since_us


def _spans(known: Iterable[Assigned]) -> list[tuple[int, int]]:
    return [(one.since_us, one.until_us) for one in known]


def _of_meter(meter_id: str, on_it: list[Assigned], since_us: int, until_us: int) -> list[Feed]:
    """The meter's time from end to end, cut wherever somebody comes or goes."""
    edges = sorted({since_us, until_us, *(edge for span in _spans(on_it) for edge in span)})
    found: list[Feed] = []
    for begin, end in pairwise(edges):
        who = tuple(sorted({one.vehicle_id for one in on_it if one.since_us < end and begin < one.until_us}))
        if found and found[-1].vehicle_ids == who:
            found[-1] = found[-1]._replace(until_us=end)
        else:
            found.append(Feed(who, meter_id, begin, end))
    return found


def _gaps(spans: Sequence[tuple[int, int]], since_us: int, until_us: int) -> list[tuple[int, int]]:
    """What of (since, until] no span covers."""
    found, reached = [], since_us
    for begin, end in spans:
        if begin > reached:
            found.append((reached, begin))
        reached = max(reached, end)
    return [*found, (reached, until_us)] if reached < until_us else found
