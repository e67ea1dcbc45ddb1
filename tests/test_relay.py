"""Devices' process and pages' process: what is asked of the one and answered by the other is the same as if there were one."""

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import EnvironBuilder, run_wsgi_app
from werkzeug.wsgi import get_input_stream

from edge.relay import Relay, Relayed, own_paths

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: Any) -> None:
        """Nothing."""


@dataclass
class Pages:
    """What a pages' process got, and what it answers with."""

    path: str
    seen: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answer: Wsgi | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.seen.append(environ)
        if self.answer:
            return self.answer(environ, start_response)
        self.bodies.append(get_input_stream(environ).read())
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5"), ("X-Kept", "yes")])
        return [b"pages"]


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    made = Pages(str(tmp_path / "socket"))
    server = make_server(f"unix://{made.path}", 0, Relayed(made), threaded=True, request_handler=_Quiet)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    yield made
    server.shutdown()
    serving.join()
    server.server_close()


def _own(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"own"]


def _asked(relay: Relay, path: str = "/page", **given: Any) -> tuple[bytes, str, dict[str, str]]:
    """Body, status and headers, as a WSGI server gets them."""
    builder = EnvironBuilder(path, **given)
    environ: dict[str, Any] = {**builder.get_environ(), "RAW_URI": path, "REMOTE_ADDR": "203.0.113.7"}
    environ.setdefault("wsgi.input_terminated", True)
    body, status, headers = run_wsgi_app(relay, environ)
    return b"".join(body), status, dict(headers)


def _relay(pages: Pages, within_s: float = 20.0) -> Relay:
    return Relay(_own, own_paths(("/healthz",)), pages.path, within_s)


def test_its_own_paths_are_answered_without_asking_the_pages(pages: Pages) -> None:
    assert _asked(_relay(pages), "/healthz")[0] == b"own"
    assert not pages.seen


def test_everything_else_is_the_pages_with_address_scheme_and_cookies(pages: Pages) -> None:
    body, status, headers = _asked(_relay(pages), "/page?a=1&b=%20", headers={"Cookie": "x=y", "Host": "volts.example"})
    assert (body, status, headers["X-Kept"], headers["Content-Length"]) == (b"pages", "200 OK", "yes", "5")
    [seen] = pages.seen
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"], seen["HTTP_COOKIE"]) == ("203.0.113.7", "http", "x=y")
    assert (seen["HTTP_HOST"], seen["QUERY_STRING"]) == ("volts.example", "a=1&b=%20")
    assert not [name for name in seen if "RELAYED" in name]


def test_nobody_can_say_that_he_was_relayed(pages: Pages) -> None:
    _asked(_relay(pages), headers={"X-Relayed-Peer": "127.0.0.1", "X-Relayed-Scheme": "https"})
    assert (pages.seen[0]["REMOTE_ADDR"], pages.seen[0]["wsgi.url_scheme"]) == ("203.0.113.7", "http")


@pytest.mark.parametrize("address", ["/a%2e%2e/b", "/%00", "/x%3Fy?z"])
def test_an_address_arrives_as_it_was_written(pages: Pages, address: str) -> None:
    _asked(_relay(pages), address)
    seen = pages.seen[0]
    assert seen["REQUEST_URI"] == address


def test_a_sign_outside_ascii_or_a_control_character_in_an_address_is_escaped(pages: Pages) -> None:
    builder = EnvironBuilder("/x")
    environ = {**builder.get_environ(), "RAW_URI": "/\xfc\x01 x", "REMOTE_ADDR": ""}
    run_wsgi_app(_relay(pages), environ)
    assert pages.seen[0]["REQUEST_URI"] == "/%FC%01%20x"


@pytest.mark.parametrize("size", [0, 1, 65_536, 300_000])
def test_a_body_arrives_whole(pages: Pages, size: int) -> None:
    sent = bytes(n % 251 for n in range(size))
    assert _asked(_relay(pages), method="POST", data=sent)[1] == "200 OK"
    assert pages.bodies == [sent]


def test_a_body_of_unknown_length_arrives_whole(pages: Pages) -> None:
    sent = b"abc" * 50_000
    builder = EnvironBuilder("/page", method="POST", data=sent, headers=[("Transfer-Encoding", "chunked")])
    environ = {**builder.get_environ(), "RAW_URI": "/page", "wsgi.input_terminated": True}
    environ.pop("CONTENT_LENGTH")
    _, status, _ = run_wsgi_app(_relay(pages), environ)
    assert status == "200 OK"
    assert pages.bodies == [sent]


def test_a_body_that_ends_early_is_never_taken_for_whole(pages: Pages) -> None:
    builder = EnvironBuilder("/page", method="POST", data=b"abc")
    environ = {**builder.get_environ(), "RAW_URI": "/page", "CONTENT_LENGTH": "10", "wsgi.input_terminated": True}
    body, status, _ = run_wsgi_app(_relay(pages), environ)
    assert status == "400 Bad Request"
    assert b"3 of 10 bytes" in b"".join(body)
    assert b"abc" not in pages.bodies


def test_an_answer_before_all_was_sent_is_the_answer(pages: Pages) -> None:
    def refuse(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("413 Content Too Large", [("Content-Length", "3"), ("Connection", "close")])
        return [b"big"]

    pages.answer = refuse
    body, status, headers = _asked(_relay(pages), method="POST", data=b"x" * 8_000_000)
    assert (body, status) == (b"big", "413 Content Too Large")
    assert "Connection" not in headers  # it was the pages' and not the client's


def test_an_answer_that_ends_early_does_so_here_too(pages: Pages) -> None:
    def half(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "100")])
        return [b"half"]

    pages.answer = half
    with pytest.raises(http.client.IncompleteRead):
        _asked(_relay(pages))


def test_a_page_that_takes_too_long_is_told_so(pages: Pages) -> None:
    go = threading.Event()

    def slow(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        go.wait(20)
        start_response("200 OK", [("Content-Length", "0")])
        return []

    pages.answer = slow
    _, status, headers = _asked(_relay(pages, within_s=0.2))
    go.set()
    assert status == "504 Gateway Timeout"
    assert "Retry-After" in headers


def test_whoever_works_on_an_answer_that_nobody_wants_any_more_sees_it(pages: Pages) -> None:
    ended = threading.Event()

    def endless(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 10_000
        finally:
            ended.set()

    pages.answer = endless
    environ = {**EnvironBuilder("/page").get_environ(), "RAW_URI": "/page"}
    body, _, _ = run_wsgi_app(_relay(pages), environ, buffered=False)
    parts = iter(body)
    assert next(parts)
    body.close()  # type: ignore[attr-defined]
    assert ended.wait(20)


def test_pages_that_are_away_are_a_503_that_says_when_to_come_back(tmp_path: Path) -> None:
    body, status, headers = _asked(Relay(_own, own_paths(()), str(tmp_path / "nobody")))
    assert (status, headers["Content-Type"]) == ("503 Service Unavailable", "application/problem+json")
    assert 2 <= int(headers["Retry-After"]) <= 3
    assert b"readings are taken in" in body


def test_pages_that_die_while_they_are_asked_are_a_503(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def die() -> None:
            with contextlib.suppress(OSError):
                listener.accept()[0].close()

        dying = threading.Thread(target=die)
        dying.start()
        assert _asked(Relay(_own, own_paths(()), path))[1] == "503 Service Unavailable"
        dying.join()
