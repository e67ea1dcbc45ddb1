"""`python -m proof`: try an installation before trusting it. Kill and cut what you like meanwhile; what was answered has to be there."""

import asyncio
import sys
import time
import uuid
from pathlib import Path

import click
import orjson

from proof.check import CannotRead, Verdict, check, reach
from proof.devices import Fleet
from proof.ledger import Ledger, quantile_ms
from proof.load import Load, Plan, raise_file_limit

HOLDS, BROKEN, CANNOT = 0, 1, 2
HOURS_BACK = 6  # where the readings begin: a device that sends faster than one a second would run into the future
STEP_MS = 1000
MOST_READINGS = 5_000_000


@click.command()
@click.option("--url", required=True, help="The installation, http:// or https://.")
@click.option("--key", envvar="VOLTLEDGER_PROOF_KEY", help="A gateway's key with the rights write and read (also VOLTLEDGER_PROOF_KEY).")
@click.option("--devices", default=100, show_default=True, type=click.IntRange(2, 20_000), help="Made-up devices, half of them meters.")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(1, 86_400), help="How long they send.")
@click.option("--rate", default=50.0, show_default=True, type=click.FloatRange(0.1, 50_000), help="Readings a second, of all together.")
@click.option("--per-request", default=1, show_default=True, type=click.IntRange(1, 5_000), help="Readings in one request.")
@click.option("--settle", default=120.0, show_default=True, help="Seconds for what is undecided at the end.")
@click.option("--keep", type=click.Path(dir_okay=False, path_type=Path), help="Write the ledger into this file.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def main(**chosen: object) -> None:
    """Send readings of made-up devices, remember every answer, read everything back and say whether the promise holds.

    Exit code: 0 it holds, 1 it does not, 2 it could not be tried.
    """
    sys.exit(run(**chosen))  # type: ignore[arg-type]  # click has checked them


def run(
    *, url: str, key: str | None, devices: int, seconds: float, rate: float, per_request: int, settle: float, keep: Path | None, yes: bool
) -> int:
    """The exit code."""
    if seconds * rate > MOST_READINGS or seconds * rate / devices * STEP_MS > HOURS_BACK * 3_600_000:
        click.echo("that is more than its devices can have recorded in six hours: take more devices, or fewer readings", err=True)
        return CANNOT
    fleet = Fleet(uuid.uuid4().hex[:8], int(time.time()) - HOURS_BACK * 3600, STEP_MS)
    click.echo(
        f"About {seconds * rate:,.0f} readings will be stored at {url}, of {devices} made-up devices named {fleet.id_of(0)} and so on.\n"
        "They stay: history is kept for ever. Nothing else is written or changed."
    )
    if not yes and not click.confirm("Go on?"):
        return CANNOT
    try:
        plan = Plan(url, fleet, devices, rate, per_request=per_request, seconds=seconds, settle_s=settle, key=key)
        reach(url, key, Ledger.of(fleet, devices))
        raise_file_limit()
        ledger = asyncio.run(Load(plan).run())
        if keep:
            keep.write_bytes(orjson.dumps(ledger.as_dict(), option=orjson.OPT_NON_STR_KEYS))
        return _say(ledger, check(url, key, ledger))
    except (ValueError, CannotRead) as error:
        click.echo(f"Not decided: {error}", err=True)
        return CANNOT


def _say(ledger: Ledger, verdict: Verdict) -> int:
    counts = ledger.counts
    click.echo(
        f"acked {verdict.acked:,}, stored {verdict.stored:,}, sent and never answered {verdict.unknown:,}\n"
        f"resent {counts['resent']:,} (found there already: {counts['duplicates']:,}), refused {counts['refused']:,}, cut off {counts['broken']:,}, "
        f"not reached {counts['not_connected']:,}, without an answer {counts['unanswered']:,}\n"
        f"answers: half within {quantile_ms(ledger.took, 0.5):.0f} ms, 99 % within {quantile_ms(ledger.took, 0.99):.0f} ms; "
        f"longest time without one {ledger.silence_after(0):.1f} s"
    )
    wrong = {
        "acked and not there": verdict.lost,
        "there and never sent": verdict.phantom,
        "there more than once": verdict.twice,
        "live states that are not the newest reading": verdict.stale,
        "receipts that do not add up": verdict.receipts,
        "readings refused for good": verdict.rejected,
        "answers 500": verdict.errors_500,
    }
    for words, count in wrong.items():
        if count:
            click.echo(f"  {words}: {count:,}")
    if verdict.rejected:
        click.echo(f"  for example: {ledger.rejected[0]}")
    if not verdict.acked:
        click.echo("Not decided: nothing was acked.")
        return CANNOT
    click.echo("It holds: everything that was answered is there, once." if verdict.holds else "It does NOT hold.")
    return HOLDS if verdict.holds else BROKEN


if __name__ == "__main__":
    main()
