"""What is known about a charge is the same whether numpy or one SQL statement works it out, whatever was reported and however it is cut."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import ingest, partitions
from db.ingest import Reading
from db.queries import history, performance
from db.sides import METER, SIDES, VEHICLE, Side
from tests import oracle_performance as oracle

START = datetime(2026, 2, 3, 22, tzinfo=UTC)
MINUTE_US = 60_000_000
VEHICLES, METERS = ("van-1", "van-2", "van-3"), ("depot-1", "depot-2")


@dataclass(frozen=True)
class Case:
    """Readings by side, re-assignments (vehicle, minute or None for always, meter), and a window in seconds after START."""

    vehicles: list[Reading]
    meters: list[Reading]
    assignments: list[tuple[str, int | None, str | None]]
    rhythms: list[tuple[str, int | None]]
    start_s: int
    length_s: int


def _us(minute: int, off_us: int) -> int:
    return int(START.timestamp()) * 1_000_000 + minute * MINUTE_US + off_us


def _stretch(device: str, measures: int) -> st.SearchStrategy[list[Reading]]:
    """Readings every few minutes with one power and one temperature: charging, standing by, frozen, full or cold."""

    def made(first: int, count: int, every: int, off_us: int, energy: int, first_measure: int | None, second: int | None) -> list[Reading]:
        values = (first_measure, second)[:measures]
        return [(device, _us(first + n * every, off_us), energy + n % 3 * bool(energy), *values, None, None) for n in range(count)]  # type: ignore[misc]  # as many measures as the side has

    return st.builds(
        made,
        st.integers(0, 300),
        st.integers(1, 60),
        st.sampled_from((1, 1, 2, 5)),
        st.sampled_from((0, 0, 1, 30_500_000, 59_999_999)),
        st.sampled_from((0, 0, 200, 2_500, 2_501, 60_000, 150_000, 183_333)),
        st.sampled_from((None, 5_000, 9_899, 9_900, 10_000)),
        st.sampled_from((None, -500, 1_199, 1_200, 2_000)),
    )


def _readings(devices: tuple[str, ...], measures: int) -> st.SearchStrategy[list[Reading]]:
    stretches = st.lists(st.sampled_from(devices).flatmap(lambda device: _stretch(device, measures)), max_size=6)
    return stretches.map(lambda many: [reading for one in many for reading in one])


CASES = st.builds(
    Case,
    _readings(VEHICLES, 2),
    _readings(METERS, 1),
    st.lists(
        st.tuples(st.sampled_from(VEHICLES), st.one_of(st.none(), st.integers(-60, 400)), st.sampled_from((None, *METERS, *METERS))),
        max_size=6,
    ),
    st.lists(st.tuples(st.sampled_from((*VEHICLES, *METERS)), st.sampled_from((None, 1, 7, 60, 300, 3_600))), max_size=3),
    st.one_of(st.integers(-3_600, 20_000), st.integers(-4, 20).map(lambda quarters: quarters * 900)),
    st.one_of(st.integers(1, 30_000), st.integers(1, 30).map(lambda quarters: quarters * 900)),
)


def store(conn: Any, case: Case) -> None:
    """The case in a database without readings."""
    conn.execute(f"TRUNCATE {', '.join(t for s in SIDES for t in (s.history, s.live, s.rollup))}, assignment")
    for side, readings in ((VEHICLE, case.vehicles), (METER, case.meters)):
        ingest.store(conn, side, readings, START)
    for vehicle_id, minute, meter_id in case.assignments:
        conn.execute(
            "INSERT INTO assignment VALUES (%s, coalesce(%s, '-infinity'::timestamptz), %s) ON CONFLICT DO NOTHING",
            (vehicle_id, None if minute is None else START + timedelta(minutes=minute, microseconds=7), meter_id),
        )
    for device, rhythm_s in case.rhythms:
        of: Side = VEHICLE if device in VEHICLES else METER
        conn.execute(f"UPDATE {of.live} SET rhythm_s = %s WHERE {of.key} = %s", (rhythm_s, device))


@pytest.mark.slow
def test_numpy_and_sql_work_out_the_same_evidence_whatever_was_reported(database_url: str) -> None:
    with psycopg.connect(database_url, options="-c TimeZone=UTC -c jit=off") as conn:
        partitions.ensure(conn, [date(2026, 2, 3), date(2026, 2, 4)], START)
        conn.commit()

        @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(CASES)
        def holds(case: Case) -> None:
            store(conn, case)
            start = START + timedelta(seconds=case.start_s)
            end = start + timedelta(seconds=case.length_s)
            assert performance.evidence(conn, start, end) == oracle.evidence(conn, start, end)
            assert performance.evidence(conn, start, end, ["van-2", "nobody"]) == oracle.evidence(conn, start, end, ["van-2", "nobody"])
            for bin_s in (900, 3_600):
                ours = [(at, replace(one.evidence, group=())) for at, one in performance.bins(conn, "van-1", start, end, bin_s)]
                assert ours == [(at, replace(one, group=())) for at, one in oracle.bins(conn, "van-1", start, end, bin_s)]
            conn.rollback()

        holds()


def test_buckets_cut_by_a_range_hold_what_lies_in_it(database_url: str) -> None:
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        partitions.ensure(conn, [date(2026, 2, 3), date(2026, 2, 4)], START)
        ingest.store(conn, VEHICLE, [("van-1", _us(n, 30_000_000), 1_000 + n, 5_000, 2_000, None, None) for n in range(240)], START)
        conn.commit()  # reading raw ends its transactions
        for start_s, length_s in ((0, 14_400), (77, 5_000), (900, 900), (1_000, 100), (6_000, 3_000), (7_170, 60)):
            start = START + timedelta(seconds=start_s)
            raw = history.vehicle_points(conn, "van-1", start, start + timedelta(seconds=length_s), "raw")
            for bucket in ("15m", "1h", "1d"):
                points = history.vehicle_points(conn, "van-1", start, start + timedelta(seconds=length_s), bucket)
                assert sum(p.readings for p in points) == len(raw)
                assert round(sum(p.kwh_delivered_dc for p in points), 6) == round(sum(p.kwh_delivered_dc for p in raw), 6)
