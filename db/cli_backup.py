"""`python -m db backup` and `python -m db restore`: the whole installation as files, and back."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import psycopg

import config
from db import backup, backup_files, restore
from db.backup_files import BadBackup
from db.embedded import DataDirInUse, EmbeddedPostgres, EmbeddedPostgresError

Url = Callable[[], str]
_SHOWN = 20
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("backup")
@click.argument("folder", type=_FOLDER)
@click.option("--full", is_flag=True, help="Read everything anew, also days that did not change.")
@click.option("--verify", "only_verify", is_flag=True, help="Take none: read the backup's files and compare their checksums.")
@click.pass_obj
def take(url: Url, folder: Path, full: bool, only_verify: bool) -> None:
    """Back up readings, assignments, sites, rules, keys, alerts and people, while readings come in. Said again, it copies what is new."""
    try:
        if only_verify:
            _verify(folder)
            return
        with psycopg.connect(url(), autocommit=True, options=backup.OPTIONS) as conn:
            taken = backup.take(conn, folder, _now, _say, full=full)
    except (BadBackup, psycopg.Error, OSError) as error:
        raise click.ClickException(f"{_words(error)}\nthe backup is not complete") from None
    click.echo(
        f"complete, as of {taken.manifest.began_at}: {taken.read_anew} of {len(taken.manifest.pieces)} files new, {taken.bytes_written / 1e6:,.1f} MB"
    )


def _verify(folder: Path) -> None:
    manifest = backup_files.read_manifest(folder)
    broken = backup_files.damaged(folder, manifest)
    for piece in broken[:_SHOWN]:
        click.echo(f"{piece.name}: {piece.file} is missing or damaged")
    if broken:
        raise BadBackup(f"{len(broken)} of {len(manifest.pieces)} files are missing or damaged")
    click.echo(f"whole, as of {manifest.began_at}, schema {manifest.schema}: {len(manifest.pieces)} files")


@click.command("restore")
@click.argument("folder", type=_FOLDER)
@click.option("--replace", is_flag=True, help="Drop for ever what is in the database now.")
def bring_back(folder: Path, replace: bool) -> None:
    """Make the database anew from a backup and prove it: DATABASE_URL, else the embedded one in the data folder. The server must be stopped."""
    try:
        with _stopped_server() as url, psycopg.connect(url, autocommit=True, options=backup.OPTIONS) as conn:
            restored = restore.restore(conn, url, folder, _now, _say, replace=replace)
    except (BadBackup, restore.NotRestored, EmbeddedPostgresError, psycopg.Error, OSError) as error:
        raise click.ClickException(f"{_words(error)}\nnot restored") from None
    for difference in restored.differences[:_SHOWN]:
        click.echo(str(difference))
    if restored.differences:
        raise click.ClickException(f"{len(restored.differences)} differences\nnot restored")
    click.echo(
        f"restored and proved: {restored.readings:,} readings of {restored.days} days, as backed up; sums and live rows agree with them"
    )


COMMANDS = (take, bring_back)


@contextmanager
def _stopped_server() -> Iterator[str]:
    """The database, with nobody who serves from it: the embedded one is run for as long as we need it."""
    settings = config.load()
    if settings.database_url:
        yield settings.database_url
        return
    try:
        with EmbeddedPostgres(settings.data_dir) as server:
            yield server.url
    except DataDirInUse:
        raise restore.NotRestored("this database is in use: stop the server first") from None


def _words(error: Exception) -> str:
    """What went wrong, without what an address of the database may hold."""
    return str(error).strip() or type(error).__name__


def _say(line: str) -> None:
    click.echo(f"{_now():%H:%M:%S} {line}", err=True)
    sys.stderr.flush()


def _now() -> datetime:
    return datetime.now(UTC)
