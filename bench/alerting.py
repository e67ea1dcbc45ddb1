"""Evaluations of every rule for 10,000 vehicles and as many meters that all charge, and what they do to readings that are committed meanwhile.

`python -m bench.alerting URL EVERY_S SECONDS` is the process that evaluates, beside the one that commits.
"""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg

from alerting.evaluate import evaluate
from bench.dataset import fleet
from bench.installation import PROJECT, BenchError
from bench.learning import Commits, Postgres
from bench.nights import AFTER, fill
from bench.race import percentile_ms
from bench.table import Line, Spread
from db.engine import connect
from db.lessons import ONE_DAY
from db.queries.lookback import Lookback
from db.queries.policies import Policies
from db.sides import SIDES

VEHICLES = 10_000
CPU_BAR_S = 2.0
P99_TIMES = 1.3
# Twice as often as the product does it, so that a short time sees enough of them.
EVERY_S = 30.0
_NICE = 5  # as the product's
_QUARTER = timedelta(minutes=15)
# One in a hundred devices has been silent for an hour.
_LIVE = """INSERT INTO live_{side} ({side}_id, recorded_at, received_at, previous_at, {energy}, rhythm_s)
    SELECT '{prefix}-' || to_char(n, 'FM00000'), at, at, at - interval '1 minute', 100000, 60
    FROM generate_series(0, %(vehicles)s - 1) AS n, LATERAL (SELECT %(now)s - CASE WHEN n %% 100 = 7 THEN interval '1 hour' ELSE interval '1 minute' END AS at) t"""


class Evaluated(NamedTuple):
    """One evaluation; CPU of its own process."""

    took_s: float
    cpu_s: float
    subjects: int


def lines(url: str, vehicles: int = VEHICLES, seconds: float = 150.0) -> list[Line]:
    """What an evaluation costs, and how long a commit takes with and without. Raises BenchError where nothing was evaluated."""
    _fill(url, vehicles)
    quiet, during = Commits(url, vehicles), Commits(url, vehicles)
    with quiet.running():
        time.sleep(seconds)
    command = [sys.executable, "-m", "bench.alerting", url, str(EVERY_S), str(seconds)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as evaluating:
        assert evaluating.stdout
        begun = evaluating.stdout.readline()  # the first, which a start makes once, is over
        postgres = Postgres(url)
        with during.running():
            said, why = evaluating.communicate()
    if evaluating.returncode or not begun:
        raise BenchError(why or said)
    found = [Evaluated(*one) for one in json.loads(said)]
    if len(found) < 3 or found[-1].subjects < 2 * vehicles:
        raise BenchError(f"{len(found)} evaluations of {found[-1].subjects if found else 0} devices")
    first, later = found[0], found[1:]
    what = f"an evaluation of {vehicles:,} vehicles and as many meters"
    return [
        Line(f"{what}: CPU of its process", Spread.of(one.cpu_s for one in later), "s", bar=CPU_BAR_S, less_is_better=True),
        Line("its time, from the first statement to the commit", Spread.of(one.took_s for one in later), "s", note=f"the first after a start {first.took_s:.1f} s, {first.cpu_s:.1f} s of CPU"),
        Line("CPU: PostgreSQL for one, with what is committed meanwhile", Spread.of([postgres.used_s() / len(later)]), "s"),
        _commit(quiet, during, 50),
        _commit(quiet, during, 99),
    ]  # fmt: skip


def _commit(quiet: Commits, during: Commits, percentile: int) -> Line:
    ours, theirs = (Spread.of([percentile_ms(one.waits_s, percentile)]) for one in (during, quiet))
    bar = round(1 / P99_TIMES, 2) if percentile == 99 else None
    what = f"a commit of {during.each} readings while one is made every {EVERY_S:g} s, {percentile}th percentile"
    return Line(what, ours, "ms", "the same before", theirs, ratio_bar=bar, less_is_better=True)


def _fill(url: str, vehicles: int) -> None:
    now = datetime.now(UTC)
    quarter = now - (now - datetime(2000, 1, 1, tzinfo=UTC)) % _QUARTER
    fill(url, fleet(vehicles, 1), quarter - ONE_DAY - AFTER)
    with psycopg.connect(url, options="-c TimeZone=UTC") as connection:
        for side, prefix in zip(SIDES, ("veh", "mtr"), strict=True):
            connection.execute(_LIVE.format(side=side.name, energy=side.energy, prefix=prefix).encode(), {"vehicles": vehicles, "now": now})


def _main(url: str, every_s: float, seconds: float) -> list[Evaluated]:
    """Evaluates that often for so long, as the product's own process does."""
    os.nice(_NICE)
    found, lookback, policies = [], Lookback(), Policies()
    ends = time.monotonic() + seconds
    with connect(url, "bench", 60.0) as conn:
        while (began := time.monotonic()) < ends:
            used = time.process_time()
            report = evaluate(conn, lookback, policies, datetime.now(UTC))
            conn.commit()
            took_s = time.monotonic() - began
            found.append(Evaluated(took_s, time.process_time() - used, report.subjects if report else 0))
            if len(found) == 1:
                print("the first is over", flush=True)
            time.sleep(max(0.0, every_s - took_s))
    return found


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))))
