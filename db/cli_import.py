"""`python -m db import …`: backfill from files, with a bar, and a report of what became of every row."""

import csv
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click
import psycopg
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy.exc import DBAPIError

import config
from api.importing import run
from api.importing.csv_files import BLOCK_BYTES, CsvFile
from api.importing.files import Source, UnusableFile, is_parquet
from api.importing.parquet_files import ROWS, ParquetFile
from api.importing.rows import Rejected
from api.importing.writers import NotStored, Writers
from api.schemas import Clock
from db import schema

UNUSABLE, SOME_REJECTED = 2, 3
# Without a terminal a line as often as this says how far it is.
_LINE_EVERY_S = 10.0
# With --gently: each of two connections works a quarter of the time, and holds a device's live row, for which the door waits, only briefly.
_GENTLE_REST = 3.0
_GENTLE_BLOCK_BYTES, _GENTLE_ROWS = 512 * 1024, 8_192
_KEPT = "What is stored so far is kept: the same command goes on from there."


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "kind", type=click.Choice(["csv", "parquet"]), help="What the files are. Default: what they begin like.")
@click.option("--again", is_flag=True, help="Begin anew where an earlier import was interrupted.")
@click.option(
    "--rejects", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Write every rejected row to this CSV file."
)
@click.option("--gently", is_flag=True, help="Leave room for devices that report meanwhile: small transactions, and pauses.")
@click.pass_obj
def import_files(
    database_url: Callable[[], str], *, files: tuple[Path, ...], kind: str | None, again: bool, rejects: Path | None, gently: bool
) -> None:
    """Import readings from CSV (plain or gzipped) or Parquet FILES in the wire's column names.

    Every row is judged as a posted one. Interrupted, the same command goes on where it was. Exit code 3 when rows were rejected, 2 when a
    file could not be used.
    """
    console = Console()
    url = database_url()
    sources = list(_opened(files, kind, gently, console))
    try:
        tallies = _run(sources, url, again, rejects, gently, console)
    except (NotStored, psycopg.Error) as error:
        raise click.ClickException(f"{error}\n{_KEPT}") from error
    except DBAPIError as error:
        raise click.ClickException(f"the database cannot be used: {error.orig}") from error
    except KeyboardInterrupt:
        raise click.ClickException(f"interrupted. {_KEPT}") from None
    _report(tallies, console)
    failed = len(sources) < len(set(files)) or any(tally.error for tally in tallies)
    sys.exit(UNUSABLE if failed else SOME_REJECTED if any(tally.rejected + tally.conflicts for tally in tallies) else 0)


def _opened(files: tuple[Path, ...], kind: str | None, gently: bool, console: Console) -> Iterator[tuple[Path, Source]]:
    """The files that can be used; what is wrong with the others is said at once."""
    for file in dict.fromkeys(files):
        try:
            parquet = kind == "parquet" if kind else is_parquet(file)
            if parquet:
                yield file, ParquetFile(file, _GENTLE_ROWS if gently else ROWS)
            else:
                yield file, CsvFile(file, _GENTLE_BLOCK_BYTES if gently else BLOCK_BYTES)
        except (UnusableFile, OSError) as error:
            _say(console, str(error))


def _run(
    sources: list[tuple[Path, Source]], database_url: str, again: bool, rejects: Path | None, gently: bool, console: Console
) -> list[run.Tally]:
    settings = config.load()
    try:
        schema.migrate(database_url)
    except schema.RestoreUnfinished as error:
        raise click.ClickException(str(error)) from None
    writers = Writers(database_url, rest=_GENTLE_REST if gently else 0.0)

    def clock() -> Clock:
        return Clock.at(datetime.now(UTC), settings.clock_ahead_s, settings.oldest_reading_days)

    with psycopg.connect(database_url, autocommit=False) as conn:
        tallies = run.begin(conn, sources, writers.count, datetime.now(UTC), again)
        with _sink(rejects, any(tally.goes_on for tally in tallies)) as sink, _progress(console, tallies) as progress, writers:
            for tally in tallies:
                if tally.goes_on:
                    _say(console, f"{tally.file}: going on after {tally.readings:,} rows that an interrupted import has done")
                run.import_file(tally, writers, clock, sink, progress)
        run.end(conn, tallies)
    return tallies


# --------------------------------------------------------------------------------------------------------------------- progress


@contextmanager
def _progress(console: Console, tallies: list[run.Tally]) -> Iterator[Callable[[run.Tally, int], None]]:
    """Hears how far a file has been read: a bar on a terminal, elsewhere a line now and then."""
    if not console.is_terminal:
        yield _Lines(console).hear
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        tasks = {tally.file: bar.add_task(tally.file.name, total=tally.source.size, words="", start=False) for tally in tallies}
        pace = _Pace()

        def hear(tally: run.Tally, advanced: int) -> None:
            bar.start_task(tasks[tally.file])
            bar.update(tasks[tally.file], completed=advanced, words=pace.words(tally))

        yield hear


class _Pace:
    """Readings a second since a file was first heard of."""

    def __init__(self) -> None:
        self._began: dict[Path, tuple[float, int]] = {}

    def words(self, tally: run.Tally) -> str:
        began_s, before = self._began.setdefault(tally.file, (time.monotonic(), tally.readings))
        took_s = time.monotonic() - began_s
        return f"{tally.readings:,} rows, {(tally.readings - before) / took_s if took_s > 1 else 0:,.0f}/s"


class _Lines:
    """Progress where nothing can be drawn."""

    def __init__(self, console: Console) -> None:
        self._console, self._pace, self._said_s = console, _Pace(), time.monotonic()

    def hear(self, tally: run.Tally, advanced: int) -> None:
        words = self._pace.words(tally)
        if time.monotonic() - self._said_s >= _LINE_EVERY_S:
            self._said_s = time.monotonic()
            _say(self._console, f"{tally.file}: {100 * advanced / max(1, tally.source.size):.0f} %, {words}")


# ------------------------------------------------------------------------------------------------------------- what was rejected


@contextmanager
def _sink(file: Path | None, goes_on: bool) -> Iterator[run.RejectSink]:
    """Where rejected rows go. An import that goes on adds what the file does not have yet."""
    if file is None:
        yield lambda _file, _rejected: None
        return
    known = _known(file) if goes_on and file.exists() else None
    with file.open("w" if known is None else "a", newline="", encoding="utf-8") as opened:
        yield _writer(opened, known)


def _known(file: Path) -> set[tuple[str, ...]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return {tuple(row) for row in csv.reader(opened)}


def _writer(opened: IO[str], known: set[tuple[str, ...]] | None) -> run.RejectSink:
    table = csv.writer(opened)
    if known is None:
        table.writerow(("file", *Rejected._fields))

    def write(file: Path, rejected: list[Rejected]) -> None:
        for fault in rejected:
            row = tuple(str(cell).encode(errors="backslashreplace").decode() for cell in (file, *fault))
            if not known or row not in known:
                table.writerow(row)
        opened.flush()

    return write


def _report(tallies: list[run.Tally], console: Console) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("File", overflow="fold")
    for name in ("Rows", "Accepted", "Duplicates", "Conflicts", "Rejected"):
        table.add_column(name, justify="right", min_width=len(name))
    for tally in tallies:
        counts = (tally.readings, tally.accepted, tally.duplicates, tally.conflicts, tally.rejected)
        table.add_row(str(tally.file), *(f"{count:,}" for count in counts))
    console.print(table)
    for tally in tallies:
        for words in _remarks(tally):
            _say(console, words)


def _remarks(tally: run.Tally) -> Iterator[str]:
    if tally.error:
        yield f"{tally.file}: broken off: {tally.error}"
    for code, count in tally.codes.most_common():
        yield f"{tally.file}: {count:,} {code}"
        for fault in tally.samples.get(code, []):
            yield f"  {tally.file}:{fault.line}: {fault.pointer} {fault.detail}".replace(":  ", ": ")


def _say(console: Console, words: str) -> None:
    console.print(words.encode(errors="backslashreplace").decode(), markup=False, highlight=False, soft_wrap=True)
