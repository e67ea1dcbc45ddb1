"""From what each side did in each quarter to a vehicle's evidence: the one place where this is worked out, for one vehicle, a page or the fleet.

Everything is a whole number: energy in thousandths of a watt-hour, time in microseconds, temperature and charge in hundredths.
"""

from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from charging.band import DC_FROM_KW, MIDDLE_DC, MIDDLE_DEFAULT
from charging.evidence import APART_S, COLD_CENTI_C, FULL_CENTI_PCT, Apart, Evidence, Stream
from charging.units import MILLIWH_PER_KWH
from db.gathered import Ints

QUARTER_US = 900_000_000
QUARTER_S = 900
US_PER_HOUR = 3_600_000_000
QUARTERS_AN_HOUR = 4

# Rows of a side's matrix: what it did in a quarter. FIRST and LAST are the instants of the first and last charging reading, in µs since
# the quarter's beginning; they and SMALLEST are 0 where there is none. The vehicle's side has four more.
READINGS, CHARGING, MILLIWH, SMALLEST, FIRST, LAST = range(6)
AC_FIELDS = ("readings", "charging_readings", "milliwh", "smallest", "charging_first", "charging_last")
TEMP_SUM, TEMP_COUNT, TEMP_MIN, SOC_MIN = range(6, 10)
DC_FIELDS = (*AC_FIELDS, "temp_sum", "temp_count", "temp_min", "soc_min")
SOC_MAX = 10  # only sessions ask for it
NO_TEMP, NO_SOC = 32_767, -1

_FAR_US = 1 << 60  # later than any instant of a quarter
_UNKNOWN_S = -1


@dataclass(frozen=True, slots=True)
class Quarters:
    """Quarters in which a side reported, ordered by vehicle, quarter and assignment; all arrays have one entry for each.

    `vehicle` is an index from 0, `number` counts quarters from any beginning, `cut_us` is how far into its quarter the window or the
    assignment begins, `dc` has the shape (len(DC_FIELDS), n), `ac` (len(AC_FIELDS), n), in any width of integer.
    """

    vehicle: Ints
    number: Ints
    cut_us: Ints
    dc: NDArray[np.signedinteger]
    ac: NDArray[np.signedinteger]


@dataclass(frozen=True, slots=True)
class Pieces:
    """What one side did: stretch (from 1), quarter (its beginning, µs since 2000) and DC_FIELDS or AC_FIELDS (fields, n); in no particular order."""

    stretch: Ints
    bucket_us: Ints
    did: Ints


@dataclass(frozen=True, slots=True)
class Rhythms:
    """By vehicle, of its own and of its meter's device: seconds between two readings, and the counter's step in thousandths of a
    watt-hour as learned, 0 where it is not.
    """

    dc_s: Ints
    ac_s: Ints
    dc_step: Ints
    ac_step: Ints


# Columns of what `weigh` returns.
(
    _DC_MILLIWH,
    _AC_MILLIWH,
    _DC_READINGS,
    _AC_READINGS,
    _TEMP_SUM,
    _TEMP_COUNT,
    _DC_RECEIVED,
    _AC_RECEIVED,
    _DC_DUE,
    _AC_DUE,
    _DC_SMALLEST,
    _AC_SMALLEST,
    _CHARGING_S,
    _PLAIN_S,
    _ASIDE_DC,
    _ASIDE_AC,
    _ASIDE,
    _STUCK_S,
    _STUCK_AC,
    _DC_RHYTHM,
    _AC_RHYTHM,
    _IDLE_DC,
    _IDLE_AC,
    _FULL_DC,
    _FULL_AC,
    _FULL_S,
    _FILLED_DC,
    _FILLED_AC,
    _ELSEWHERE_DC,
) = range(29)
WIDTH = 29


def weigh(quarters: Quarters, rhythms: Rhythms, group: Ints | None = None, group_vehicle: Ints | None = None) -> Ints:
    """Sums and judgements (groups, WIDTH), a row for each vehicle; or for each group of quarters, where `group` (ascending) and the groups' vehicles are given.

    What happened in the hour before a quarter counts for it across groups, never across vehicles.
    """
    group = quarters.vehicle if group is None else group
    vehicle = np.arange(len(rhythms.dc_s)) if group_vehicle is None else group_vehicle
    found = np.zeros((len(vehicle), WIDTH), np.int64)
    found[:, _CHARGING_S] = found[:, _PLAIN_S] = _UNKNOWN_S
    found[:, _DC_RHYTHM], found[:, _AC_RHYTHM] = rhythms.dc_s[vehicle], rhythms.ac_s[vehicle]
    _total(found, quarters, group)
    for column, learned in ((_DC_SMALLEST, rhythms.dc_step[vehicle]), (_AC_SMALLEST, rhythms.ac_step[vehicle])):
        # An hour of steady charging shows no step: each reading is as large as the one before.
        finer = (learned > 0) & (learned < found[:, column])
        found[finer, column] = learned[finer]
    found[:, _IDLE_DC], found[:, _IDLE_AC] = found[:, _DC_MILLIWH], found[:, _AC_MILLIWH]
    active = _charged(quarters)
    if len(active):
        _judge(found, _only(quarters, active), rhythms, group[active])
    return found


def plain(quarters: Quarters, rhythms: Rhythms) -> tuple[NDArray[np.bool_], Ints]:
    """Which quarters are not set aside, and how long the meter's energy flowed in each, in µs: what `weigh` adds up as plain."""
    counts, flowed_us = np.ones(len(quarters.vehicle), np.bool_), np.zeros(len(quarters.vehicle), np.int64)
    rows = _charged(quarters)
    if len(rows):
        active = _only(quarters, rows)
        flowed_us[rows] = _flowed_us(active, rhythms.ac_s[active.vehicle] * 1_000_000)
        counts[rows] = ~_aside(active, flowed_us[rows])
    return counts, flowed_us


def _charged(quarters: Quarters) -> Ints:
    """Where a side charged."""
    return np.flatnonzero((quarters.dc[LAST] > 0) | (quarters.ac[LAST] > 0))


def _only(quarters: Quarters, rows: Ints) -> Quarters:
    q = quarters
    dc, ac = q.dc[:, rows].astype(np.int64, copy=False), q.ac[:, rows].astype(np.int64, copy=False)
    return Quarters(q.vehicle[rows], q.number[rows], q.cut_us[rows], dc, ac)


def _starts(group: Ints) -> Ints:
    """Where each group begins."""
    changes = np.empty(len(group), np.bool_)
    changes[:1] = True
    np.not_equal(group[1:], group[:-1], out=changes[1:])
    return np.flatnonzero(changes)


def _total(found: Ints, quarters: Quarters, group: Ints) -> None:
    if not len(group):
        return
    starts, dc, ac = _starts(group), quarters.dc, quarters.ac
    rows = group[starts]
    for column, values in (
        (_DC_MILLIWH, dc[MILLIWH]),
        (_AC_MILLIWH, ac[MILLIWH]),
        (_DC_READINGS, dc[READINGS]),
        (_AC_READINGS, ac[READINGS]),
        (_TEMP_SUM, dc[TEMP_SUM]),
        (_TEMP_COUNT, dc[TEMP_COUNT]),
    ):
        found[rows, column] = np.add.reduceat(values, starts, dtype=np.int64)
    for column, values in ((_DC_SMALLEST, dc[SMALLEST]), (_AC_SMALLEST, ac[SMALLEST])):
        least = np.minimum.reduceat(np.where(values > 0, values, np.int64(_FAR_US)), starts)
        found[rows, column] = np.where(least < _FAR_US, least, 0)


def _judge(found: Ints, active: Quarters, rhythms: Rhythms, group: Ints) -> None:
    """The quarters in which a side charged: how much was due in them and what has to be set aside."""
    dc, ac = active.dc, active.ac
    dc_rhythm_us, ac_rhythm_us = rhythms.dc_s[active.vehicle] * 1_000_000, rhythms.ac_s[active.vehicle] * 1_000_000
    active_us, flowed_us = _active_us(active, dc_rhythm_us, ac_rhythm_us), _flowed_us(active, ac_rhythm_us)
    dc_due, ac_due = _due(active_us, dc_rhythm_us), _due(active_us, ac_rhythm_us)
    full, aside = _full(active), _aside(active, flowed_us)
    plain = ~aside
    both = plain & (dc[MILLIWH] > 0) & (ac[MILLIWH] > 0)
    # What charged to within a rhythm of the quarter's end charged throughout: seconds at its edges decide about one reading.
    dc_most = np.where(active_us > QUARTER_US - dc_rhythm_us, _whole_due(rhythms.dc_s)[active.vehicle], dc_due)
    ac_most = np.where(active_us > QUARTER_US - ac_rhythm_us, _whole_due(rhythms.ac_s)[active.vehicle], ac_due)
    dc_span_us, ac_span_us = _span_us(dc, active.cut_us, dc_rhythm_us), _span_us(ac, active.cut_us, ac_rhythm_us)
    starts = _starts(group)
    rows = group[starts]
    for column, values in (
        (_DC_RECEIVED, np.minimum(dc[READINGS], dc_due)),
        (_AC_RECEIVED, np.minimum(ac[READINGS], ac_due)),
        (_DC_DUE, dc_due),
        (_AC_DUE, ac_due),
        (_ASIDE_DC, dc[MILLIWH] * aside),
        (_ASIDE_AC, ac[MILLIWH] * aside),
        (_ASIDE, aside.astype(np.int64)),
        (_FILLED_DC, _filled(dc, both, dc_most, dc_span_us, ac_span_us)),
        (_FILLED_AC, _filled(ac, both, ac_most, ac_span_us, dc_span_us)),
    ):
        found[rows, column] = np.add.reduceat(values, starts)
    _add_elsewhere(found, np.flatnonzero(plain & (ac[READINGS] > 0) & (ac[CHARGING] == 0)), group, dc)
    _add_full(found, np.flatnonzero(full), group, dc, ac, flowed_us)
    found[rows, _IDLE_DC] -= np.add.reduceat(dc[MILLIWH], starts)
    found[rows, _IDLE_AC] -= np.add.reduceat(ac[MILLIWH], starts)
    known = np.add.reduceat(ac[CHARGING], starts) > 1
    for column, values in ((_CHARGING_S, flowed_us), (_PLAIN_S, flowed_us * plain)):
        found[rows, column] = np.where(known, _whole_seconds(np.add.reduceat(values, starts)), _UNKNOWN_S)
    stuck = np.flatnonzero((dc[READINGS] > 0) & (dc[MILLIWH] == 0) & (ac[MILLIWH] > 0) & plain)
    if len(stuck):
        _longest_stuck_run(found, active.vehicle[stuck], active.number[stuck], ac[MILLIWH][stuck], group[stuck])


def _active_us(active: Quarters, dc_rhythm_us: Ints, ac_rhythm_us: Ints) -> Ints:
    """From a rhythm before the first charging reading of either side, but within the quarter and the assignment, to the last one."""
    dc, ac = active.dc, active.ac
    dc_from = np.where(dc[LAST] > 0, dc[FIRST] - dc_rhythm_us, _FAR_US)
    ac_from = np.where(ac[LAST] > 0, ac[FIRST] - ac_rhythm_us, _FAR_US)
    return np.asarray(np.maximum(dc[LAST], ac[LAST]) - np.maximum(np.minimum(dc_from, ac_from), active.cut_us))


def _flowed_us(active: Quarters, ac_rhythm_us: Ints) -> Ints:
    """How long the meter's energy took: from a rhythm before its first charging reading, or its last one of an earlier quarter, to the last one.

    A slow meter's energy flowed in before the quarter that it was told in. Where it charged in none, 0.
    """
    quarter_us, last = active.number * QUARTER_US, active.ac[LAST]
    begin = quarter_us + active.ac[FIRST] - ac_rhythm_us
    rows = np.flatnonzero(last > 0)
    before, after = rows[:-1], rows[1:]
    same = active.vehicle[before] == active.vehicle[after]
    begin[after] = np.maximum(begin[after], np.where(same, quarter_us[before] + last[before], -_FAR_US))
    return np.asarray(np.where(last > 0, quarter_us + last - begin, 0))


def _due(active_us: Ints, rhythm_us: Ints) -> Ints:
    """Readings due at this rhythm: the nearest whole number, half up, at least one."""
    return np.asarray(np.maximum(1, (2 * active_us + rhythm_us) // (2 * rhythm_us)))


def _whole_due(rhythm_s: Ints) -> Ints:
    """Readings due in a whole quarter, by vehicle."""
    return _due(np.full(len(rhythm_s), QUARTER_US), rhythm_s * 1_000_000)


def _add_elsewhere(found: Ints, rows: Ints, group: Ints, dc: Ints) -> None:
    """What reached the battery while the meter said that nothing flowed."""
    np.add.at(found[:, _ELSEWHERE_DC], group[rows], dc[MILLIWH][rows])


def _add_full(found: Ints, rows: Ints, group: Ints, dc: Ints, ac: Ints, charged_us: Ints) -> None:
    """What flowed to a full battery: few quarters of few vehicles."""
    of = group[rows]
    for column, values in ((_FULL_DC, dc[MILLIWH]), (_FULL_AC, ac[MILLIWH]), (_FULL_S, charged_us)):
        np.add.at(found[:, column], of, values[rows])
    found[:, _FULL_S] = _whole_seconds(found[:, _FULL_S])


def _whole_seconds(us: Ints) -> Ints:
    return np.asarray((us + 500_000) // 1_000_000)


def _filled(did: Ints, both: NDArray[np.bool_], due: Ints, span_us: Ints, other_span_us: Ints) -> Ints:
    """A side's energy with what is missing, where both sides moved; within a quarter the power hardly changes.

    In proportion to the readings due, and to how long it flowed on the other side: a counter that froze for a part of the quarter, or whose
    clock is minutes off at the beginning or the end of a charge, does not lose it. Nor does one that shows exactly nothing all the time.
    """
    filled = did[MILLIWH] * both
    apart = other_span_us - span_us > APART_S * 1_000_000
    short = np.flatnonzero(both & ((did[READINGS] < due) | apart))
    whole = filled[short]
    by_readings = whole * np.maximum(1, due[short]) // np.maximum(1, np.minimum(did[READINGS][short], due[short]))
    by_time = np.where(apart[short], whole * other_span_us[short] // np.maximum(1, span_us[short]), whole)
    filled[short] = np.maximum(by_readings, by_time)
    return np.asarray(filled)


def _span_us(did: Ints, cut_us: Ints, rhythm_us: Ints) -> Ints:
    """How long energy flowed on a side of a quarter, from the first to the last reading that charged."""
    return np.asarray(np.where(did[LAST] > 0, did[LAST] - np.maximum(did[FIRST] - rhythm_us, cut_us), 0))


def _full(active: Quarters) -> NDArray[np.bool_]:
    return np.asarray(active.dc[SOC_MIN] >= FULL_CENTI_PCT)


def _aside(active: Quarters, flowed_us: Ints) -> NDArray[np.bool_]:
    """What says nothing about the charger: standby of a full battery, and conditioning."""
    return _full(active) | _conditioning(active, flowed_us)


def _conditioning(active: Quarters, flowed_us: Ints) -> NDArray[np.bool_]:
    """A charge's first hour, cold, with less of the energy arriving than is expected in the middle of the default band."""
    begun, coldest = _hour_before(active)
    found = (begun < QUARTERS_AN_HOUR) & (coldest <= COLD_CENTI_C)
    rows = np.flatnonzero(found)
    found[rows] = _arrived_little(active.dc[MILLIWH][rows], active.ac[MILLIWH][rows], flowed_us[rows])
    return np.asarray(found)


def _arrived_little(dc: Ints, ac: Ints, flowed_us: Ints) -> NDArray[np.bool_]:
    by_charger = ac * US_PER_HOUR > round(DC_FROM_KW * MILLIWH_PER_KWH) * flowed_us
    kept = np.where(by_charger, 1000 - round(MIDDLE_DC.share * 1000), 1000 - round(MIDDLE_DEFAULT.share * 1000))
    overhead = np.where(by_charger, round(MIDDLE_DC.overhead_kw * MILLIWH_PER_KWH), round(MIDDLE_DEFAULT.overhead_kw * MILLIWH_PER_KWH))
    return np.asarray(dc * 1000 < ac * kept - overhead * flowed_us // (US_PER_HOUR // 1000))


def _hour_before(active: Quarters) -> tuple[Ints, Ints]:
    """For each quarter: active ones in the hour before it, and the coldest of these and itself. A re-assigned quarter stands there twice."""
    stride = int(active.number.max()) + QUARTERS_AN_HOUR + 1
    key, temp = active.vehicle * stride + active.number, active.dc[TEMP_MIN]
    begun, coldest = np.zeros(len(key), np.int64), temp.copy()
    for back in count(1):
        gap = key[back:] - key[:-back]
        near = gap <= QUARTERS_AN_HOUR
        if not near.any():
            return begun, coldest
        twice = gap == 0
        begun[back:] += near & ~twice
        np.minimum(coldest[back:], temp[:-back], out=coldest[back:], where=near)
        np.minimum(coldest[:-back], temp[back:], out=coldest[:-back], where=twice)
    raise AssertionError  # count() never ends


def _longest_stuck_run(found: Ints, vehicle: Ints, number: Ints, ac_milliwh: Ints, group: Ints) -> None:
    """The run of quarters, each right after the other, with the most energy of the meter; the longer one where two have the same."""
    starts = _starts(vehicle)
    position = np.arange(len(vehicle)) - np.repeat(starts, np.diff(np.append(starts, len(vehicle))))
    run = number - position
    run -= run.min()
    key, member = np.unique(group * (int(run.max()) + 1) + run, return_inverse=True)
    stuck_s = np.bincount(member, minlength=len(key)) * QUARTER_S
    stuck_ac = np.zeros(len(key), np.int64)
    np.add.at(stuck_ac, member, ac_milliwh)
    of_group = key // (int(run.max()) + 1)
    # Written from the least to the greatest: the last one stays.
    for n in np.lexsort((stuck_s, stuck_ac)):
        found[of_group[n], _STUCK_S], found[of_group[n], _STUCK_AC] = stuck_s[n], stuck_ac[n]


def side_by_side(vehicle: Ints, from_us: Ints, start_us: int, of_vehicle: Pieces, of_meter: Pieces) -> tuple[Quarters, Ints]:
    """Both sides' pieces as quarters, ordered by vehicle, quarter and stretch, and each one's stretch (an index).

    `vehicle` and `from_us` are those of the stretches, ordered by both; pieces name a stretch by its place, from 1. Quarters are counted
    from the one that `start_us` lies in.
    """
    first, several = start_us // QUARTER_US, max(1, len(vehicle))
    most = 1 + max((int(p.bucket_us.max()) // QUARTER_US - first for p in (of_vehicle, of_meter) if len(p.bucket_us)), default=0)

    def key(p: Pieces) -> Ints:
        row = p.stretch - 1
        return np.asarray((vehicle[row] * most + p.bucket_us // QUARTER_US - first) * several + row)

    vehicle_key, meter_key = key(of_vehicle), key(of_meter)
    keys = np.union1d(vehicle_key, meter_key)
    dc, ac = np.zeros((len(of_vehicle.did), len(keys)), np.int64), np.zeros((len(of_meter.did), len(keys)), np.int64)
    dc[TEMP_MIN], dc[SOC_MIN:] = NO_TEMP, NO_SOC
    dc[:, np.searchsorted(keys, vehicle_key)] = of_vehicle.did
    ac[:, np.searchsorted(keys, meter_key)] = of_meter.did
    place, row = np.divmod(keys, several)
    number = place % most
    cut_us = np.maximum(0, from_us[row] - (number + first) * QUARTER_US)
    return Quarters(place // most, number, cut_us, dc, ac), row


def evidence(weighed: list[int], meter_ids: tuple[str, ...], group: tuple[str, ...]) -> Evidence:
    """One row of what `weigh` returns, in the words of the rules."""
    (dc, ac, dc_n, ac_n, temp, temps, dc_got, ac_got, dc_due, ac_due, dc_least, ac_least) = weighed[:12]
    charging_s, plain_s, aside_dc, aside_ac, aside, stuck_s, stuck_ac, dc_rhythm, ac_rhythm = weighed[12:21]
    return Evidence(
        Stream(dc, dc_n, dc_got, dc_due, dc_least or None, dc_rhythm),
        Stream(ac, ac_n, ac_got, ac_due, ac_least or None, ac_rhythm),
        meter_ids,
        None if charging_s == _UNKNOWN_S else charging_s,
        dc - aside_dc,
        ac - aside_ac,
        None if plain_s == _UNKNOWN_S else plain_s,
        aside,
        stuck_s,
        stuck_ac,
        temp,
        temps,
        group,
        Apart(*weighed[21:]),
    )
