"""kill -9 at every point between commit and mark, of a real process: nothing is lost, and at most one duplicate comes, with the same key."""

import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from alerting.delivery import LEASE, deliver_once
from alerting.webhook import Webhook
from db import outbox
from db.engine import Conn
from tests.notice_support import LOW, NOW, PRIVATE, Clock, channel, connecting, receiver, standing

pytestmark = pytest.mark.slow  # each starts a process of its own


def _child(project: Path, url: str, when: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "tests.notice_child", url, when, NOW.isoformat()], cwd=project)


def _later(database_url: str) -> int:
    """What the next leader does when the claim has run out."""
    return deliver_once(connecting(database_url), Clock(NOW + LEASE), {"webhook": Webhook(PRIVATE)})


def _announce(conn: Conn) -> None:
    outbox.announce(conn, "firing", "firing:1", LOW, "critical", None, NOW)
    conn.commit()


def test_killed_between_commit_and_send_it_is_sent_once(conn: Conn, database_url: str, project: Path) -> None:
    with receiver() as there:
        channel(conn, there.url)
        conn.commit()
        assert _child(project, database_url, "committed").wait(60) == -signal.SIGKILL
        assert there.got == []
        assert _later(database_url) == 1
        assert len(there.got) == 1


@pytest.mark.parametrize("answers", [False, True])
def test_killed_between_send_and_mark_it_comes_once_more_with_the_same_key(
    conn: Conn,
    database_url: str,
    project: Path,
    answers: bool,
) -> None:
    """While the receiver has it and has not answered; and after it has."""

    def thinks(_: BaseHTTPRequestHandler) -> None:
        time.sleep(20)

    with receiver(*([] if answers else [thinks])) as there:
        channel(conn, there.url)
        _announce(conn)
        child = _child(project, database_url, "sent" if answers else "sending")
        there.wait_for(1, 60)
        if not answers:
            child.kill()
        assert child.wait(60) == -signal.SIGKILL
        (kept,) = standing(database_url)
        assert (kept.state, kept.tries) == ("waiting", 1)
        assert deliver_once(connecting(database_url), Clock(), {"webhook": Webhook(PRIVATE)}) == 0  # the claim still holds
        assert _later(database_url) == 1
        assert _later(database_url) == 0
        assert len(there.got) == 2
        assert there.got[0].headers["Idempotency-Key"] == there.got[1].headers["Idempotency-Key"]
    assert [one.state for one in standing(database_url)] == ["sent"]
