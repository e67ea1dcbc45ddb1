"""What people want of assignments, and what it would change. Nothing here writes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from charging.timeline import ALWAYS, FOREVER, Change, Timeline, changes, set_stretch


@dataclass(frozen=True, slots=True)
class Wish:
    """This meter, or none, in [start, end). `start` None: from always where it is the vehicle's first, else from now. `end` None: until the next."""

    vehicle_id: str
    meter_id: str | None
    start: datetime | None = None
    end: datetime | None = None

    def begins(self, timeline: Timeline, now: datetime) -> datetime:
        """Where the stretch begins, on what is assigned so far."""
        return self.start or (now if timeline else ALWAYS)


@dataclass(frozen=True, slots=True)
class Planned:
    """A vehicle's timeline before and after, and where they differ. `first`: nothing was ever assigned to it."""

    vehicle_id: str
    before: Timeline
    after: Timeline
    changes: tuple[Change, ...]
    first: bool

    def corrects_past(self, change: Change, now: datetime) -> bool:
        """Whether a change reaches into the past of a vehicle that had assignments."""
        return not self.first and change.start < now


def planned(vehicle_id: str, before: Timeline, after: Timeline, first: bool | None = None) -> Planned:
    """The way from one timeline to another."""
    differing = changes(before, after) if before != after else ()
    return Planned(vehicle_id, before, after, differing, not before if first is None else first)


def plan(wish: Wish, timeline: Timeline, now: datetime) -> Planned:
    """What a wish does. Raises ValueError where its stretch is empty."""
    return planned(wish.vehicle_id, timeline, set_stretch(timeline, wish.begins(timeline, now), wish.end, wish.meter_id))


def plan_all(wishes: Iterable[Wish], timelines: Mapping[str, Timeline], now: datetime) -> list[tuple[int, Planned]]:
    """(place in the list, what it does) of wishes that do not overlap, carried out one after the other in the order of time.

    Raises ValueError where a stretch is empty.
    """
    ordered = sorted(enumerate(wishes), key=lambda one: one[1].begins(timelines.get(one[1].vehicle_id, ()), now))
    reached: dict[str, Timeline] = {}
    found: list[tuple[int, Planned]] = []
    for place, wish in ordered:
        original = timelines.get(wish.vehicle_id, ())
        before = reached.get(wish.vehicle_id, original)
        after = set_stretch(before, wish.begins(original, now), wish.end, wish.meter_id)
        found.append((place, planned(wish.vehicle_id, before, after, first=not original)))
        reached[wish.vehicle_id] = after
    return found


def overlapping(wishes: Iterable[Wish], timelines: Mapping[str, Timeline], now: datetime) -> list[tuple[int, int]]:
    """Pairs of places (earlier, later in the list) whose stretches of one vehicle overlap; a stretch without an end reaches for ever."""
    by_vehicle: dict[str, list[tuple[datetime, datetime, int]]] = {}
    for place, wish in enumerate(wishes):
        start = wish.begins(timelines.get(wish.vehicle_id, ()), now)
        by_vehicle.setdefault(wish.vehicle_id, []).append((start, wish.end or FOREVER, place))
    pairs: list[tuple[int, int]] = []
    for stretches in by_vehicle.values():
        stretches.sort()
        reaching = stretches[0]
        for one in stretches[1:]:
            if one[0] < reaching[1]:
                pairs.append((min(one[2], reaching[2]), max(one[2], reaching[2])))
            reaching = max(reaching, one, key=lambda stretch: stretch[1])
    return sorted(pairs)
