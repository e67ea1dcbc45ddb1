"""What the tests of notices need: a real HTTP receiver and a real SMTP server on loopback, channels, and notices in the outbox."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
from aiosmtpd.controller import Controller

from alerting.sending import Outgoing
from db import notice_channels, outbox
from db.engine import Conn
from db.notice_channels import Wanted
from db.outbox import Claimed
from tests.support import free_port

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)
SECRET = "a-secret-that-only-the-receiver-knows"
PRIVATE = Outgoing("https://volts.example.org/", to_private=True)
LOW: dict[str, Any] = {
    "kind": "firing",
    "rule": "low_efficiency",
    "subject": {"kind": "vehicle", "id": "van-7", "name": "Van 7"},
    "site": {"id": "berlin", "name": "Depot Berlin"},
    "severity": "critical",
    "state": "firing",
    "firedAt": "2026-02-04T11:58:00Z",
    "resolvedAt": None,
    "because": None,
    "reason": "71.3 % of what was drawn arrived",
    "evidence": {
        "windowFrom": "2026-02-04T10:58:00Z",
        "windowTo": "2026-02-04T11:58:00Z",
        "acKwh": 10.52,
        "dcKwh": 7.5,
        "lossKwh": 3.02,
        "efficiencyRatio": 0.713,
        "uncertainty": 0.011,
        "expected": {"low": 0.867, "high": 0.939, "source": "default"},
        "threshold": 0.75,
        "coverage": {"vehicle": 1.0, "meter": 0.983},
        "meterIds": ["depot-1"],
    },
    "episodeId": None,
    "path": "/alerts/1",
}


@dataclass
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers with the next of `answers`, then with 200: a status, or a function that is handed the handler."""

    url: str = ""
    answers: list[int | Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    got: list[Received] = field(default_factory=list)

    def wait_for(self, count: int, within_s: float = 15) -> None:
        """Until that many requests have come."""
        deadline = time.monotonic() + within_s
        while len(self.got) < count:
            assert time.monotonic() < deadline, f"{len(self.got)} of {count} requests came"
            time.sleep(0.01)


@contextmanager
def receiver(*answers: int | Callable[[BaseHTTPRequestHandler], None], tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A real HTTP server on loopback."""
    made = Receiver(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.got.append(Received(self.path, dict(self.headers), body))
            answer = made.answers.pop(0) if made.answers else 200
            if callable(answer):
                answer(self)
                return
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("Location", f"{made.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815 -- http.server's name

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads, block_on_close = True, False

        def handle_error(self, *args: object) -> None:
            """Who cuts us off is part of the test."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    made.url = f"http://127.0.0.1:{server.server_port}/hook"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Letter:
    """An e-mail as the server took it."""

    sender: str
    recipients: list[str]
    raw: bytes


class Postbox:
    """aiosmtpd's handler: keeps what comes, or answers with `refuse`."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.refuse: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        if self.refuse:
            return self.refuse.pop(0)
        self.letters.append(Letter(envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
        return "250 taken"


@contextmanager
def postbox(**options: Any) -> Iterator[tuple[Postbox, int]]:
    """A real SMTP server on loopback, and its port."""
    kept, port = Postbox(), free_port()

    controller = Controller(kept, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield kept, port
    finally:
        controller.stop()


@dataclass
class Clock:
    """A clock that the test moves."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **parts: float) -> None:
        """By so many seconds, hours …"""
        self.at += timedelta(**parts)


def connecting(database_url: str) -> Callable[[], AbstractContextManager[Conn]]:
    """What a deliverer is handed."""
    return lambda: psycopg.connect(database_url)


def channel(conn: Conn, address: str, name: str = "", kind: str = "webhook", **changes: Any) -> int:
    """A channel's id."""
    usual: dict[str, Any] = {"secret": SECRET, "enabled": True, "least_severity": "warning", "digest_at": None, "digest_zone": "UTC"}
    return notice_channels.add(conn, Wanted(name=name or address, kind=kind, address=address, **{**usual, **changes}), "Ada", NOW)


def notice(**changes: Any) -> Claimed:
    """A notice as a sender is handed it."""
    usual: dict[str, Any] = {
        "notice_id": 41,
        "key": "firing:7:3",
        "channel_id": 3,
        "kind": "firing",
        "episode_id": 7,
        "body": LOW,
        "created_at": NOW,
        "tries": 1,
        "channel_kind": "webhook",
        "address": "https://hooks.example.org/T0/s3cr3t-path",
        "secret": SECRET,
    }
    return Claimed(**{**usual, **changes})


def standing(database_url: str) -> list[outbox.Notice]:
    """The outbox, oldest first."""
    with psycopg.connect(database_url) as conn:
        return outbox.notices(conn)[::-1]
