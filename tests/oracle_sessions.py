"""Sessions worked out reading by reading in plain Python: slow, independent, and what the product's own way is held against."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from db.ingest import Reading

CHARGING_FLOOR, MOVED_FLOOR, STEP = 2_500, 50_000, 100_000
QUARTER_S, HALF_HOUR_S, SIX_HOURS_S, TEN_MINUTES_S = 900, 1_800, 21_600, 600
US = 1_000_000
ALWAYS, FOREVER = -(10**18), 10**18


class Told(NamedTuple):
    """One session; instants in µs since 1970, energies in thousandths of a watt-hour, charge in hundredths of a percent."""

    vehicle_ids: tuple[str, ...]
    meter_id: str | None
    start_us: int
    end_us: int
    ac_milliwh: int
    dc_milliwh: int
    soc_from: int | None
    soc_to: int | None


@dataclass
class Reality:
    """Readings of both sides, (vehicle, since µs or None, meter or None), and learned rhythms in s."""

    vehicles: list[Reading]
    meters: list[Reading]
    assignments: list[tuple[str, int | None, str | None]]
    rhythms: dict[str, int] = field(default_factory=dict)

    def meter_of(self, vehicle_id: str, at_us: int) -> str | None:
        """At this instant; an assignment holds after its beginning, up to and with its end."""
        known = {since if since is not None else ALWAYS: meter for vehicle, since, meter in self.assignments if vehicle == vehicle_id}
        before = [since for since in known if since < at_us]
        return known[max(before)] if before else None

    def on(self, meter_id: str, at_us: int) -> tuple[str, ...]:
        """Who was on this meter at this instant."""
        return tuple(sorted({v for v, _, _ in self.assignments if self.meter_of(v, at_us) == meter_id}))

    def rhythm(self, device: str) -> int:
        return self.rhythms.get(device, 60)


class _Stretch(NamedTuple):
    vehicle_ids: tuple[str, ...]
    meter_id: str | None
    since_us: int


def sessions(reality: Reality) -> list[Told]:
    """All there ever were, by end and meter."""
    readings: dict[_Stretch, list[tuple[bool, Reading]]] = {}
    changes = sorted({since for _, since, _ in reality.assignments if since is not None})
    for is_meter, some in ((False, reality.vehicles), (True, reality.meters)):
        for reading in {r[:2]: r for r in reversed(some)}.values():
            readings.setdefault(_stretch(reality, is_meter, reading, changes), []).append((is_meter, reading))
    found = [told for stretch, some in readings.items() for told in _of_stretch(reality, stretch, some)]
    return sorted(found, key=lambda told: (told.end_us, told.meter_id or "", told.vehicle_ids))


def _stretch(reality: Reality, is_meter: bool, reading: Reading, changes: list[int]) -> _Stretch:
    """Who and which meter, and since when without a break: the changes are gone back through as long as nothing differs."""
    at_us = reading[1]

    def who(when: int) -> tuple[tuple[str, ...], str | None]:
        if not is_meter:
            meter = reality.meter_of(reading[0], when)
            return (reality.on(meter, when), meter) if meter else ((reading[0],), None)
        return reality.on(reading[0], when), reading[0]

    now, since = who(at_us), at_us
    for change in reversed([c for c in changes if c < at_us]):
        # Before the next change back: what held at `change` itself, which the new assignment does not reach yet.
        since = change
        if who(change) != now:
            return _Stretch(*now, since)
    return _Stretch(*now, ALWAYS)


@dataclass
class _Quarter:
    """What the devices of a stretch did in a quarter; `flows` by device: (first, last) instants at which it charged."""

    number: int
    flows: dict[str, tuple[int, int]]
    socs: list[int]


def _of_stretch(reality: Reality, stretch: _Stretch, readings: list[tuple[bool, Reading]]) -> list[Told]:
    by_quarter: dict[int, list[Reading]] = {}
    for _, reading in readings:
        by_quarter.setdefault((reading[1] - 1) // (QUARTER_S * US), []).append(reading)
    vehicles = {reading[0] for is_meter, reading in readings if not is_meter}
    marks = [q for number, some in sorted(by_quarter.items()) if (q := _quarter(reality, number, some, vehicles)).flows]
    found: list[list[tuple[_Quarter, int]]] = []
    group: list[tuple[_Quarter, int]] = []
    end = 0
    last_of: dict[str, int] = {}
    for mark in marks:
        starts = [max(first - reality.rhythm(d) * US, stretch.since_us, last_of.get(d, ALWAYS)) for d, (first, _) in mark.flows.items()]
        start = max(min(starts), end) if last_of else min(starts)
        if group and _begins_anew(by_quarter, group[-1][0], mark, start, end, len(stretch.vehicle_ids) == 1):
            found.append(group)
            group = []
        group.append((mark, start))
        end = max(last for _, last in mark.flows.values())
        last_of |= {device: last for device, (_, last) in mark.flows.items()}
    told = [_told(reality, stretch, one, by_quarter, vehicles) for one in [*found, group] if one]
    return [one for one in told if one]


def _quarter(reality: Reality, number: int, readings: list[Reading], vehicles: set[str]) -> _Quarter:
    flows = {}
    for device in {r[0] for r in readings}:
        of_device = [r for r in readings if r[0] == device]
        charging = [r[1] for r in of_device if r[2] > CHARGING_FLOOR]
        standby = 10_000 * len(of_device) * reality.rhythm(device) / 3600
        if charging and sum(r[2] for r in of_device) > standby:
            flows[device] = (min(charging), max(charging))
    socs = [charge for r in readings if r[0] in vehicles and isinstance(charge := list(r)[3], int)]
    return _Quarter(number, flows, socs)


def _begins_anew(by_quarter: dict[int, list[Reading]], before: _Quarter, after: _Quarter, start: int, end: int, alone: bool) -> bool:
    silent_s = QUARTER_S * sum(number not in by_quarter for number in range(before.number + 1, after.number))
    break_s = (max(start, after.number * QUARTER_S * US) - end) // US
    emptier = alone and before.socs and after.socs and max(before.socs) - min(after.socs) > 200
    return bool(break_s - silent_s >= HALF_HOUR_S or silent_s > SIX_HOURS_S or (emptier and break_s >= TEN_MINUTES_S))


def _told(
    reality: Reality, stretch: _Stretch, group: list[tuple[_Quarter, int]], by_quarter: dict[int, list[Reading]], vehicles: set[str]
) -> Told | None:
    first, last = group[0][0], group[-1][0]
    readings = [r for number in range(first.number, last.number + 1) for r in by_quarter.get(number, ())]
    of_vehicles, of_meter = [r for r in readings if r[0] in vehicles], [r for r in readings if r[0] not in vehicles]
    if not any(_took_part(reality, side) for side in (of_vehicles, of_meter)):
        return None
    alone = len(stretch.vehicle_ids) == 1
    return Told(
        stretch.vehicle_ids,
        stretch.meter_id,
        group[0][1],
        max(end for _, end in last.flows.values()),
        sum(r[2] for r in of_meter),
        sum(r[2] for r in of_vehicles),
        min(first.socs) if alone and first.socs else None,
        max(last.socs) if alone and last.socs else None,
    )


def _took_part(reality: Reality, readings: Iterable[Reading]) -> bool:
    some = list(readings)
    energy, charging = sum(r[2] for r in some), sum(r[2] > CHARGING_FLOOR for r in some)
    rhythm = max((reality.rhythm(r[0]) for r in some), default=60)
    standby = 10_000 * len(some) * rhythm / 3600
    return energy > MOVED_FLOOR and energy > standby and (charging > 1 or energy > STEP)
