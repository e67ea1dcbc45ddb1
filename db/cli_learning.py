"""`python -m db learn`: the nightly learning by hand, and what the server runs by itself."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import click
import psycopg

import config
from charging.verdict import Thresholds
from db import learning
from db.lessons import ONE_DAY
from db.queries.policies import Policies

Url = Callable[[], str]
_DAY = click.DateTime(["%Y-%m-%d"])
_OPTIONS = "-c TimeZone=UTC -c jit=off"
# On a busy machine the web processes come first.
_NICENESS = 10


@click.command("learn")
@click.option(
    "--from", "first", type=_DAY, help="The first day (UTC). Goes through the days in order, whether they were learned from or not."
)
@click.option("--to", "last", type=_DAY, help="The last day. Default: yesterday.")
@click.option("--after-hours", type=click.FloatRange(min=0), default=0.0, help="Without --from: only days that ended so long ago.")
@click.pass_obj
def learn(url: Url, first: datetime | None, last: datetime | None, after_hours: float) -> None:
    """Learn what is normal for each vehicle from days that are over: those not learned from yet, or all from --from on, as after an import.

    The server does the former by itself every night.
    """
    settings = config.load()
    policies = Policies(Thresholds(settings.thresholds, settings.plain_low, settings.plain_critical))
    now = datetime.now(UTC)
    os.nice(_NICENESS)
    with _without_collector(), psycopg.connect(url(), autocommit=True, options=_OPTIONS) as conn:
        try:
            if first:
                learning.learn_days(conn, *_window(first, last, now), now, policies, done=_say)
            elif last:
                raise click.UsageError("--to needs --from")
            else:
                while learning.learn_due(conn, now, timedelta(hours=after_hours), policies, done=_say):
                    pass
        except learning.Busy as error:
            raise click.ClickException(str(error)) from None


@contextmanager
def _without_collector() -> Iterator[None]:
    """Nothing here is cyclic, and looking for cycles among hundred thousands of lessons takes longer than learning from them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _window(first: datetime, last: datetime | None, now: datetime) -> tuple[date, date]:
    newest = now.date() - ONE_DAY
    end = min(last.date(), newest) if last else newest
    if first.date() > end:
        raise click.UsageError(f"no day that is over lies from {first:%Y-%m-%d} to {end}")
    return first.date(), end


def _say(learnt: learning.Learnt) -> None:
    click.echo(str(learnt))


COMMANDS = (learn,)
