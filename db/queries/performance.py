"""Evidence of charging for one vehicle or many, over any window, in one round trip: SQL brings the pieces, `db.queries.weighing` works out the rest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import numpy as np

from charging.evidence import UNKNOWN_RHYTHM_S, Evidence
from charging.verdict import Summary, Thresholds, summarise
from db.arrays import texts as text_array
from db.engine import Conn
from db.gathered import Ints, gathered, instant, instant_us, ints, read, texts
from db.queries.pieces import QUARTER, Days, Pieces, gathered_pieces, pieces, pieces_sql
from db.queries.weighing import AC_FIELDS, DC_FIELDS, NO_SOC, NO_TEMP, QUARTER_US, SOC_MIN, TEMP_MIN, Quarters, Rhythms, weigh
from db.queries.weighing import evidence as in_words
from db.sides import METER, VEHICLE

# Vehicles read by one statement: enough to forget the round trip, few enough for memory and for the statement timeout.
_CHUNK = 1_000


def summaries(
    conn: Conn, start: datetime, end: datetime, vehicle_ids: Sequence[str] | None = None, thresholds: Thresholds = Thresholds()
) -> dict[str, Summary]:
    """Judged evidence over (start, end] by vehicle id; all vehicles where none is named. Vehicles on a shared meter are judged as its group."""
    found = evidence(conn, start, end, vehicle_ids)
    missing = {mate for one in found.values() for mate in one.group} - found.keys()
    return judged(found, {**found, **(evidence(conn, start, end, sorted(missing)) if missing else {})}, thresholds)


def judged(wanted: Iterable[str], known: dict[str, Evidence], thresholds: Thresholds) -> dict[str, Summary]:
    """The summaries of the wanted vehicles; `known` holds their evidence and that of everyone on their meters."""
    evidence_of = ((vehicle_id, known[vehicle_id]) for vehicle_id in wanted)
    return {
        vehicle_id: summarise(one, thresholds, [known[mate] for mate in one.group] if one.group else None)
        for vehicle_id, one in evidence_of
    }


def bins(
    conn: Conn, vehicle_id: str, start: datetime, end: datetime, bin_s: int = 3600, thresholds: Thresholds = Thresholds()
) -> list[tuple[datetime, Summary]]:
    """Judged evidence per bin of `bin_s` seconds (whole quarters), each named by its beginning; bins without any reading are absent."""
    stretches, vehicle, meter = _read(conn, start, end, [vehicle_id])
    quarters = _quarters(stretches, vehicle, meter)
    bin_us = (quarters.number + instant_us(start) // QUARTER_US) * QUARTER_US // (bin_s * 1_000_000) * (bin_s * 1_000_000)
    begins, group = np.unique(bin_us, return_inverse=True)
    weighed = weigh(quarters, stretches.rhythms, group, np.zeros(len(begins), np.int64))
    ids, mates = stretches.meter_ids(), stretches.mates()
    return [
        (instant(at), summarise(in_words(row, ids[0], mates[0]), thresholds))
        for at, row in zip(begins.tolist(), weighed.tolist(), strict=True)
    ]


def evidence(conn: Conn, start: datetime, end: datetime, vehicle_ids: Sequence[str] | None = None) -> dict[str, Evidence]:
    """Evidence over (start, end] by vehicle id: every vehicle ever heard of or assigned, or the named ones of these."""
    wanted = known_vehicles(conn) if vehicle_ids is None else sorted(vehicle_ids)
    found: dict[str, Evidence] = {}
    for n in range(0, len(wanted), _CHUNK):
        found |= _evidence(conn, start, end, wanted[n : n + _CHUNK])
    return found


def known_vehicles(conn: Conn) -> list[str]:
    """The ids of every vehicle ever heard of or assigned, in order."""
    rows = conn.execute("SELECT vehicle_id FROM live_vehicle UNION SELECT vehicle_id FROM assignment").fetchall()
    return sorted(str(row[0]) for row in rows)


def _evidence(conn: Conn, start: datetime, end: datetime, vehicle_ids: Sequence[str]) -> dict[str, Evidence]:
    stretches, vehicle, meter = _read(conn, start, end, vehicle_ids)
    weighed = weigh(_quarters(stretches, vehicle, meter), stretches.rhythms).tolist()
    return {
        vehicle_id: in_words(row, meters, mates)
        for vehicle_id, row, meters, mates in zip(stretches.ids, weighed, stretches.meter_ids(), stretches.mates(), strict=True)
    }


@dataclass(frozen=True, slots=True)
class _Stretches:
    """Assignments within the window, ordered by vehicle and time; a vehicle without any has one of the whole window and no meter ("").

    `vehicle` is an index into `ids`; `start_us` is the window's beginning. `concerned`: every stretch (vehicle, meter, from, to) of
    every vehicle that was ever on one of these meters, to find who shared one.
    """

    start_us: int
    ids: list[str]
    vehicle: Ints
    meters: list[str]
    from_us: Ints
    to_us: Ints
    rhythms: Rhythms
    concerned: list[tuple[str, str, int, int]]

    def meter_ids(self) -> list[tuple[str, ...]]:
        """By vehicle: the meters it was on, ordered."""
        found: list[set[str]] = [set() for _ in self.ids]
        for vehicle, meter in zip(self.vehicle.tolist(), self.meters, strict=True):
            if meter:
                found[vehicle].add(meter)
        return [tuple(sorted(meters)) for meters in found]

    def mates(self) -> list[tuple[str, ...]]:
        """By vehicle: who was on one of its meters at the same time, after itself; empty where nobody else was."""
        by_meter: dict[str, list[tuple[str, int, int]]] = {}
        for vehicle_id, meter, since, until in self.concerned:
            by_meter.setdefault(meter, []).append((vehicle_id, since, until))
        found: list[set[str]] = [set() for _ in self.ids]
        for vehicle, meter, since, until in zip(
            self.vehicle.tolist(), self.meters, self.from_us.tolist(), self.to_us.tolist(), strict=True
        ):
            found[vehicle].update(mate for mate, begin, end in by_meter.get(meter, ()) if begin < until and since < end)
        return [(own, *sorted(mates - {own})) if mates - {own} else () for own, mates in zip(self.ids, found, strict=True)]


def _read(conn: Conn, start: datetime, end: datetime, vehicle_ids: Sequence[str]) -> tuple[_Stretches, Pieces, Pieces]:
    parameters = {"ids": text_array(list(vehicle_ids)), "start": start, "end": end}
    arrays = read(conn, _sql(Days.of(start - QUARTER, end)), parameters, prepare=True)
    return _stretches(arrays, instant_us(start)), pieces(VEHICLE, arrays), pieces(METER, arrays)


def _stretches(arrays: dict[str, bytes | None], start_us: int) -> _Stretches:
    order = np.argsort(ints(arrays["stretch_n"]))
    of_row, meters = texts(arrays["stretch_vehicle_id"]), texts(arrays["stretch_meter_id"])
    ordered = [of_row[n] for n in order]
    ids = list(dict.fromkeys(ordered))
    index = {vehicle_id: n for n, vehicle_id in enumerate(ids)}
    vehicle = np.array([index[vehicle_id] for vehicle_id in ordered], np.int64)
    ac_s = np.zeros(len(ids), np.int64)
    np.maximum.at(ac_s, vehicle, ints(arrays["stretch_ac_rhythm_s"])[order])
    dc_s = np.zeros(len(ids), np.int64)
    dc_s[vehicle] = ints(arrays["stretch_dc_rhythm_s"])[order]
    return _Stretches(
        start_us=start_us,
        ids=ids,
        vehicle=vehicle,
        meters=[meters[n] for n in order],
        from_us=ints(arrays["stretch_span_from"])[order],
        to_us=ints(arrays["stretch_span_to"])[order],
        rhythms=Rhythms(dc_s, np.where(ac_s > 0, ac_s, UNKNOWN_RHYTHM_S)),
        concerned=list(
            zip(
                texts(arrays["assigned_vehicle_id"]),
                texts(arrays["assigned_meter_id"]),
                ints(arrays["assigned_span_from"]).tolist(),
                ints(arrays["assigned_span_to"]).tolist(),
                strict=True,
            )
        ),
    )


def _quarters(stretches: _Stretches, vehicle: Pieces, meter: Pieces) -> Quarters:
    """Both sides' pieces side by side, ordered by vehicle, quarter and stretch."""
    first = stretches.start_us // QUARTER_US
    several = len(stretches.vehicle)
    most = 1 + max((int(p.bucket_us.max()) // QUARTER_US - first for p in (vehicle, meter) if len(p.bucket_us)), default=0)

    def key(p: Pieces) -> Ints:
        row = p.stretch - 1
        return np.asarray((stretches.vehicle[row] * most + p.bucket_us // QUARTER_US - first) * several + row)

    vehicle_key, meter_key = key(vehicle), key(meter)
    keys = np.union1d(vehicle_key, meter_key)
    dc, ac = np.zeros((len(DC_FIELDS), len(keys)), np.int64), np.zeros((len(AC_FIELDS), len(keys)), np.int64)
    dc[TEMP_MIN], dc[SOC_MIN] = NO_TEMP, NO_SOC
    dc[:, np.searchsorted(keys, vehicle_key)] = vehicle.did
    ac[:, np.searchsorted(keys, meter_key)] = meter.did
    place, row = np.divmod(keys, max(1, several))
    number = place % most
    cut_us = np.maximum(0, stretches.from_us[row] - (number + first) * QUARTER_US)
    return Quarters(place // most, number, cut_us, dc, ac)


_STRETCH = ("n", "vehicle_id", "meter_id", "span_from", "span_to", "dc_rhythm_s", "ac_rhythm_s")
_ASSIGNED = ("vehicle_id", "meter_id", "span_from", "span_to")


@lru_cache(maxsize=64)
def _sql(days: Days) -> str:
    """One row: the stretches, who else was ever on their meters, and both sides' pieces, each gathered into arrays."""
    return f"""
    WITH concerned AS (
        SELECT vehicle_id FROM assignment WHERE vehicle_id = ANY(%(ids)s)
        UNION
        SELECT o.vehicle_id FROM assignment a JOIN assignment o USING (meter_id) WHERE a.vehicle_id = ANY(%(ids)s)
    ), timeline AS (
        SELECT vehicle_id, meter_id, valid_from, lead(valid_from) OVER (PARTITION BY vehicle_id ORDER BY valid_from) AS valid_to
        FROM assignment WHERE vehicle_id IN (SELECT vehicle_id FROM concerned)
    ), assigned AS (
        SELECT vehicle_id, meter_id, greatest(valid_from, %(start)s) AS span_from, least(valid_to, %(end)s) AS span_to FROM timeline
        WHERE meter_id IS NOT NULL AND valid_from < %(end)s AND (valid_to IS NULL OR valid_to > %(start)s)
    ), live AS (
        SELECT vehicle_id, coalesce(rhythm_s, {UNKNOWN_RHYTHM_S}) AS rhythm_s FROM live_vehicle WHERE vehicle_id = ANY(%(ids)s)
    ), known AS (
        SELECT vehicle_id FROM live UNION SELECT vehicle_id FROM assignment WHERE vehicle_id = ANY(%(ids)s)
    ), stretch AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY known.vehicle_id, a.span_from) AS n, known.vehicle_id, coalesce(a.meter_id, '') AS meter_id,
               coalesce(a.span_from, %(start)s) AS span_from, coalesce(a.span_to, %(end)s) AS span_to,
               coalesce(live.rhythm_s, {UNKNOWN_RHYTHM_S}) AS dc_rhythm_s, coalesce(live_meter.rhythm_s, 0) AS ac_rhythm_s
        FROM known LEFT JOIN live USING (vehicle_id) LEFT JOIN assigned a USING (vehicle_id) LEFT JOIN live_meter USING (meter_id)
    ), of_vehicle AS (
        SELECT n, vehicle_id AS device_id, span_from, span_to FROM stretch
    ), of_meter AS (
        SELECT n, meter_id AS device_id, span_from, span_to FROM stretch WHERE meter_id <> ''
    ), {pieces_sql(VEHICLE, days, "of_vehicle")}, {pieces_sql(METER, days, "of_meter")}
    SELECT * FROM ({gathered(_STRETCH, "stretch")}) s, ({gathered(_ASSIGNED, "assigned")}) a,
         ({gathered_pieces(VEHICLE)}) v, ({gathered_pieces(METER)}) m"""
