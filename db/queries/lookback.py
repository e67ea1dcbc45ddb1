"""The newest evidence of every vehicle's charging: the shortest stretch before its last charging reading that can be judged.

A window of 60 minutes in the readings' own time, beginning on a quarter of an hour, lengthened to 24 hours at most until it can be judged
and decides: one that is below the band by less than the uncertainty, or low by no more than doubt, is no evidence for either.
It ends where the vehicle last charged, so a vehicle that stands still keeps its evidence and gives no new. Worked out by the same `weigh`
and `Policy.judge` as every other efficiency, from quarters held in memory; one in the process that leads the alerting.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from charging.decisive import Course, decides
from charging.evidence import Evidence
from charging.margin import Margin
from charging.policy import Policy
from charging.verdict import ENOUGH_AC_MILLIWH, Summary, Verdict
from db.engine import Conn
from db.gathered import Ints, gathered, instant, instant_us, ints, read, texts
from db.queries.course import course
from db.queries.device_window import DeviceWindow
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
from db.sides import METER, VEHICLE

LONGEST = timedelta(hours=24)
# Hours that a window may have. Each is tried for those whom the one before does not suffice.
LADDER_H = (1, 2, 3, 4, 6, 8, 12, 16, 24)
# Verdicts that an alert can be built on. Every other one says that nobody knows.
JUDGED = frozenset({Verdict.OK, Verdict.LOW, Verdict.SUSPECT_MEASUREMENT})
# What happened in the hour before a window counts for it: whether a charge has just begun, how cold the battery was.
_CONTEXT = QUARTERS_AN_HOUR
_AT_ONCE = 2_000
_STANDS_STILL_US = 60_000_000
_ALWAYS, _EVER = -(1 << 63), (1 << 63) - 1  # how PostgreSQL sends the infinities
_LONGEST_US = LONGEST // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Seen:
    """Evidence that could be judged, over (since, until]; `until` is the last reading of either side that charged.

    `judged` where the verdict is ok or low. Where no length decided it is that of the longest that was not low.
    """

    since: datetime
    until: datetime
    summary: Summary
    judged: Margin | None = None
    decides: bool = True


@dataclass(frozen=True, slots=True)
class _Alone:
    """Vehicles that have a meter to themselves: rows of both sides' windows, the meter's id, and the first quarter that counts."""

    ids: list[str]
    meters: list[str]
    vehicle: Ints
    meter: Ints
    first: Ints

    def only(self, rows: Ints) -> "_Alone":
        some = rows.tolist()
        return _Alone([self.ids[n] for n in some], [self.meters[n] for n in some], self.vehicle[rows], self.meter[rows], self.first[rows])


class Lookback:
    """Not thread-safe. Holds some 90 MB for 10,000 vehicles and meters."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Read everything anew the next time."""
        self._vehicles, self._meters = DeviceWindow(VEHICLE), DeviceWindow(METER)
        self._at_us = _ALWAYS
        self._kept: dict[str, tuple[bytes, Seen]] = {}
        self._policy: Policy | None = None

    def evidence(self, conn: Conn, at: datetime, policy: Policy) -> dict[str, Seen]:
        """By vehicle, of readings up to `at`; vehicles that nobody can judge are absent: without a meter of their own, or without evidence."""
        at_us = instant_us(at)
        if at_us < self._at_us - _STANDS_STILL_US:
            self.forget()
        at_us = max(at_us, self._at_us)
        if policy is not self._policy:
            self._kept, self._policy = {}, policy
        try:
            self._vehicles.refresh(conn, at_us - _LONGEST_US, at_us)
            self._meters.refresh(conn, at_us - _LONGEST_US, at_us)
        except BaseException:
            self.forget()  # half of what came may have been taken in
            raise
        self._at_us = at_us
        return self._judge_all(self._alone(conn, at_us - _LONGEST_US, at_us), policy)

    def _alone(self, conn: Conn, start_us: int, at_us: int) -> _Alone:
        """What another vehicle took from the meter, or this one elsewhere, lies before the first quarter that counts."""
        arrays = read(conn, _ASSIGNMENTS, {})
        vehicles, meters = texts(arrays["assignment_vehicle_id"]), texts(arrays["assignment_meter_id"])
        since = ints(arrays["assignment_valid_from"])
        until = _until(vehicles, since)
        recent = np.flatnonzero((until > start_us) & (since < at_us) & np.array([bool(meter) for meter in meters], np.bool_))
        users: dict[str, list[int]] = {}
        for n in recent.tolist():
            users.setdefault(meters[n], []).append(n)
        found: list[tuple[str, str, int]] = []
        for n in recent[(until[recent] >= at_us)].tolist():
            others = [m for m in users[meters[n]] if vehicles[m] != vehicles[n]]
            begins = max([int(since[n]), *(int(until[m]) for m in others)])
            if begins < at_us:
                found.append((vehicles[n], meters[n], begins))
        found.sort()
        begins_us = np.array([begins for _, _, begins in found], np.int64)
        first = np.where(begins_us > start_us, -(-np.maximum(begins_us, start_us) // QUARTER_US), start_us // QUARTER_US)
        return _Alone(
            [vehicle for vehicle, _, _ in found],
            [meter for _, meter, _ in found],
            np.array([self._vehicles.index.get(vehicle, 0) for vehicle, _, _ in found], np.int64),
            np.array([self._meters.index.get(meter, 0) for _, meter, _ in found], np.int64),
            first,
        )

    def _judge_all(self, alone: _Alone, policy: Policy) -> dict[str, Seen]:
        fit = ~(self._vehicles.too_large[alone.vehicle] | self._meters.too_large[alone.meter]) & (alone.vehicle > 0)
        found: dict[str, Seen] = {}
        kept: dict[str, tuple[bytes, Seen]] = {}
        rows = np.flatnonzero(fit)
        for n in range(0, len(rows), _AT_ONCE):
            for vehicle_id, said, seen in self._judge(alone.only(rows[n : n + _AT_ONCE]), policy):
                found[vehicle_id] = seen
                kept[vehicle_id] = said, seen
        self._kept = kept
        return found

    def _judge(self, alone: _Alone, policy: Policy) -> Iterator[tuple[str, bytes, Seen]]:
        """Length after length for those for whom the one before did not suffice."""
        slots = self._vehicles.slots(self._at_us - _LONGEST_US, self._at_us)
        did = _Did(self._vehicles, self._meters, alone, slots, self._at_us)
        left = np.flatnonzero(did.last >= 0)
        undecided: dict[int, tuple[bytes, Seen]] = {}
        for hours in LADDER_H:
            width = hours * QUARTERS_AN_HOUR + 1
            # Less from the grid than can be judged is not worth weighing.
            ample = left[did.ac_milliwh(left, width) >= ENOUGH_AC_MILLIWH]
            done = np.zeros(len(alone.ids), np.bool_)
            weighed = did.weigh(ample, width)
            for n, row in zip(ample.tolist(), weighed, strict=True):
                said = row.tobytes() + alone.meters[n].encode()
                seen = self._seen(alone, n, row.tolist(), said, policy, did, width)
                if seen and seen.decides:
                    done[n] = True
                    yield alone.ids[n], said, seen
                elif seen and seen.summary.verdict is Verdict.OK:
                    undecided[n] = said, seen
            left = left[~done[left]]
        for n in sorted(undecided.keys() & set(left.tolist())):
            yield alone.ids[n], *undecided[n]

    def _seen(self, alone: _Alone, n: int, row: list[int], said: bytes, policy: Policy, did: "_Did", width: int) -> Seen | None:
        vehicle_id = alone.ids[n]
        since, until = did.window(n, width)
        before = self._kept.get(vehicle_id)
        if before and before[0] == said and (before[1].since, before[1].until) == (since, until):
            return before[1]
        evidence: Evidence = in_words(row, (alone.meters[n],), ())
        summary = policy.judge(vehicle_id, evidence)
        if summary.verdict not in JUDGED:
            return None
        judged = None if summary.verdict is Verdict.SUSPECT_MEASUREMENT else policy.margin(vehicle_id, evidence)
        return Seen(since, until, summary, judged, decides(evidence, judged, lambda: did.course(n, width, evidence)))


class _Did:
    """What some vehicles and their meters did over the last day: `last` is the slot in which either charged last, -1 where neither did."""

    def __init__(self, vehicles: DeviceWindow, meters: DeviceWindow, alone: _Alone, slots: slice, at_us: int) -> None:
        self._rhythms = (
            vehicles.rhythm_s[alone.vehicle],
            meters.rhythm_s[alone.meter],
            vehicles.step_milliwh[alone.vehicle],
            meters.step_milliwh[alone.meter],
        )
        self.dc = vehicles.did[:, alone.vehicle, slots]
        self.ac = meters.did[:, alone.meter, slots]
        self._beginning = int((at_us - 1) // QUARTER_US) - (slots.stop - slots.start - 1)  # the number of the quarter in slot 0
        self._first = np.maximum(alone.first - self._beginning, 0)
        width = self.dc.shape[2]
        counts = np.arange(width)[None, :] >= self._first[:, None]
        charged = ((self.dc[LAST] > 0) | (self.ac[LAST] > 0)) & counts
        self.last = np.where(charged.any(axis=1), width - 1 - np.argmax(charged[:, ::-1], axis=1), -1)
        self._sums = np.concatenate(
            (np.zeros((len(charged), 1), np.int64), np.cumsum(self.ac[MILLIWH] * counts, axis=1, dtype=np.int64)), axis=1
        )

    def _begin(self, rows: Ints, width: int) -> Ints:
        return np.asarray(np.maximum(self.last[rows] - width + 1, self._first[rows]))

    def ac_milliwh(self, rows: Ints, width: int) -> Ints:
        """From the grid within the window of so many quarters."""
        return np.asarray(self._sums[rows, self.last[rows] + 1] - self._sums[rows, self._begin(rows, width)])

    def course(self, row: int, width: int, evidence: Evidence) -> Course:
        """What the window's sums do not tell."""
        last = int(self.last[row])
        window = slice(max(last - width + 1, int(self._first[row])), last + 1)
        return course(self.dc[:, row, window], self.ac[:, row, window], evidence)

    def window(self, row: int, width: int) -> tuple[datetime, datetime]:
        """(since, until] of the window of so many quarters; it ends with the last charging reading."""
        last = int(self.last[row])
        since = self._beginning + max(last - width + 1, int(self._first[row]))
        latest = max(int(self.dc[LAST, row, last]), int(self.ac[LAST, row, last]))
        return instant(since * QUARTER_US), instant((self._beginning + last) * QUARTER_US + latest)

    def weigh(self, rows: Ints, width: int) -> Ints:
        """Each row's window, with the hour before it looked at but not counted."""
        if not len(rows):
            return np.empty((0, 0), np.int64)
        many, whole = len(rows), width + _CONTEXT
        places = self.last[rows][:, None] + np.arange(-whole + 1, 1)[None, :]
        counts = places >= self._begin(rows, width)[:, None]
        there = places >= self._first[rows][:, None]
        places = np.maximum(places, 0)
        dc = np.where(there, self.dc[:, rows[:, None], places], _emptied(DC_FIELDS))
        ac = np.where(there, self.ac[:, rows[:, None], places], _emptied(AC_FIELDS))
        index = np.repeat(np.arange(many), whole)
        number = np.tile(np.arange(whole), many)
        quarters = Quarters(index, number, np.zeros(many * whole, np.int64), dc.reshape(len(dc), -1), ac.reshape(len(ac), -1))
        group = 2 * index + counts.ravel()
        rhythms = Rhythms(*(values[rows] for values in self._rhythms))
        return np.asarray(weigh(quarters, rhythms, group, np.repeat(np.arange(many), 2))[1::2])


def _emptied(fields: tuple[str, ...]) -> Ints:
    """What a quarter without readings looks like, to broadcast over (fields, vehicles, quarters)."""
    values = {"temp_min": NO_TEMP, "soc_min": NO_SOC}
    return np.array([values.get(name, 0) for name in fields], np.int64)[:, None, None]


def _until(vehicles: list[str], since: Ints) -> Ints:
    """Where each assignment ends: where the vehicle's next one begins."""
    if not vehicles:
        return since
    last = np.array([*(a != b for a, b in pairwise(vehicles)), True], np.bool_)
    return np.where(last, _EVER, np.append(since[1:], _EVER))


_ASSIGNMENTS = f"""
    WITH assignment AS (SELECT vehicle_id, valid_from, coalesce(meter_id, '') AS meter_id FROM assignment ORDER BY vehicle_id, valid_from)
    {gathered(("vehicle_id", "valid_from", "meter_id"), "assignment")}"""
