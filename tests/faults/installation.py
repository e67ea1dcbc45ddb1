"""A whole installation of its own: PostgreSQL with fsync on, and `python -m dashboard` before it, with keys asked for.

    with installed() as there:
        with sending(singles(there.url, there.key)) as load: …
        examine(load.ledger, there.database_url, there.logs, there.secrets)

PostgreSQL is an embedded server of this process, which starts it again when it dies; the web processes are the product's own tree.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import requests

from api.keys.secret import made
from db import device_keys
from db.device_keys import Wanted
from db.embedded import EmbeddedPostgres, wal_dir
from db.schema import migrate

PROJECT = Path(__file__).parent.parent.parent
PASSWORD = "dsn-Tr0ub4dor"  # nobody asks for it: it is there to be looked for in the logs
READY_WITHIN_S = 90.0


def wait_until(what: Callable[[], bool], within_s: float = 30.0, words: str = "") -> None:
    """Raises AssertionError where it does not become so."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, f"not within {within_s:g} s {words}"
        time.sleep(0.05)


@dataclass
class Installation:
    """`url` is where it is reached, `key` a gateway's key with every right, `database_url` PostgreSQL directly."""

    folder: Path
    database: EmbeddedPostgres
    settings: dict[str, str] = field(default_factory=dict)
    data: Path = Path()
    through: Callable[[str], str] = lambda url: url  # the database's address as the web processes are given it
    url: str = ""
    key: str = ""
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def database_url(self) -> str:
        """Of the embedded server, past any cable."""
        return self.database.url

    @property
    def log(self) -> Path:
        """What the tree of processes says."""
        return self.folder / "web.log"

    @property
    def logs(self) -> tuple[Path, ...]:
        """The product's own; PostgreSQL's log quotes statements, but never a value of ours."""
        return (self.log, self.data / "postgres.log")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may hold."""
        return (self.key.partition(".")[2], PASSWORD)

    def start_web(self) -> None:
        """`python -m dashboard`, until it says that it is ready."""
        url = self.through(self.database_url).replace("voltledger@", f"voltledger:{PASSWORD}@", 1)
        environment = {"PATH": os.environ["PATH"], "DATABASE_URL": url, "VOLTLEDGER_PORT": "0", "PYTHONUNBUFFERED": "1"}
        environment |= {"VOLTLEDGER_REQUIRE_KEYS": "1", "VOLTLEDGER_COMPACT_AFTER_HOURS": "0", "VOLTLEDGER_LEARN_AFTER_HOURS": "0"}
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dashboard"], cwd=PROJECT, env=environment | self.settings, stdout=log, stderr=log
            )
        wait_until(lambda: self._said_ready(before) is not None or self._ended(), READY_WITHIN_S)
        found = self._said_ready(before)
        assert found, self.log.read_text()
        self.url = found[1]

    def _said_ready(self, since: int) -> re.Match[str] | None:
        return re.search(r"Voltledger is ready: (http://\S+)", self.log.read_bytes()[since:].decode(errors="replace"))

    def _ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop_web(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process
        self.process.terminate()
        return self.process.wait(40)

    def children(self, word: str) -> list[int]:
        """Processes of the tree with the word in their command, the parents first."""
        assert self.process
        return [pid for pid in descendants(self.process.pid) if word in command_of(pid)]

    @property
    def master(self) -> int:
        """The first process of the server that takes in readings."""
        return self.children("dashboard.front")[0]

    @property
    def workers(self) -> list[int]:
        """The processes that take in readings."""
        return [pid for pid in descendants(self.master) if "gunicorn" in command_of(pid)]

    @property
    def page_makers(self) -> list[int]:
        """The processes behind them that make pages and answer the rest of the API."""
        first, *_ = self.children("dashboard.app:create_pages")
        return [pid for pid in descendants(first) if "gunicorn" in command_of(pid)]

    def get(self, path: str, timeout_s: float = 20.0) -> requests.Response:
        """With the key, directly and never through a proxy."""
        with requests.Session() as session:
            session.trust_env = False
            return session.get(self.url + path, headers={"Authorization": f"Bearer {self.key}"}, timeout=timeout_s)

    def ready(self) -> bool:
        """Whether /readyz says 200."""
        with contextlib.suppress(urllib.error.URLError, OSError):
            return self.get("/readyz", 10).status_code == 200
        return False

    def connect(self, **more: Any) -> psycopg.Connection:
        """To the database, directly, each statement by itself."""
        return psycopg.connect(self.database_url, autocommit=True, **more)

    def make_key(self) -> None:
        """A gateway's key with every right; the gate sees it within a second."""
        new = made()
        with psycopg.connect(self.database_url) as conn:
            wanted = Wanted("faults", ["write", "read", "admin"], "gateway")
            device_keys.create(conn, new.key_id, wanted, new.secret_hash, "faults", datetime.now(UTC))
        self.key = new.shown


@contextlib.contextmanager
def installed(
    data_dir: Path | None = None,
    wal_on: Path | None = None,
    ballast_mb: int = 0,
    through: Callable[[str], str] = lambda url: url,
    web: bool = True,
    **settings: object,
) -> Iterator[Installation]:
    """One that runs; its folder and processes are gone at the end. `settings` are the product's, by their names in the environment.

    `data_dir`: where PostgreSQL's data lies instead, `wal_on` its log (small volumes).
    """
    folder = Path(tempfile.mkdtemp(prefix="vl-", dir="/tmp"))  # not pytest's: a socket's path has to be short
    folder.chmod(0o755)
    with contextlib.ExitStack() as closing:
        closing.callback(shutil.rmtree, folder, ignore_errors=True)
        data = data_dir or folder / "data"
        if wal_on:
            EmbeddedPostgres(data, shared_buffers_mb=64).__enter__().stop()  # makes the cluster
            move_wal(wal_dir(data), wal_on)
        database = closing.enter_context(EmbeddedPostgres(data, shared_buffers_mb=64, ballast_mb=ballast_mb))
        migrate(database.url)
        there = Installation(folder, database, {name: str(value) for name, value in settings.items()}, data, through)
        there.make_key()
        closing.callback(_end, there)
        if web:
            there.start_web()
            wait_until(lambda: there.get("/v1/vehicles").status_code == 200, words="the key is not known")
        yield there


def move_wal(wal: Path, volume: Path) -> None:
    """A stopped server's log to another volume, as its operator would."""
    owner, target = wal.stat(), volume / "pg_wal"
    shutil.copytree(wal, target)
    for path in (target, *target.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    target.chmod(0o700)
    shutil.rmtree(wal)
    wal.symlink_to(target)


def _end(there: Installation) -> None:
    if there.process and there.process.poll() is None:
        there.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            there.process.wait(30)
        there.process.kill()
        there.process.wait()


def descendants(pid: int) -> list[int]:
    """A process's children and theirs, the parents first."""
    try:
        children = [int(word) for task in Path(f"/proc/{pid}/task").iterdir() for word in (task / "children").read_text().split()]
    except OSError:
        return []
    return [each for child in sorted(children) for each in (child, *descendants(child))]


def command_of(pid: int) -> str:
    """Its command line, empty where it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def rss_mb(pid: int) -> float:
    """Memory a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def threads_of(pid: int) -> int:
    """How many threads it runs."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def files_of(pid: int) -> int:
    """How many files and sockets it has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
