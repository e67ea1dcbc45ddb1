"""One side's devices over a moving day, in memory: what each did in each quarter, kept right by reading only what changed."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from charging.evidence import CHARGING_FLOOR_MILLIWH, UNKNOWN_RHYTHM_S
from db.arrays import texts as text_array
from db.arrays import timestamps
from db.engine import Conn
from db.gathered import Ints, gathered, instant, ints, read, texts
from db.queries.pieces import QUARTER, Days, gathered_pieces, pieces, pieces_sql
from db.queries.weighing import (
    AC_FIELDS,
    CHARGING,
    DC_FIELDS,
    FIRST,
    LAST,
    MILLIWH,
    NO_SOC,
    NO_TEMP,
    QUARTER_US,
    READINGS,
    SMALLEST,
    SOC_MIN,
    TEMP_COUNT,
    TEMP_MIN,
    TEMP_SUM,
)
from db.sides import VEHICLE, Side

# Quarters held: the 97 or 98 that a day's window touches, and room, so that all are moved only every hour and a half.
SLOTS = 104
# Devices whose window one statement reads: it shall end well before the statement timeout.
_CHUNK = 2_000
_US_1970_TO_2000 = 946_684_800_000_000
_NEVER = -(1 << 62)

Mask = NDArray[np.bool_]


def quarter_of(at_us: "int | Ints") -> "int | Ints":
    """The number since 2000 of the quarter (b, b + 15 min] that an instant (µs since 2000) lies in."""
    return (at_us - 1) // QUARTER_US


class DeviceWindow:
    """Row 0 stands for a device that never reported. Quarters are counted since 2000; `did` has the shape (fields, devices, SLOTS)."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.ids: list[str] = [""]
        self.index: dict[str, int] = {"": 0}
        self.rhythm_s = np.full(1, UNKNOWN_RHYTHM_S, np.int64)
        self.step_milliwh = np.zeros(1, np.int64)
        self._hash, self._row = np.empty(0, np.int64), np.empty(0, np.int64)  # sorted by hash
        self._fields = DC_FIELDS if side is VEHICLE else AC_FIELDS
        self._first = 0  # the quarter in slot 0
        self._seen = np.full((3, 1), _NEVER, np.int64)  # recorded_at, received_at, late_at as last seen
        self._at_us = _NEVER
        self._edge = _Edge(-1)
        self._cut_us = 0
        self.did = self._empty(1)
        self.too_large = np.zeros(1, np.bool_)

    def _empty(self, devices: int) -> NDArray[np.int32]:
        did = np.zeros((len(self._fields), devices, SLOTS), np.int32)
        self._clear(did)
        return did

    def _clear(self, did: NDArray[np.int32]) -> None:
        did[...] = 0
        if self.side is VEHICLE:
            did[TEMP_MIN], did[SOC_MIN] = NO_TEMP, NO_SOC

    def slots(self, start_us: int, at_us: int) -> slice:
        """Where the quarters of (start, at] are, after a refresh for it."""
        return slice(int(quarter_of(start_us + 1)) - self._first, int(quarter_of(at_us)) - self._first + 1)

    def refresh(self, conn: Conn, start_us: int, at_us: int) -> Mask:
        """Take in what came since the last time; which devices' quarters, edges or rhythms changed. `at` may not go back."""
        live = self._read_live(conn)
        changed, whole = self._changes(live)
        first = int(quarter_of(start_us + 1))
        self._make_room(first, int(quarter_of(at_us)))
        since = np.minimum(self._seen[0], self._at_us)
        since_quarter = np.where(whole, first, np.maximum(first, quarter_of(np.maximum(since, _NEVER + 1))))
        stale = changed | whole | (self._seen[0] > self._at_us)
        stale[0] = False
        self._seen, self._at_us = live, at_us
        self._load(conn, np.flatnonzero(stale), since_quarter, at_us)
        return np.asarray(stale | self._cut(conn, first, start_us, stale & (since_quarter == first)) | self._rhythm_changed)

    def _read_live(self, conn: Conn) -> Ints:
        arrays = read(conn, _live_sql(self.side), {}, prepare=True)
        hashes = ints(arrays["live_hash"])
        rows = self._rows(hashes)
        if (rows < 0).any():
            self._learn(conn)
            rows = self._rows(hashes)
        hashes, known = rows[rows > 0], rows > 0
        seen = self._seen.copy()
        for n, name in enumerate(("recorded_at", "received_at", "late_at")):
            seen[n, hashes] = ints(arrays[f"live_{name}"])[known]
        rhythm_s = self.rhythm_s.copy()
        rhythm_s[hashes] = ints(arrays["live_rhythm_s"])[known]
        step_milliwh = self.step_milliwh.copy()
        step_milliwh[hashes] = ints(arrays["live_step"])[known]
        self._rhythm_changed = (rhythm_s != self.rhythm_s) | (step_milliwh != self.step_milliwh)
        self.rhythm_s, self.step_milliwh = rhythm_s, step_milliwh
        return seen

    def _rows(self, hashes: Ints) -> Ints:
        """Rows of devices by hash of their id; -1 for an unknown one."""
        if not len(self._hash):
            return np.full(len(hashes), -1, np.int64)
        place = np.minimum(np.searchsorted(self._hash, hashes), len(self._hash) - 1)
        return np.where(self._hash[place] == hashes, self._row[place], -1)

    def _learn(self, conn: Conn) -> None:
        """Read which ids there are. Raises ValueError for two ids of one hash, which nobody will live to see."""
        arrays = read(conn, _ids_sql(self.side), {})
        ids, hashes = texts(arrays["live_id"]), ints(arrays["live_hash"])
        for device_id in ids:
            if device_id not in self.index:
                self.index[device_id] = len(self.ids)
                self.ids.append(device_id)
        order = np.argsort(hashes)
        self._hash, self._row = hashes[order], np.array([self.index[device_id] for device_id in ids], np.int64)[order]
        if (self._hash[1:] == self._hash[:-1]).any():
            raise ValueError("two devices' ids have the same hash")
        more = len(self.ids) - self.did.shape[1]
        self.did = np.concatenate((self.did, self._empty(more)), axis=1)
        self._seen = np.concatenate((self._seen, np.full((3, more), _NEVER, np.int64)), axis=1)
        self.rhythm_s = np.append(self.rhythm_s, np.full(more, UNKNOWN_RHYTHM_S, np.int64))
        self.step_milliwh = np.append(self.step_milliwh, np.zeros(more, np.int64))
        self.too_large = np.append(self.too_large, np.zeros(more, np.bool_))

    def _changes(self, live: Ints) -> tuple[Mask, Mask]:
        """Devices that reported anything, and those of which something came that was not their newest."""
        differs = live != self._seen
        return differs.any(axis=0), differs[2] | (self._seen[0] == _NEVER)

    def _make_room(self, first: int, last: int) -> None:
        if last - self._first < SLOTS:
            return
        kept = max(0, self._first + SLOTS - first)
        left = self.did[:, :, SLOTS - kept :].copy()
        self._clear(self.did)
        self.did[:, :, :kept] = left
        self._first = first

    def _load(self, conn: Conn, devices: Ints, since_quarter: Ints, at_us: int) -> None:
        for n in range(0, len(devices), _CHUNK):
            self._load_some(conn, devices[n : n + _CHUNK], since_quarter[devices[n : n + _CHUNK]], at_us)

    def _load_some(self, conn: Conn, devices: Ints, since_quarter: Ints, at_us: int) -> None:
        since_us = since_quarter * QUARTER_US
        parameters = {
            "ids": text_array([self.ids[n] for n in devices.tolist()]),
            "since": timestamps((since_us + _US_1970_TO_2000).tolist()),
            "at": instant(at_us),
        }
        days = Days.of(instant(int(since_us.min())), instant(at_us))
        found = pieces(self.side, read(conn, _stretches_sql(self.side, days), parameters, prepare=True))
        for quarter in np.unique(since_quarter).tolist():
            rows = devices[since_quarter == quarter]
            emptied = np.zeros((len(self._fields), 1, 1), np.int32)
            self._clear(emptied)
            self.did[:, rows, max(0, quarter - self._first) :] = emptied
        rows, slots = devices[found.stretch - 1], found.bucket_us // QUARTER_US - self._first
        self.too_large[rows[(found.did > 2**31 - 1).any(axis=0)]] = True
        self.did[:, rows, slots] = np.minimum(found.did, 2**31 - 1)

    def _cut(self, conn: Conn, first: int, start_us: int, loaded: Mask) -> Mask:
        """Cut the window's first quarter at its start, also where it was just loaded whole; which devices lost readings by it."""
        slot, cut_us = first - self._first, start_us - first * QUARTER_US
        entered = self._edge.quarter != first
        devices = np.flatnonzero(loaded)
        if entered or (self.did[READINGS, devices, slot] != self._edge.count(devices)).any():
            self._edge = _Edge.read(conn, self.side, first, self._rows)
            entered = True
        moved = np.arange(1, len(self.ids)) if entered else self._edge.crossed(self._cut_us, cut_us)
        self._cut_us = cut_us
        lost = np.zeros(len(self.ids), np.bool_)
        lost[moved] = True
        again = np.flatnonzero(lost | loaded)
        again = again[again > 0]
        emptied = np.zeros((len(self._fields), 1), np.int32)
        self._clear(emptied[:, :, None])
        self.did[:, again, slot] = emptied
        rows, did = self._edge.after(again, cut_us)
        self.did[:, rows, slot] = np.minimum(did[: len(self._fields)], 2**31 - 1)
        # The time in which a first charging reading's energy flowed begins with the window: it shrinks even while no reading is lost.
        begun = self.did[FIRST, :, slot] - self.rhythm_s * 1_000_000 < cut_us
        return np.asarray(lost | (begun & (self.did[LAST, :, slot] > 0)))


class _Edge:
    """The readings of one quarter, by device and time: (device, µs since the quarter began, energy, measures…); absent measures are below -30,000."""

    def __init__(self, quarter: int, rows: Ints | None = None) -> None:
        self.quarter = quarter
        rows = np.empty((5, 0), np.int64) if rows is None else rows
        self._rows = rows[:, np.lexsort((rows[1], rows[0]))].astype(np.int32)
        self._by_time = np.argsort(self._rows[1], kind="stable")
        self._times = self._rows[1][self._by_time]

    @staticmethod
    def read(conn: Conn, side: Side, quarter: int, rows_of: "object") -> "_Edge":
        """All devices' readings of this quarter."""
        begin = instant(quarter * QUARTER_US)
        arrays = read(conn, _edge_sql(side, Days.of(begin, begin + QUARTER)), {"begin": begin, "end": begin + QUARTER})
        rows = rows_of(ints(arrays["edge_hash"]))  # type: ignore[operator]
        columns = [rows, ints(arrays["edge_recorded_at"]) - quarter * QUARTER_US, ints(arrays["edge_milliwh"])]
        columns += [ints(arrays[f"edge_{name}"]) for name in (side.measures if side is VEHICLE else ())]
        columns += [np.zeros(len(rows), np.int64)] * (5 - len(columns))
        return _Edge(quarter, np.stack(columns)[:, rows > 0])

    def count(self, devices: Ints) -> Ints:
        """Readings of these devices."""
        return np.asarray(np.searchsorted(self._rows[0], devices, "right") - np.searchsorted(self._rows[0], devices, "left"))

    def crossed(self, before_us: int, cut_us: int) -> Ints:
        """Devices with readings in (before, cut]."""
        low, high = np.searchsorted(self._times, (before_us, cut_us), "right")
        return np.unique(self._rows[0][self._by_time[low:high]]).astype(np.int64)

    def after(self, devices: Ints, cut_us: int) -> tuple[Ints, Ints]:
        """What these devices (ascending) did after the cut: devices that did anything, and the fields as in a quarter."""
        low, count = np.searchsorted(self._rows[0], devices, "left"), self.count(devices)
        places = np.repeat(low - np.append(0, np.cumsum(count)[:-1]), count) + np.arange(int(count.sum()))
        rows = self._rows[:, places[self._rows[1][places] > cut_us]].astype(np.int64)
        if not rows.shape[1]:
            return np.empty(0, np.int64), np.empty((len(DC_FIELDS), 0), np.int64)
        return _summed(rows)


def _summed(rows: Ints) -> tuple[Ints, Ints]:
    device, at, milliwh, soc, temp = rows
    starts = np.flatnonzero(np.append(True, device[1:] != device[:-1]))
    charged, far = milliwh > CHARGING_FLOOR_MILLIWH, 1 << 60
    did = np.empty((len(DC_FIELDS), len(starts)), np.int64)
    did[READINGS] = np.diff(np.append(starts, len(device)))
    did[CHARGING] = np.add.reduceat(charged.astype(np.int64), starts)
    did[MILLIWH] = np.add.reduceat(milliwh, starts)
    did[SMALLEST] = np.minimum.reduceat(np.where(milliwh > 0, milliwh, far), starts) % far
    did[FIRST] = np.minimum.reduceat(np.where(charged, at, far), starts) % far
    did[LAST] = np.maximum.reduceat(np.where(charged, at, 0), starts)
    measured = temp > _ABSENT
    did[TEMP_SUM] = np.add.reduceat(np.where(measured, temp, 0), starts)
    did[TEMP_COUNT] = np.add.reduceat(measured.astype(np.int64), starts)
    did[TEMP_MIN] = np.minimum.reduceat(np.where(measured, temp, NO_TEMP), starts)
    least_soc = np.minimum.reduceat(np.where(soc > _ABSENT, soc, far), starts)
    did[SOC_MIN] = np.where(least_soc < far, least_soc, NO_SOC)
    return device[starts], did


_ABSENT = -30_000


def _hash(side: Side) -> str:
    """SQL for a device's id in eight bytes."""
    return f"hashtextextended({side.key}, 0)"


def _live_sql(side: Side) -> str:
    return f"""
    WITH live AS (SELECT {_hash(side)} AS hash, recorded_at, received_at, coalesce(late_at, '-infinity') AS late_at,
                         coalesce(rhythm_s, {UNKNOWN_RHYTHM_S}) AS rhythm_s, coalesce(step_milliwh, 0) AS step FROM {side.live})
    {gathered(("hash", "recorded_at", "received_at", "late_at", "rhythm_s", "step"), "live")}"""


def _ids_sql(side: Side) -> str:
    return f"WITH live AS (SELECT {side.key} AS id, {_hash(side)} AS hash FROM {side.live}) {gathered(('id', 'hash'), 'live')}"


@lru_cache(maxsize=64)
def _stretches_sql(side: Side, days: Days) -> str:
    return f"""
    WITH stretch AS (
        SELECT n, device_id, since AS span_from, %(at)s AS span_to FROM unnest(%(ids)s, %(since)s) WITH ORDINALITY AS t(device_id, since, n)
    ), {pieces_sql(side, days, "stretch")}
    {gathered_pieces(side)}"""


def _edge_sql(side: Side, days: Days) -> str:
    measures = "".join(f", coalesce({name}, {_ABSENT}) AS {name}" for name in side.measures)
    return f"""
    WITH edge AS (
        SELECT {_hash(side)} AS hash, recorded_at, {side.energy} AS milliwh{measures} FROM {side.history}
        WHERE {days.readings("recorded_at")} AND recorded_at > %(begin)s AND recorded_at <= %(end)s
    ) {gathered(("hash", "recorded_at", "milliwh", *side.measures), "edge")}"""
