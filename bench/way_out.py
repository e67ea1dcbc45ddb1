"""What the numbers' way out costs: one vehicle's 24 hours, the fleet's, the CSV. Functions take the URL of a loaded database; times in ms.

CPU of the server is read from /proc, so PostgreSQL must run on this machine.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

import config
from bench.table import Line, Spread
from db import ingest
from db.engine import Conn
from db.queries import performance
from db.queries.fleet_window import WINDOW, FleetWindow
from db.queries.policies import Policies
from db.sides import SIDES

OPTIONS = "-c TimeZone=UTC -c jit=off -c plan_cache_mode=force_generic_plan"
TICK_MS_OF_JIFFY = 10

# What a person would write: every reading of the last 24 hours, each side summed, joined through the assignment.
PLAIN_SQL = """
    WITH v AS (SELECT vehicle_id, sum(dc_milliwh) AS dc, avg(battery_temp_centi_c) AS temp FROM vehicle_history
               WHERE recorded_at > %(start)s AND recorded_at <= %(end)s GROUP BY 1),
         m AS (SELECT meter_id, sum(ac_milliwh) AS ac FROM meter_history WHERE recorded_at > %(start)s AND recorded_at <= %(end)s GROUP BY 1)
    SELECT vehicle_id, dc, ac, dc::float8 / nullif(ac, 0), temp FROM fleet_mapping f JOIN v ON v.vehicle_id = f."vehicleId" LEFT JOIN m ON m.meter_id = f."meterId" """


@contextmanager
def connected(url: str) -> Iterator[Conn]:
    """A connection set up like those of the pages."""
    with psycopg.connect(url, options=OPTIONS) as conn:
        yield conn


class Clock:
    """Wall time, our CPU and the backend's CPU since it was made, in ms."""

    def __init__(self, conn: Conn) -> None:
        self._pid = conn.info.backend_pid
        self._began = (time.perf_counter(), time.process_time(), self._backend())

    def _backend(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK_MS_OF_JIFFY / 1000

    def read(self, per: int = 1) -> dict[str, float]:
        now = (time.perf_counter(), time.process_time(), self._backend())
        return {
            name: round((b - a) * 1000 / per, 3)
            for name, a, b in zip(("wall_ms", "web_cpu_ms", "pg_cpu_ms"), self._began, now, strict=True)
        }


def newest(conn: Conn) -> datetime:
    """The instant after the newest reading: where a day full of data ends."""
    row = conn.execute("SELECT max(recorded_at) FROM live_vehicle").fetchone()
    assert row is not None
    assert isinstance(row[0], datetime)
    return row[0].replace(second=0, microsecond=0) + timedelta(minutes=1)


def one_vehicle(url: str, requests: int = 500, at: datetime | None = None) -> dict[str, float]:
    """One vehicle's 24 hours after another, without HTTP."""
    with connected(url) as conn:
        at = at or newest(conn) - timedelta(seconds=37)
        ids = performance.known_vehicles(conn)
        latencies: list[float] = []
        for n in range(requests + 20):
            if n == 20:
                clock, latencies = Clock(conn), []
            started = time.perf_counter()
            performance.summaries(conn, at - WINDOW, at, [ids[n * 7 % len(ids)]])
            latencies.append((time.perf_counter() - started) * 1000)
        return {**clock.read(requests), "median_ms": round(statistics.median(latencies), 3)}


def over_http(url: str, requests: int = 300) -> dict[str, float]:
    """GET /v1/analytics/performance/{id} through the whole application in this process, and the CSV of the fleet (now, and at an instant)."""
    from dashboard.app import create_app  # noqa: PLC0415 - it starts threads

    client = create_app(config.Settings(_env_file=None, DATABASE_URL=url, statement_timeout_s=60)).test_client()
    with connected(url) as conn:
        at, ids = newest(conn).isoformat().replace("+00:00", "Z"), performance.known_vehicles(conn)
    latencies, began = [], 0.0
    for n in range(requests + 20):
        began = time.process_time() if n == 20 else began
        started = time.perf_counter()
        assert client.get(f"/v1/analytics/performance/{ids[n * 7 % len(ids)]}?at={at}").status_code == 200
        latencies.append((time.perf_counter() - started) * 1000)
    found = {
        "median_ms": round(statistics.median(latencies[20:]), 3),
        "web_cpu_ms": round((time.process_time() - began) * 1000 / requests, 3),
    }
    for name, path in (("first_csv", ""), ("csv", ""), ("csv_at", f"?at={at}")):
        started = time.perf_counter()
        body = client.get(f"/v1/analytics/performance.csv{path}").get_data()
        found[f"{name}_ms"], found[f"{name}_rows"] = round((time.perf_counter() - started) * 1000), body.count(b"\n") - 1
    for name in ("first_picture", "picture"):
        client.get("/live/fleet")
        time.sleep(4.5)
        started = time.process_time()
        size = len(client.get("/live/fleet").get_data())
        found[f"{name}_cpu_ms"], found[f"{name}_bytes"] = round((time.process_time() - started) * 1000), size
    return found


def fleet(url: str, every_s: int = 20, rounds: int = 4, *, compare: bool = True) -> dict[str, Any]:
    """The fleet's day while every device reports once a minute: the cold start, and a refresh every `every_s`, also as cost of a 5 s tick.

    `compare`: hold each vehicle's row against its own numbers.
    """
    with connected(url) as conn, connected(url) as writer:
        at, window = newest(conn), FleetWindow(Policies())
        clock = Clock(conn)
        window.refresh(conn, at)
        cold = clock.read()
        spent = []
        for _ in range(rounds):
            report(writer, at, at + timedelta(seconds=every_s))
            at += timedelta(seconds=every_s)
            clock = Clock(conn)
            day = window.refresh(conn, at)
            conn.rollback()
            spent.append(clock.read())
        warm = {name: round(statistics.mean(one[name] for one in spent), 1) for name in spent[0]}
        own = performance.summaries(conn, day.at - WINDOW, day.at) if compare else {}
        return {
            "cold": cold,
            "refresh": warm,
            "cpu_ms_a_tick": round((warm["web_cpu_ms"] + warm["pg_cpu_ms"]) * 5 / every_s, 1),
            "vehicles": len(own),
            "unequal": sum(day.summaries[vehicle_id] != one for vehicle_id, one in own.items()),
        }


def report(conn: Conn, after: datetime, until: datetime) -> None:
    """Each device that reported in this stretch of the minute before reports again, with what it said then."""
    for side in SIDES:
        measures = ", ".join((side.energy, *side.measures))
        rows = conn.execute(
            f"SELECT {side.key}, (extract(epoch FROM recorded_at) * 1000000)::bigint + 60000000, {measures}, NULL, NULL FROM {side.live} "
            "WHERE recorded_at > %s AND recorded_at <= %s",
            (after - timedelta(minutes=1), until - timedelta(minutes=1)),
        ).fetchall()
        ingest.store(conn, side, rows, until)  # type: ignore[arg-type]
    conn.commit()


def plain_sql(url: str, times: int = 3) -> float:
    """Median ms of the SQL over history that a person would write, over the whole fleet, read to the end."""
    with connected(url) as conn:
        at, spent = newest(conn), []
        for _ in range(times):
            started = time.perf_counter()
            conn.execute(PLAIN_SQL, {"start": at - WINDOW, "end": at}).fetchall()
            spent.append((time.perf_counter() - started) * 1000)
        return round(statistics.median(spent))


def bytes_a_reading(url: str) -> float:
    """History, live state and sums with their indexes, on disk, for each reading of both sides (as counted when the days were last analysed)."""
    with connected(url) as conn:
        row = conn.execute(
            """SELECT sum(pg_total_relation_size(c.oid)), sum(c.reltuples) FILTER (WHERE c.relname ~ '^(vehicle|meter)_history_[0-9]+$')
               FROM pg_class c WHERE c.relkind = 'r' AND c.relname ~ '^((vehicle|meter)_(history|rollup)_[0-9]+|live_(vehicle|meter))$'"""
        ).fetchone()
    assert row is not None
    return round(float(str(row[0])) / max(1.0, float(str(row[1]))), 1)


def with_history(conn: Conn, at: datetime, many: int = 300) -> tuple[list[str], list[str]]:
    """Vehicles with more than two days of history behind them, and as many others."""
    rows = conn.execute("SELECT DISTINCT vehicle_id FROM vehicle_rollup WHERE bucket < %s LIMIT %s", (at - 2 * WINDOW, many)).fetchall()
    old = [str(row[0]) for row in rows]
    return old, [name for name in performance.known_vehicles(conn) if name not in set(old)][: max(len(old), many)]


def of_vehicles(conn: Conn, ids: list[str], at: datetime, requests: int = 300) -> float:
    """Median ms of one vehicle's 24 hours."""
    spent = []
    for n in range(requests + 20):
        started = time.perf_counter()
        performance.summaries(conn, at - WINDOW, at, [ids[n * 7 % len(ids)]])
        spent.append((time.perf_counter() - started) * 1000)
    return statistics.median(spent[20:])


def lines(url: str, rounds: int = 3) -> list[Line]:
    """What the runner prints, measured on a loaded data set (see `make dataset`)."""
    with connected(url) as conn:
        at = newest(conn) - timedelta(seconds=37)
        old, young = with_history(conn, at)
        conn.rollback()
        conn.autocommit = True
        turns = [(of_vehicles(conn, young, at), of_vehicles(conn, old, at) if old else 0.0) for _ in range(rounds)]
    one = one_vehicle(url)
    plain = Spread.of(plain_sql(url, 1) for _ in range(rounds))
    often = [fleet(url, 5, 4, compare=False)["refresh"]["wall_ms"] for _ in range(rounds)]
    day, http = fleet(url), over_http(url)
    made = [
        Line(
            "one vehicle's 24 h, without HTTP: median",
            Spread.of(turn[0] for turn in turns),
            "ms",
            bar=2.5,
            less_is_better=True,
            note=f"web {one['web_cpu_ms']} + PostgreSQL {one['pg_cpu_ms']} ms of CPU",
        )
    ]
    if old:
        made.append(
            Line(
                f"the same for {len(old)} vehicles with 30 days of history",
                Spread.of(turn[1] for turn in turns),
                "ms",
                "a vehicle with one day",
                Spread.of(turn[0] for turn in turns),
                ratio_bar=round(1 / 1.2, 2),
                less_is_better=True,
            )
        )
    return [
        *made,
        Line(
            "fleet's 24 h: CPU of server and database a tick, made anew every 20 s as the product does",
            Spread((day["cpu_ms_a_tick"],)),
            "ms",
            bar=60,
            less_is_better=True,
            note=f"made anew every 20 s in {day['refresh']['wall_ms']} ms, web {day['refresh']['web_cpu_ms']} + PostgreSQL "
            f"{day['refresh']['pg_cpu_ms']} ms of CPU; the first after a start in {day['cold']['wall_ms']} ms",
        ),
        Line(
            "fleet's 24 h: made anew 5 s after the last time",
            Spread.of(often),
            "ms",
            "plain SQL over history",
            plain,
            ratio_bar=25,
            less_is_better=True,
        ),
        Line(
            f"of {day['vehicles']:,} vehicles, numbers that differ from the vehicle's own",
            Spread((day["unequal"],)),
            "",
            bar=0,
            less_is_better=True,
        ),
        Line(f"CSV of {http['csv_rows']:,.0f} vehicles, up to now", Spread((http["csv_ms"],)), "ms", bar=2000, less_is_better=True),
        Line("the same up to a given instant, everything read anew", Spread((http["csv_at_ms"],)), "ms", less_is_better=True),
        Line("live picture: CPU of the web process when it is made", Spread((http["picture_cpu_ms"],)), "ms", less_is_better=True),
        Line("on disk, with indexes, live state and sums", Spread((bytes_a_reading(url),)), "bytes a reading", less_is_better=True),
    ]


if __name__ == "__main__":
    for measured in (one_vehicle, plain_sql, fleet, over_http):
        print(measured.__name__, measured(sys.argv[1]))
