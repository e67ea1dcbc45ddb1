"""A process of its own that delivers, to be killed: `python -m tests.notice_child <database url> <when> <instant>`.

when: `committed` announces, commits and dies; `sending` delivers as the product does; `sent` dies after the answer, before it is marked.
"""

import os
import signal
import sys
from datetime import datetime

import psycopg

from alerting.delivery import deliver_once
from alerting.webhook import Webhook
from db import outbox
from tests.notice_support import LOW, PRIVATE


def main(url: str, when: str, at: str) -> None:
    now, send = datetime.fromisoformat(at), Webhook(PRIVATE)

    def dying(notice: outbox.Claimed, then: datetime) -> None:
        send(notice, then)
        os.kill(os.getpid(), signal.SIGKILL)

    if when == "committed":
        with psycopg.connect(url) as conn:
            outbox.announce(conn, "firing", "firing:1", LOW, "critical", None, now)
        os.kill(os.getpid(), signal.SIGKILL)
    deliver_once(lambda: psycopg.connect(url), lambda: now, {"webhook": dying if when == "sent" else send})


if __name__ == "__main__":
    main(*sys.argv[1:])
