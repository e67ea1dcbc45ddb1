"""What people would use instead, built outside of this project: found by PEERS and PEERS_WORK, described in docs/benchmarks.md."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg

from bench.installation import BenchError
from db import tether

NAIVE = "flask-2"  # Flask as one writes it first, on two processes: what ratios are to
SINGLES = (NAIVE, "nest-save-2", "fastapi-cte-2", "nest-fastify-cte-2")
PORT = 8080
NOT_GIVEN = "peers not given: see docs/benchmarks.md, Peers"
_READY_WITHIN_S = 30.0
_TABLES = ("vehicle_history", "meter_history", "live_vehicle", "live_meter", "fleet_mapping")


class Peers:
    """The peers of a folder with `drive.py`, which says how each is started and where their database is."""

    def __init__(self, drive: ModuleType) -> None:
        self._known: dict[str, dict[str, Any]] = drive.PEERS
        self.database_url = str(drive.PEER_DSN)

    def can(self, name: str) -> bool:
        """Whether that peer has been built."""
        if name not in self._known:
            return False
        peer = self._known[name]
        program, *arguments = (str(part) for part in peer["cmd"])
        script = Path(peer["cwd"]) / arguments[0]
        return shutil.which(program) is not None and (script.suffix != ".js" or script.exists())

    def empty(self) -> None:
        """Every peer begins with empty tables: they share one database."""
        with psycopg.connect(self.database_url) as connection:
            connection.execute(f"TRUNCATE {', '.join(_TABLES)}".encode())

    @contextmanager
    def running(self, name: str) -> Iterator[tuple[str, int]]:
        """Host and port of a started peer. Ended afterwards, with all of its processes."""
        if _listening():
            raise BenchError(f"port {PORT} is taken: peers need it")
        peer = self._known[name]
        program, *arguments = (str(part) for part in peer["cmd"])
        process = subprocess.Popen(
            tether.command([shutil.which(program) or program, *arguments], at_parent_death=signal.SIGTERM),
            cwd=peer["cwd"],
            env={**os.environ, **peer["env"]},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait(lambda: _listening() or process.poll() is not None)
            time.sleep(2)  # the second process, and its connections
            yield "127.0.0.1", PORT
        finally:
            _end(process)


def find() -> Peers | None:
    """The peers of the folder that PEERS names, or None when it names none or their database does not answer."""
    folder = os.environ.get("PEERS")
    if not folder or not (Path(folder) / "drive.py").exists():
        return None
    spec = importlib.util.spec_from_file_location("voltledger_peers_drive", Path(folder) / "drive.py")
    assert spec
    assert spec.loader
    drive = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drive)
    peers = Peers(drive)
    try:
        psycopg.connect(peers.database_url, connect_timeout=3).close()
    except psycopg.OperationalError:
        return None
    return peers


def _listening() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


def _wait(done: Any) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not done():
        if time.monotonic() > deadline:
            raise BenchError("a peer does not start or end in time")
        time.sleep(0.1)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Its whole session, which is its own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(20)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    _wait(lambda: not _listening())
