"""From the process that takes in readings to the one that makes pages, over a Unix socket that no other user can open.

Pages compute: for tens of milliseconds they hold the interpreter, and every reading in the same process would wait for that.
"""

import contextlib
import http.client
import re
import socket
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import structlog
from werkzeug.wsgi import get_input_stream

from api.errors import Problem, new_request_id, problem_answer
from edge.headers import Wsgi

PART_BYTES = 65_536
# Longer than any statement may take (statement_timeout_s) and than a part of an export is ever waited for.
ANSWER_WITHIN_S = 120.0
# Says, on the pages' side of the socket, what gunicorn cannot know there.
_PEER, _SCHEME = "X-Relayed-Peer", "X-Relayed-Scheme"
_OURS = frozenset("HTTP_" + name.upper().replace("-", "_") for name in (_PEER, _SCHEME))
# Concern one connection, and each side has its own; the length of a body is told anew.
_HOP = frozenset("connection keep-alive proxy-connection transfer-encoding te trailer upgrade expect content-length date server".split())
_NOT_IN_AN_ADDRESS = re.compile(r"[^\x21-\x7e]")

log = structlog.get_logger()


class Relay:
    """WSGI: what `is_own` is answered by `own`, everything else by whoever listens on the Unix socket at `path`."""

    def __init__(self, own: Wsgi, is_own: Callable[[str], bool], path: str, answer_within_s: float = ANSWER_WITHIN_S) -> None:
        self._own, self._is_own, self._path, self._answer_within_s = own, is_own, path, answer_within_s

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request."""
        if self._is_own(environ["PATH_INFO"]):
            return self._own(environ, start_response)
        line = _Line(self._path, self._answer_within_s)
        try:
            answer = _asked(line, environ)
        except Problem as problem:
            line.close()
            return _refused(problem, start_response)
        except TimeoutError:
            line.close()
            return _refused(Problem(504, "pages_slow", "Gateway Timeout", "the pages did not answer in time", retry=True), start_response)
        except (OSError, http.client.HTTPException) as error:
            line.close()
            log.warning("pages_away", error=type(error).__name__)
            return _refused(Problem(503, "pages_away", "Service Unavailable", _AWAY, retry=2), start_response)
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
        if (length := answer.headers["Content-Length"]) is not None:
            headers.append(("Content-Length", length))
        start_response(f"{answer.status} {answer.reason}", headers)
        return _Parts(line, answer)


_AWAY = "the pages are being started again; readings are taken in meanwhile"


class _Line(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("pages", timeout=timeout_s)
        self._at = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._at)


class _Parts:
    """An answer's body as it comes. Raises where it ends early, so that the client's ends visibly too. Closed by the server, whatever happens."""

    def __init__(self, line: _Line, answer: http.client.HTTPResponse) -> None:
        self._line, self._answer = line, answer

    def __iter__(self) -> Iterator[bytes]:
        while part := self._answer.read1(PART_BYTES):
            yield part
        if self._answer.length:
            raise http.client.IncompleteRead(b"", self._answer.length)

    def close(self) -> None:
        """Whoever works on the answer behind us sees that nobody wants it any more."""
        self._answer.close()
        self._line.close()


def _asked(line: _Line, environ: dict[str, Any]) -> http.client.HTTPResponse:
    """The answer to the request in `environ`, its body not read yet. Raises OSError, HTTPException, Problem 400."""
    address = _NOT_IN_AN_ADDRESS.sub(lambda sign: f"%{ord(sign[0]):02X}", environ["RAW_URI"])
    line.putrequest(environ["REQUEST_METHOD"], address, skip_host=True, skip_accept_encoding=True)
    for name, value in _headers(environ):
        line.putheader(name, value)
    length, chunked = environ.get("CONTENT_LENGTH", ""), "HTTP_TRANSFER_ENCODING" in environ
    if chunked:
        line.putheader("Transfer-Encoding", "chunked")
    elif length:
        line.putheader("Content-Length", length)
    line.endheaders()
    with contextlib.suppress(BrokenPipeError):  # answered before all of it was sent: it is too large, or not allowed
        _send_body(line, environ, int(length or 0), chunked)
    return line.getresponse()


def _headers(environ: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in environ.items():
        name = key.removeprefix("HTTP_").replace("_", "-")
        if (key.startswith("HTTP_") and key not in _OURS and name.lower() not in _HOP) or (key == "CONTENT_TYPE" and value):
            yield name.title(), value
    yield _PEER, environ.get("REMOTE_ADDR", "")
    yield _SCHEME, environ["wsgi.url_scheme"]
    yield "Connection", "close"


def _send_body(line: _Line, environ: dict[str, Any], length: int, chunked: bool) -> None:
    stream, sent = get_input_stream(environ, safe_fallback=False), 0
    while (chunked or sent < length) and (part := stream.read(PART_BYTES)):
        line.send(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        sent += len(part)
    if chunked:
        line.send(b"0\r\n\r\n")
    elif sent < length:
        raise Problem(400, "body_cut", "Bad Request", f"the body ended after {sent} of {length} bytes")


def _refused(problem: Problem, start_response: Callable[..., Any]) -> Iterable[bytes]:
    made = problem_answer(problem, new_request_id())
    start_response(f"{problem.status} {problem.title}", [*made.headers, ("Content-Length", str(len(made.body)))])
    return [made.body]


class Relayed:
    """WSGI, on the pages' side: a request with the address and the scheme it had where it came in. Only for a socket that nobody else can open."""

    def __init__(self, rest: Wsgi) -> None:
        self._rest = rest

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request."""
        peer, scheme = (environ.pop(name, "") for name in ("HTTP_X_RELAYED_PEER", "HTTP_X_RELAYED_SCHEME"))
        environ["REMOTE_ADDR"], environ["wsgi.url_scheme"] = peer, scheme or "http"
        return self._rest(environ, start_response)


def own_paths(exact: Collection[str]) -> Callable[[str], bool]:
    """Whether a path is among these."""
    return frozenset(exact).__contains__
