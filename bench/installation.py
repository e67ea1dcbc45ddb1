"""Our product as a user starts it: `python -m dashboard`, on a free port, on a database that is thrown away afterwards."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import processes
from bench.databases import scratch_database
from bench.processes import Cpu, Process
from db import tether
from db.embedded import running_url

PROJECT = Path(__file__).parent.parent
_READY_WITHIN_S = 120.0
_STOP_WITHIN_S = 60.0


class BenchError(Exception):
    """A figure that would not be honest, or that could not be measured; the message says why."""


class Missing(BenchError):
    """Something that has to be there before this can be measured; the message says what and how to get it."""


@dataclass(frozen=True, slots=True)
class Installation:
    """`address` is http://…, `database_url` that of its database, `host` and `port` where it listens."""

    address: str
    database_url: str
    pid: int
    postmaster: int | None

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port, for a socket."""
        host, _, port = self.address.removeprefix("http://").rpartition(":")
        return host, int(port)

    def web(self) -> list[Process]:
        """gunicorn and its web processes."""
        return [process for process in processes.tree(self.pid)[1:] if process.name != "postgres"]

    def cpu(self) -> Cpu:
        """CPU seconds so far. PostgreSQL's are 0 when it runs on another machine."""
        postgres = processes.tree(self.postmaster)[:1] if self.postmaster else []
        backends = processes.tree(self.postmaster)[1:] if self.postmaster else []
        used = processes.cpu_s(postgres, reaped=True) + processes.cpu_s(backends)
        return Cpu(processes.cpu_s(self.web()), used, processes.driver_cpu_s())


@contextmanager
def installation(settings: Mapping[str, str] | None = None, data_dir: Path | None = None) -> Iterator[Installation]:
    """A running product; ended afterwards whatever happens. Raises BenchError with its last words when it does not start.

    `settings` are variables of its environment. It keeps its data in `data_dir`, else in a temporary folder. Where DATABASE_URL is set it
    uses that server, but a database of its own there: nobody's history gets readings out of a benchmark.
    """
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="voltledger-bench-", ignore_cleanup_errors=True)))
        folder.chmod(0o755)  # the server's user has to reach its cluster in there
        data_dir = (data_dir or folder / "data").absolute()
        given = os.environ.get("DATABASE_URL")
        own = closing.enter_context(scratch_database(given, f"voltledger_bench_{os.getpid()}")) if given else None
        said = folder / "output"
        process = _start(folder, said, {**_environment(data_dir, own), **(settings or {})})
        closing.callback(_stop, process)
        address = _wait_for_address(process, said)
        url = own or running_url(data_dir)
        if not url:
            raise BenchError(f"no database runs in {data_dir}")
        yield Installation(address, url, process.pid, _postmaster(url))


def _environment(data_dir: Path, database_url: str | None) -> dict[str, str]:
    """Ours, less every setting of the product: what is measured is the default, and what the caller asks for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VOLTLEDGER_") and name != "DATABASE_URL"}
    chosen = {"VOLTLEDGER_DATA_DIR": str(data_dir), "VOLTLEDGER_HOST": "127.0.0.1", "VOLTLEDGER_PORT": "0", "PYTHONPATH": str(PROJECT)}
    return {**kept, **chosen, **({"DATABASE_URL": database_url} if database_url else {})}


def _start(folder: Path, said: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """In a folder without `.env`, which would name the person's own database."""
    command = tether.command([sys.executable, "-m", "dashboard"], at_parent_death=signal.SIGTERM)
    with said.open("wb") as output:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def _wait_for_address(process: subprocess.Popen[bytes], said: Path) -> str:
    """It prints its address once /readyz says yes."""
    deadline = time.monotonic() + _READY_WITHIN_S
    while not (found := re.search(r"Voltledger is ready: (http://\S+)", said.read_text())):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError("the product does not start:\n" + "\n".join(said.read_text().splitlines()[-15:]))
        time.sleep(0.1)
    return found[1]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _postmaster(url: str) -> int | None:
    """The parent of one of its backends, when that is a process of this machine."""
    with psycopg.connect(url) as connection:
        found = processes.tree(connection.info.backend_pid)
    return found[0].parent if found and found[0].name == "postgres" else None
