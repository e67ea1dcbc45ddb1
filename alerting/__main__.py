"""`python -m alerting`: judges every minute and delivers notices, beside the web server. Several may run; one of them leads."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType

import click

import config
from alerting.delivery import AT_ONCE, Deliverer
from alerting.leader import Leader
from alerting.sending import outgoing
from charging.verdict import Thresholds
from db.engine import pool
from db.queries.policies import Policies

# Below the web server: on a busy machine readings come first.
_NICE = 5


@click.command()
def main() -> None:
    """Evaluate the rules every minute and deliver what they have to say, until stopped."""
    settings = config.load()
    if not settings.database_url:
        sys.exit("DATABASE_URL is not set: `python -m dashboard` starts this beside its own PostgreSQL")
    config.start_logs(settings.log_format)
    os.nice(_NICE)
    stop = threading.Event()

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    policies = Policies(Thresholds(settings.thresholds, settings.plain_low, settings.plain_critical))
    with pool(settings.database_url, AT_ONCE + 1, "notices", settings.statement_timeout_s) as connections:

        @contextmanager
        def delivering() -> Iterator[None]:
            deliverer = Deliverer(connections.connection, _now, outgoing(settings)).start()
            try:
                yield
            finally:
                deliverer.close()

        Leader(settings.database_url, policies, _now, stop, delivering).run()


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
