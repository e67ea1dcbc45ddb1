"""The last days of single devices looked at again: batteries that were hot, and devices that fell silent."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

import numpy as np

from charging.alert_replay import Episode, Look, episodes
from charging.alert_rules import HOT, LEAST_CHANCES, LEAST_RHYTHM_S, STALE_RHYTHMS
from charging.evidence import UNKNOWN_RHYTHM_S
from db.engine import Conn
from db.gathered import Ints, gathered, instant, instant_us, ints, read, texts
from db.queries.pieces import QUARTER, Days
from db.queries.weighing import QUARTER_US
from db.sides import METER, VEHICLE, Side

Both = tuple[list[Episode], list[Episode]]
# A limit that no battery reaches: the rule is switched off.
NEVER_C = 300.0
# Devices that one statement reads: a week of readings of so many vehicles in half a second or so.
_HOT_AT_ONCE = 50
_SILENT_AT_ONCE = 250
_HALF = QUARTER / 2


# --------------------------------------------------------------------------------------------------------------------------- hot


def hot(
    conn: Conn, vehicle_ids: Sequence[str], limits_c: tuple[Sequence[float], Sequence[float]], looked: range
) -> Iterator[tuple[str, Both]]:
    """Vehicles whose battery reached one of its two limits, with the alerts that each would have brought."""
    for begin in range(0, len(vehicle_ids), _HOT_AT_ONCE):
        some = slice(begin, begin + _HOT_AT_ONCE)
        yield from _hot(conn, vehicle_ids[some], (limits_c[0][some], limits_c[1][some]), looked)


def _hot(conn: Conn, ids: Sequence[str], limits_c: tuple[Sequence[float], Sequence[float]], looked: range) -> Iterator[tuple[str, Both]]:
    start, end = instant(looked.start * QUARTER_US), instant(looked.stop * QUARTER_US)
    was, would = ([round(limit * 100) for limit in limits] for limits in limits_c)
    arrays = read(conn, _hot_sql(Days.of(start, end)), {"ids": list(ids), "was": was, "would": would, "start": start, "end": end})
    order = np.lexsort((ints(arrays["q_number"]), ints(arrays["q_n"])))
    n, number, warmest, *often = (ints(arrays[f"q_{name}"])[order] for name in ("n", "number", "warmest", "was", "would"))
    n, number = n - 1, number + instant_us(start) // QUARTER_US
    for vehicle in np.unique(n[(often[0] > 0) | (often[1] > 0)]).tolist():
        rows = np.flatnonzero(n == vehicle)
        found = [
            episodes(_warm(number[rows], limit[vehicle] - warmest[rows], times[rows]), HOT, _HALF, end)
            for limit, times in zip((was, would), often, strict=True)
        ]
        yield ids[vehicle], (found[0], found[1])


def _warm(number: Ints, below: Ints, times: Ints) -> Iterator[Look]:
    """A quarter by its hottest reading, looked at twice: a single hot reading does not last for a minute, a second one does."""
    for quarter, left, hot_readings in zip(number.tolist(), below.tolist(), times.tolist(), strict=True):
        end = instant((quarter + 1) * QUARTER_US)
        margin = (left - 1) / 100
        if hot_readings != 1:
            yield Look(end - _HALF, end - _HALF, margin, "critical")
        yield Look(end, end, margin, "critical")


def _hot_sql(days: Days) -> str:
    return f"""
    WITH given AS (
        SELECT * FROM unnest(%(ids)s::text[], %(was)s::int[], %(would)s::int[]) WITH ORDINALITY AS t(vehicle_id, was_at, would_at, n)
    ), q AS (
        SELECT n, ceil(extract(epoch FROM h.recorded_at - %(start)s) / 900)::int - 1 AS number, max(h.battery_temp_centi_c)::int AS warmest,
               count(*) FILTER (WHERE h.battery_temp_centi_c >= was_at) AS was, count(*) FILTER (WHERE h.battery_temp_centi_c >= would_at) AS would
        FROM given JOIN {VEHICLE.history} h ON h.vehicle_id = given.vehicle_id COLLATE "C"
        WHERE h.recorded_at > %(start)s AND h.recorded_at <= %(end)s AND {days.readings("h.recorded_at")} AND h.battery_temp_centi_c IS NOT NULL
        GROUP BY 1, 2
    ) {gathered(("n", "number", "warmest", "was", "would"), "q")}"""


# ------------------------------------------------------------------------------------------------------------------------ silent


class Patience(NamedTuple):
    """After how many of its rhythms a silent device is an alert, and whether only where it was charging."""

    rhythms: float
    only_while_charging: bool


class _Gap(NamedTuple):
    begins_us: int
    ends_us: int | None  # None: still silent
    charging: bool


def silent(
    conn: Conn, kind: str, ids: Sequence[str], patience: tuple[Mapping[str, Patience], Mapping[str, Patience]], looked: range
) -> Iterator[tuple[str, Both]]:
    """Devices that fell silent for longer than one of both bears, with the alerts that each would have brought.

    By the devices' own clocks, and as it is known now: what was sent late was no silence.
    """
    side = VEHICLE if kind == "vehicle" else METER
    for begin in range(0, len(ids), _SILENT_AT_ONCE):
        some = ids[begin : begin + _SILENT_AT_ONCE]
        for device_id, rhythm_s, gaps in _gaps(conn, side, some, looked):
            was, would = (_alerts(gaps, rhythm_s, one[device_id], looked) if device_id in one else [] for one in patience)
            if was or would:
                yield device_id, (was, would)


def _alerts(gaps: Sequence[_Gap], rhythm_s: int, patience: Patience, looked: range) -> list[Episode]:
    """A device that is back for less than twice what it takes to be stale has not recovered."""
    after_us = round(max(patience.rhythms, STALE_RHYTHMS + LEAST_CHANCES) * rhythm_s * 1_000_000)
    recover = timedelta(seconds=2 * STALE_RHYTHMS * rhythm_s)
    now_us = looked.stop * QUARTER_US
    found: list[Episode] = []
    for gap in gaps:
        lasted_us = (now_us if gap.ends_us is None else gap.ends_us) - gap.begins_us
        if lasted_us < after_us or (patience.only_while_charging and not gap.charging):
            continue
        fired, over = instant(gap.begins_us + after_us), None if gap.ends_us is None else instant(gap.ends_us) + recover
        margin = STALE_RHYTHMS * rhythm_s - lasted_us / 1_000_000
        if found and found[-1].resolved_at and instant(gap.begins_us) < found[-1].resolved_at:
            found[-1] = Episode(found[-1].fired_at, over, "warning", min(margin, found[-1].margin))
        elif instant_us(fired) >= looked.start * QUARTER_US:
            found.append(Episode(fired, over, "warning", margin))
    return found


def _gaps(conn: Conn, side: Side, ids: Sequence[str], looked: range) -> Iterator[tuple[str, int, list[_Gap]]]:
    """Between what a quarter ended with and the next one began with: shorter ones no rule is set to, or within a quarter, are not seen."""
    start, end = instant(looked.start * QUARTER_US), instant(looked.stop * QUARTER_US)
    arrays = read(conn, _silent_sql(side, Days.of(start - QUARTER, end)), {"ids": list(ids), "start": start, "end": end})
    names = np.array(texts(arrays["q_id"]))
    order = np.lexsort((ints(arrays["q_first_at"]), names))
    of = names[order].tolist()
    first, last, charging, rhythm_s = (ints(arrays[f"q_{name}"])[order] for name in ("first_at", "last_at", "charging", "rhythm_s"))
    begins = [n for n in range(len(of)) if n == 0 or of[n] != of[n - 1]]
    for begin, after in zip(begins, [*begins[1:], len(of)], strict=True):
        places = np.flatnonzero(first[begin + 1 : after] - last[begin : after - 1] > STALE_RHYTHMS * LEAST_RHYTHM_S * 1_000_000) + begin
        gaps = [_Gap(int(last[n]), int(first[n + 1]), bool(charging[n])) for n in places.tolist()]
        gaps.append(_Gap(int(last[after - 1]), None, bool(charging[after - 1])))
        yield of[begin], max(int(rhythm_s[begin]), LEAST_RHYTHM_S), gaps


def _silent_sql(side: Side, days: Days) -> str:
    return f"""
    WITH q AS (
        SELECT r.{side.key} AS id, r.first_at, r.last_at, coalesce(r.charging_last_at = r.last_at, false) AS charging,
               coalesce(l.rhythm_s, {UNKNOWN_RHYTHM_S}) AS rhythm_s
        FROM {side.rollup} r JOIN {side.live} l USING ({side.key})
        WHERE r.{side.key} = ANY(%(ids)s) AND r.bucket >= %(start)s AND r.bucket < %(end)s AND {days.buckets("r.bucket")}
    ) {gathered(("id", "first_at", "last_at", "charging", "rhythm_s"), "q")}"""
