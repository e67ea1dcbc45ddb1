"""`python -m db assign FILE`: many assignments from a file, shown before or after they are made."""

import getpass
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import psycopg
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from api.bulk.mappings import Planning, assign_file
from api.bulk.table import WrongRows
from api.errors import MOST_ERRORS_LISTED, Problem
from charging.timeline import ALWAYS, FOREVER, Change
from db.assignment_changes import MOST_NOTE, MOST_WHO, Author

# More than that nobody reads on a terminal; the record holds them all.
MOST_SHOWN = 200


@click.command("assign")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option(
    "--unknown", type=click.Choice(["refuse", "accept"]), default="refuse", show_default=True, help="Ids that nobody has heard of."
)
@click.option("--note", help="Why, for the record.")
@click.pass_obj
def assign(url: Callable[[], str], *, file: Path, dry_run: bool, unknown: str, note: str | None) -> None:
    """Assign meters to vehicles from a CSV FILE with the columns vehicle_id, meter_id, and optional from, to.

    All rows or none. meter_id `none` ends a mapping. Exit code 1 when rows are wrong; their lines are named.
    """
    if note and (len(note) > MOST_NOTE or not note.isprintable()):
        raise click.ClickException(f"a note is one line of at most {MOST_NOTE} characters")
    author, now = Author(who(), "cli", note), datetime.now(UTC)
    try:
        with psycopg.connect(url(), options="-c TimeZone=UTC") as conn:
            done = assign_file(conn, file.read_bytes(), now, author, dry_run=dry_run, accept_unknown=unknown == "accept")
    except WrongRows as wrong:
        raise click.ClickException("\n".join(_named(file, wrong))) from None
    except Problem as problem:
        raise click.ClickException(f"{file}: {problem.detail}") from None
    except (psycopg.Error, OSError) as error:
        raise click.ClickException(f"{error}\nNothing is changed.") from error
    _report(done, now, dry_run, Console())


def who() -> str:
    """The account that runs this; a container's need not have a name."""
    try:
        return getpass.getuser()[:MOST_WHO]
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _named(file: Path, wrong: WrongRows) -> list[str]:
    """A line for each fault."""
    lines = [f"{file}:{one['line']}: {str(one['pointer'])[1:]}: {one['detail']}".replace(": : ", ": ") for one in wrong.found]
    more = len(lines) - MOST_ERRORS_LISTED
    return [*lines[:MOST_ERRORS_LISTED], *([f"… and {more:,} more"] if more > 0 else []), "Nothing is changed."]


def _report(done: list[Planning], now: datetime, dry_run: bool, console: Console) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("Line", "Vehicle", "From", "To", "Before", "After", ""):
        table.add_column(name, justify="right" if name == "Line" else "left", overflow="fold")
    changed = [(one, change) for one in done for change in one.planned.changes]
    for one, change in changed[:MOST_SHOWN]:
        corrects = "corrects the past" if one.planned.corrects_past(change, now) else ""
        table.add_row(str(one.line), one.planned.vehicle_id, *_words(change), corrects)
    if changed:
        console.print(table)
    if len(changed) > MOST_SHOWN:
        console.print(f"… and {len(changed) - MOST_SHOWN:,} more changes", highlight=False)
    counted = Counter(one.action for one in done)
    counts = ", ".join(f"{counted[action]:,} {action}" for action in ("first", "changed", "corrected", "unchanged"))
    console.print(f"{len(done):,} rows: {counts}. {'Nothing is changed: this was a dry run.' if dry_run else 'Done.'}", highlight=False)


def _words(change: Change) -> tuple[str, str, str, str]:
    start = "always" if change.start == ALWAYS else f"{change.start:%Y-%m-%d %H:%M:%S}Z"
    end = "" if change.end == FOREVER else f"{change.end:%Y-%m-%d %H:%M:%S}Z"
    return start, end, change.before or "none", change.after or "none"
