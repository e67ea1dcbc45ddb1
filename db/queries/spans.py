"""What happened in given stretches of given vehicles and meters, whoever was assigned to what: the pieces of sessions, groups and pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from charging.evidence import UNKNOWN_RHYTHM_S, Evidence
from charging.feeds import Feed
from db.arrays import texts as text_array
from db.arrays import timestamps
from db.engine import Conn
from db.gathered import Ints, gathered, instant, ints, read
from db.queries.pieces import QUARTER, Days, gathered_pieces, pieces, pieces_sql
from db.queries.weighing import QUARTER_US, Quarters, Rhythms, side_by_side, weigh
from db.queries.weighing import evidence as in_words
from db.sides import METER, VEHICLE

_US_1970_TO_2000 = 946_684_800_000_000
# Quarters of spans that one statement reads: a fraction of a second and few megabytes. More is not faster: with 200,000 a week of a
# thousand vehicles took as long, but one statement on a busy machine 5 s, which is when it is ended, and the process 160 MB more, not 20.
QUARTERS_AT_ONCE = 25_000


class Span(NamedTuple):
    """(since, until] in µs since 2000 of a vehicle and a meter ("": none) that counts for the case of this number."""

    case: int
    vehicle_id: str
    meter_id: str
    since_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class Happened:
    """`quarters.vehicle` is the case, quarters are counted from `first_quarter` (since 2000); `rhythms` by case."""

    quarters: Quarters
    rhythms: Rhythms
    first_quarter: int


def in_portions(stretches: Sequence[Feed]) -> Iterator[list[Feed]]:
    """As many stretches as one statement may read; a single one is never cut."""
    portion: list[Feed] = []
    quarters = 0
    for feed in stretches:
        size = ((feed.until_us - feed.since_us) // QUARTER_US + 2) * max(1, len(feed.vehicle_ids))
        if portion and quarters + size > QUARTERS_AT_ONCE:
            yield portion
            portion, quarters = [], 0
        portion.append(feed)
        quarters += size
    if portion:
        yield portion


def happened(conn: Conn, spans: Sequence[Span], cases: int) -> Happened:
    """Both sides in these spans, of which there must be one; every case from 0 on has at least one."""
    ordered = sorted(spans, key=lambda span: (span.case, span.since_us))
    since, until = np.array([s.since_us for s in ordered]), np.array([s.until_us for s in ordered])
    start_us, end_us = int(since.min()), int(until.max())
    parameters = {
        "vehicles": text_array([s.vehicle_id for s in ordered]),
        "meters": text_array([s.meter_id for s in ordered]),
        "since": timestamps(since + _US_1970_TO_2000),
        "until": timestamps(until + _US_1970_TO_2000),
    }
    arrays = read(conn, _sql(Days.of(instant(start_us) - QUARTER, instant(end_us))), parameters)
    case = np.array([s.case for s in ordered])
    of_vehicle, of_meter = pieces(VEHICLE, arrays, with_soc_max=True), pieces(METER, arrays)
    quarters, _ = side_by_side(case, since, start_us, of_vehicle, of_meter)
    return Happened(quarters, _rhythms(arrays, case, cases), start_us // QUARTER_US)


def _rhythms(arrays: dict[str, bytes | None], case: Ints, cases: int) -> Rhythms:
    of_span = case[ints(arrays["rhythm_n"]) - 1]
    most = []
    for name in ("dc_s", "ac_s", "dc_step", "ac_step"):
        found = np.zeros(cases, np.int64)
        np.maximum.at(found, of_span, ints(arrays[f"rhythm_{name}"]))
        most.append(found)
    dc_s, ac_s = (np.where(found > 0, found, UNKNOWN_RHYTHM_S) for found in most[:2])
    return Rhythms(dc_s, ac_s, most[2], most[3])


def evidence(conn: Conn, spans: Sequence[Span], cases: int) -> list[Evidence]:
    """The evidence of each case from 0 on, all its spans together."""
    if not spans:
        return []
    found = happened(conn, spans, cases)
    meters: list[set[str]] = [set() for _ in range(cases)]
    for span in spans:
        meters[span.case].update({span.meter_id} - {""})
    rows = weigh(found.quarters, found.rhythms).tolist()
    return [in_words(row, tuple(sorted(on)), ()) for row, on in zip(rows, meters, strict=True)]


def evidence_of_many(conn: Conn, spans: Sequence[Span], cases: int) -> list[Evidence]:
    """The same by several statements, each of as many cases as it may read; spans are ordered by case."""
    found: list[Evidence] = []
    some: list[Span] = []
    quarters = 0
    for n, span in enumerate(spans):
        some.append(span._replace(case=span.case - len(found)))
        quarters += (span.until_us - span.since_us) // QUARTER_US + 2
        if quarters > QUARTERS_AT_ONCE and n + 1 < len(spans) and spans[n + 1].case > span.case:
            found += evidence(conn, some, some[-1].case + 1)
            some, quarters = [], 0
    return found + evidence(conn, some, cases - len(found))


@lru_cache(maxsize=64)
def _sql(days: Days) -> str:
    return f"""
    WITH span AS MATERIALIZED (
        SELECT n, vehicle_id COLLATE "C" AS vehicle_id, meter_id COLLATE "C" AS meter_id, span_from, span_to
        FROM unnest(%(vehicles)s, %(meters)s, %(since)s, %(until)s) WITH ORDINALITY AS t(vehicle_id, meter_id, span_from, span_to, n)
    ), rhythm AS (
        SELECT n, coalesce(v.rhythm_s, 0) AS dc_s, coalesce(m.rhythm_s, 0) AS ac_s, coalesce(v.step_milliwh, 0) AS dc_step, coalesce(m.step_milliwh, 0) AS ac_step
        FROM span LEFT JOIN live_vehicle v USING (vehicle_id) LEFT JOIN live_meter m USING (meter_id)
    ), of_vehicle AS (
        SELECT n, vehicle_id AS device_id, span_from, span_to FROM span WHERE vehicle_id <> ''
    ), of_meter AS (
        SELECT n, meter_id AS device_id, span_from, span_to FROM span WHERE meter_id <> ''
    ), {pieces_sql(VEHICLE, days, "of_vehicle", with_soc_max=True)}, {pieces_sql(METER, days, "of_meter")}
    SELECT * FROM ({gathered(("n", "dc_s", "ac_s", "dc_step", "ac_step"), "rhythm")}) r, ({gathered_pieces(VEHICLE, with_soc_max=True)}) v, ({gathered_pieces(METER)}) m"""
