"""Against a real HTTP server: what is not confirmed is sent again, unchanged; what is refused is not."""

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from simulator import wire as wire_module
from simulator.post import Tally
from simulator.wire import Answer, GaveUp, Stopped, Wire, retry_after_s

Script = list[Any]


class Server(ThreadingHTTPServer):
    """Answers by a script: (status, headers), "reset" to cut the connection, or "close" to drop it after a good answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: Script = []
        self.bodies: list[bytes] = []
        self.headers_seen: list[dict[str, str]] = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def log_message(self, *args: Any) -> None: ...

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.headers_seen.append(dict(self.headers))
        step = self.server.script.pop(0) if self.server.script else (201, {})
        if step == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        status, headers = (201, {}) if step == "close" else step
        answer = json.dumps({"received": 1, "accepted": 1, "duplicates": 0, "rejected": 0}).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(answer)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)
        self.close_connection = step == "close"


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "FIRST_WAIT_S", 0.01)


def post(server: Server, **options: Any) -> Answer:
    with Wire(server.url, **options) as wire:
        return wire.send("POST", "/v1/telemetry/vehicle", b'{"vehicleId":"van-7"}')


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("trouble", [(503, {}), (500, {}), (429, {}), (408, {}), "reset"])
def test_the_same_content_is_sent_until_it_is_confirmed(server: Server, trouble: Any) -> None:
    server.script = [trouble, trouble]
    assert post(server).status == 201
    assert server.bodies == [b'{"vehicleId":"van-7"}'] * 3


@pytest.mark.usefixtures("quick")
def test_retry_after_is_honoured(server: Server) -> None:
    server.script = [(503, {"Retry-After": "1"})]
    began = time.monotonic()
    assert post(server).ok
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize("status", [400, 401, 403, 413, 415, 422])
def test_a_refusal_is_final(server: Server, status: int) -> None:
    server.script = [(status, {})]
    assert post(server).status == status
    assert len(server.bodies) == 1


def test_a_connection_is_kept_and_quietly_renewed(server: Server) -> None:
    complaints: list[str] = []
    server.script = [(201, {}), "close", (201, {})]
    with Wire(server.url, trouble=complaints.append) as wire:
        for _ in range(3):
            assert wire.send("POST", "/v1/telemetry/vehicle", b"{}").ok
    assert server.connections == 2
    assert complaints == []


@pytest.mark.usefixtures("quick")
def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(GaveUp, match="refused"):
        Wire(f"http://127.0.0.1:{port}", give_up_after_s=0.3).send("POST", "/", b"{}")


def test_a_stop_ends_the_wait(server: Server) -> None:
    stop = threading.Event()
    server.script = [(503, {"Retry-After": "60"})]
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        post(server, stop=stop)
    assert time.monotonic() - began < 30  # of the minute that it was told to wait


def test_a_key_travels_as_a_bearer_token(server: Server) -> None:
    post(server, key="k-1")
    assert server.headers_seen[0]["Authorization"] == "Bearer k-1"


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, None), ("3", 3.0), ("-1", 0.0), ("soon", None), ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0)]
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, now_s=10.0) == seconds


@pytest.mark.parametrize("url", ["127.0.0.1:8050", "ftp://host", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Wire(url)


def answer(status: int, **receipt: Any) -> Answer:
    return Answer(status, json.dumps(receipt).encode())


def test_a_tally_adds_up_whatever_the_answer() -> None:
    tally = Tally()
    errors = [{"index": 0, "code": "out_of_range", "detail": "soc"}]
    assert tally.add(answer(201, accepted=8, duplicates=2, rejected=0), 10) is None
    assert "out_of_range" in str(tally.add(answer(207, accepted=9, duplicates=0, rejected=1, errors=errors), 10))
    assert "413" in str(tally.add(answer(413, title="Too large"), 10))
    assert (tally.accepted, tally.duplicates, tally.rejected, tally.sent) == (17, 2, 11, 30)
