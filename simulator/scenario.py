"""The faults of a recording: they begin after healthy days, each at a known minute, and at least half of the fleet stays well.

The fleet and everything before a fault's first minute are the same as without it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from simulator import trips
from simulator.faults import DUPLICATES, LATE, Faults, Outage
from simulator.fleet import METERS, VEHICLES, Fleet, Site
from simulator.noise import between, uniform
from simulator.trips import DAY_MIN

# Of a hundred and twenty vehicles; of a smaller fleet in proportion, but at least one as long as half of the fleet stays well.
SICK_OF_120 = 24
RESISTANCE_OF_120 = 4
FROZEN_OF_120 = 3
ELSEWHERE_OF_120 = 4
SWAPPED_PAIRS_OF_120 = 2
SKEWED_OF_120 = 3
FUTURE_OF_120 = 3
ILL_AT_MOST = 0.5

SICK_POINTS = 6.0
RESISTANCE_POINTS = 7.0
# Within half a day, so that the first evening's charge already shows it.
ONSET_WITHIN_MIN = 720
FROZEN_AT_LEAST_MIN = 240
FROZEN_MORE_MIN = 360
FROZEN_WITHIN_MIN = 20
OUTAGE_BEGINS_LOCAL_MIN = (1020, 1140)
OUTAGE_MIN = (120, 240)
# A clock that is more than five minutes ahead would have all its readings refused, which is another fault.
SLOW_MIN = (2, 9)
FAST_MIN = (1, 4)
# Two vehicles that exchange their chargers have to be out together for so long, to find the other's place free.
OUT_TOGETHER_MIN = 60


def draw(fleet: Fleet, from_minute: int, end_minute: int) -> Faults:
    """The faults of this fleet's seed, which begin on the day of `from_minute`; one that would begin after the end is left out."""
    diary = _Diary(fleet, from_minute // DAY_MIN)
    about = [from_minute + _whole(fleet, "onset", i, ONSET_WITHIN_MIN) for i in range(len(fleet))]
    members, swaps = _who(fleet, diary, about)
    since = _since(fleet, diary, about, members) | {i: swap.since_min for swap in swaps for i in swap.pair}
    drawn = Faults(
        members,
        points=dict.fromkeys(members["sick_charger"], SICK_POINTS) | dict.fromkeys(members["resistance"], RESISTANCE_POINTS),
        duplicates=DUPLICATES,
        late=LATE,
        since_min=since,
        until_min={i: since[i] + FROZEN_AT_LEAST_MIN + _whole(fleet, "thaw", i, FROZEN_MORE_MIN) for i in members["frozen_counter"]},
        wire_since_min=from_minute,
        partners={a: b for swap in swaps for a, b in (swap.pair, swap.pair[::-1])},
        streams=_streams(members["clock_skew"]) | _streams(members["future_stamp"]),
        skew_s=_skews_s(fleet, members["clock_skew"]),
        outages=(_outage(fleet, members, from_minute // DAY_MIN),),
    )
    return _begun_before(drawn, end_minute)


def _who(fleet: Fleet, diary: "_Diary", about: list[int]) -> tuple[dict[str, tuple[int, ...]], list["_Swap"]]:
    """The vehicles with each fault, and the pairs among them that exchange their chargers."""
    hat = _Hat(fleet)
    on_ac = [not vehicle.model.is_dc for vehicle in fleet.vehicles]
    members = {
        "sick_charger": hat.take_in_proportion(SICK_OF_120),
        "resistance": hat.take(RESISTANCE_OF_120, on_ac.__getitem__),
        "frozen_counter": hat.take(FROZEN_OF_120),
        "charges_elsewhere": hat.take(ELSEWHERE_OF_120),
    }
    swaps = list(_swaps(hat, diary, about, on_ac))
    members["swapped_mapping"] = tuple(i for swap in swaps for i in swap.pair)
    members["clock_skew"] = hat.take(SKEWED_OF_120)
    members["future_stamp"] = hat.take(FUTURE_OF_120)
    return members, swaps


def _since(fleet: Fleet, diary: "_Diary", about: list[int], members: dict[str, tuple[int, ...]]) -> dict[int, int]:
    """Most fall ill at any moment; whoever charges elsewhere leaves for it, and a counter freezes while it has something to count."""
    since = {i: about[i] for chosen in members.values() for i in chosen}
    since |= {i: diary.departure(i, about[i]) for i in members["charges_elsewhere"]}
    return since | {i: diary.charge(i, about[i]) + _whole(fleet, "frozen", i, FROZEN_WITHIN_MIN) for i in members["frozen_counter"]}


class _Hat:
    """Hands out vehicles in an order drawn from the seed, each once, until half of the fleet is gone."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._free = [int(i) for i in np.argsort(uniform(fleet.seed, "ill", fleet.index))]
        self._left = int(len(fleet) * ILL_AT_MOST)

    def take(self, of_120: int, suits: Callable[[int], bool] = lambda _: True) -> tuple[int, ...]:
        """So many of a hundred and twenty, among those that suit."""
        return self._give([i for i in self._free if suits(i)][: self.wanted(of_120)])

    def take_in_proportion(self, of_120: int) -> tuple[int, ...]:
        """So many vehicles on AC, of each power class as many as its share of them: whole ones first, then the largest remainders."""
        classes = [v.rated_kw for v in self._fleet.vehicles if not v.model.is_dc]
        wanted = min(self.wanted(of_120), len(classes))
        exact = {kw: wanted * classes.count(kw) / len(classes) for kw in sorted(set(classes), reverse=True)}
        quota = {kw: int(share) for kw, share in exact.items()}
        for kw in sorted(exact, key=lambda kw: quota[kw] - exact[kw])[: wanted - sum(quota.values())]:
            quota[kw] += 1
        vehicles = self._fleet.vehicles
        suiting = {kw: [i for i in self._free if vehicles[i].rated_kw == kw and not vehicles[i].model.is_dc] for kw in quota}
        return self._give([i for kw, count in quota.items() for i in suiting[kw][:count]])

    def take_pair(self, suits: Callable[[int, int], bool]) -> tuple[int, int] | None:
        """Two of one site that suit each other."""
        sites = [v.site.site_id for v in self._fleet.vehicles]
        for k, a in enumerate(self._free if self._left >= 2 else []):
            for b in self._free[k + 1 :]:
                if sites[a] == sites[b] and suits(a, b):
                    self._give([a, b])
                    return a, b
        return None

    def wanted(self, of_120: int) -> int:
        return min(self._left, max(1, round(of_120 * len(self._fleet) / 120)))

    def _give(self, chosen: list[int]) -> tuple[int, ...]:
        self._free = [i for i in self._free if i not in chosen]
        self._left -= len(chosen)
        return tuple(chosen)


class _Diary:
    """The trips of some days around the onset, in minutes since 1970 UTC, a row per possible trip and a column per vehicle."""

    def __init__(self, fleet: Fleet, day: int) -> None:
        nobody = np.zeros(len(fleet), dtype=bool)
        # From the day before, whose night shifts are still to come home, until whoever rests on a Sunday has left again.
        made = [t for d in range(day - 1, day + 4) for t in trips.trips_of_day(fleet, d, nobody)]
        self._starts = np.array([t.start for t in made])
        self._ends = np.array([t.end for t in made])
        self._charges = np.array([t.end + t.plug_in_after_min.astype(np.int64) for t in made])
        self._real = self._ends > self._starts

    def departure(self, i: int, minute: int) -> int:
        """The first time from this minute on at which the vehicle leaves."""
        return int(self._starts[self._next(i, self._starts, minute), i])

    def charge(self, i: int, minute: int) -> int:
        """The first time from this minute on at which the vehicle begins to charge."""
        return int(self._charges[self._next(i, self._charges, minute), i])

    def both_out(self, a: int, b: int, minute: int) -> int | None:
        """When both are out, after the next departures of both; None when they do not meet on the road for long enough."""
        ways = [(self._next(i, self._starts, minute), i) for i in (a, b)]
        since = max(int(self._starts[way]) for way in ways)
        return since if min(int(self._ends[way]) for way in ways) - since >= OUT_TOGETHER_MIN else None

    def _next(self, i: int, times: trips.Ints, minute: int) -> int:
        candidates = np.where(self._real[:, i] & (times[:, i] >= minute), times[:, i], np.iinfo(np.int64).max)
        return int(np.argmin(candidates))


class _Swap(NamedTuple):
    pair: tuple[int, int]
    since_min: int


def _swaps(hat: _Hat, diary: _Diary, about: list[int], on_ac: list[bool]) -> Iterator[_Swap]:
    for _ in range(hat.wanted(SWAPPED_PAIRS_OF_120)):
        pair = hat.take_pair(lambda a, b: on_ac[a] and on_ac[b] and diary.both_out(a, b, about[a]) is not None)
        since = diary.both_out(*pair, about[pair[0]]) if pair else None
        if pair and since is not None:
            yield _Swap(pair, since)


def _whole(fleet: Fleet, name: str, i: int, of: int) -> int:
    """A whole number from 0 until below `of`."""
    return int(of * uniform(fleet.seed, name, i).item())


def _streams(members: tuple[int, ...]) -> dict[int, str]:
    """Which device of each pair has the bad clock: by turns, against the turns of slow and fast."""
    return {i: METERS if k % 4 in (1, 2) else VEHICLES for k, i in enumerate(members)}


def _skews_s(fleet: Fleet, members: tuple[int, ...]) -> dict[int, int]:
    """Slow and fast by turns. The half minute keeps a stamp from being exactly that of a reading before the onset."""
    skews = {}
    for k, i in enumerate(members):
        sign, (low, high) = (-1, SLOW_MIN) if k % 2 == 0 else (1, FAST_MIN)
        skews[i] = sign * (60 * (low + _whole(fleet, "skew", i, high - low)) + 30)
    return skews


def _outage(fleet: Fleet, members: dict[str, tuple[int, ...]], day: int) -> Outage:
    """In the evening of the site with the most healthy vehicles, since theirs are the verdicts that must not suffer from it."""
    ill = {i for chosen in members.values() for i in chosen}
    healthy: dict[Site, int] = {}
    for i, vehicle in enumerate(fleet.vehicles):
        healthy[vehicle.site] = healthy.get(vehicle.site, 0) + (i not in ill)
    site = max(healthy, key=lambda s: healthy[s])
    begins, lasts = uniform(fleet.seed, "outage", day, np.arange(2))
    local = int(between(*OUTAGE_BEGINS_LOCAL_MIN, begins))
    since = day * DAY_MIN + local - trips.utc_offset_min(site.time_zone, day)
    return Outage(site.site_id, since, since + int(between(*OUTAGE_MIN, lasts)))


def _begun_before(faults: Faults, end_minute: int) -> Faults:
    kept = {kind: tuple(i for i in chosen if faults.since_min[i] < end_minute) for kind, chosen in faults.members.items()}
    ill = {i for chosen in kept.values() for i in chosen}
    return replace(
        faults,
        members=kept,
        points={i: points for i, points in faults.points.items() if i in ill},
        partners={i: other for i, other in faults.partners.items() if i in ill},
        streams={i: stream for i, stream in faults.streams.items() if i in ill},
        outages=tuple(outage for outage in faults.outages if outage.since_min < end_minute),
    )
