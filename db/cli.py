"""`python -m db …`: the database from the command line."""

import contextlib
import subprocess
from collections.abc import Iterator

import click

import config
from db import cli_admin, cli_assign, cli_backup, cli_import, cli_keeping, cli_keys, cli_learning, embedded, pgbinaries, schema


@click.group()
@click.pass_context
def main(context: click.Context) -> None:
    """Look after the database: DATABASE_URL, or the embedded server while it runs."""
    context.obj = _url


for _command in (
    *cli_keeping.COMMANDS,
    *cli_backup.COMMANDS,
    *cli_learning.COMMANDS,
    cli_import.import_files,
    cli_assign.assign,
    cli_keys.keys,
):
    main.add_command(_command)


@contextlib.contextmanager
def _database() -> Iterator[str]:
    """A URL of the migrated database; the embedded server is started where it does not run."""
    settings = config.load()
    with contextlib.ExitStack() as open_while:
        url = settings.database_url or embedded.running_url(settings.data_dir)
        if url is None:
            try:
                url = open_while.enter_context(embedded.EmbeddedPostgres(settings.data_dir)).url
            except (pgbinaries.BinariesMissing, embedded.EmbeddedPostgresError, OSError) as error:
                raise click.ClickException(str(error)) from None
        schema.migrate(url)
        yield url


main.add_command(cli_admin.command(_database))


@main.command()
def migrate() -> None:
    """Bring the schema to this version."""
    try:
        schema.migrate(_url())
    except schema.RestoreUnfinished as error:
        raise click.ClickException(str(error)) from None
    click.echo("the schema is up to date")


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Open a SQL prompt."""
    url = _url()
    raise SystemExit(subprocess.call([*pgbinaries.psql_command(url), *arguments]))


def _url() -> str:
    settings = config.load()
    if settings.database_url:
        return settings.database_url
    running = embedded.running_url(settings.data_dir)
    if running is None:
        raise click.ClickException("the embedded PostgreSQL is not running: start it with `make run` or `make serve`, or set DATABASE_URL")
    return running
