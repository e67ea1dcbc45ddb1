"""A vehicle's assignments in time, and what setting a stretch of them changes.

A timeline is a row of steps: from then on this meter, or none. Before the first step, and on an empty timeline, no meter is assigned.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

ALWAYS = datetime.min.replace(tzinfo=UTC)  # before every instant
FOREVER = datetime.max.replace(tzinfo=UTC)  # after every instant


class Step(NamedTuple):
    """From `start` on `meter_id`, or no meter."""

    start: datetime
    meter_id: str | None


Timeline = tuple[Step, ...]  # ascending, no start twice


class Change(NamedTuple):
    """In [start, end) the meter became another one; None: no meter."""

    start: datetime
    end: datetime
    before: str | None
    after: str | None


class Occupied(NamedTuple):
    """In [start, end) a meter fed these vehicles."""

    start: datetime
    end: datetime
    vehicle_ids: tuple[str, ...]


def held(timeline: Timeline, at: datetime) -> str | None:
    """The meter assigned at an instant."""
    place = bisect_right(timeline, at, key=_start)
    return timeline[place - 1].meter_id if place else None


def next_start(timeline: Timeline, at: datetime) -> datetime:
    """Where the next assignment after `at` begins."""
    place = bisect_right(timeline, at, key=_start)
    return timeline[place].start if place < len(timeline) else FOREVER


def set_stretch(timeline: Timeline, start: datetime, end: datetime | None, meter_id: str | None) -> Timeline:
    """The timeline with `meter_id` in [start, end), and from `end` on what held there before. `end` None: until the next assignment.

    The very same timeline where this changes nothing. Steps outside the stretch stay as they are, so that no number outside it moves; at its
    edges a step that would repeat the meter before it is left out. Raises ValueError where the stretch is empty.
    """
    end = next_start(timeline, start) if end is None else end
    if start >= end:
        raise ValueError("a stretch ends after it begins")
    if timeline and not any(_others(timeline, start, end, meter_id)):
        return timeline
    before = [step for step in timeline if step.start < start]
    after = [step for step in timeline if step.start >= end]
    if (before[-1].meter_id if before else None) != meter_id:
        before.append(Step(start, meter_id))
    if end < FOREVER and not (after and after[0].start == end):
        after.insert(0, Step(end, held(timeline, end)))
    if after and after[0].start == end and after[0].meter_id == meter_id:
        del after[0]
    return (*before, *after) or (Step(start, meter_id),)


def without(timeline: Timeline, start: datetime) -> Timeline:
    """The timeline without the assignment that begins exactly there: the one before goes on. Raises KeyError where none does."""
    rest = tuple(step for step in timeline if step.start != start)
    if len(rest) == len(timeline):
        raise KeyError(start)
    return rest


def changes(before: Timeline, after: Timeline) -> tuple[Change, ...]:
    """Where two timelines differ, in stretches as long as can be."""
    found: list[Change] = []
    starts = sorted({ALWAYS, FOREVER, *map(_start, before), *map(_start, after)})
    for start, end in pairwise(starts):
        was, becomes = held(before, start), held(after, start)
        if was == becomes:
            continue
        if found and found[-1][1:] == (start, was, becomes):
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Change(start, end, was, becomes))
    return tuple(found)


def occupied(stretches: Iterable[tuple[str, datetime, datetime]]) -> Iterator[Occupied]:
    """Which vehicles a meter fed, of (vehicle, start, end) in any order; stretches in which it fed none are left out."""
    edges: dict[datetime, list[tuple[bool, str]]] = {}
    for vehicle_id, start, end in stretches:
        edges.setdefault(end, []).append((False, vehicle_id))
        edges.setdefault(start, []).append((True, vehicle_id))
    on_it: set[str] = set()
    last: Occupied | None = None
    for edge in sorted(edges):
        for begins, vehicle_id in sorted(edges[edge]):  # who leaves, then who comes
            (on_it.add if begins else on_it.discard)(vehicle_id)
        vehicle_ids = tuple(sorted(on_it))
        if last and last.vehicle_ids == vehicle_ids:
            continue
        if last and last.vehicle_ids:
            yield last._replace(end=edge)
        last = Occupied(edge, FOREVER, vehicle_ids)


def _start(step: Step) -> datetime:
    return step.start


def _others(timeline: Timeline, start: datetime, end: datetime, meter_id: str | None) -> Iterator[bool]:
    """For each piece of [start, end): whether another meter is assigned."""
    yield held(timeline, start) != meter_id
    yield from (step.meter_id != meter_id for step in timeline if start < step.start < end)
