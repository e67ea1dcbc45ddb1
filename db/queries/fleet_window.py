"""Every vehicle's last 24 hours, kept in memory and brought up to date by reading only what changed. One in each web process.

The numbers are worked out by the same `weigh` and `summarise` as one vehicle's own, out of the same pieces, so they are equal. A vehicle
that was re-assigned within the window, shares a meter, or reports more than the compact arrays hold goes the ordinary way instead.
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from charging.policy import Policy
from charging.verdict import Summary
from db.assignment_changes import newest_change
from db.engine import Conn
from db.gathered import Ints, gathered, instant, instant_us, ints, read, texts
from db.queries import performance
from db.queries.device_window import DeviceWindow, Mask
from db.queries.policies import Policies
from db.queries.weighing import MILLIWH, QUARTER_US, WIDTH, Quarters, Rhythms, weigh
from db.queries.weighing import evidence as in_words
from db.sides import METER, VEHICLE

WINDOW = timedelta(hours=24)
# A clock that steps back by less stands still for us; by more, and everything is read anew.
_STANDS_STILL_US = 60_000_000
# Assignments are read again when a change of one was recorded, and this often for who writes into their table past the record.
_ASSIGNMENTS_MOST_S = 30.0
# Portions of about 10 ms, and a breath after each in which the process takes in the readings that wait: a thread that only computes hands
# over the interpreter every 5 ms, and each of them would wait for that several times.
_WEIGHED_AT_ONCE, _BREATH_S = 250, 0.002
# A new day is made as often as its cost allows, 2 % of a core, but twice a minute at least, so that late data shows within a minute.
_DAY_SHARE, _DAY_MOST_S = 0.02, 30.0
_WINDOW_US = WINDOW // timedelta(microseconds=1)
_ALWAYS, _EVER = -(1 << 63), (1 << 63) - 1  # how PostgreSQL sends the infinities


@dataclass(frozen=True, slots=True)
class FleetDay:
    """The 24 hours up to `at`: every known vehicle's summary by id, in the order of ids; `changed`: those that differ from the day before this one.

    Good until `due_monotonic`. `meters_ac`: what each meter gave, whoever was on it, in thousandths of a watt-hour; absent where it does not
    fit the compact arrays.
    """

    at: datetime
    made_monotonic: float
    due_monotonic: float
    summaries: dict[str, Summary]
    changed: frozenset[str]
    meters_ac: dict[str, int]


class FleetWindow:
    """Thread-safe: one thread refreshes, others take the result there is. `share` of a core may go into new days."""

    def __init__(self, policies: Policies, share: float = _DAY_SHARE) -> None:
        self._policies, self._share = policies, share
        self._lock = threading.Lock()
        self._newest: FleetDay | None = None
        self._forget()

    def day(self, connect: Callable[[], AbstractContextManager[Conn]], now: Callable[[], datetime], least_age_s: float) -> FleetDay:
        """The newest day where it is younger than `least_age_s` or than its cost allows, else a new one; while another thread makes that, the one before."""
        newest = self._newest
        if newest and time.monotonic() < max(newest.made_monotonic + least_age_s, newest.due_monotonic):
            return newest
        if not self._lock.acquire(blocking=newest is None):
            assert newest is not None
            return newest
        try:
            if self._newest is not newest and self._newest:
                return self._newest
            with connect() as conn:
                return self._refresh(conn, now())
        finally:
            self._lock.release()

    def refresh(self, conn: Conn, now: datetime) -> FleetDay:
        """A new day up to `now`."""
        with self._lock:
            return self._refresh(conn, now)

    def _forget(self) -> None:
        self._vehicles, self._meters = DeviceWindow(VEHICLE), DeviceWindow(METER)
        self._at_us = _ALWAYS
        self._assigned = _Assigned.none()
        self._meters_found: tuple[_Assigned, int, Ints] = (self._assigned, -1, np.empty(0, np.int64))
        self._assignments: dict[str, bytes | None] = {}
        self._assignments_due, self._assignment_change = 0.0, -1
        self._ids: list[str] = []
        self._weighed = np.empty((0, WIDTH), np.int64)
        self._ordinary = np.empty(0, np.bool_)
        self._summaries: dict[str, Summary] = {}
        self._policy: Policy | None = None

    def _refresh(self, conn: Conn, now: datetime) -> FleetDay:
        started, at_us = time.thread_time(), instant_us(now)
        if at_us < self._at_us - _STANDS_STILL_US:
            self._forget()
        at_us = max(at_us, self._at_us)
        try:
            changed = self._take_in(conn, at_us - _WINDOW_US, at_us)
        except BaseException:
            self._forget()  # half of what came may have been taken in
            raise
        # What it cost us, and not how long it took: on a busy machine a small fleet's first reading would wait half a minute to be judged.
        made, cost_s = time.monotonic(), time.thread_time() - started
        due = made + min(_DAY_MOST_S, cost_s / self._share)
        self._newest = FleetDay(instant(at_us), made, due, dict(self._summaries), frozenset(changed), self._meters_ac(at_us))
        return self._newest

    def _meters_ac(self, at_us: int) -> dict[str, int]:
        meters = self._meters
        given = meters.did[MILLIWH, :, meters.slots(at_us - _WINDOW_US, at_us)].sum(axis=1, dtype=np.int64).tolist()
        return {meters.ids[n]: given[n] for n in np.flatnonzero(~meters.too_large).tolist() if n}

    def _take_in(self, conn: Conn, start_us: int, at_us: int) -> list[str]:
        vehicles, meters = self._vehicles.refresh(conn, start_us, at_us), self._meters.refresh(conn, start_us, at_us)
        self._at_us = at_us
        new = self._read_assignments(conn)
        policy = self._policies.current(conn)
        new, self._policy = new or policy is not self._policy, policy
        assigned = self._assigned
        within = assigned.within(start_us, at_us)
        ordinary = assigned.uncommon(within, start_us, at_us, len(self._ids))
        of_vehicle, of_meter = self._rows(within & ~ordinary[assigned.vehicle])
        ordinary |= self._vehicles.too_large[of_vehicle] | self._meters.too_large[of_meter]
        dirty = self._dirty(within, vehicles[of_vehicle], meters) | (ordinary != self._ordinary) | new
        self._ordinary = ordinary
        changed = self._weigh(np.flatnonzero(dirty & ~ordinary), of_vehicle, of_meter, start_us, at_us, new, policy)
        changed += self._ask(conn, np.flatnonzero(dirty & ordinary), start_us, at_us)
        if new:
            self._summaries = {vehicle_id: self._summaries[vehicle_id] for vehicle_id in self._ids}
        return changed

    def _read_assignments(self, conn: Conn) -> bool:
        """Whether vehicles or assignments are others than before."""
        started, change = time.monotonic(), newest_change(conn)
        grown = len(self._vehicles.ids) - 1 != self._assigned.live
        if started < self._assignments_due and change == self._assignment_change and not grown:
            return False
        arrays = read(conn, _ASSIGNMENTS, {}, prepare=True)
        self._assignments_due, self._assignment_change = started + _ASSIGNMENTS_MOST_S, change
        if arrays == self._assignments and not grown:
            return False
        self._assignments = arrays
        ids = texts(arrays["assignment_vehicle_id"])
        self._ids = sorted({*ids, *self._vehicles.ids[1:]})
        self._assigned = _Assigned.of(self._ids, ids, arrays, len(self._vehicles.ids) - 1)
        self._weighed = np.full((len(self._ids), WIDTH), -2, np.int64)
        self._ordinary = np.zeros(len(self._ids), np.bool_)
        self._row = np.array([self._vehicles.index.get(vehicle_id, 0) for vehicle_id in self._ids], np.int64)
        return True

    def _rows(self, common: Mask) -> tuple[Ints, Ints]:
        """By vehicle: the rows of its own device and of its meter."""
        meter_rows = self._meter_rows()
        of_meter = np.zeros(len(self._ids), np.int64)
        of_meter[self._assigned.vehicle[common]] = meter_rows[self._assigned.meter[common]]
        self._meter_of = np.zeros(len(self._ids), np.int64)
        self._meter_of[self._assigned.vehicle[common]] = self._assigned.meter[common]
        return self._row, of_meter

    def _meter_rows(self) -> Ints:
        """The row of each assigned meter; rows stay, so they are found anew only where a meter or an assignment came."""
        of = (self._assigned, len(self._meters.ids))
        if self._meters_found[:2] != of:
            rows = np.array([self._meters.index.get(meter_id, 0) for meter_id in self._assigned.meters], np.int64)
            self._meters_found = (*of, rows)
        return self._meters_found[2]

    def _dirty(self, within: Mask, vehicles: Mask, meters: Mask) -> Mask:
        """Vehicles of which anything changed: themselves, one of their meters, or one who shares a meter with them."""
        vehicle, meter = self._assigned.vehicle[within], self._assigned.meter[within]
        meter_dirty = meters[self._meter_rows()]
        meter_dirty[0] = False
        dirty = vehicles.copy()
        for _ in range(2):
            dirty[vehicle[meter_dirty[meter]]] = True
            meter_dirty[meter[dirty[vehicle]]] = True
        dirty[vehicle[meter_dirty[meter]]] = True
        return dirty

    def _weigh(self, dirty: Ints, of_vehicle: Ints, of_meter: Ints, start_us: int, at_us: int, new: bool, policy: Policy) -> list[str]:
        changed: list[str] = []
        for n in range(0, len(dirty), _WEIGHED_AT_ONCE):
            some = dirty[n : n + _WEIGHED_AT_ONCE]
            weighed = self._weigh_some(of_vehicle[some], of_meter[some], start_us, at_us)
            differs = np.flatnonzero((weighed != self._weighed[some]).any(axis=1)) if not new else np.arange(len(some))
            self._weighed[some] = weighed
            for vehicle, row in zip(some[differs].tolist(), weighed[differs].tolist(), strict=True):
                meter = self._assigned.meters[self._meter_of[vehicle]]
                self._summaries[self._ids[vehicle]] = performance.judged(
                    self._ids[vehicle], in_words(row, (meter,) if meter else (), ()), policy
                )
                changed.append(self._ids[vehicle])
            time.sleep(_BREATH_S)
        return changed

    def _weigh_some(self, of_vehicle: Ints, of_meter: Ints, start_us: int, at_us: int) -> Ints:
        v, m = self._vehicles, self._meters
        dc, ac = v.did[:, of_vehicle, v.slots(start_us, at_us)], m.did[:, of_meter, m.slots(start_us, at_us)]
        many, width = dc.shape[1:]
        cut_us = np.zeros((many, width), np.int64)
        cut_us[:, 0] = start_us % QUARTER_US
        quarters = Quarters(
            np.repeat(np.arange(many), width),
            np.tile(np.arange(width), many),
            cut_us.ravel(),
            dc.reshape(len(dc), -1),
            ac.reshape(len(ac), -1),
        )
        return weigh(quarters, Rhythms(v.rhythm_s[of_vehicle], m.rhythm_s[of_meter], v.step_milliwh[of_vehicle], m.step_milliwh[of_meter]))

    def _ask(self, conn: Conn, dirty: Ints, start_us: int, at_us: int) -> list[str]:
        """The ordinary way."""
        ids = [self._ids[n] for n in dirty]
        if ids:
            self._summaries |= performance.summaries(conn, instant(start_us), instant(at_us), ids, self._policies)
        return ids


@dataclass(frozen=True, slots=True, eq=False)
class _Assigned:
    """Assignments ordered by vehicle and time: indices of vehicle and meter (0: none), valid (from, to]; `live`: vehicles that reported."""

    live: int
    meters: list[str]
    vehicle: Ints
    meter: Ints
    from_us: Ints
    to_us: Ints

    @staticmethod
    def none() -> "_Assigned":
        nothing = np.empty(0, np.int64)
        return _Assigned(-1, [""], nothing, nothing, nothing, nothing)

    @staticmethod
    def of(known: list[str], ids: list[str], arrays: dict[str, bytes | None], live: int) -> "_Assigned":
        index = {vehicle_id: n for n, vehicle_id in enumerate(known)}
        vehicle = np.array([index[vehicle_id] for vehicle_id in ids], np.int64)
        names = texts(arrays["assignment_meter_id"])
        meters = sorted({"", *names})
        meter_index = {meter_id: n for n, meter_id in enumerate(meters)}
        meter = np.array([meter_index[name] for name in names], np.int64)
        since = ints(arrays["assignment_valid_from"])
        until = np.append(since[1:], _EVER)
        last = np.append(vehicle[1:] != vehicle[:-1], True) if len(vehicle) else np.empty(0, np.bool_)
        return _Assigned(live, meters, vehicle, meter, since, np.where(last, _EVER, until[: len(since)]))

    def within(self, start_us: int, at_us: int) -> Mask:
        """Assignments of a meter that hold at any time in the window."""
        return np.asarray((self.meter > 0) & (self.from_us < at_us) & (self.to_us > start_us))

    def uncommon(self, within: Mask, start_us: int, at_us: int, vehicles: int) -> Mask:
        """Vehicles with an assignment that does not hold for the whole window, or whose meter is someone else's too."""
        vehicle, meter = self.vehicle[within], self.meter[within]
        cut = (self.from_us[within] > start_us) | (self.to_us[within] < at_us)
        shared = np.bincount(meter, minlength=len(self.meters))[meter] > 1
        found = np.zeros(vehicles, np.bool_)
        found[vehicle[cut | shared]] = True
        return found


_ASSIGNMENTS = f"""
    WITH assignment AS (SELECT vehicle_id, valid_from, coalesce(meter_id, '') AS meter_id FROM assignment ORDER BY vehicle_id, valid_from)
    {gathered(("vehicle_id", "valid_from", "meter_id"), "assignment")}"""
