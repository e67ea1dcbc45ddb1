"""Evidence of charging for one vehicle or many, over any window, in one round trip: SQL brings the pieces, `db.queries.weighing` works out the rest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from charging.evidence import UNKNOWN_RHYTHM_S, Evidence
from charging.policy import Policy
from charging.verdict import Summary
from db.arrays import texts as text_array
from db.engine import Conn
from db.gathered import Ints, gathered, instant, instant_us, ints, read, texts
from db.queries.pieces import QUARTER, Days, gathered_pieces, pieces, pieces_sql
from db.queries.policies import Policies
from db.queries.spans import Span, happened
from db.queries.spans import evidence_of_many as evidence_of
from db.queries.weighing import QUARTER_US, Pieces, Quarters, Rhythms, side_by_side, weigh
from db.queries.weighing import evidence as in_words
from db.sides import METER, VEHICLE

# Vehicles read by one statement: enough to forget the round trip, few enough for memory and for the statement timeout, also on a machine
# that is busy and has not read these days for long. With 1,000 it takes as long in all, and four times as long at a time.
_CHUNK = 250


def summaries(
    conn: Conn, start: datetime, end: datetime, vehicle_ids: Sequence[str] | None = None, policies: Policies | None = None
) -> dict[str, Summary]:
    """Judged evidence over (start, end] by vehicle id; all vehicles where none is named. Vehicles on a shared meter are judged as its group."""
    found: dict[str, Summary] = {}
    for some in stream(conn, start, end, policies, vehicle_ids):
        found |= some
    return found


def stream(
    conn: Conn, start: datetime, end: datetime, policies: Policies | None = None, vehicle_ids: Sequence[str] | None = None
) -> Iterator[dict[str, Summary]]:
    """The same, ordered by id, a chunk of vehicles at a time: as many as one statement reads, fewer the longer the window is."""
    for found, version in _chunks(conn, start, end, vehicle_ids):
        policy = policies.at(conn, version) if policies else Policy()
        groups = _groups(conn, {vehicle_id: one for vehicle_id, one in found.items() if one.evidence.group})
        yield {vehicle_id: judged(vehicle_id, one.evidence, policy, groups.get(vehicle_id)) for vehicle_id, one in found.items()}


def judged(vehicle_id: str, one: Evidence, policy: Policy, group: list[Evidence] | None = None) -> Summary:
    """The summary of a vehicle's evidence; `group`: that of everyone on its shared meter, its own first."""
    return policy.judge(vehicle_id, one, group)


def bins(
    conn: Conn, vehicle_id: str, start: datetime, end: datetime, bin_s: int = 3600, policies: Policies | None = None
) -> list[tuple[datetime, Summary]]:
    """Judged evidence per bin of `bin_s` seconds (whole quarters), each named by its beginning; bins without any reading are absent."""
    stretches, vehicle, meter = _read(conn, start, end, [vehicle_id])
    policy = policies.at(conn, stretches.version) if policies else Policy()
    quarters, _ = side_by_side(stretches.vehicle, stretches.from_us, stretches.start_us, vehicle, meter)
    own = _per_bin(quarters, stretches.rhythms, stretches.start_us // QUARTER_US, bin_s * 1_000_000, stretches.meter_ids())
    shared = _shared_bins(conn, stretches.shared().get(vehicle_id, []), own, bin_s * 1_000_000)
    return [(instant(at), judged(vehicle_id, *_with_group(vehicle_id, one, policy, shared.get(at)))) for at, one in own.items()]


def _with_group(
    vehicle_id: str, own: Evidence, policy: Policy, mates: dict[str, Evidence] | None
) -> tuple[Evidence, Policy, list[Evidence] | None]:
    if not mates:
        return own, policy, None
    return replace(own, group=(vehicle_id, *sorted(mates))), policy, [own, *mates.values()]


def _per_bin(
    quarters: Quarters, rhythms: Rhythms, first_quarter: int, bin_us: int, meter_ids: list[tuple[str, ...]]
) -> dict[int, Evidence]:
    """The evidence of the one vehicle by bin (its beginning, µs since 2000)."""
    begins, group = np.unique((quarters.number + first_quarter) * QUARTER_US // bin_us * bin_us, return_inverse=True)
    weighed = weigh(quarters, rhythms, group, np.zeros(len(begins), np.int64))
    return {at: in_words(row, meter_ids[0], ()) for at, row in zip(begins.tolist(), weighed.tolist(), strict=True)}


def _shared_bins(conn: Conn, shared: list[Span], own: dict[int, Evidence], bin_us: int) -> dict[int, dict[str, Evidence]]:
    """By bin: what each other did on the vehicle's meters while it shared them."""
    found: dict[int, dict[str, Evidence]] = {}
    for mate in sorted({span.vehicle_id for span in shared}):
        spans = [span for span in shared if span.vehicle_id == mate]
        what = happened(conn, spans, 1)
        did = _per_bin(what.quarters, what.rhythms, what.first_quarter, bin_us, [()])
        for at in own:
            if any(span.since_us < at + bin_us and at < span.until_us for span in spans):
                found.setdefault(at, {})[mate] = did.get(at, Evidence())
    return found


def evidence(conn: Conn, start: datetime, end: datetime, vehicle_ids: Sequence[str] | None = None) -> dict[str, Evidence]:
    """Evidence over (start, end] by vehicle id: every vehicle ever heard of or assigned, or the named ones of these."""
    return {vehicle_id: one.evidence for found, _ in _chunks(conn, start, end, vehicle_ids) for vehicle_id, one in found.items()}


class _Found(NamedTuple):
    """A vehicle's evidence, and the stretches of others in which they shared its meter (their case is not set)."""

    evidence: Evidence
    shared: list[Span]


def _chunks(conn: Conn, start: datetime, end: datetime, vehicle_ids: Sequence[str] | None) -> Iterator[tuple[dict[str, _Found], int]]:
    """Some vehicles by id, and the version of what is expected."""
    wanted = known_vehicles(conn) if vehicle_ids is None else sorted(vehicle_ids)
    # Longer windows of as many vehicles would not fit a statement's time and memory.
    several = max(1, min(_CHUNK, int(_CHUNK * timedelta(days=2) / max(end - start, QUARTER))))
    for n in range(0, len(wanted), several):
        stretches, vehicle, meter = _read(conn, start, end, wanted[n : n + several])
        yield _of_chunk(stretches, vehicle, meter), stretches.version


def _of_chunk(stretches: "_Stretches", vehicle: Pieces, meter: Pieces) -> dict[str, _Found]:
    quarters, _ = side_by_side(stretches.vehicle, stretches.from_us, stretches.start_us, vehicle, meter)
    weighed = weigh(quarters, stretches.rhythms).tolist()
    shared = stretches.shared()
    return {
        vehicle_id: _Found(in_words(row, meters, mates), shared.get(vehicle_id, []))
        for vehicle_id, row, meters, mates in zip(stretches.ids, weighed, stretches.meter_ids(), stretches.mates(), strict=True)
    }


def _groups(conn: Conn, shared: dict[str, _Found]) -> dict[str, list[Evidence]]:
    """By vehicle on a shared meter: its own evidence, and that of each other for the time in which they shared one."""
    case_of: dict[tuple[Span, ...], int] = {}  # in a depot with one meter all see the same of each other: read once
    seen: dict[str, list[int]] = {}
    for vehicle_id, one in shared.items():
        by_mate: dict[str, list[Span]] = {}
        for span in one.shared:
            by_mate.setdefault(span.vehicle_id, []).append(span)
        seen[vehicle_id] = [case_of.setdefault(tuple(sorted(by_mate[mate])), len(case_of)) for mate in one.evidence.group[1:]]
    spans = [span._replace(case=case) for stretches, case in case_of.items() for span in stretches]
    mates = evidence_of(conn, spans, len(case_of))
    return {vehicle_id: [one.evidence, *(mates[case] for case in seen[vehicle_id])] for vehicle_id, one in shared.items()}


def known_vehicles(conn: Conn) -> list[str]:
    """The ids of every vehicle ever heard of or assigned, in order."""
    rows = conn.execute("SELECT vehicle_id FROM live_vehicle UNION SELECT vehicle_id FROM assignment").fetchall()
    return sorted(str(row[0]) for row in rows)


@dataclass(frozen=True, slots=True)
class _Stretches:
    """Assignments within the window, ordered by vehicle and time; a vehicle without any has one of the whole window and no meter ("").

    `vehicle` is an index into `ids`; `start_us` is the window's beginning. `concerned`: every stretch (vehicle, meter, from, to) of
    every vehicle that was ever on one of these meters, to find who shared one. `version` is that of what is expected.
    """

    start_us: int
    ids: list[str]
    vehicle: Ints
    meters: list[str]
    from_us: Ints
    to_us: Ints
    rhythms: Rhythms
    concerned: list[tuple[str, str, int, int]]
    version: int

    def meter_ids(self) -> list[tuple[str, ...]]:
        """By vehicle: the meters it was on, ordered."""
        found: list[set[str]] = [set() for _ in self.ids]
        for vehicle, meter in zip(self.vehicle.tolist(), self.meters, strict=True):
            if meter:
                found[vehicle].add(meter)
        return [tuple(sorted(meters)) for meters in found]

    def mates(self) -> list[tuple[str, ...]]:
        """By vehicle: who was on one of its meters at the same time, after itself; empty where nobody else was."""
        shared = self.shared()
        return [(own, *sorted({span.vehicle_id for span in shared[own]})) if own in shared else () for own in self.ids]

    def shared(self) -> dict[str, list[Span]]:
        """By vehicle that shared a meter: each stretch in which another was on its meter too (of the case 0)."""
        by_meter: dict[str, list[tuple[str, int, int]]] = {}
        for vehicle_id, meter, since, until in self.concerned:
            by_meter.setdefault(meter, []).append((vehicle_id, since, until))
        found: dict[str, list[Span]] = {}
        for vehicle, meter, since, until in zip(
            self.vehicle.tolist(), self.meters, self.from_us.tolist(), self.to_us.tolist(), strict=True
        ):
            own = self.ids[vehicle]
            for mate, begin, end in by_meter.get(meter, ()):
                if mate != own and begin < until and since < end:
                    found.setdefault(own, []).append(Span(0, mate, meter, max(begin, since), min(end, until)))
        return found


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
    dc_step, ac_step = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
    dc_step[vehicle] = ints(arrays["stretch_dc_step"])[order]
    np.maximum.at(ac_step, vehicle, ints(arrays["stretch_ac_step"])[order])  # of several meters the coarsest
    return _Stretches(
        start_us=start_us,
        ids=ids,
        vehicle=vehicle,
        meters=[meters[n] for n in order],
        from_us=ints(arrays["stretch_span_from"])[order],
        to_us=ints(arrays["stretch_span_to"])[order],
        rhythms=Rhythms(dc_s, np.where(ac_s > 0, ac_s, UNKNOWN_RHYTHM_S), dc_step, ac_step),
        concerned=list(
            zip(
                texts(arrays["assigned_vehicle_id"]),
                texts(arrays["assigned_meter_id"]),
                ints(arrays["assigned_span_from"]).tolist(),
                ints(arrays["assigned_span_to"]).tolist(),
                strict=True,
            )
        ),
        version=int(ints(arrays["expectation_version"])[0]),
    )


_STRETCH = ("n", "vehicle_id", "meter_id", "span_from", "span_to", "dc_rhythm_s", "ac_rhythm_s", "dc_step", "ac_step")
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
        SELECT vehicle_id, coalesce(rhythm_s, {UNKNOWN_RHYTHM_S}) AS rhythm_s, step_milliwh FROM live_vehicle WHERE vehicle_id = ANY(%(ids)s)
    ), known AS (
        SELECT vehicle_id FROM live UNION SELECT vehicle_id FROM assignment WHERE vehicle_id = ANY(%(ids)s)
    ), stretch AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY known.vehicle_id, a.span_from) AS n, known.vehicle_id, coalesce(a.meter_id, '') AS meter_id,
               coalesce(a.span_from, %(start)s) AS span_from, coalesce(a.span_to, %(end)s) AS span_to,
               coalesce(live.rhythm_s, {UNKNOWN_RHYTHM_S}) AS dc_rhythm_s, coalesce(live_meter.rhythm_s, 0) AS ac_rhythm_s,
               coalesce(live.step_milliwh, 0) AS dc_step, coalesce(live_meter.step_milliwh, 0) AS ac_step
        FROM known LEFT JOIN live USING (vehicle_id) LEFT JOIN assigned a USING (vehicle_id) LEFT JOIN live_meter USING (meter_id)
    ), of_vehicle AS (
        SELECT n, vehicle_id AS device_id, span_from, span_to FROM stretch
    ), of_meter AS (
        SELECT n, meter_id AS device_id, span_from, span_to FROM stretch WHERE meter_id <> ''
    ), expectation AS (
        SELECT version FROM expectation_version
    ), {pieces_sql(VEHICLE, days, "of_vehicle")}, {pieces_sql(METER, days, "of_meter")}
    SELECT * FROM ({gathered(("version",), "expectation")}) e, ({gathered(_STRETCH, "stretch")}) s, ({gathered(_ASSIGNED, "assigned")}) a,
         ({gathered_pieces(VEHICLE)}) v, ({gathered_pieces(METER)}) m"""
