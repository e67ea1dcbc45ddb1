"""`python -m db keys …`: keys of devices and programs from the command line, the first one before anybody can log in."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import psycopg
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from api.errors import Problem
from api.keys.rights import RIGHTS
from api.keys.routes import BOTH_HOLD, checked, refuse_unknown_site
from api.keys.secret import Made, made
from api.params import KeyBody
from db import device_keys
from db.cli_assign import who
from db.device_keys import Binding, Key, Wanted
from db.engine import Conn

_URL = Callable[[], str]


@click.group("keys")
def keys() -> None:
    """Keys of devices and programs."""


@keys.command()
@click.argument("name")
@click.option("--vehicle", "vehicles", multiple=True, metavar="ID", help="It may write this vehicle; repeatable.")
@click.option("--meter", "meters", multiple=True, metavar="ID", help="It may write this meter; repeatable.")
@click.option("--site", metavar="ID", help="It may write what belongs to this site.")
@click.option("--gateway", is_flag=True, help="It may write every device.")
@click.option("--right", "rights", multiple=True, type=click.Choice(RIGHTS), help="Also this right; repeatable. Devices need write alone.")
@click.option("--expires-in-days", type=click.IntRange(1, 36_500), help="It ends by itself.")
@click.option("--note", help="Why, for the record.")
@click.pass_obj
def create(
    url: _URL,
    *,
    name: str,
    vehicles: tuple[str, ...],
    meters: tuple[str, ...],
    site: str | None,
    gateway: bool,
    rights: tuple[str, ...],
    expires_in_days: int | None,
    note: str | None,
) -> None:
    """Make a key and print it: it cannot be shown again. What it may write makes it a device's; with --right alone it is a program's."""
    now = datetime.now(UTC)
    kind = binding(vehicles, meters, site, gateway=gateway)
    ends = now + timedelta(days=expires_in_days) if expires_in_days else None
    wanted = Wanted(name, _rights(rights, kind), kind, sorted(set(vehicles)), sorted(set(meters)), site, ends)
    new = made()

    def change(conn: Conn) -> None:
        refuse_unknown_site(conn, wanted)
        device_keys.create(conn, new.key_id, wanted, new.secret_hash, who(), now, note)

    _in_form(wanted, note)
    _carried_out(url, change, lambda: checked(wanted, now))
    _print(new)


@keys.command("list")
@click.pass_obj
def list_keys(url: _URL) -> None:
    """Every key, what it is for and how it fared."""
    with psycopg.connect(url(), options="-c TimeZone=UTC") as conn:
        found = device_keys.keys(conn)
    if not found:
        click.echo("There is no key yet: make one with `python -m db keys create NAME --vehicle ID`.")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in ("Key", "Name", "Rights", "Writes", "State", "Last used", "Refused", "Expires"):
        table.add_column(head, overflow="fold", no_wrap=head == "Key")
    for one in found:
        table.add_row(*_row(one, datetime.now(UTC)))
    Console().print(table)


@keys.command()
@click.argument("key_id")
@click.option(
    "--both-hours",
    type=click.FloatRange(0, 24 * 365),
    default=BOTH_HOLD.total_seconds() / 3600,
    show_default=True,
    help="Hours for which the secret it has holds too.",
)
@click.option("--note", help="Why, for the record.")
@click.pass_obj
def rotate(url: _URL, *, key_id: str, both_hours: float, note: str | None) -> None:
    """Give a key another secret and print it: it cannot be shown again."""
    now, new = datetime.now(UTC), made(key_id)

    def change(conn: Conn) -> None:
        found = _found(conn, key_id)
        if found.ended(now):
            raise click.ClickException("the key is revoked or expired: make a new one")
        device_keys.rotate(conn, found, new.secret_hash, now + timedelta(hours=both_hours), who(), now, note)

    _carried_out(url, change)
    _print(new)


@keys.command()
@click.argument("key_id")
@click.option("--note", help="Why, for the record.")
@click.pass_obj
def revoke(url: _URL, *, key_id: str, note: str | None) -> None:
    """End a key for good, within 5 seconds everywhere."""

    def change(conn: Conn) -> None:
        found = _found(conn, key_id)
        if found.revoked_at is None:
            device_keys.revoke(conn, found, who(), datetime.now(UTC), note)

    _carried_out(url, change)
    click.echo(f"{key_id} is revoked.")


def binding(vehicles: tuple[str, ...], meters: tuple[str, ...], site: str | None, *, gateway: bool) -> Binding:
    """What the options bind a key to. Raises click.UsageError where they contradict each other."""
    named = len(vehicles) + len(meters)
    if sum((named > 0, site is not None, gateway)) > 1:
        raise click.UsageError("give devices, a site or --gateway, and not two of them")
    if named:
        return "device" if named == 1 else "list"
    return "site" if site else "gateway" if gateway else "none"


def _rights(asked: tuple[str, ...], kind: Binding) -> list[str]:
    return sorted({*asked, *(() if kind == "none" else ("write",))})


def _in_form(wanted: Wanted, note: str | None) -> None:
    """The same validation as by the API. Raises click.ClickException."""
    said: dict[str, Any] = {"name": wanted.name, "rights": wanted.rights, "binding": wanted.binding, "siteId": wanted.site_id, "note": note}
    try:
        KeyBody.model_validate({**said, "vehicleIds": wanted.vehicle_ids, "meterIds": wanted.meter_ids})
    except ValueError as error:
        faults = error.errors() if hasattr(error, "errors") else []
        raise click.ClickException("; ".join(f"{one['loc'][0]}: {one['msg']}" for one in faults) or str(error)) from None


def _carried_out(url: _URL, change: Callable[[Conn], None], check: Callable[[], object] = lambda: None) -> None:
    try:
        check()
        with psycopg.connect(url(), options="-c TimeZone=UTC") as conn:
            change(conn)
    except Problem as problem:
        raise click.ClickException(problem.detail) from None
    except psycopg.Error as error:
        raise click.ClickException(f"{error}\nNothing is changed.") from error


def _found(conn: Conn, key_id: str) -> Key:
    found = device_keys.lock_key(conn, key_id)
    if found is None:
        raise click.ClickException(f"there is no key {key_id}")
    return found


def _print(new: Made) -> None:
    """The key alone on standard output, for a script to take."""
    click.echo("This key is shown this once. A device sends it as `Authorization: Bearer <key>`:", err=True)
    click.echo(new.shown)


def _row(one: Key, now: datetime) -> tuple[str, ...]:
    state = "revoked" if one.revoked_at else "expired" if one.ended(now) else "valid"
    refused = f"{one.refused:,}" + (f", last {one.last_refused_code}" if one.last_refused_code else "")
    return one.key_id, one.name, " ".join(one.rights), _writes(one), state, _at(one.last_used_at), refused, _at(one.expires_at)


def _writes(one: Key) -> str:
    if one.binding == "site":
        return f"site {one.site_id}"
    if one.binding in ("device", "list"):
        named = [*(f"vehicle {name}" for name in one.vehicle_ids), *(f"meter {name}" for name in one.meter_ids)]
        return ", ".join(named[:3]) + (f" and {len(named) - 3:,} more" if len(named) > 3 else "")
    return {"gateway": "every device", "none": ""}[one.binding]


def _at(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}Z" if at else ""
