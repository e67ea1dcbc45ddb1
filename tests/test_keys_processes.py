"""Keys with real web processes over real sockets: both ways in, revocation everywhere, and secrets that show up nowhere."""

import contextlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.errors import Problem
from api.keys.gate import Gate, Presented
from api.keys.ring import Ring
from api.keys.secret import made
from db import device_keys
from db.device_keys import Wanted
from db.engine import connect
from tests.key_support import PLENTY, stored
from tests.support import NOW, depot, fresh_database, van
from tests.test_worker import Server, answer, post

pytestmark = pytest.mark.slow
PLANTED = "PlantedSecretPlantedSecretPlantedSecretPlan"


@pytest.fixture(scope="module")
def server(postgres_url: str, template_database: str) -> Iterator[Server]:
    """Two web processes that require keys, behind one proxy."""
    with fresh_database(postgres_url, template_database, "keys") as url:
        running = Server(url, processes=2, VOLTLEDGER_REQUIRE_KEYS="1", VOLTLEDGER_PROXIES="1")
        try:
            yield running
        finally:
            assert running.stop() == 0


def new_key(url: str, binding: str = "gateway", rights: tuple[str, ...] = ("write",), **more: Any) -> str:
    new = made()
    with psycopg.connect(url) as conn:
        device_keys.create(conn, new.key_id, Wanted("test", list(rights), binding, **more), new.secret_hash, "test", NOW)  # type: ignore[arg-type]
    return new.shown


_ADDRESSES = itertools.count()


def bearing(key: str) -> str:
    """Each time from another address, so that wrong keys are told 401 and none is blocked."""
    n = next(_ADDRESSES)
    return f"Authorization: Bearer {key}\r\nX-Forwarded-For: 198.51.{n // 250}.{n % 250}"


def until_known(server: Server, key: str, status: int, within_s: float = 5.0) -> float:
    """Seconds until six connections in a row, which two processes share, are told this."""
    began = time.monotonic()
    while {server.ask(post([], "vehicle", bearing(key)))[0] for _ in range(6)} != {status}:
        assert time.monotonic() - began < within_s
        time.sleep(0.05)
    return time.monotonic() - began


def chunked(body: Any, path: str, key: str) -> bytes:
    """The same, which goes to a thread because it is not plain."""
    raw = json.dumps(body).encode()
    head = f"POST /v1/telemetry/{path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n{bearing(key)}\r\n\r\n"
    return head.encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(raw), raw)


def test_s1_the_loop_and_a_thread_judge_alike(server: Server) -> None:
    key = new_key(server.url, "list", vehicle_ids=["own-1", "own-2"], meter_ids=["own-1"])
    until_known(server, key, 200)
    cases = [
        (van(vehicleId="own-1"), "vehicle", 201),
        (van(vehicleId="foreign"), "vehicle", 403),
        (depot(meterId="own-2"), "meter", 403),
        ({"vehicles": [van(vehicleId="own-2"), van(vehicleId="foreign")], "meters": [depot(meterId="own-1")]}, "batch", 207),
    ]
    for body, path, status in cases:
        plain, threaded = server.ask(post(body, path, bearing(key))), server.ask(chunked(body, path, key))
        assert (plain[0], threaded[0]) == (status, {201: 200}.get(status, status))
        assert [json.loads(one[2]).get("errors") for one in (plain,)] == [json.loads(threaded[2]).get("errors")]
    assert [one for one in stored(server.url) if one.startswith(("own-", "foreign"))] == ["own-1", "own-1", "own-2"]


def test_s1_the_way_out_asks_for_the_right_to_read(server: Server) -> None:
    writes, reads = new_key(server.url), new_key(server.url, "none", ("read",))
    until_known(server, writes, 200)
    for path in ("/v1/analytics/performance/van-7", "/v1/analytics/performance/van-7?at=2026-02-04T12:00:00Z"):
        statuses = [server.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n{bearing(key)}\r\n\r\n".encode())[0] for key in (writes, reads)]
        assert statuses == [403, 404]
    assert server.ask(b"GET /v1/analytics/performance/van-7 HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 401
    assert server.ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200


def test_s2_a_key_revoked_by_the_command_line_is_refused_by_every_process_within_five_seconds(server: Server) -> None:
    key = new_key(server.url)
    until_known(server, key, 200)
    with server.connect() as kept:  # also on a connection that stays open
        kept.sendall(post([], "vehicle", bearing(key)))
        assert answer(kept)[0] == 200
        command = [sys.executable, "-m", "db", "keys", "revoke", key[:12]]
        subprocess.run(command, env={**os.environ, "DATABASE_URL": server.url}, cwd=Path(__file__).parent.parent, check=True)
        took_s = until_known(server, key, 401)
        kept.sendall(post([], "vehicle", bearing(key)))
        assert answer(kept)[0] == 401
    assert took_s < 5


def test_l5_a_flood_of_one_device_is_refused_and_another_is_served(server: Server) -> None:
    loud, quiet = (new_key(server.url, "device", vehicle_ids=[name]) for name in ("loud", "quiet"))
    until_known(server, quiet, 200)
    with server.connect() as line:
        line.sendall(
            b"".join(
                post(van(vehicleId="loud", timestamp=f"2026-02-03T{n // 60:02d}:{n % 60:02d}:00Z"), "vehicle", bearing(loud))
                for n in range(62)
            )
        )
        statuses = [answer(line)[0] for _ in range(62)]
        began = time.monotonic()
        line.sendall(post(van(vehicleId="quiet"), "vehicle", bearing(quiet)))  # a proxy sends others' requests on the same connection
        assert answer(line)[0] == 201
        assert time.monotonic() - began < 10
    assert statuses.count(201) >= 58
    assert 429 in statuses


def test_the_simulated_fleet_reports_with_the_key_of_the_settings(server: Server) -> None:
    key = new_key(server.url, rights=("write", "read", "admin"))
    until_known(server, key, 200)
    options = ["--url", f"http://127.0.0.1:{server.port}", "--vehicles", "3", "--backfill-hours", "0.2", "--no-live", "--healthy"]
    done = subprocess.run(
        [sys.executable, "-m", "simulator", "run", *options],
        env={**os.environ, "VOLTLEDGER_SIMULATOR_KEY": key, "VOLTLEDGER_PROXIES": "0"},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Not described" not in done.stdout
    assert len(set(stored(server.url))) >= 6
    assert key not in done.stdout + done.stderr


def test_s13_a_planted_secret_is_in_no_log_metric_or_error_page(postgres_url: str, template_database: str, tmp_path: Path) -> None:
    """In the header of a key that is right, wrong, broken; in the address, the body, and where the database fails meanwhile."""
    with fresh_database(postgres_url, template_database, "planted") as url:
        log = tmp_path / "log"
        with log.open("wb") as output, _LoggingTo(output):
            server = Server(url, VOLTLEDGER_REQUIRE_KEYS="1")
            try:
                reads, right = new_key(url, "none", ("read",)), new_key(url)
                until_known(server, right, 200)
                said = b""
                for key in (PLANTED, f"0123456789ab.{PLANTED}", f"{right[:12]}.{PLANTED}"):
                    for request in (
                        post(van(), "vehicle", bearing(key)),
                        chunked(van(), "vehicle", key),
                        _get("/v1/vehicles", key),
                        _get(f"/v1/nothing?key={PLANTED}", key),
                    ):
                        said += b"".join(str(part).encode() for part in server.ask(request))
                with psycopg.connect(url, autocommit=True) as conn:
                    conn.execute("ALTER TABLE site RENAME TO elsewhere")
                    said += server.ask(_get("/v1/sites", reads))[2]
                    conn.execute("ALTER TABLE elsewhere RENAME TO site")
                said += server.ask(_get("/metrics", reads))[2] + server.ask(_get("/v1/ingestion/rejects", reads))[2]
            finally:
                server.stop(signal.SIGTERM)
        text = log.read_bytes()
    assert b"unexpected" in text  # the failing route was logged
    for secret in (PLANTED, right[13:], reads[13:]):
        assert secret.encode() not in text
        assert secret.encode() not in said


def _get(path: str, key: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{bearing(key)}\r\n\r\n".encode()


class _LoggingTo:
    """What this process's children say goes there meanwhile."""

    def __init__(self, output: Any) -> None:
        self._output = output

    def __enter__(self) -> None:
        self._kept = os.dup(1), os.dup(2)
        os.dup2(self._output.fileno(), 1)
        os.dup2(self._output.fileno(), 2)

    def __exit__(self, *_: object) -> None:
        for number, kept in zip((1, 2), self._kept, strict=True):
            os.dup2(kept, number)
            os.close(kept)


def test_s3_and_l6_wrong_keys_of_either_kind_take_the_same_time_and_less_than_a_millisecond(database_url: str) -> None:
    """CPU time of the gate, the two kinds taking turns in short rounds; the median of the rounds' ratios."""
    key = new_key(database_url)
    ring = Ring(lambda: connect(database_url, "keys", 5), PLENTY)
    gate = Gate(ring)
    kinds = [Presented(f"Bearer {one}", f"192.0.2.{n}") for n, one in enumerate(("0123456789ab." + "A" * 43, key[:13] + "A" * 43))]
    assert ring.look()
    ratios: list[float] = []
    costs: list[int] = []
    for n in range(200):
        spent = {kind: _cpu_ns(gate, kinds[kind]) for kind in ((0, 1) if n % 2 else (1, 0))}
        ratios.append(spent[1] / spent[0])
        costs += spent.values()
        assert ring.look()
    ring._drop()
    assert statistics.median(costs) / _A_ROUND < 1_000_000
    assert statistics.median(ratios) == pytest.approx(1.0, abs=0.05)


_A_ROUND = 100


def _cpu_ns(gate: Gate, presented: Presented) -> int:
    began = time.thread_time_ns()
    for _ in range(_A_ROUND):
        with contextlib.suppress(Problem):
            gate.admit(presented, "write")
    return time.thread_time_ns() - began
