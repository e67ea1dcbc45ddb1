"""The whole command against a small server of this test's own: introduce, fill, report, stop, start again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


class Server(ThreadingHTTPServer):
    """Keeps readings by (id, timestamp), like the real one, and counts what it was told twice."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.kept: dict[tuple[str, str], dict[str, Any]] = {}
        self.described: dict[str, dict[str, Any]] = {}
        self.puts: list[str] = []
        self.largest = self.singles = self.duplicates = self.conflicts = 0
        self.refuse_first = 3

    def keep(self, readings: list[dict[str, Any]]) -> dict[str, int]:
        before = self.duplicates
        with self.lock:
            self.largest = max(self.largest, len(readings))
            for reading in readings:
                key = (reading.get("vehicleId") or reading["meterId"], reading["timestamp"])
                self.duplicates += key in self.kept
                self.conflicts += self.kept.setdefault(key, reading) != reading
        return {"received": len(readings), "duplicates": self.duplicates - before, "rejected": 0}

    def newest(self, id_key: str) -> list[dict[str, str]]:
        newest: dict[str, str] = {}
        for (device, stamp), reading in self.kept.items():
            if id_key in reading:
                newest[device] = max(newest.get(device, ""), stamp)
        return [{id_key: device, "recordedAt": stamp} for device, stamp in newest.items()]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: Any) -> None: ...

    def answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def read(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def do_PUT(self) -> None:
        value = self.read()
        with self.server.lock:
            self.server.puts.append(self.path)
            self.server.described[self.path] = value
        self.answer(201, value)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        lists = {"/v1/vehicles": "vehicleId", "/v1/meters": "meterId"}
        if path in lists:
            self.answer(200, {"items": self.server.newest(lists[path])})
        elif path in self.server.described:
            self.answer(200, {"timeline": [self.server.described[path]]})
        else:
            self.answer(404, {"title": "Not found"})

    def do_POST(self) -> None:
        value = self.read()
        if self.server.refuse_first:
            self.server.refuse_first -= 1
            return self.answer(503, {})
        if self.path.endswith("/batch"):
            return self.answer(201, self.server.keep(value["vehicles"] + value["meters"]))
        self.server.singles += 1
        return self.answer(201, self.server.keep([value]))


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def simulate(server: Server, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "simulator", "run", "--url", f"http://127.0.0.1:{server.server_port}", "--vehicles", "20", *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return output


def wait_until(true: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_fleet_introduces_itself_fills_the_past_and_knows_the_truth(server: Server, tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    output = finish(simulate(server, "--backfill-hours", "24", "--no-live", "--truth", str(truth)))
    assert "100 %" in output
    assert "0 rejected" in output
    assert server.conflicts == 0
    assert 1_000 < server.largest <= 5_000
    unmapped = sum(f["kind"] == "no_meter" for f in json.loads(truth.read_text())["faults"])
    for kind, count in (("sites", 12), ("vehicles", 20), ("meters", 20), ("mappings", 20 - unmapped)):
        assert sum(path.startswith(f"/v1/{kind}/") for path in server.puts) == count
    assert 20 * 2 * 1440 * 0.85 < len(server.kept) <= 20 * 2 * 1441


def test_a_healthy_fleet_misses_nothing(server: Server) -> None:
    finish(simulate(server, "--backfill-hours", "2", "--no-live", "--healthy"))
    assert server.duplicates == 0
    assert 40 * 119 <= len(server.kept) <= 40 * 121


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_reports_live_until_told_to_stop(server: Server, number: signal.Signals) -> None:
    process = simulate(server, "--backfill-hours", "1")
    wait_until(lambda: server.singles >= 3)
    began = time.monotonic()
    process.send_signal(number)
    assert "stopped" in finish(process)
    assert time.monotonic() - began < 30  # its next minute is not waited for


def test_it_stops_while_it_waits_for_a_server() -> None:
    command = [sys.executable, "-m", "simulator", "run", "--url", "http://127.0.0.1:9"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    assert "trying again" in process.stdout.readline()
    os.kill(process.pid, signal.SIGTERM)
    finish(process)


def test_a_second_start_continues_the_same_world(server: Server) -> None:
    finish(simulate(server, "--backfill-hours", "12", "--no-live"))
    first = len(server.kept)
    puts = server.puts.copy()
    finish(simulate(server, "--backfill-hours", "12", "--no-live"))
    assert server.conflicts == 0
    assert len(server.kept) - first < 40 * 5
    assert server.duplicates < 40 * 60 * 4, "what the server had was not sent all over again"
    assert not any("mappings" in path for path in server.puts[len(puts) :])
