"""L1 to L4: what a fleet sends in a day's work, all at once, and ten times too much. Times are reported; what is asserted is that nothing is lost."""

import re
import time

import pytest

from proof.ledger import ACKS_PER_S, Ledger, quantile_ms
from tests.faults import verbs
from tests.faults.installation import Installation, wait_until
from tests.faults.load import batches, sending, singles
from tests.faults.running import concluded, scaled
from tests.faults.watching import Watch, watching

pytestmark = pytest.mark.slow

ALL_TOGETHER_AGAIN_S = 15  # a minute in life
HOLD_UP_S = 3.0  # below lock_timeout: commits wait and none fails
# More readings than the queue (20,000) and four commits (5,000 each) hold, so that some must be refused.
TOO_MANY_SOCKETS = 600


def took(ledger: Ledger) -> str:
    """How long requests waited for a good answer, for the report."""
    return f"p50 {quantile_ms(ledger.took, 0.5):.0f} ms, p99 {quantile_ms(ledger.took, 0.99):.0f} ms"


def wrongly_refused(ledger: Ledger) -> int:
    """Requests that were not taken though there was room. A machine that stands still for seconds may let a commit take too long."""
    counts = ledger.counts
    return counts["refused"] - counts["refused:commit_timeout"] + counts["broken"]


def _per_s(ledger: Ledger) -> float:
    tenths = sorted(ledger.acks)
    return ledger.acked / max(1, tenths[-1] - tenths[0]) * ACKS_PER_S if tenths else 0.0


def queue_is_empty(there: Installation) -> bool:
    """Whether no reading waits for a commit."""
    found = re.search(r"^voltledger_queue_readings (\S+)$", there.get("/metrics").text, re.MULTILINE)
    return found is not None and float(found[1]) == 0


def _undisturbed(there: Installation, ledger: Ledger, watch: Watch, code: str, words: str) -> None:
    concluded(there, ledger, code, words, note=f"{took(ledger)}; {_per_s(ledger):,.0f} readings/s; {watch.said()}")
    wait_until(lambda: queue_is_empty(there), words="readings still wait")
    assert (wrongly_refused(ledger), ledger.unknown) == (0, 0)


@pytest.mark.faults
def test_l1_single_readings_over_2_000_open_sockets(there: Installation) -> None:
    seconds = scaled(10, 60)
    with watching(there) as watch, sending(singles(there.url, there.key, 2000, 333, seconds=seconds)) as load:
        ledger = load.run_out()
    _undisturbed(there, ledger, watch, "L1", f"333 single readings/s over 2,000 sockets, {seconds:.0f} s instead of 30 min")


@pytest.mark.faults
def test_l2_batches_of_a_hundred(there: Installation) -> None:
    seconds = scaled(10, 60)
    with watching(there) as watch, sending(batches(there.url, there.key, 5000, 5000, seconds=seconds)) as load:
        ledger = load.run_out()
    _undisturbed(there, ledger, watch, "L2", f"5,000 readings/s in batches of 100, {seconds:.0f} s")


def test_l3_all_devices_at_the_same_instant_again_and_again(there: Installation) -> None:
    """Each socket sends `burst` readings, the next when the last was answered, and waits for the next minute together with all others."""
    sockets, burst, rounds = int(scaled(600, 2000)), int(scaled(2, 10)), int(scaled(2, 5))
    every_s = scaled(4, ALL_TOGETHER_AGAIN_S)
    herd = sockets * burst
    plan = singles(
        there.url, there.key, sockets, herd / every_s, burst=burst, together=True, each=burst * rounds, seconds=300, patience_s=2.0
    )
    with watching(there) as watch, sending(plan) as load:
        ledger = load.run_out()
    worst_s = _longest_round_s(ledger, every_s)
    words = f"{herd:,} single readings at one instant over {sockets:,} sockets, {rounds} x, {every_s:.0f} s apart"
    concluded(there, ledger, "L3", words, note=f"all acked within {worst_s:.1f} s; {took(ledger)}; {watch.said()}")
    assert (ledger.acked, ledger.unknown) == (herd * rounds, 0)


def _longest_round_s(ledger: Ledger, every_s: float) -> float:
    """From the first ack of a round to its last."""
    period = round(every_s * ACKS_PER_S)
    begin, rounds = min(ledger.acks) - period // 4, dict[int, list[int]]()
    for tenth in ledger.acks:
        rounds.setdefault((tenth - begin) // period, []).append(tenth)
    return max(max(one) - min(one) for one in rounds.values()) / ACKS_PER_S


def test_l4_what_the_database_cannot_take_in_is_refused_and_kept_by_its_devices(there: Installation) -> None:
    """Commits stand still while more readings come than may wait: the rest is told to come back, and comes."""
    plan = batches(there.url, there.key, TOO_MANY_SOCKETS * 100, 0, each=2, seconds=120)
    with watching(there) as watch:
        with verbs.locked(there, "live_vehicle"):
            load = sending(plan)
            running = load.__enter__()
            began = time.monotonic()
            wait_until(lambda: running.state["refused"] > 0 or time.monotonic() - began > 30, 40)
            held_s = time.monotonic() - began
        released = time.monotonic()
        ledger = running.run_out()
        load.__exit__(None, None, None)
    words = f"60,000 readings at once in batches of 100 while commits stand still for {held_s:.1f} s, and 60,000 more"
    note = f"refusals p99 {quantile_ms(ledger.refusals_took, 0.99):.0f} ms; {watch.said()}"
    concluded(there, ledger, "L4", words, released=released, note=note)
    assert ledger.counts["refused"] > 0
    assert (ledger.acked, ledger.unknown) == (2 * TOO_MANY_SOCKETS * 100, 0)


@pytest.mark.faults
def test_l4_ten_times_too_much_beside_a_normal_load(there: Installation) -> None:
    """3,000 devices that always have another reading, beside a hundred that report at their pace and are served before, during and after."""
    with sending(singles(there.url, there.key, 64, 0, seconds=8)) as peak:
        best = _per_s(peak.run_out())
    with watching(there) as watch, sending(singles(there.url, there.key, 100, 100)) as normal:
        normal.wait_acked(500)
        with sending(singles(there.url, there.key, 3000, 0, seconds=40, patience_s=3.0)) as storm:
            ledger = storm.run_out()
        over = time.monotonic()
        normal.wait_ack_after(over)
        normal.wait_acked(1000)
    good = _per_s(ledger)
    note = f"{good:,.0f} readings/s where 64 sockets get {best:,.0f}; refusals p99 {quantile_ms(ledger.refusals_took, 0.99):.0f} ms"
    concluded(there, ledger, "L4", "3,000 devices that always have another reading, 40 s instead of 5 min", note=f"{note}; {watch.said()}")
    concluded(there, normal.ledger, "L4", "100 readings/s before, during and after it", released=over, note=took(normal.ledger))
