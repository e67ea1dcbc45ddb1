"""The commands: `python -m simulator run`, `record` and `replay`."""

import signal
import sys
import threading
from datetime import datetime
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import config
from simulator import record as recording
from simulator import replay as replaying
from simulator.post import BATCH_READINGS
from simulator.run import Options, Speaker
from simulator.run import run as run_fleet
from simulator.wire import GaveUp, Stopped, Wire

URL = "http://127.0.0.1:8050"
# A day of a recording is held in memory: 0.75 GB for a thousand vehicles.
RECORDED_AT_MOST = 2_000


class Speed(click.ParamType[float | None]):
    """`max`, or how many times faster than real time."""

    name = "max|FACTOR"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value is None or value == "max":
            return None
        try:
            factor = float(str(value))
        except ValueError:
            factor = 0.0
        if not 0.0 < factor < float("inf"):
            self.fail("say max, or a factor above 0 such as 1 (as recorded) or 60 (an hour in a minute)", param, ctx)
        return factor


def stop_on_signals() -> threading.Event:
    """An event that Ctrl-C and `kill` set, so that loops can end where it is safe."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def check_url(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        Wire(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return value


def kept_key() -> str | None:
    """The key of the settings, if there is one."""
    found = config.load().simulator_key
    return found.get_secret_value() if found else None


@click.group()
def main() -> None:
    """A fleet that reports to Voltledger over HTTP, like any device, or is recorded to files."""


@main.command()
@click.option("--url", default=URL, show_default=True, callback=check_url, help="The server to report to.")
@click.option("--vehicles", default=200, show_default=True, type=click.IntRange(1, 100_000), help="Vehicles, each with a meter of its own.")
@click.option("--seed", default=1, show_default=True, help="Another number is another fleet; the same number the same, at any time.")
@click.option(
    "--backfill-hours", default=24.0, show_default=True, type=click.FloatRange(0, 24 * 400), help="How much of the past to fill first."
)
@click.option(
    "--key", help="Key to send with; else that of the setting VOLTLEDGER_SIMULATOR_KEY, which other users of the machine cannot see."
)
@click.option("--connections", default=4, show_default=True, type=click.IntRange(1, 64), help="Connections to report over.")
@click.option("--healthy", is_flag=True, help="No faults: nobody is sick, nothing is late, lost or sent twice.")
@click.option("--live/--no-live", default=True, show_default=True, help="Go on reporting every minute once the past is filled.")
@click.option(
    "--truth", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Write who is sick and how to this JSON file."
)
def run(
    *,
    url: str,
    vehicles: int,
    seed: int,
    backfill_hours: float,
    key: str | None,
    connections: int,
    healthy: bool,
    live: bool,
    truth: Path | None,
) -> None:
    """Simulate a fleet: fill the past, then post a reading per device per minute until stopped."""
    options = Options(url, vehicles, seed, backfill_hours, key or kept_key(), connections, healthy, live, truth)
    run_fleet(options, stop_on_signals(), Console())


@main.command()
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="An empty or new folder for the files.")
@click.option(
    "--vehicles", default=120, show_default=True, type=click.IntRange(1, RECORDED_AT_MOST), help="Vehicles, each with a meter of its own."
)
@click.option("--days", default=10, show_default=True, type=click.IntRange(1, 400), help="Days to record, from 0:00 UTC on.")
@click.option("--start", default="2026-01-12", show_default=True, type=click.DateTime(["%Y-%m-%d"]), help="The first of them.")
@click.option("--seed", default=1, show_default=True, help="Another number is another fleet; the same number the same, to the byte.")
@click.option(
    "--faults-from-day", default=8, show_default=True, type=click.IntRange(1), help="Day (the first is 1) on which the faults begin."
)
@click.option("--healthy", is_flag=True, help="No faults: nobody falls ill, nothing is late, lost or sent twice.")
def record(*, out: Path, vehicles: int, days: int, start: datetime, seed: int, faults_from_day: int, healthy: bool) -> None:
    """Record a simulated fleet to CSV files for `python -m db import`, without a server.

    For each day one file of vehicles and one of meters, in the order of delivery; beside them assignments.csv, descriptions of sites,
    vehicles and meters, and truth.json: who falls ill, how and when.
    """
    console = Console()
    try:
        truth = recording.write(out, vehicles, days, start.date(), seed, faults_from_day, healthy)
    except (ValueError, recording.NotEmpty, OSError) as error:
        raise click.ClickException(str(error)) from error
    console.print(f"{days} days of {vehicles} vehicles are in {out}, the truth about them in {truth}.", markup=False, soft_wrap=True)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", default=URL, show_default=True, callback=check_url, help="The server to post to.")
@click.option("--speed", default="max", type=Speed(), show_default=True, help="As fast as possible, or times real time.")
@click.option("--batch", default=1000, show_default=True, type=click.IntRange(1, BATCH_READINGS), help="Readings per request at most.")
@click.option(
    "--key", help="Key to send with; else that of the setting VOLTLEDGER_SIMULATOR_KEY, which other users of the machine cannot see."
)
@click.option(
    "--give-up-after", default=120.0, show_default=True, type=click.FloatRange(0), help="Seconds to keep trying while the server is away."
)
def replay(*, files: tuple[Path, ...], url: str, speed: float | None, batch: int, key: str | None, give_up_after: float) -> None:
    """Post recorded readings from CSV FILES. Exit code 1 when the server rejected any of them."""
    console, stop = Console(), stop_on_signals()
    wire = Wire(url, key or kept_key(), stop, give_up_after, lambda reason: Speaker(console).trouble(f"{reason}; trying again"))
    try:
        recordings = [replaying.read(file) for file in files]
        with wire:
            outcomes = replaying.post(recordings, wire, batch, speed, stop.wait)
    except (replaying.UnknownLayout, GaveUp, OSError) as error:
        raise click.ClickException(str(error)) from error
    except Stopped:
        raise click.Abort from None
    _show(outcomes, console)
    sys.exit(1 if any(outcome.rejected for outcome in outcomes) else 0)


def _show(outcomes: list[replaying.Outcome], console: Console) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("File", overflow="fold")
    for name in ("Rows", "Posted", "Accepted", "Duplicates", "Rejected", "Skipped"):
        table.add_column(name, justify="right", min_width=len(name))
    for outcome in outcomes:
        recording = outcome.recording
        counts = (recording.lines, outcome.posted, outcome.accepted, outcome.duplicates, outcome.rejected, recording.skipped)
        table.add_row(f"{recording.file.resolve().parent.name}/{recording.file.name}", *(f"{count:,}" for count in counts))
    console.print(table)
    for outcome in outcomes:
        for words in _remarks(outcome):
            console.print(words, markup=False, highlight=False, soft_wrap=True)


def _remarks(outcome: replaying.Outcome) -> list[str]:
    name = outcome.recording.file
    remarks = []
    if outcome.recording.skipped:
        remarks.append(
            f"{name}: {outcome.recording.skipped:,} rows have no {outcome.recording.layout.energy}: how much it was is unknowable."
        )
    if outcome.codes:
        remarks.append(f"{name}: rejected " + ", ".join(f"{count:,} {code}" for code, count in outcome.codes.most_common()))
    return remarks + [f"{name}, {detail}" for detail in outcome.details]
