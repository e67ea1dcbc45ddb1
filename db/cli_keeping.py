"""`python -m db …`: checking, mending, and the days of history. Each command gets from the group how to find the database."""

import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click
import psycopg

from db import compaction, mending, retention, verify
from db.engine import Conn
from db.rollups import QUARTER, Quarter, differing
from db.sides import SIDES, Side
from db.verify import Difference

Url = Callable[[], str]
_VERIFIED_BY_DEFAULT = timedelta(days=2)
# A device's clock may be ahead of ours.
_AHEAD = timedelta(minutes=15)
_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"])
# An hour of 10,000 devices a side is grouped in memory.
_OPTIONS = "-c TimeZone=UTC -c jit=off -c work_mem=32MB"


@click.command("rollup")
@click.option("--from", "start", required=True, type=_MOMENT, help="UTC.")
@click.option("--to", "end", required=True, type=_MOMENT, help="UTC.")
@click.option("--check", is_flag=True, help="Only compare with history.")
@click.pass_obj
def rollup(url: Url, start: datetime, end: datetime, check: bool) -> None:
    """Make the 15-minute sums of a UTC window anew where they differ from history, while readings come in."""
    first, last = _quarter(start), _quarter(end)
    with psycopg.connect(url(), options=_OPTIONS) as conn:
        for side in SIDES:
            if check:
                click.echo(f"{side.rollup}: {_count(conn, side, first, last)} quarters differ from history")
            else:
                mended = mending.rebuild(conn, side, first, last, _now, lambda until, _, side=side: _progress(until, side))  # type: ignore[misc]
                click.echo(f"{side.rollup}: {mended} quarters made again")


@click.command("verify")
@click.option("--from", "start", type=_MOMENT, help="UTC; two days ago if not given.")
@click.option("--to", "end", type=_MOMENT, help="UTC; now if not given.")
@click.option("--all", "everything", is_flag=True, help="Everything that is kept.")
@click.option("--samples", default=20, show_default=True, help="How many differences are shown; all are counted.")
@click.option("--repair", is_flag=True, help="Make rollups, live rows and days' tables again from history, and compare once more.")
@click.pass_obj
def check(url: Url, start: datetime | None, end: datetime | None, everything: bool, samples: int, repair: bool) -> None:
    """Compare history, live rows and rollups; exit code 1 if anything differs. Readings may come in meanwhile."""
    window = (None, None) if everything else _window(start, end)
    with psycopg.connect(url(), options=_OPTIONS) as conn:
        found = _compare(conn, window, samples)
        if found and repair:
            _repair(conn, found)
            found = _compare(conn, window, samples)
    raise SystemExit(1 if found else 0)


@click.command("days")
@click.pass_obj
def days(url: Url) -> None:
    """List the days of history with their readings (estimated), sizes, and bytes a reading, sums included."""
    with psycopg.connect(url(), options=_OPTIONS) as conn:
        found = retention.days(conn)
    click.echo(f"{'day':10}  {'readings':>12}  {'history MB':>10}  {'rollups MB':>10}  {'B/reading':>9}")
    for day in found:
        each = f"{(day.history_bytes + day.rollup_bytes) / day.readings:,.1f}" if day.readings else ""
        click.echo(
            f"{day.day}  {day.readings:12,}  {day.history_bytes / 1e6:10,.1f}  {day.rollup_bytes / 1e6:10,.1f}  {each:>9}  {_fate(day)}".rstrip()
        )
    total = sum(day.history_bytes + day.rollup_bytes for day in found)
    click.echo(f"{len(found)} days, {sum(day.readings for day in found):,} readings, {total / 1e9:,.2f} GB")


@click.command("drop-days")
@click.option("--before", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The first day (UTC) that stays.")
@click.option("--with-rollups", is_flag=True, help="The 15-minute sums too: nothing will be known of these days any more.")
@click.option("--yes", is_flag=True, help="Do it. Without this, only say what would go.")
@click.pass_obj
def drop_days(url: Url, before: datetime, with_rollups: bool, yes: bool) -> None:
    """Drop the readings of old days for ever, while readings come in. Their 15-minute sums stay, and with them efficiency by quarter, day and year."""
    with psycopg.connect(url(), autocommit=True, options=_OPTIONS) as conn:
        try:
            wanted = retention.droppable(conn, before.date(), _now(), with_rollups)
        except retention.TooRecent as error:
            raise click.ClickException(str(error)) from None
        size = sum(day.history_bytes + (day.rollup_bytes if with_rollups else 0) for day in wanted)
        span = f", {wanted[0].day} to {wanted[-1].day}" if wanted else ""
        click.echo(f"{len(wanted)} days{span}: about {sum(day.readings for day in wanted):,} readings, {size / 1e9:,.2f} GB")
        if not yes:
            click.echo("nothing was dropped: say --yes to drop them for ever")
            return
        dropped = retention.drop(conn, before.date(), _now(), with_rollups, lambda table: click.echo(f"  dropped {table}"))
        click.echo(f"{dropped} tables dropped; readings before {before.date()} are refused from now on")


@click.command("compact")
@click.option("--before", type=click.DateTime(["%Y-%m-%d"]), help="Only days (UTC) before this one.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="This day, whether it was compacted before or not.")
@click.pass_obj
def compact(url: Url, before: datetime | None, day: datetime | None) -> None:
    """Make days that are over small, while readings come in: all that were not yet, oldest first. The server does this by itself every night."""
    if before and day:
        raise click.UsageError("--before and --day exclude each other")
    with psycopg.connect(url(), autocommit=True, options=_OPTIONS) as conn:
        try:
            if day:
                compaction.compact(conn, day.date(), _now(), _compacted)
            else:
                days = compaction.compact_due(conn, _now(), timedelta(), before.date() if before else None, done=_compacted)
                click.echo(f"{len(days)} days compacted")
        except (compaction.Busy, compaction.NotOver) as error:
            raise click.ClickException(str(error)) from None
        except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
            raise click.ClickException("an older transaction, perhaps a dump, does not end: try again when it has") from None


COMMANDS = (rollup, check, days, drop_days, compact)


def _compacted(table: compaction.Compacted) -> None:
    click.echo(f"{table.name}: {table.bytes_before / 1e6:,.1f} MB before, {table.bytes_after / 1e6:,.1f} MB now")


def _fate(day: retention.Day) -> str:
    if day.dropped_at:
        return f"readings dropped {day.dropped_at:%Y-%m-%d}"
    return "compacted" if day.compacted_at else ""


def _compare(conn: Conn, window: tuple[datetime | None, datetime | None], samples: int) -> list[Difference]:
    found: list[Difference] = []
    counts: Counter[str] = Counter()
    for difference in verify.differences(conn, *window, done=_progress):
        found.append(difference)
        counts[f"{difference.kind} {difference.side}: {difference.what}"] += 1
        if len(found) <= samples:
            click.echo(str(difference))
    if len(found) > samples:
        click.echo(f"… and {len(found) - samples:,} more")
    for name, count in sorted(counts.items()):
        click.echo(f"{count:,} × {name}")
    click.echo("history, live rows, rollups and days agree" if not found else f"{len(found):,} differences")
    return found


def _repair(conn: Conn, found: list[Difference]) -> None:
    click.echo(f"{mending.mend_days(conn, _now())} days got their tables again")
    for side in SIDES:
        of_side = [d for d in found if d.side == side.name and d.device_id]
        quarters = [Quarter(str(d.device_id), d.at) for d in of_side if d.kind == "rollup" and isinstance(d.at, datetime)]
        mended = mending.mend_quarters(conn, side, quarters, _now)
        live = mending.mend_live(conn, side, {str(d.device_id) for d in of_side if d.kind == "live"}, _now)
        click.echo(f"{side.rollup}: {mended} quarters made again; {side.live}: {live} rows made again")


def _count(conn: Conn, side: Side, start: datetime, end: datetime) -> int:
    count = 0
    for first, after in mending.slices(start, end):
        count += len(differing(conn, side, first, after))
        conn.rollback()
    return count


def _window(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    last = end.replace(tzinfo=UTC) if end else _now() + _AHEAD
    return _quarter(start.replace(tzinfo=UTC) if start else last - _VERIFIED_BY_DEFAULT), _quarter(last) + (
        QUARTER if end is None else timedelta()
    )


def _quarter(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) - timedelta(minutes=at.minute % 15, seconds=at.second, microseconds=at.microsecond)


def _progress(until: datetime, side: Side) -> None:
    """Where we are: every hour on a terminal, on one line; every day in a log."""
    if sys.stderr.isatty():
        click.echo(f"\r{side.name} {until:%Y-%m-%d %H:%M}", nl=False, err=True)
    if until.hour == 0 and until.minute == 0:
        click.echo(f"\r{side.name} {until - timedelta(days=1):%Y-%m-%d} done", err=True)


def _now() -> datetime:
    return datetime.now(UTC)
