"""L7, L8, T9, V6, V14: the configuration in deploy/ keeps what is slow, huge or malformed away from the application."""

import re
import select
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.nginx_support import HEAD, PROJECT, Edge, Good, edge, slow
from tests.support import fresh_database, van

pytestmark = pytest.mark.slow
SLOW_OF_EACH_KIND = 500
CLOSED_WITHIN_S = 30


@pytest.fixture(scope="module")
def made(postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with fresh_database(postgres_url, template_database, "nginx") as url, edge(url, tmp_path_factory.mktemp("edge")) as running:
        yield running


def _said(made: Edge, request: bytes) -> tuple[int, bytes]:
    """Status and the whole answer to raw bytes; 0 where the connection just ended. Like a good client it listens before it has sent all."""
    said = b""
    with made.connect() as line:
        try:
            for at in range(0, len(request), 16_384):
                line.sendall(request[at : at + 16_384])
                if select.select([line], [], [], 0.05)[0]:
                    break
            while part := line.recv(65_536):
                said += part
        except OSError:
            pass
    return (int(said.split()[1]) if said else 0), said


def _get(more: bytes, path: bytes = b"/healthz") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + more + b"Connection: close\r\n\r\n"


BOMBS = [
    ("v14 one header of 300 kB", _get(b"X-A: " + b"a" * 300_000 + b"\r\n"), 431),
    ("v14 5,000 headers", _get(b"".join(b"X-A%d: aaaa\r\n" % n for n in range(5_000))), 431),
    ("v14 a cookie of 20 kB", _get(b"Cookie: " + b"a" * 20_000 + b"\r\n"), 431),
    ("v14 a path of 100 kB", _get(b"", b"/" + b"a" * 100_000), 414),
    ("v14 a query of 100 kB", _get(b"", b"/v1/vehicles?q=" + b"a" * 100_000), 414),
    ("v6 a body of 1e14 bytes", HEAD.replace(b"200\r", b"100000000000000\r") + b"\r\n", 413),
    ("v6 a length below zero", HEAD.replace(b"200\r", b"-5\r") + b"Connection: close\r\n\r\n", 400),
    ("v6 two lengths", HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}", 400),
    ("v6 length and chunks", HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n", 400),
    ("garbage", b"\x00\x01\x02garbage\r\n\r\n", 400),
]


@pytest.mark.parametrize(("name", "request_", "status"), BOMBS, ids=[name for name, _, _ in BOMBS])
def test_v14_v6_bombs_are_refused_in_the_words_of_our_own_refusals(made: Edge, name: str, request_: bytes, status: int) -> None:
    got, said = _said(made, request_)
    assert got == status, said[:300]
    assert b'"type":"urn:voltledger:problem:' in said


def test_t9_a_chunked_body_over_the_limit_is_413_and_never_cut(made: Edge) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"["
        for _ in range(96):
            yield b" " * 65_536

    got = requests.post(
        f"{made.address}/v1/telemetry/vehicle",
        data=chunks(),
        headers={"Content-Type": "application/json"},
        verify=made.certificate,
        timeout=20,
    )
    assert got.status_code == 413


def test_http_without_tls_is_told_so_and_reaches_nobody(made: Edge) -> None:
    got = requests.post(f"http://127.0.0.1:{made.port}/v1/telemetry/vehicle", json=van(), timeout=10)
    assert (got.status_code, got.json()["type"]) == (400, "urn:voltledger:problem:tls_only")


def test_a_device_keeps_its_connection_and_pages_are_made_small_once(made: Edge) -> None:
    with requests.Session() as device:
        device.trust_env = False  # it may name other certificates
        device.verify = made.certificate
        for n in range(20):
            got = device.post(f"{made.address}/v1/telemetry/vehicle", json=van(vehicleId=f"kept-{n}"), timeout=10)
            assert got.status_code in (200, 201)
            assert got.headers.get("Connection") == "keep-alive"
        page = device.get(f"{made.address}/", timeout=10)
    assert page.headers["Content-Encoding"] in ("gzip", "br", "deflate", "zstd")
    assert "script-src 'self' 'sha256-" in page.headers["Content-Security-Policy"]


def test_s9_our_own_pages_may_write_through_it(made: Edge) -> None:
    """The name that the browser used is handed on, port included."""
    path = f"{made.address}/v1/telemetry/vehicle"
    for origin, status in ((made.address, (200, 201)), ("https://elsewhere.example", (403,))):
        assert requests.post(path, json=van(), headers={"Origin": origin}, verify=made.certificate, timeout=10).status_code in status


def test_l7_500_slow_connections_of_each_kind_cost_no_good_request(
    made: Edge, record_testsuite_property: Callable[[str, object], None]
) -> None:
    kinds = {
        "not even TLS": slow(made, SLOW_OF_EACH_KIND, None),
        "idle": slow(made, SLOW_OF_EACH_KIND, b""),
        "slow head": slow(made, SLOW_OF_EACH_KIND, b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: a\r\n"),
        "stalled body": slow(made, SLOW_OF_EACH_KIND, HEAD + b"\r\n{"),
        "trickling body": slow(made, SLOW_OF_EACH_KIND, HEAD + b"\r\n{", b" "),
    }
    with Good(made) as one, Good(made) as other:
        until = time.monotonic() + CLOSED_WITHIN_S
        while time.monotonic() < until and any(each.connections for name, each in kinds.items() if name != "trickling body"):
            for each in kinds.values():
                each.step()
            time.sleep(0.2)
    seconds = sorted(one.seconds + other.seconds)
    report = {name: (len(each.ended_s), round(max(each.ended_s, default=0))) for name, each in kinds.items()}
    p50_ms, p99_ms = statistics.median(seconds) * 1000, seconds[len(seconds) * 99 // 100] * 1000
    record_testsuite_property("L7", f"{len(seconds)} good requests, p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms; closed, within s: {report}")
    for each in kinds.values():
        each.close()
    assert one.failures + other.failures == []
    assert len(seconds) > 100
    trickling = kinds.pop("trickling body")
    assert {name: len(each.connections) for name, each in kinds.items()} == dict.fromkeys(kinds, 0)
    # nginx knows no least rate for a body: one that trickles on holds a connection of nginx, bounded by limit_conn, and nothing of the app.
    assert len(trickling.connections) + len(trickling.ended_s) == SLOW_OF_EACH_KIND


def test_l8_thousands_of_sockets_leave_it_alive(made: Edge) -> None:
    lines: list[socket.socket] = []
    try:
        for _ in range(5_000):
            lines.append(socket.create_connection(("127.0.0.1", made.port), 10))  # noqa: PERF401 - those that are open are closed
        got = requests.post(f"{made.address}/v1/telemetry/vehicle", json=van(vehicleId="flood"), verify=made.certificate, timeout=10)
        assert got.status_code == 201
    finally:
        for line in lines:
            line.close()


def test_the_certificate_that_is_made_is_for_its_owner_alone_and_is_kept(made: Edge) -> None:
    key = made.folder / "privkey.pem"
    before = key.read_bytes()
    assert key.stat().st_mode & 0o077 == 0
    subprocess.run([PROJECT / "deploy" / "certificate.sh", made.folder], check=True)
    assert key.read_bytes() == before


def test_half_a_certificate_is_said_and_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "fullchain.pem").write_text("given by the operator")
    got = subprocess.run([PROJECT / "deploy" / "certificate.sh", tmp_path], capture_output=True, text=True, check=False)
    assert got.returncode == 1
    assert "privkey.pem" in got.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["fullchain.pem"]


def test_no_secret_stands_in_what_is_deployed() -> None:
    texts = [(PROJECT / name).read_text() for name in ("deploy/nginx.conf", "deploy/certificate.sh", "docker-compose.yml")]
    assert not [text for text in texts if re.search(r"BEGIN .*KEY|password\s*[:=]\s*['\"]?\w{3}", text, re.IGNORECASE)]
