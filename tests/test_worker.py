"""The web server as it is shipped: gunicorn with our worker, spoken to over real sockets."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support import VAN, depot, free_port, fresh_database, van

pytestmark = pytest.mark.slow


class Server:
    """A gunicorn, and what it answers."""

    def __init__(self, url: str, processes: int = 1, log: Path | None = None, **settings: str) -> None:
        self.url, self.port, self.log = url, free_port(), log
        options = [
            "--worker-class",
            "api.worker.TelemetryWorker",
            "--threads",
            "4",
            "--graceful-timeout",
            "8",
            "--keep-alive",
            "30",
            "--workers",
            str(processes),
        ]
        out = log.open("wb") if log else None
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gunicorn",
                *options,
                "--no-control-socket",
                "-b",
                f"127.0.0.1:{self.port}",
                "dashboard.app:create_app()",
            ],
            env={**os.environ, "DATABASE_URL": url, **settings},
            cwd=Path(__file__).parent.parent,
            stdout=out,
            stderr=out,
        )
        if out:
            out.close()
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2).close()
                return
            time.sleep(0.1)
        raise AssertionError("the server does not become ready")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        with self.connect() as line:
            line.sendall(request)
            return answer(line)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(20)


def answer(line: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the next answer on the line."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = line.recv(1)
        if not more:
            raise ConnectionError("closed without an answer")
        got += more
    first, *headers = got.decode().strip().split("\r\n")
    named = {name.lower(): value for name, value in (header.split(": ", 1) for header in headers)}
    body = b""
    while missing := int(named.get("content-length", 0)) - len(body):
        more = line.recv(missing)
        if not more:
            raise ConnectionError("closed in the middle of an answer")
        body += more
    return int(first.split()[1]), named, body


def post(body: Any, path: str = "vehicle", *extra: str) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = ["Host: x", "Content-Type: application/json", f"Content-Length: {len(raw)}", *extra]
    return f"POST /v1/telemetry/{path} HTTP/1.1\r\n".encode() + "\r\n".join(headers).encode() + b"\r\n\r\n" + raw


@pytest.fixture(scope="module")
def server(postgres_url: str, template_database: str) -> Iterator[Server]:
    with fresh_database(postgres_url, template_database, "worker") as url:
        running = Server(url)
        try:
            yield running
        finally:
            assert running.stop() == 0


def rows(url: str) -> int:
    with psycopg.connect(url) as conn:
        found = conn.execute("SELECT (SELECT count(*) FROM vehicle_history) + (SELECT count(*) FROM meter_history)").fetchone()
    return int(found[0]) if found else 0


def test_a_reading_is_stored_when_it_is_answered(server: Server) -> None:
    before = rows(server.url)
    status, headers, body = server.ask(post(van(vehicleId="loop-1")))
    assert (status, headers["content-type"], rows(server.url)) == (201, "application/json", before + 1)
    receipt = json.loads(body)
    assert (receipt["accepted"], receipt["requestId"]) == (1, headers["x-request-id"])
    assert server.ask(post(van(vehicleId="loop-1")))[0] == 200
    assert server.ask(post([depot(meterId="loop-1")], "meter"))[0] == 201
    assert server.ask(post({"vehicles": [van(vehicleId="loop-2")], "meters": []}, "batch"))[0] == 201


def test_a_request_that_comes_byte_by_byte_is_served(server: Server) -> None:
    with server.connect() as line:
        for byte in post(van(vehicleId="trickle")):
            line.sendall(bytes([byte]))
        assert answer(line)[0] == 201


def test_requests_sent_ahead_are_answered_in_their_order(server: Server) -> None:
    with server.connect() as line:
        line.sendall(post(van(vehicleId="ahead")) + post(van(vehicleId="ahead", soc=-1)) + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [answer(line)[0] for _ in range(3)] == [201, 422, 200]
        line.sendall(post(van(vehicleId="ahead")))
        assert answer(line)[0] == 200


def test_who_stops_sending_still_gets_an_answer(server: Server) -> None:
    with server.connect() as line:
        line.sendall(post(van(vehicleId="half")))
        line.shutdown(socket.SHUT_WR)
        assert answer(line)[0] == 201
        assert line.recv(1) == b""


def test_connection_close_is_respected(server: Server) -> None:
    with server.connect() as line:
        line.sendall(post(van(vehicleId="close"), "vehicle", "Connection: close"))
        assert answer(line)[0] == 201
        assert line.recv(1) == b""


CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(json.dumps(VAN)), json.dumps(VAN).encode())
_HEAD = b"POST /v1/telemetry/vehicle HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
UNUSUAL = {
    "chunked is taken": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED, {200, 201}),
    "v6 bare line feeds": (_HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 2\n\n{}\r\n\r\n", {400, 422}),
    "v9 no content type": (b"POST /v1/telemetry/vehicle HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", {415}),
    "unknown route": (b"POST /v1/telemetry/else HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", {404}),
    "another method": (b"GET /v1/telemetry/vehicle HTTP/1.1\r\nHost: x\r\n\r\n", {405}),
    "expects to be asked": (post(VAN, "vehicle", "Expect: 100-continue"), {100}),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_v6_what_is_not_plain_is_judged_by_gunicorn(server: Server, name: str) -> None:
    request, expected = UNUSUAL[name]
    status, _, _ = server.ask(request)
    assert status in expected
    assert server.ask(post(van(vehicleId="after")))[0] in (200, 201)


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"null", b"[]", b"{}", b'{"vehicleId":"x"}', json.dumps([VAN] * 5001).encode(), b"[" * 70_000]
)
@pytest.mark.parametrize("path", ["vehicle", "batch"])
def test_the_loop_and_a_thread_answer_alike(server: Server, body: bytes, path: str) -> None:
    """The same body once plain, once chunked: the first stays in the loop (if it is small), the second goes to a thread."""
    plain = server.ask(post(body, path))
    chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    request = (
        f"POST /v1/telemetry/{path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    chunked = server.ask(request + chunk + b"0\r\n\r\n")
    assert plain[0] == chunked[0]
    without_id = [{**json.loads(got[2]), "requestId": None} for got in (plain, chunked)]
    assert without_id[0] == without_id[1]


def test_l7_two_hundred_slow_sockets_of_each_kind_stop_nobody(server: Server) -> None:
    with contextlib.ExitStack() as held:
        for beginning in (b"", b"POST /v1/telemetry/vehicle HT", _HEAD + b"Content-Length: 500\r\n\r\n{", b"GET / HTTP/1.1\r\nHos"):
            for _ in range(200):
                line = held.enter_context(server.connect())
                line.sendall(beginning)
        started = time.monotonic()
        for n in range(20):
            assert server.ask(post(van(vehicleId=f"good-{n}")))[0] in (200, 201)
        assert server.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
        assert time.monotonic() - started < 20


def test_l8_who_says_nothing_makes_room_where_no_more_connections_are_taken(server: Server) -> None:
    """gunicorn takes 1,000 here."""
    with contextlib.ExitStack() as held:
        device = held.enter_context(server.connect())
        device.sendall(post(van()))
        assert answer(device)[0] in (200, 201)
        for _ in range(1_100):
            held.enter_context(server.connect())
        assert server.ask(post(van(vehicleId="newcomer")))[0] in (200, 201)
        device.sendall(post(van()))
        assert answer(device)[0] in (200, 201)  # who was answered keeps its connection


def test_c11_a_commit_that_takes_too_long_is_not_confirmed_and_can_be_sent_again(postgres_url: str, template_database: str) -> None:
    with fresh_database(postgres_url, template_database, "slow commit") as url:
        server = Server(url, VOLTLEDGER_COMMIT_WAIT_S="1", VOLTLEDGER_QUEUE_REQUESTS="100", VOLTLEDGER_COMMITTER_THREADS="1")
        try:
            with psycopg.connect(url) as lock, contextlib.ExitStack() as held:
                lock.execute("LOCK TABLE live_vehicle IN ACCESS EXCLUSIVE MODE")
                lines = [held.enter_context(server.connect()) for _ in range(300)]  # one commit of up to 100, a queue of 100, and the rest
                for n, line in enumerate(lines):
                    line.sendall(post(van(vehicleId=f"locked-{n}")))
                got = [answer(line) for line in lines]
                assert {status for status, _, _ in got} == {503}
                assert all(1 <= int(headers["retry-after"]) <= 30 for _, headers, _ in got)
                kinds = {json.loads(body)["type"].rpartition(":")[2] for _, _, body in got}
                assert kinds == {"commit_timeout", "overloaded"}
                lock.rollback()
                time.sleep(1.5)  # a refused connection rests for a second
                for n, line in enumerate(lines):
                    assert _sent_until_stored(line, post(van(vehicleId=f"locked-{n}"))) in (200, 201)
            assert rows(url) == 300
        finally:
            assert server.stop() == 0


def _sent_until_stored(line: socket.socket, request: bytes) -> int:
    """As a device does that is told 503."""
    for _ in range(30):
        line.sendall(request)
        status = answer(line)[0]
        if status != 503:
            return status
        time.sleep(1)
    raise AssertionError("still refused")


def _until_someone_waits(server_url: str, url: str) -> None:
    """Until a connection to this database waits for a lock."""
    name, ends = conninfo_to_dict(url)["dbname"], time.monotonic() + 30
    with psycopg.connect(server_url, autocommit=True) as conn:
        asked = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
        while conn.execute(asked, (name,)).fetchone() is None:
            assert time.monotonic() < ends
            time.sleep(0.05)


def test_c7_what_had_arrived_before_sigterm_is_answered(postgres_url: str, template_database: str) -> None:
    with fresh_database(postgres_url, template_database, "sigterm") as url:
        server = Server(url)
        with psycopg.connect(url) as lock, contextlib.ExitStack() as held:
            lock.execute("LOCK TABLE live_vehicle IN ACCESS EXCLUSIVE MODE")
            lines = [held.enter_context(server.connect()) for _ in range(50)]
            for n, line in enumerate(lines):
                line.sendall(post(van(vehicleId=f"last-{n}")))
            _until_someone_waits(postgres_url, url)
            time.sleep(1)  # and the others have arrived
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            lock.rollback()
            assert {answer(line)[0] for line in lines} == {201}
        assert server.process.wait(30) == 0
        assert rows(url) == 50


def test_p3_several_processes_count_a_reading_once(postgres_url: str, template_database: str) -> None:
    with fresh_database(postgres_url, template_database, "processes") as url:
        server = Server(url, processes=3)
        try:
            with contextlib.ExitStack() as held:
                lines = [held.enter_context(server.connect()) for _ in range(60)]
                for line in lines:
                    line.sendall(post([van(vehicleId=f"van-{n}", timestamp=f"2026-02-04T10:{n:02d}:00Z") for n in range(50)]))
                receipts = [json.loads(answer(line)[2]) for line in lines]
            assert sum(receipt["accepted"] for receipt in receipts) == 50
            assert sum(receipt["duplicates"] for receipt in receipts) == 59 * 50
            assert rows(url) == 50
            with psycopg.connect(url) as conn:
                assert conn.execute("SELECT sum(readings) FROM vehicle_rollup").fetchone() == (50,)
                assert conn.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone() == (0,)
        finally:
            assert server.stop() == 0


def test_a_vehicles_day_asked_for_by_many_at_once_is_each_ones_own(server: Server) -> None:
    for n in range(12):
        server.ask(post(van(vehicleId=f"many-{n}", kwhDeliveredDc=1 + n / 10)))
        with psycopg.connect(server.url) as conn:
            conn.execute("INSERT INTO fleet_mapping VALUES (%s, %s)", (f"many-{n}", f"many-{n}"))
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for n in range(12):
        assert server.ask(post(van(vehicleId=f"many-{n}", kwhDeliveredDc=2 + n, timestamp=now)))[0] == 201
    with contextlib.ExitStack() as held:
        lines = [held.enter_context(server.connect()) for _ in range(40)]
        for number, line in enumerate(lines):
            line.sendall(f"GET /v1/analytics/performance/many-{number % 13} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        for number, line in enumerate(lines):
            status, headers, body = answer(line)
            if number % 13 == 12:
                assert (status, headers["content-type"], json.loads(body)["detail"]) == (
                    404,
                    "application/problem+json",
                    "Mapping not found",
                )
                continue
            found = json.loads(body)
            assert (status, found["vehicleId"], found["totalDc"]) == (200, f"many-{number % 13}", 2 + number % 13)
            again = server.ask(
                f"GET /v1/analytics/performance/{found['vehicleId']}?at={found['to'].replace('+', '%2B')} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            )
            assert {**json.loads(again[2]), "computedAt": None} == {**found, "computedAt": None}


def test_requests_of_the_event_loop_are_timed_like_all_others(server: Server) -> None:
    """Those that wait for a commit, and those that are refused at once."""
    before = _timed(server)
    assert server.ask(post(van(vehicleId="timed")))[0] == 201
    assert server.ask(post(b"{"))[0] == 400
    server.ask(b"GET /v1/analytics/performance/timed HTTP/1.1\r\nHost: x\r\n\r\n")
    after = _timed(server)
    assert {key: after[key] - before.get(key, 0) for key in ("telemetry 2xx", "telemetry 4xx", "performance 4xx")} == {
        "telemetry 2xx": 1,
        "telemetry 4xx": 1,
        "performance 4xx": 1,
    }


def _timed(server: Server) -> dict[str, float]:
    """How many requests of each kind and status."""
    text = server.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")[2].decode()
    return {
        f"{kind} {status}": float(count)
        for kind, status, count in re.findall(r'^voltledger_request_seconds_count{kind="(\w+)",status="(\w+)"} (\S+)$', text, re.MULTILINE)
    }


def test_an_id_from_outside_is_not_taken_for_the_requests(server: Server) -> None:
    _, headers, body = server.ask(post(van(vehicleId="named"), "vehicle", "X-Request-Id: from-outside"))
    assert json.loads(body)["requestId"] == headers["x-request-id"] != "from-outside"


def test_the_web_process_exports_what_only_its_composition_root_knows(server: Server) -> None:
    text = server.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")[2].decode()
    for name in ("pool_connections", "picture_stale", "rollup_check_age_seconds", "database_up", "ready"):
        assert f"\nvoltledger_{name}" in text
    assert "voltledger_disk_free_bytes" not in text  # the tests' PostgreSQL is not this installation's own
