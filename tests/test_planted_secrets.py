"""S13: what is secret, and what would forge a line, is in no log, no metric and no error page of the running product."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import requests
from psycopg import sql

from tests.support import free_port, fresh_database, van, with_database

pytestmark = pytest.mark.slow
DATABASE = "db-Tr0ub4dor-planted"
SMTP = "smtp-Tr0ub4dor-planted"
WEBHOOK = "hook-Tr0ub4dor-planted"
BEARER = "key-Tr0ub4dor-planted"
PLANTED = "Tr0ub4dor"
FORGED = "forged-line"


@dataclass
class Running:
    """The product, and every answer it gave beside its log."""

    address: str
    log: Path
    answers: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, **more: object) -> None:
        got = requests.request(method, self.address + path, timeout=10, **more)  # type: ignore[arg-type]
        self.answers.append(got.text)

    def say(self, raw: bytes) -> None:
        """Bytes that are no HTTP."""
        with socket.create_connection(("127.0.0.1", int(self.address.rpartition(":")[2])), 20) as line, suppress(OSError):
            line.sendall(raw)
            line.shutdown(socket.SHUT_WR)
            self.answers.append(line.recv(65_536).decode("latin-1"))


_IN_URL = [f"/?key={BEARER}", f"/vehicles/{BEARER}?token={BEARER}", f"/v1/vehicles?after={BEARER}%0d%0a{FORGED}", f"/v1/nope/{BEARER}"]
_BAD_LINES = [
    f"{BEARER} : x",
    f"X-A: \x1b[31m\x00{BEARER}",
    f" {BEARER}",
    f"Content-Length: {BEARER}",
    f"Transfer-Encoding: {BEARER}",
    f"Expect: {BEARER}",
]
_MALFORMED = [
    *(f"GET /v1/{BEARER} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {BEARER}\r\n{bad}\r\n\r\n" for bad in _BAD_LINES),
    f"{BEARER}\x1b[31m / HTTP/1.1\r\n\r\n",
    f"GET / HTTP/{BEARER}\r\n\r\n",
    f"GET /{BEARER * 400} HTTP/1.1\r\n\r\n",
]


@pytest.fixture(scope="module")
def running(postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    log, port, role = tmp_path_factory.mktemp("planted") / "log", free_port(), f"planted_{os.getpid()}"
    with fresh_database(postgres_url, template_database, "planted") as url:
        secret = re.sub(r"^(\w+://)([^@/]*@)?", rf"\g<1>{role}:{DATABASE}@", url)
        with psycopg.connect(with_database(url, "postgres"), autocommit=True) as conn:
            conn.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(DATABASE)))
        environment = {
            **os.environ, "DATABASE_URL": secret, "VOLTLEDGER_PORT": str(port), "VOLTLEDGER_SMTP_HOST": "127.0.0.1", "VOLTLEDGER_SMTP_PORT": "1",
            "VOLTLEDGER_SMTP_USER": "someone@example.org", "VOLTLEDGER_SMTP_PASSWORD": SMTP,
        }  # fmt: skip
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "dashboard"], cwd=Path(__file__).parents[1], env=environment, stdout=out, stderr=out
            )
        made = Running(f"http://127.0.0.1:{port}", log)
        try:
            _wait_ready(made, process)
            _provoke(made, url)
            yield made
        finally:
            process.terminate()
            process.wait(20)
            with psycopg.connect(with_database(url, "postgres"), autocommit=True) as conn:
                conn.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(sql.Identifier(role)))
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(sql.Identifier(role)))
                conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def _wait_ready(made: Running, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        with suppress(requests.RequestException):
            if requests.get(f"{made.address}/readyz", timeout=5).ok:
                return
        assert process.poll() is None, made.log.read_text()
        time.sleep(0.2)
    raise AssertionError("not ready in 90 s")


def _provoke(made: Running, url: str) -> None:
    """Every kind of answer with secrets in head, address and body; then errors of ours, with a table that is gone."""
    head = {"Authorization": f"Bearer {BEARER}", "Cookie": f"session={BEARER}", "X-Api-Key": BEARER, "X-Request-Id": f"{FORGED}"}
    forged = f'x\r\n{{"event":"{FORGED}"}}\x1b[31m'
    channel = {"kind": "webhook", "name": "a", "address": f"https://someone:{WEBHOOK}@hooks.example.org/{WEBHOOK}", "secret": WEBHOOK}
    for _ in range(2):  # whole, then broken
        made.ask("POST", "/v1/telemetry/vehicle", json=van(vehicleId=forged), headers=head)
        made.ask("POST", "/v1/telemetry/vehicle", json=van(), headers=head)
        made.ask("POST", "/v1/notice-channels", json=channel, headers=head)
        made.ask("GET", f"/v1/vehicles/{requests.utils.quote(forged, safe='')}/history", headers=head)  # type: ignore[attr-defined]
        made.ask("POST", "/_dash-update-component", json={"output": forged}, headers=head)
        for path in _IN_URL:
            made.ask("GET", path, headers=head)
        for name in ("User-Agent", "Referer", "Authorization", "X-Forwarded-For", "Accept-Language", "If-None-Match", "Host"):
            made.ask("GET", "/v1/nope", headers={**head, name: f"{BEARER} {name}"})
        made.ask("POST", "/v1/telemetry/vehicle", data=f'{{"vehicleId": "{BEARER}', headers={**head, "Content-Type": "application/json"})
        made.ask("POST", "/v1/mappings", data=f"vehicle_id,meter_id\n{FORGED}\x1b[31m\r,x\n", headers={**head, "Content-Type": "text/csv"})
        made.ask("PUT", "/v1/vehicles/v", json={"name": f"a\r\n{FORGED}"}, headers=head)
        for raw in _MALFORMED:
            made.say(raw.encode("latin-1"))
        for path in ("/v1/vehicles", "/v1/nope", "/metrics", "/readyz", "/live/fleet", "/v1/notices", "/vehicles/%0d%0a" + FORGED):
            made.ask("GET", path, headers=head)
        with psycopg.connect(url) as conn:
            conn.execute("ALTER TABLE IF EXISTS live_vehicle RENAME TO live_vehicle_gone")
    time.sleep(2)  # for what works in the background to fail too


def test_s13_no_planted_secret_is_in_any_log_metric_or_answer(running: Running) -> None:
    log = running.log.read_text()
    assert "live_vehicle" in log, "nothing failed, so nothing was tried"
    assert [line for line in log.splitlines() if PLANTED in line] == []
    assert [text for text in running.answers if PLANTED in text] == []


def test_s13_nothing_that_is_sent_begins_a_line_of_the_log_or_colours_it(running: Running) -> None:
    log = running.log.read_text()
    assert "\x1b[31m" not in log
    assert [line for line in log.splitlines() if re.match(rf"\W*(event\W*)?{FORGED}", line)] == []


def test_s13_every_event_is_one_line_of_json_and_nothing_sent_makes_two_of_it(running: Running) -> None:
    """Of our own events; what people read at the start, before anything was sent, is prose."""
    log = running.log.read_text()
    events = [line for line in log.splitlines() if '"event"' in line]
    assert events
    assert all(isinstance(json.loads(line), dict) for line in events if line.startswith("{"))
    assert [line for line in log.splitlines() if FORGED in line and not line.startswith("{")] == []


def test_s14_no_answer_tells_of_code_statements_or_places(running: Running) -> None:
    told = [text for text in running.answers if re.search(r"Traceback|psycopg|SELECT |/site-packages/|\.py\b|live_vehicle_gone", text)]
    assert [text[:300] for text in told if "<!DOCTYPE html>" not in text] == []
