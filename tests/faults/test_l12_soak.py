"""L12, L13: many readings with people looking on, and alerts judged for a large fleet meanwhile. Nothing grows, nothing is lost."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import pytest

from proof.ledger import ACKS_PER_S, Ledger
from proof.load import Plan
from tests.faults.crowds import Viewers
from tests.faults.installation import PROJECT, Installation, wait_until
from tests.faults.load import fleet, sending, singles
from tests.faults.running import concluded, scaled
from tests.faults.test_l01_load import queue_is_empty, took, wrongly_refused
from tests.faults.watching import Sample, Watch, watching

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(3600)]

# 10,000,000 takes minutes and some 5 GB of disk: ask for it where there are both.
READINGS = int(os.environ.get("FAULTS_SOAK_READINGS", "400000"))
DEVICES, PER_REQUEST = 20_000, 1_000
MOST_CONNECTIONS = 24  # of ours in PostgreSQL, all pools full
VEHICLES = 20_000
EVALUATION_S = 60.0  # between two


@dataclass
class Exports:
    """A history and a summary of the fleet, again and again, as somebody's nightly program asks for them."""

    there: Installation
    vehicle: str
    done: int = 0
    busy: int = 0
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._stop.wait(1.0):
            for path in (f"/v1/vehicles/{self.vehicle}/history?bucket=raw", "/v1/reports/summaries?format=csv"):
                said = self.there.get(path, timeout_s=120)
                self.done += said.status_code == 200
                self.busy += said.status_code == 503
                if said.status_code not in (200, 503):
                    self.failures.append(f"{path}: {said.status_code} {said.text[:200]}")

    @contextlib.contextmanager
    def asked_for(self) -> Iterator["Exports"]:
        """While in this context."""
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join(130)


def test_l12_nothing_grows_however_many_readings_come(there: Installation) -> None:
    each = -(-READINGS // DEVICES)
    devices = fleet(hours_back=each / 60 + 1, step_ms=60_000)
    plan = Plan(there.url, devices, DEVICES, 0, PER_REQUEST, each=each, seconds=3000, key=there.key)
    viewers, exports = Viewers(there.url, 50, 5.0), Exports(there, devices.id_of(0))
    with watching(there) as watch, viewers.looking(), exports.asked_for():
        began = time.monotonic()
        with sending(plan) as load:
            ledger = load.run_out()
        lasted_s = time.monotonic() - began
        wait_until(lambda: queue_is_empty(there), words="readings still wait")
    first, last = _speeds(ledger)
    later = _later(watch, began + lasted_s)
    connections = max(one.connections for one in watch.samples)
    words = f"{ledger.acked:,} readings in batches of 1,000, 50 viewers, {exports.done} exports, {lasted_s:.0f} s instead of 4 h"
    note = (
        f"first tenth {first:,.0f} readings/s, last {last:,.0f}; after a third of the time: {_grown(later)}; "
        f"connections {connections} at most; longest transaction {watch.transaction_s:.1f} s"
    )
    concluded(there, ledger, "L12", words, note=note)
    assert (ledger.acked, ledger.unknown) == (each * DEVICES, 0)
    assert not viewers.failures
    assert not exports.failures
    assert set(viewers.said) <= {200, 304}
    assert exports.done > 0
    assert connections <= MOST_CONNECTIONS
    _assert_flat(later)


def _later(watch: Watch, end: float) -> tuple[Sample, Sample]:
    """What was taken after a third of the time, when all that is made once is made, and at the end."""
    begin = watch.samples[0].at
    warm = next(one for one in watch.samples if one.at >= begin + (end - begin) / 3)
    return warm, watch.samples[-1]


def _grown(later: tuple[Sample, Sample]) -> str:
    warm, last = later
    parts = [
        f"{name} {part.rss_mb:.0f} → {last.parts[name].rss_mb:.0f} MB, {part.files} → {last.parts[name].files} files, "
        f"{part.threads} → {last.parts[name].threads} threads"
        for name, part in warm.parts.items()
    ]
    return "; ".join([*parts, f"live tables {warm.live_bytes / 1e6:.1f} → {last.live_bytes / 1e6:.1f} MB"])


def _assert_flat(later: tuple[Sample, Sample]) -> None:
    """Bounds that noise does not reach and a leak does: each request that leaves something behind would leave thousands."""
    warm, last = later
    for name, part in warm.parts.items():
        assert last.parts[name].files <= part.files + 80, name
        assert last.parts[name].threads <= part.threads + 70, name  # pages' threads come as they are needed, 64 at most
        assert last.parts[name].rss_mb <= part.rss_mb + 150, name
    assert last.live_bytes <= 2 * warm.live_bytes + 10_000_000


def _speeds(ledger: Ledger) -> tuple[float, float]:
    """Readings a second while the first tenth of them came, and the last."""
    times, tenth, speeds = sorted(ledger.acks), ledger.acked / 10, []
    for order in (times, times[::-1]):
        seen, at = 0, order[0]
        for at in order:
            seen += ledger.acks[at]
            if seen >= tenth:
                break
        speeds.append(seen / (abs(at - order[0]) + 1) * ACKS_PER_S)
    return speeds[0], speeds[1]


@pytest.fixture
def large_fleet(there: Installation) -> Iterator[int]:
    """20,000 vehicles, each at a meter of its own, all of which have just reported; one in a hundred is hot."""
    with psycopg.connect(there.database_url) as conn:
        for side, energy in (("vehicle", "dc_milliwh"), ("meter", "ac_milliwh")):
            conn.execute(
                f"""INSERT INTO live_{side} ({side}_id, recorded_at, received_at, previous_at, {energy}, rhythm_s)
                    SELECT 'large-' || n, now(), now(), now() - interval '1 minute', 100000, 60 FROM generate_series(1, %s) AS n""".encode(),
                [VEHICLES],
            )
        conn.execute("UPDATE live_vehicle SET battery_temp_centi_c = 7000 WHERE vehicle_id LIKE 'large-%00'")
        conn.execute(
            """INSERT INTO assignment (vehicle_id, valid_from, meter_id)
               SELECT 'large-' || n, '-infinity', 'large-' || n FROM generate_series(1, %s) AS n""",
            [VEHICLES],
        )
    yield VEHICLES
    with psycopg.connect(there.database_url) as conn:
        conn.execute("DELETE FROM assignment WHERE vehicle_id LIKE 'large-%'")
        for side in ("vehicle", "meter"):
            conn.execute(f"DELETE FROM live_{side} WHERE {side}_id LIKE 'large-%'".encode())


@contextlib.contextmanager
def _another_evaluator(there: Installation) -> Iterator[None]:
    """A second process that would evaluate too, as on a second machine."""
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": there.database_url}
    with (there.folder / "second.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "alerting"], cwd=PROJECT, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def _evaluated(there: Installation) -> tuple[object, int, int, object]:
    with there.connect() as conn:
        row = conn.execute("SELECT wall_at, took_ms, subjects, failed_at FROM alert_evaluation").fetchone()
    assert row
    return row[0], row[1] or 0, row[2] or 0, row[3]


def _evaluating(there: Installation) -> int:
    """How many sessions are in an evaluation."""
    with there.connect() as conn:
        row = conn.execute(
            "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid::bigint = 4096115009"
        ).fetchone()
    assert row
    return int(row[0])


def test_l13_a_large_fleet_is_judged_while_readings_come_in(there: Installation, large_fleet: int) -> None:
    """Two processes would evaluate; one does, each time to its end, and readings go on."""
    with watching(there) as watch, sending(singles(there.url, there.key, 300, 100)) as load, _another_evaluator(there):
        load.wait_acked(200)
        seen: dict[object, tuple[int, int]] = {}
        overlaps = 0

        def often_enough() -> bool:
            nonlocal overlaps
            overlaps = max(overlaps, _evaluating(there))
            at, took_ms, subjects, failed_at = _evaluated(there)
            assert failed_at is None, "an evaluation failed"
            if subjects >= 2 * large_fleet:
                seen[at] = (took_ms, subjects)
            return len(seen) >= int(scaled(1, 2))

        wait_until(often_enough, 3 * EVALUATION_S + 60, "no evaluation came to its end")
        load.wait_acked(100)
    times = ", ".join(f"{took_ms / 1000:.1f} s" for took_ms, _ in seen.values())
    words = f"alerts of {large_fleet:,} vehicles and as many meters judged beside 100 readings/s, by one of two processes"
    concluded(there, load.ledger, "L13", words, note=f"evaluations took {times}; readings {took(load.ledger)}; {watch.said()}")
    assert overlaps == 1
    assert wrongly_refused(load.ledger) == 0
