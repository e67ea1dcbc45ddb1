"""HTTP as a device speaks it: one kept-open connection, the same content again until the server has confirmed it."""

import http.client
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

import orjson

JSON_TYPE = "application/json"
TIMEOUT_S = 30.0
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
# Not the content's fault: the same request may succeed later.
TRY_AGAIN = frozenset({408, 425, 429})


class Stopped(Exception):
    """The wait for an answer was given up because the program ends."""


class GaveUp(Exception):
    """No confirmation within the time allowed. Carries the last reason in words."""


@dataclass(frozen=True)
class Answer:
    """A final answer: anything but an overload or an outage."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The parsed body, or None when it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Seconds asked for by a Retry-After header (a number or an HTTP date), or None."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now_s)
    except ValueError:
        return None


def backoff_s(attempt: int) -> float:
    """Seconds before attempt number `attempt` + 1: doubled each time, with jitter so that a fleet does not return in step."""
    full: float = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempt, 10))
    return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret


def _why(status: int, content: bytes) -> str:
    """A refusal that may pass, in words: the status and what the server says about it."""
    problem = Answer(status, content).json()
    said = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
    return f"answer {status}" + (f": {said}" if said else "")


class Wire:
    """One connection to a server. Not for use by several threads at once.

    `trouble` is told, in words, about every attempt that has to be repeated.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        stop: threading.Event | None = None,
        give_up_after_s: float | None = None,
        trouble: Callable[[str], None] = lambda _words: None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http:// or https:// address: {url}")
        self._open_connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._stop, self._give_up_after_s, self._trouble = stop or threading.Event(), give_up_after_s, trouble
        self._connection: http.client.HTTPConnection | None = None

    def send(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """The server's final answer, however many attempts that takes.

        Raises Stopped when the program ends first, GaveUp when the time allowed runs out.
        """
        began_s, attempt = time.monotonic(), 0
        while True:
            answer, wait_s, reason = self._attempt(method, path, body, headers)
            if answer is not None:
                return answer
            pause_s = max(backoff_s(attempt), wait_s or 0.0)
            attempt += 1
            if self._give_up_after_s is not None and time.monotonic() - began_s + pause_s > self._give_up_after_s:
                raise GaveUp(f"{method} {path}: {reason}")
            self._trouble(f"{method} {path}: {reason}")
            if self._stop.wait(pause_s):
                raise Stopped

    def send_json(self, method: str, path: str, value: Any = None) -> Answer:
        """`send` with a value as JSON, or without a body."""
        return self.send(method, path, None if value is None else orjson.dumps(value))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. The next request connects anew."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _attempt(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None
    ) -> tuple[Answer | None, float | None, str]:
        """(final answer or None, seconds the server asks to wait, why it has to be repeated)."""
        if self._stop.is_set():
            raise Stopped
        try:
            response, content = self._exchange(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return None, None, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if response.status >= 500 or response.status in TRY_AGAIN:
            return None, retry_after_s(response.getheader("Retry-After"), time.time()), _why(response.status, content)
        return Answer(response.status, content), None, ""

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        kept_open = self._connection is not None
        try:
            return self._request(method, path, body, headers)
        except (ConnectionError, http.client.HTTPException):
            self.close()
            if not kept_open:
                raise
        # The server may close an idle connection at any moment; that is no outage, and sending again is always safe.
        return self._request(method, path, body, headers)

    def _request(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is None:
            self._connection = self._open_connection(self._host, self._port, timeout=TIMEOUT_S)
        typed = {"Content-Type": JSON_TYPE} if body is not None else {}
        self._connection.request(method, self._prefix + path, body, {"Accept": JSON_TYPE, **typed, **self._headers, **(headers or {})})
        response = self._connection.getresponse()
        return response, response.read()
