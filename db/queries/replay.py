"""The last days looked at again, as the alerting would have: what each vehicle's charging showed at the end of every quarter of an hour.

The same windows as `db.queries.lookback` (the shortest that can be judged, before the last reading that charged), the same `weigh` and the
same judgement, from the 15-minute sums. What differs: it looks every quarter of an hour instead of every minute, with all readings that
have come in since, and with the assignments as they are known now.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from charging.case import METER_UNCERTAINTY
from charging.decisive import Course, decides
from charging.evidence import Evidence
from charging.margin import Margin
from charging.policy import Policy
from charging.verdict import ENOUGH_AC_MILLIWH, MOST_UNCERTAINTY, Verdict
from db.engine import Conn
from db.gathered import Ints, gathered, instant, instant_us, ints, read, texts
from db.queries.course import course
from db.queries.lookback import JUDGED, LADDER_H
from db.queries.spans import QUARTERS_AT_ONCE, Span, happened
from db.queries.weighing import (
    AC_FIELDS,
    DC_FIELDS,
    LAST,
    MILLIWH,
    NO_SOC,
    NO_TEMP,
    QUARTER_US,
    QUARTERS_AN_HOUR,
    Quarters,
    Rhythms,
    weigh,
)
from db.queries.weighing import evidence as in_words

QUARTER = timedelta(minutes=15)
_DAY = 24 * QUARTERS_AN_HOUR
# What happened in the hour before a window counts for it.
_CONTEXT = QUARTERS_AN_HOUR
# Quarters weighed at a time: some tens of megabytes.
_CELLS_AT_ONCE = 150_000
_EVER = (1 << 63) - 1


class Alone(NamedTuple):
    """Quarters [first, last], counted since 2000, throughout which a vehicle had this meter to itself."""

    vehicle_id: str
    meter_id: str
    first: int
    last: int


class Sight(NamedTuple):
    """What could be judged at the end of quarter `number`, and to the end of which that stays the newest; None: nobody could say.

    `margin` where it was ok or low; `decides`: by more than doubt. `begins`: the window's first quarter.
    """

    number: int
    known_to: int
    begins: int
    evidence: Evidence | None
    verdict: Verdict | None
    margin: Margin | None
    decides: bool = True


_NOBODY_SAYS = (None, None, None)
_Judged = tuple[Evidence, Verdict, Margin | None]
_Tried = tuple[int, _Judged, bool]


def quarters_of(start: datetime, end: datetime) -> range:
    """The whole quarters, counted since 2000, that end in (start, end]."""
    return range(instant_us(start) // QUARTER_US, instant_us(end) // QUARTER_US)


@lru_cache(maxsize=2_000)
def ends(number: int) -> datetime:
    """When this quarter is over."""
    return instant((number + 1) * QUARTER_US)


def sights(conn: Conn, vehicle_ids: Sequence[str], looked: range, *policies: Policy) -> Iterator[tuple[str, list[list[Sight]]]]:
    """Each vehicle that had a meter to itself, with what the ends of these quarters showed anew, in order, as each policy judges it."""
    stretches = alone(conn, vehicle_ids, looked)
    for some in _in_portions(stretches):
        found: dict[str, list[list[Sight]]] = {}
        past = _Past(conn, some, looked)
        for n, policy in enumerate(policies):
            for stretch, sight in past.sights(policy):
                found.setdefault(stretch.vehicle_id, [[] for _ in policies])[n].append(sight)
        for vehicle_id, seen in found.items():
            yield vehicle_id, [sorted(one, key=lambda sight: sight.number) for one in seen]


def _in_portions(stretches: Sequence[Alone]) -> Iterator[list[Alone]]:
    """As many as one statement may read; a vehicle's stay together."""
    portion: list[Alone] = []
    quarters = 0
    for stretch in stretches:
        size = stretch.last - stretch.first + 1
        if portion and quarters + size > QUARTERS_AT_ONCE and stretch.vehicle_id != portion[-1].vehicle_id:
            yield portion
            portion, quarters = [], 0
        portion.append(stretch)
        quarters += size
    if portion:
        yield portion


# ------------------------------------------------------------------------------------------------------------------ assignments


def alone(conn: Conn, vehicle_ids: Sequence[str], looked: range) -> list[Alone]:
    """By vehicle and time: when each had its meter to itself, the day before the first look included."""
    arrays = read(conn, _ASSIGNMENTS, {})
    vehicles, meters, since = texts(arrays["a_vehicle_id"]), texts(arrays["a_meter_id"]), ints(arrays["a_valid_from"]).tolist()
    until = [b if same else _EVER for same, b in zip([a == b for a, b in pairwise(vehicles)], since[1:], strict=True)] + [_EVER]
    of_meter: dict[str, list[int]] = {}
    for n, meter_id in enumerate(meters):
        if meter_id:
            of_meter.setdefault(meter_id, []).append(n)
    wanted = set(vehicle_ids)
    found = []
    for n, (vehicle_id, meter_id) in enumerate(zip(vehicles, meters, strict=True)):
        if meter_id and vehicle_id in wanted:
            others = sorted((since[m], until[m]) for m in of_meter[meter_id] if vehicles[m] != vehicle_id)
            found += [Alone(vehicle_id, meter_id, *some) for some in _whole(_without(since[n], until[n], others), looked)]
    return sorted(found)


def _without(begin: int, end: int, others: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What is left of (begin, end] without the others'."""
    for since, until in others:
        if since >= end:
            break
        if begin < since:
            yield begin, since
        begin = max(begin, until)
    if begin < end:
        yield begin, end


def _whole(stretches: Iterator[tuple[int, int]], looked: range) -> Iterator[tuple[int, int]]:
    """The quarters that lie wholly in each, as far as they can concern a look."""
    for begin, end in stretches:
        first = max(-(-max(begin, 0) // QUARTER_US), looked.start - _DAY)
        last = min(end // QUARTER_US, looked.stop) - 1
        if last >= max(first, looked.start):
            yield first, last


_ASSIGNMENTS = f"""
    WITH a AS (SELECT vehicle_id, valid_from, coalesce(meter_id, '') AS meter_id FROM assignment ORDER BY vehicle_id, valid_from)
    {gathered(("vehicle_id", "valid_from", "meter_id"), "a")}"""


# --------------------------------------------------------------------------------------------------------------------- evidence


class _Past:
    """What some stretches' two sides did in each quarter, in places from the day before the first look on."""

    def __init__(self, conn: Conn, stretches: Sequence[Alone], looked: range) -> None:
        self._stretches, self._looked = stretches, looked
        self._begins = looked.start - _DAY
        spans = [Span(n, s.vehicle_id, s.meter_id, s.first * QUARTER_US, (s.last + 1) * QUARTER_US) for n, s in enumerate(stretches)]
        found = happened(conn, spans, len(spans))
        self._rhythms = found.rhythms
        q = found.quarters
        place = q.number + found.first_quarter - self._begins
        self._dc = _spread(q.dc[: len(DC_FIELDS)], DC_FIELDS, q.vehicle, place, len(spans), _DAY + len(looked))
        self._ac = _spread(q.ac, AC_FIELDS, q.vehicle, place, len(spans), _DAY + len(looked))
        self._first = np.array([s.first for s in stretches]) - self._begins
        self._last = np.array([s.last for s in stretches]) - self._begins
        self._sums = np.concatenate((np.zeros((len(spans), 1), np.int64), np.cumsum(self._ac[MILLIWH], axis=1)), axis=1)

    def sights(self, policy: Policy) -> Iterator[tuple[Alone, Sight]]:
        """Where something charged, there is something new to see, or to miss."""
        row, place = np.nonzero(((self._dc[LAST] > 0) | (self._ac[LAST] > 0))[:, _DAY:])
        looks = _Looks(row, place + _DAY)
        seen: dict[int, _Judged] = {}
        begins = looks.place.copy()
        decided = np.zeros(len(row), np.bool_)
        left = np.arange(len(row))
        for hours in LADDER_H:
            width = hours * QUARTERS_AN_HOUR + 1
            ample = left[self._ac_milliwh(looks, left, width) >= ENOUGH_AC_MILLIWH]
            first = self._begin(looks, left, width)
            for n, judged, sure in self._judged(looks, ample, width, policy):
                # Low by no more than doubt is no evidence; where nothing decides, the longest that was not low is.
                if sure or judged[1] is Verdict.OK:
                    seen[n], decided[n] = judged, sure
                    begins[n] = first[np.searchsorted(left, n)]
            left = left[~decided[left]]
        known_to = self._known_to(looks, _enough(len(row), seen)).tolist()
        for n, (of, at) in enumerate(zip(row.tolist(), looks.place.tolist(), strict=True)):
            said: tuple[Any, ...] = seen.get(n) or _NOBODY_SAYS
            lasts = known_to[n] if n in seen else at
            sight = Sight(self._begins + at, self._begins + lasts, self._begins + int(begins[n]), *said)
            yield self._stretches[of], sight if decided[n] or n not in seen else sight._replace(decides=False)

    def _judged(self, looks: "_Looks", which: Ints, width: int, policy: Policy) -> Iterator[_Tried]:
        several = max(1, _CELLS_AT_ONCE // (width + _CONTEXT))
        for begin in range(0, len(which), several):
            some = which[begin : begin + several]
            for n, of, weighed in zip(some.tolist(), looks.row[some].tolist(), self._weigh(looks, some, width).tolist(), strict=True):
                stretch = self._stretches[of]
                evidence = in_words(weighed, (stretch.meter_id,), ())
                verdict, margin = policy.verdict_and_margin(stretch.vehicle_id, evidence)
                if verdict in JUDGED:
                    yield n, (evidence, verdict, margin), decides(evidence, margin, partial(self._course, looks, n, width, evidence))

    def _course(self, looks: "_Looks", n: int, width: int, evidence: Evidence) -> Course:
        row, last = int(looks.row[n]), int(looks.place[n])
        window = slice(int(self._begin(looks, np.array([n]), width)[0]), last + 1)
        return course(self._dc[:, row, window], self._ac[:, row, window], evidence)

    def _begin(self, looks: "_Looks", which: Ints, width: int) -> Ints:
        """Nothing older than a day counts, nor what was before the vehicle had the meter to itself."""
        return np.asarray(np.maximum(looks.place[which] - min(width, _DAY) + 1, self._first[looks.row[which]]))

    def _ac_milliwh(self, looks: "_Looks", which: Ints, width: int) -> Ints:
        row = looks.row[which]
        return np.asarray(self._sums[row, looks.place[which] + 1] - self._sums[row, self._begin(looks, which, width)])

    def _known_to(self, looks: "_Looks", enough_milliwh: Ints) -> Ints:
        """Until too little of it lies within a day, or the vehicle has the meter no longer to itself."""
        found = np.empty(len(looks.row), np.int64)
        for row in np.unique(looks.row).tolist():
            of = np.flatnonzero(looks.row == row)
            begins = np.searchsorted(self._sums[row], self._sums[row, looks.place[of] + 1] - enough_milliwh[of], "right") - 1
            found[of] = np.clip(begins + _DAY - 1, looks.place[of], self._last[row])
        return found

    def _weigh(self, looks: "_Looks", which: Ints, width: int) -> Ints:
        """Each look's window, with the hour before it looked at but not counted."""
        many, whole = len(which), width + _CONTEXT
        row, place = looks.row[which], looks.place[which]
        places = place[:, None] + np.arange(-whole + 1, 1)[None, :]
        counts = places >= self._begin(looks, which, width)[:, None]
        there = places >= np.maximum(self._first[row], place - _DAY + 1)[:, None]
        places = np.maximum(places, 0)
        dc = np.where(there, self._dc[:, row[:, None], places], _emptied(DC_FIELDS))
        ac = np.where(there, self._ac[:, row[:, None], places], _emptied(AC_FIELDS))
        index = np.repeat(np.arange(many), whole)
        number = np.tile(np.arange(whole), many)
        quarters = Quarters(index, number, np.zeros(many * whole, np.int64), dc.reshape(len(dc), -1), ac.reshape(len(ac), -1))
        known = self._rhythms
        rhythms = Rhythms(known.dc_s[row], known.ac_s[row], known.dc_step[row], known.ac_step[row])
        return np.asarray(weigh(quarters, rhythms, 2 * index + counts.ravel(), np.repeat(np.arange(many), 2))[1::2])


def _enough(looks: int, seen: Mapping[int, _Judged]) -> Ints:
    """From the grid, so that it can be judged: with coarse counters it takes more."""
    found = np.full(looks, ENOUGH_AC_MILLIWH, np.int64)
    for n, (evidence, *_) in seen.items():
        steps_milliwh = evidence.ac.step_milliwh + evidence.dc.step_milliwh
        found[n] = max(ENOUGH_AC_MILLIWH, math.ceil(steps_milliwh / (MOST_UNCERTAINTY - METER_UNCERTAINTY)))
    return found


class _Looks(NamedTuple):
    """The stretch (an index) and the place of each quarter in which something charged."""

    row: Ints
    place: Ints


def _spread(did: Ints, fields: tuple[str, ...], row: Ints, place: Ints, rows: int, places: int) -> Ints:
    """(fields, n) to (fields, rows, places), what nobody reported as such."""
    found = np.empty((len(fields), rows, places), np.int64)
    found[...] = _emptied(fields)
    found[:, row, place] = did
    return found


def _emptied(fields: tuple[str, ...]) -> Ints:
    values = {"temp_min": NO_TEMP, "soc_min": NO_SOC}
    return np.array([values.get(name, 0) for name in fields], np.int64)[:, None, None]
