"""`python -m db admin`: the first administrator and the first key; later also the way back in for one who lost the password."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import click
import psycopg

import config
from api.people import first
from db.cli_assign import who

OpenDatabase = Callable[[], AbstractContextManager[str]]


def command(database: OpenDatabase) -> click.Command:
    """The command; `database` gives the URL of the migrated database while it is used."""

    @click.command()
    @click.option("--email", metavar="ADDRESS", help="Whom; VOLTLEDGER_ADMIN_EMAIL or a question if absent.")
    @click.option("--name", default="", help="What people call them.")
    @click.option("--key/--no-key", default=True, show_default=True, help="Whether a first key is made where there is none.")
    def admin(email: str | None, name: str, *, key: bool) -> None:
        """Make an administrator, or give one another password, and make the first key.

        The password is that of VOLTLEDGER_ADMIN_PASSWORD, else a line on standard input, else asked for. A key is printed: it cannot be shown again.
        """
        settings = config.load()
        address = (email or settings.admin_email or click.prompt("E-mail address", err=True)).strip()
        password = _password(settings)
        try:
            first.refuse_weak(address, password, name)
            with database() as url:
                _make(url, address, password, name, key=key)
        except first.Refused as error:
            raise click.ClickException(str(error)) from None
        except psycopg.Error as error:
            raise click.ClickException(f"{error}\nNothing is changed.") from error

    return admin


def _make(url: str, address: str, password: str, name: str, *, key: bool) -> None:
    now, by = datetime.now(UTC), who()
    with psycopg.connect(url, options="-c TimeZone=UTC") as conn:
        new = first.administrator(conn, address, password, by, now, name)
        made = first.key(conn, by, now) if key else None
    click.echo(f"{address.lower()} is an administrator{'' if new else ' with another password; their log-ins are ended'}.", err=True)
    if made:
        click.echo("This key of every device is shown this once. It is sent as `Authorization: Bearer <key>`:", err=True)
        click.echo(made.shown)


def _password(settings: config.Settings) -> str:
    if settings.admin_password:
        return settings.admin_password.get_secret_value()
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
