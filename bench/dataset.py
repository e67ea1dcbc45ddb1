"""`make dataset`: a fleet with a day behind it, for benchmarks. Readings are made by numpy and go through the import's writers, without files.

Vehicle i charges at meter i, once a day, in a session of its own. Everything follows from the seed, the number of a device and the minute.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import numpy as np
import psycopg
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from api.importing.writers import Job, Writers
from db import schema
from db.arrays import NULL_INT4
from db.columns import Columns
from db.embedded import EmbeddedPostgres
from db.engine import Conn
from db.sides import METER, SIDES, VEHICLE, Side

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_MIN = 1440
# Whole quarters of all devices at a time: each rollup row is written once and never moved.
QUARTER_MIN = 15
# Readings of one side in a transaction at least, or one quarter: fewer cost more each.
TRANSACTION_READINGS = 50_000
VEHICLES_PER_SITE = 50
SOCKETS_KW = (11.0, 7.4, 3.7, 2.3)
# (name, usable kWh, share lost in the charger, kW of the electronics while charging)
MODELS = (
    ("Kastor 77", 77.0, 0.07, 0.15),
    ("Kastor 58", 58.0, 0.06, 0.18),
    ("Pollux Van", 44.0, 0.09, 0.12),
    ("Pollux City", 32.0, 0.08, 0.10),
)
LOW_SHARE = 0.01
LOW_MORE_LOSS = 0.15
LOST_SHARE = 0.003
SILENT_SHARE = 0.01  # devices that say nothing for some hours


@dataclass(frozen=True)
class Fleet:
    """One element per vehicle. A session begins `begins_min` after midnight UTC and lasts `lasts_min`; away from it the vehicle drives."""

    seed: int
    model: Ints
    socket_kw: Floats
    loss_share: Floats
    begins_min: Floats
    lasts_min: Floats
    soc_from_pct: Floats
    soc_by_pct: Floats
    second: Ints
    latitude: Floats
    longitude: Floats
    silent_from_min: Floats
    silent_for_min: Floats

    @property
    def size(self) -> int:
        return len(self.model)


def fleet(size: int, seed: int) -> Fleet:
    """A fleet of this size. The first vehicles of a larger one with the same seed are not the same."""
    chance = np.random.default_rng(seed)
    model = chance.integers(len(MODELS), size=size)
    _, battery_kwh, loss_share, loss_kw = (np.array(column) for column in zip(*MODELS, strict=True))
    socket_kw = chance.choice(SOCKETS_KW, size)
    loss = loss_share[model] + loss_kw[model] / socket_kw
    loss += np.where(chance.random(size) < LOW_SHARE, LOW_MORE_LOSS, 0.0)
    by_pct = np.minimum(chance.uniform(25, 70, size), 100 * socket_kw * 20 * (1 - loss) / battery_kwh[model])
    sites = -(-size // VEHICLES_PER_SITE)
    site = np.arange(size) // VEHICLES_PER_SITE
    return Fleet(
        seed=seed,
        model=model,
        socket_kw=socket_kw,
        loss_share=loss,
        begins_min=chance.uniform(0, DAY_MIN, size),
        lasts_min=60 * by_pct / 100 * battery_kwh[model] / (socket_kw * (1 - loss)),
        soc_from_pct=chance.uniform(10, 95 - by_pct, size),
        soc_by_pct=by_pct,
        second=chance.integers(1, 61, size),
        latitude=chance.uniform(45, 58, sites)[site],
        longitude=chance.uniform(-2, 20, sites)[site],
        silent_from_min=chance.uniform(0, DAY_MIN, size),
        silent_for_min=np.where(chance.random(size) < SILENT_SHARE, chance.uniform(60, 240, size), 0.0),
    )


def minutes(cars: Fleet, begins_s: int, count: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Ints, list[Ints], list[Ints]]:
    """The readings of `count` minutes, vehicle by vehicle, from `begins_s` (s since 1970, exclusive) on.

    Returns which vehicles' and which meters' readings there are, their instants in µs, and the columns of vehicles and of meters, as the
    tables keep them.
    """
    chance = np.random.default_rng((cars.seed, begins_s))
    at_s = begins_s + 60 * np.arange(count) + cars.second[:, None]
    minute = at_s / 60 % DAY_MIN
    since_min = (minute - cars.begins_min[:, None]) % DAY_MIN
    lasts_min = cars.lasts_min[:, None]
    plugged_min = np.clip(np.minimum(since_min, lasts_min) - np.maximum(since_min - 1, 0), 0, 1)
    ac_kwh = cars.socket_kw[:, None] * plugged_min / 60 * chance.uniform(0.985, 1.0, at_s.shape)
    dc_kwh = ac_kwh * (1 - cars.loss_share[:, None])
    volts = 231 - 2 * np.cos(2 * np.pi * (minute - 1140) / DAY_MIN) + chance.normal(0, 0.8, at_s.shape)
    away_km = np.where(since_min > lasts_min, 8 * np.sin(np.pi * (since_min - lasts_min) / (DAY_MIN - lasts_min)), 0)
    silent = (minute - cars.silent_from_min[:, None]) % DAY_MIN < cars.silent_for_min[:, None]
    lost = chance.random((2, *at_s.shape)) < LOST_SHARE
    nothing = np.full(at_s.size, NULL_INT4)
    vehicles = [
        _whole(dc_kwh * 1e6),
        _whole(_soc_pct(cars, since_min) * 100),
        _whole(_battery_temp_c(cars, minute, since_min) * 100),
        _whole((cars.latitude[:, None] + away_km / 111) * 1e7),
        _whole((cars.longitude[:, None] + away_km / 75) * 1e7),
    ]
    meters = [_whole(ac_kwh * 1e6), _whole(volts * 100), nothing, nothing]
    return ~(silent | lost[0]), ~lost[1], at_s.ravel() * 1_000_000, vehicles, meters


def _soc_pct(cars: Fleet, since_min: Floats) -> Floats:
    """Up while it charges, down again until it comes back."""
    lasts = cars.lasts_min[:, None]
    charged = np.where(since_min < lasts, since_min / lasts, 1 - (since_min - lasts) / (DAY_MIN - lasts))
    return np.asarray(cars.soc_from_pct[:, None] + cars.soc_by_pct[:, None] * charged)


def _battery_temp_c(cars: Fleet, minute: Floats, since_min: Floats) -> Floats:
    """The air's, and what charging adds to it."""
    lasts = cars.lasts_min[:, None]
    heat = cars.socket_kw[:, None] * (1 - np.exp(-np.minimum(since_min, lasts) / 120)) * np.exp(-np.maximum(since_min - lasts, 0) / 300)
    return np.asarray(14 + 4 * np.cos(2 * np.pi * (minute - 900) / DAY_MIN) + heat)


def _whole(values: Floats) -> Ints:
    return np.rint(values).astype(np.int64).ravel()


# --------------------------------------------------------------------------------------------------------------------- storing


def jobs(cars: Fleet, begins: datetime, ends: datetime) -> Iterator[tuple[Job, Job]]:
    """(vehicles', meters') readings in (begins, ends], some quarters at a time, received when they were over."""
    count = QUARTER_MIN * -(-TRANSACTION_READINGS // (QUARTER_MIN * cars.size))
    vehicle_ids, meter_ids = (names(side, cars.size) for side in SIDES)
    first_s, last_s = int(begins.timestamp()), int(ends.timestamp())
    for begins_s in range(first_s - first_s % (60 * QUARTER_MIN), last_s, 60 * count):
        of_vehicles, of_meters, at_us, vehicles, meters = minutes(cars, begins_s, count)
        in_time = (at_us > first_s * 1_000_000) & (at_us <= last_s * 1_000_000)
        received_at = min(ends, datetime.fromtimestamp(begins_s + 60 * count, UTC))
        yield (
            _job(VEHICLE, vehicle_ids, at_us, vehicles, of_vehicles.ravel() & in_time, received_at),
            _job(METER, meter_ids, at_us, meters, of_meters.ravel() & in_time, received_at),
        )


def _job(side: Side, ids: NDArray[np.object_], at_us: Ints, values: list[Ints], there: NDArray[np.bool_], received_at: datetime) -> Job:
    columns = Columns(
        np.repeat(ids, len(there) // len(ids))[there].tolist(), at_us[there], np.array([column[there] for column in values], dtype=np.int32)
    )
    return Job(side, columns, received_at=received_at)


def names(side: Side, size: int) -> NDArray[np.object_]:
    prefix = "veh" if side is VEHICLE else "mtr"
    return np.array([f"{prefix}-{n:05d}" for n in range(size)], dtype=object)


def describe(conn: Conn, cars: Fleet) -> None:
    """Sites, models, meters, and who charges where."""
    vehicle_ids, meter_ids = (names(side, cars.size).tolist() for side in SIDES)
    sites = [f"site-{n // VEHICLES_PER_SITE:03d}" for n in range(cars.size)]
    places = list(zip(_whole(cars.latitude * 1e7).tolist(), _whole(cars.longitude * 1e7).tolist(), strict=True))
    with conn.cursor() as cursor:
        first = {site: (site, f"Depot {site[5:]}", *place) for site, place in zip(sites, places, strict=True)}
        cursor.executemany("INSERT INTO site VALUES (%s, %s, %s, %s, 'UTC') ON CONFLICT DO NOTHING", list(first.values()))
        cursor.executemany(
            "INSERT INTO vehicle VALUES (%s, NULL, %s, %s) ON CONFLICT DO NOTHING",
            [(name, MODELS[model][0], site) for name, model, site in zip(vehicle_ids, cars.model.tolist(), sites, strict=True)],
        )
        cursor.executemany(
            "INSERT INTO meter VALUES (%s, NULL, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (name, round(kw * 1000), site, *place)
                for name, kw, site, place in zip(meter_ids, cars.socket_kw, sites, places, strict=True)
            ],
        )
        cursor.executemany(
            "INSERT INTO assignment VALUES (%s, '-infinity', %s) ON CONFLICT DO NOTHING", zip(vehicle_ids, meter_ids, strict=True)
        )
    conn.commit()


def load(database_url: str, cars: Fleet, begins: datetime, ends: datetime, words: str, console: Console) -> int:
    """Store the readings in (begins, ends] with a bar; how many there were."""
    stored, began_s = 0, time.monotonic()
    columns = (TextColumn(words), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar, Writers(database_url) as writers:
        task = bar.add_task(words, total=2 * cars.size * (ends - begins).total_seconds() / 60, rate="")
        for pair in jobs(cars, begins, ends):
            for number, job in enumerate(pair):
                writers.put(number % writers.count, job)
                stored += len(job.columns.ids)
            bar.update(task, completed=stored, rate=f"{stored / (time.monotonic() - began_s):,.0f} readings/s")
        writers.finish()
        bar.update(task, total=stored, completed=stored)
    took_s = time.monotonic() - began_s
    console.print(f"{words}: {stored:,} readings in {took_s:,.0f} s, {stored / took_s:,.0f} a second")
    return stored


# ----------------------------------------------------------------------------------------------------------------------- sizes


def sizes(conn: Conn) -> Table:
    """Bytes on disk by kind of table: rows, indexes, and both for each reading or row."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("Table", "Rows", "Rows MB", "Indexes MB", "Bytes a row", "Bytes a reading"):
        table.add_column(name, justify="left" if name == "Table" else "right", no_wrap=name == "Table")
    for side in SIDES:
        readings = _count(conn, side.history)
        for name in (side.history, side.rollup, side.live):
            heap, indexes = _bytes(conn, name)
            rows = _count(conn, name)
            each = ((heap + indexes) / n if n else 0.0 for n in (rows, readings))
            table.add_row(name, f"{rows:,}", f"{heap / 1e6:,.1f}", f"{indexes / 1e6:,.1f}", *(f"{value:,.1f}" for value in each))
    return table


def _count(conn: Conn, table: str) -> int:
    row = conn.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(str(row[0])) if row else 0


def _bytes(conn: Conn, table: str) -> tuple[int, int]:
    row = conn.execute(
        "SELECT coalesce(sum(pg_table_size(relid)), 0)::bigint, coalesce(sum(pg_indexes_size(relid)), 0)::bigint FROM (SELECT relid FROM pg_partition_tree(%(table)s::regclass) UNION SELECT %(table)s::regclass) tables",
        {"table": table},
    ).fetchone()
    assert row
    return int(str(row[0])), int(str(row[1]))


# --------------------------------------------------------------------------------------------------------------------- command


@click.command()
@click.option("--vehicles", default=10_000, show_default=True, type=click.IntRange(1, 100_000), help="Vehicles, each with a meter.")
@click.option("--hours", default=24, show_default=True, type=click.IntRange(1, 24 * 30), help="Hours of all of them, ending now.")
@click.option("--background", default=0, show_default=True, type=click.IntRange(0, 3650), help="Days before that of the first vehicles.")
@click.option("--background-vehicles", default=300, show_default=True, help="How many vehicles have these days.")
@click.option("--seed", default=1, show_default=True, help="Another number is another fleet.")
@click.option("--database-url", envvar="DATABASE_URL", help="An empty database. Default: an embedded server in --data-dir.")
@click.option(
    "--data-dir", default=".data-bench", show_default=True, type=click.Path(path_type=Path), help="Where the embedded server keeps it."
)
def main(
    *, vehicles: int, hours: int, background: int, background_vehicles: int, seed: int, database_url: str | None, data_dir: Path
) -> None:
    """Make and load a fleet's readings, one a minute from every device, ending now."""
    console = Console()
    ends = datetime.now(UTC).replace(microsecond=0)
    begins = ends - timedelta(hours=hours)
    cars = fleet(vehicles, seed)
    with ExitStack() as closing:
        url = database_url or closing.enter_context(EmbeddedPostgres(data_dir)).url
        schema.migrate(url)
        conn: Conn = closing.enter_context(psycopg.connect(url, options="-c TimeZone=UTC"))
        if conn.execute("SELECT 1 FROM live_vehicle LIMIT 1").fetchone():
            sys.exit(
                f"there are readings already: remove {data_dir}, or give an empty database"
                if not database_url
                else "this database has readings already"
            )
        describe(conn, cars)
        if background:
            load(url, first_of(cars, background_vehicles), begins - timedelta(days=background), begins, "background", console)
        load(url, cars, begins, ends, "fleet", console)
        conn.commit()
        conn.autocommit = True
        began_s = time.monotonic()
        conn.execute("VACUUM (ANALYZE)")
        console.print(f"vacuum and analyze: {time.monotonic() - began_s:,.0f} s")
        console.print(sizes(conn))


def first_of(cars: Fleet, count: int) -> Fleet:
    """The fleet's first vehicles."""
    return replace(cars, **{name: value[:count] for name, value in vars(cars).items() if isinstance(value, np.ndarray)})  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
