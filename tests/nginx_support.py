"""Voltledger behind Debian's nginx with the configuration that is shipped, on free ports of this machine, and clients that are slow on purpose."""

import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support import free_port

PROJECT = Path(__file__).parent.parent
HEAD = b"POST /v1/telemetry/vehicle HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 200\r\n"
NUDGE_EVERY_S = 2.0
SOCKETS = 8_000  # what the clients of a test may hold at once


def nginx_or_skip() -> str:
    """The program, or a loud skip."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if not found or not shutil.which("openssl"):
        pytest.skip("NO NGINX: nginx or openssl is not installed, so deploy/nginx.conf was not tried. Run tools/setup-nginx.sh")
    return found


@dataclass
class Edge:
    """`port` is nginx's, `app_port` the application's behind it, `folder` holds the certificate."""

    port: int
    app_port: int
    folder: Path

    @property
    def certificate(self) -> str:
        return str(self.folder / "fullchain.pem")

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def connect(self, timeout: float = 20) -> ssl.SSLSocket:
        """A connection that trusts the certificate."""
        context = ssl.create_default_context(cafile=self.certificate)
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout), server_hostname="127.0.0.1")


@contextmanager
def edge(database_url: str, folder: Path) -> Iterator[Edge]:
    """The whole product, as Compose puts it together, without containers."""
    program = nginx_or_skip()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < SOCKETS:
        pytest.skip(f"FEW FILES: only {most} may be open here, too few to be a flood of connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    made = Edge(free_port(), free_port(), folder)
    subprocess.run([PROJECT / "deploy" / "certificate.sh", folder], check=True)
    (folder / "nginx.conf").write_text(_configuration(made))
    # What Compose sets, as far as it matters here.
    environment = {**os.environ, "DATABASE_URL": database_url, "VOLTLEDGER_PORT": str(made.app_port), "VOLTLEDGER_PROXIES": "1"}
    log = (folder / "log").open("wb")
    app = subprocess.Popen([sys.executable, "-m", "dashboard"], cwd=PROJECT, env=environment, stdout=log, stderr=log)
    nginx = subprocess.Popen([program, "-c", folder / "nginx.conf", "-g", "daemon off;"], stdout=log, stderr=log)
    try:
        _wait_ready(made, app, nginx)
        yield made
    finally:
        for process in (nginx, app):
            process.terminate()
            process.wait(20)
        log.close()


def _configuration(made: Edge) -> str:
    """The shipped file with this run's ports and folder instead of the container's; each is there exactly once or the test means nothing."""
    text = (PROJECT / "deploy" / "nginx.conf").read_text()
    for ours, here in (
        ("server app:8050;", f"server 127.0.0.1:{made.app_port};"),
        ("listen 8443 ssl", f"listen 127.0.0.1:{made.port} ssl"),
        ("ssl_certificate /certificates/", f"ssl_certificate {made.folder}/"),
        ("ssl_certificate_key /certificates/", f"ssl_certificate_key {made.folder}/"),
        ("pid /run/", f"pid {made.folder}/"),
    ):
        assert text.count(ours) == 1, ours
        text = text.replace(ours, here)
    return text


def _wait_ready(made: Edge, *processes: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        with suppress(requests.RequestException):
            if requests.get(f"{made.address}/readyz", verify=made.certificate, timeout=5).ok:
                return
        assert all(process.poll() is None for process in processes), (made.folder / "log").read_text()
        time.sleep(0.2)
    raise AssertionError("not ready in 90 s")


@dataclass
class Slow:
    """Connections that all do the same slowly. `nudge` is sent every two seconds; `ended_s` says when each was closed by the other side."""

    connections: list[socket.socket]
    nudge: bytes
    began: float = field(default_factory=time.monotonic)
    ended_s: list[float] = field(default_factory=list)
    _nudged: float = 0.0

    def step(self) -> None:
        """Nudge those that are open, and note those that are not."""
        now = time.monotonic()
        if nudges := bool(self.nudge) and now - self._nudged > NUDGE_EVERY_S:
            self._nudged = now
        for one in list(self.connections):
            if self._is_over(one, nudges=nudges):
                one.close()
                self.connections.remove(one)
                self.ended_s.append(now - self.began)

    def _is_over(self, one: socket.socket, *, nudges: bool) -> bool:
        try:
            if nudges:
                one.send(self.nudge)
            return len(one.recv(4096)) == 0
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Let go of those that are still open."""
        for one in self.connections:
            one.close()


def slow(made: Edge, count: int, first: bytes | None, nudge: bytes = b"") -> Slow:
    """So many connections that have sent `first`; with None not even TLS was begun."""
    lines: list[socket.socket] = []
    for _ in range(count):
        line = socket.create_connection(("127.0.0.1", made.port), 20) if first is None else made.connect()
        if first:
            line.sendall(first)
        line.setblocking(False)
        lines.append(line)
    return Slow(lines, nudge)


@dataclass
class Good:
    """A well-behaved client in a thread of its own; half of its requests come on a new connection."""

    made: Edge
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> "Good":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        assert self._thread
        self._thread.join(30)

    def _run(self) -> None:
        kept, number = requests.Session(), 0
        while not self._stop.wait(0.05):
            number += 1
            began = time.monotonic()
            try:
                self._ask(kept if number % 2 else requests.Session(), number)
            except requests.RequestException as error:
                self.failures.append(repr(error))
            self.seconds.append(time.monotonic() - began)

    def _ask(self, session: requests.Session, number: int) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 100_000 + number))
        reading: dict[str, Any] = {"vehicleId": "good", "soc": 50, "kwhDeliveredDc": 0.1, "batteryTemp": 20, "timestamp": stamp}
        got = session.post(f"{self.made.address}/v1/telemetry/vehicle", json=reading, verify=self.made.certificate, timeout=10)
        if got.status_code not in (200, 201):
            self.failures.append(f"{got.status_code} {got.text[:80]}")
