"""`python -m db …`: the database from the command line."""

import subprocess
from datetime import UTC, datetime, timedelta

import click
import psycopg

import config
from db import embedded, pgbinaries, rollups, schema
from db.sides import SIDES


@click.group()
def main() -> None:
    """Look after the database: DATABASE_URL, or the embedded server while it runs."""


@main.command()
def migrate() -> None:
    """Bring the schema to this version."""
    schema.migrate(_url())
    click.echo("the schema is up to date")


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Open a SQL prompt."""
    url = _url()
    raise SystemExit(subprocess.call([*pgbinaries.psql_command(url), *arguments]))


@main.command()
@click.option("--from", "start", required=True, type=click.DateTime())
@click.option("--to", "end", required=True, type=click.DateTime())
@click.option("--check", is_flag=True, help="Only compare with history.")
def rollup(start: datetime, end: datetime, check: bool) -> None:
    """Compare the 15-minute sums of a UTC window with history, and make them anew."""
    first, last = (_quarter(at) for at in (start, end))
    with psycopg.connect(_url(), options="-c TimeZone=UTC") as conn:
        for side in SIDES:
            click.echo(f"{side.rollup}: {rollups.mismatches(conn, side, first, last)} quarters differ from history")
            if not check:
                rollups.rebuild(conn, side, first, last)


def _quarter(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) - timedelta(minutes=at.minute % 15, seconds=at.second, microseconds=at.microsecond)


def _url() -> str:
    settings = config.load()
    if settings.database_url:
        return settings.database_url
    running = embedded.running_url(settings.data_dir)
    if running is None:
        raise click.ClickException("the embedded PostgreSQL is not running: start it with `make run` or `make serve`, or set DATABASE_URL")
    return running
