"""Notices as signed JSON by HTTP POST, to exactly the address that was checked."""

import hashlib
import hmac
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from alerting import addresses, guard, words
from alerting.sending import NotDelivered, Outgoing
from db.outbox import Claimed

TIMEOUT_S = 5.0  # for everything from connecting to the end of the answer
MOST_ANSWER = 64 * 1024  # bytes that are read of what the receiver says
USER_AGENT = "Voltledger"


class Webhook:
    """Sends to the channel's address. `tls`: whom to trust; the system's authorities where absent."""

    def __init__(
        self, outgoing: Outgoing, resolver: guard.Resolver = guard.resolve, tls: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._outgoing, self._resolver, self._timeout_s = outgoing, resolver, timeout_s
        self._tls = tls or ssl.create_default_context()

    def __call__(self, notice: Claimed, now: datetime) -> None:
        """Raises NotDelivered."""
        parts = addresses.split(notice.address)
        place = addresses.host_and_port("webhook", notice.address)
        if parts is None or place is None or addresses.faulty("webhook", notice.address):
            raise NotDelivered("the channel's address is not one of a webhook")
        try:
            found = guard.allowed(*place, to_private=self._outgoing.to_private, resolver=self._resolver)
        except (guard.Refused, guard.Unknown) as error:
            raise NotDelivered(str(error)) from None
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        body = payload(notice, self._outgoing.link(notice))
        connection = _Pinned(*place, found, self._timeout_s, self._tls if parts.scheme == "https" else None)
        judge(_exchange(connection, target, body, headers(notice, body, now), self._timeout_s))


def payload(notice: Claimed, link: str | None) -> bytes:
    """The body that is posted: the notice, with its id, its key, a link, and the words that people get elsewhere."""
    said: dict[str, Any] = {
        **notice.body,
        "id": notice.notice_id,
        "idempotencyKey": notice.key,
        "createdAt": words.instant(notice.created_at),
        "link": link,
        "title": words.subject(notice.body),
        "text": words.text(notice.body, link),
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()


def headers(notice: Claimed, body: bytes, now: datetime) -> dict[str, str]:
    """With the signature, where the channel has a secret."""
    made = {"Content-Type": "application/json", "User-Agent": USER_AGENT, "Idempotency-Key": notice.key, "Connection": "close"}
    if notice.secret:
        made["Voltledger-Signature"] = signature(notice.secret, body, int(now.timestamp()))
    return made


def signature(secret: str, body: bytes, at: int) -> str:
    """`t=<unix seconds>,v1=<hex of HMAC-SHA256 over "t.body">`: who knows the secret sent it, and when."""
    made = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={made}"


def judge(status: int) -> None:
    """Raises NotDelivered for everything but 2xx."""
    if 300 <= status < 400:
        raise NotDelivered(f"it answered {status}, a redirect, which is not followed: give the channel the new address")
    if not 200 <= status < 300:
        raise NotDelivered(f"it answered {status} {http.client.responses.get(status, '')}".strip())


class _Pinned(http.client.HTTPConnection):
    """Connects to one of the given IP addresses; Host, SNI and the certificate's name stay those of `host`."""

    def __init__(self, host: str, port: int, found: Sequence[str], timeout_s: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self.default_port = 80 if tls is None else 443  # what the Host header leaves out
        self._found, self._wait_s, self._tls = found, timeout_s / len(found), tls

    def connect(self) -> None:
        self.sock = self._reach()
        if self._tls:
            # the handshake afterwards, so that whoever cuts the connection off finds the socket
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock.do_handshake()

    def _reach(self) -> socket.socket:
        last: OSError = OSError("there is no address")
        for address in self._found:
            try:
                made = socket.create_connection((address, self.port), self._wait_s)
            except OSError as error:
                last = error
                continue
            made.settimeout(self.timeout)
            return made
        raise last


def _exchange(connection: _Pinned, target: str, body: bytes, sent: dict[str, str], timeout_s: float) -> int:
    """The status of the answer. Raises NotDelivered where none came in time."""
    with _cut_off_after(connection, timeout_s) as late:
        try:
            connection.request("POST", target, body, sent)
            answer = connection.getresponse()
            answer.read(MOST_ANSWER)
            if late.is_set():  # cut off among the headers it looks like an end
                raise TimeoutError
            return answer.status
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotDelivered(_why(error, timeout_s, late=late.is_set())) from None
        finally:
            connection.close()


@contextmanager
def _cut_off_after(connection: _Pinned, timeout_s: float) -> Iterator[threading.Event]:
    """Ends the connection when its time is up, also one on which a byte comes now and then; the event then is set."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError, AttributeError):
            connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(timeout_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _why(error: Exception, timeout_s: float, *, late: bool) -> str:
    """In words, of our own: an exception's text may hold the address."""
    if late or isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection: {error.reason}"
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be reached: {error.strerror}"
    return "it broke off or did not answer in HTTP"
