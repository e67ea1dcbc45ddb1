"""`python -m dashboard` as real processes: it comes up whole and goes down whole, however it is asked.

The web application, the migrations and the fleet are stubs of a few lines here: the subject is the tree. Every process of a tree is
known by the folder it runs in, so that "nothing is left" is a look at all processes and not at a list of those we expect.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from db.embedded import running_url

PROJECT = Path(__file__).parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")]

STUBS = {
    "db/schema.py": """
import psycopg

def migrate(database_url):
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS starts (at timestamptz DEFAULT now())")
        connection.execute("INSERT INTO starts DEFAULT VALUES")
""",
    "dashboard/app.py": """
import os, time
import config, psycopg

def create_app():
    if os.path.exists("web-is-broken"):
        raise RuntimeError("broken on purpose")
    url = config.load().database_url

    def app(environ, start_response):
        status = "200 OK"
        if environ["PATH_INFO"] == "/slow":
            time.sleep(2)
        if environ["PATH_INFO"] == "/readyz":
            try:
                psycopg.connect(url).close()
            except psycopg.OperationalError:
                status = "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"]

    return app

def create_pages():
    return create_app()
""",
    "dashboard/front.py": """
from dashboard.app import create_app
""",
    "simulator/__main__.py": """
import sys, time
print("fleet", *sys.argv[1:], flush=True)
time.sleep(600)
""",
}


@dataclass
class Tree:
    """A started `python -m dashboard` and what it said so far."""

    process: subprocess.Popen[str]
    folder: Path
    output: Path

    @property
    def said(self) -> str:
        return self.output.read_text()

    @property
    def address(self) -> str:
        found = re.search(r"Voltledger is ready: (http://\S+)", self.said)
        assert found, self.said
        return found[1]

    @property
    def database(self) -> str:
        url = running_url(self.folder / ".data")
        assert url
        return url

    def processes(self, word: str = "") -> list[int]:
        """Process ids of everything that belongs to this tree and has the word in its command."""
        return [pid for pid, command in commands().items() if word in command and self._owns(pid, command)]

    def _owns(self, pid: int, command: str) -> bool:
        with contextlib.suppress(OSError):
            cluster = self.folder / ".data" / "postgres"
            return Path(f"/proc/{pid}/cwd").resolve() in (self.folder, cluster) or str(self.folder) in command
        return False

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


def commands() -> dict[int, str]:
    """Process id to command line of every living process."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return {pid: command for pid, command in found.items() if command}


def wait_for(what: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not what() and time.monotonic() < deadline:
        time.sleep(0.05)
    return what()


def get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(answer.status)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project folder: the real platform around a stub application."""
    for room in ("api", "charging", "db", "edge"):  # the worker class brings the intake along
        shutil.copytree(PROJECT / room, tmp_path / room)
    for name in ("dashboard/__init__.py", "dashboard/__main__.py", "dashboard/children.py", "simulator/__init__.py", "config.py"):
        _copy(name, tmp_path)
    for name, text in STUBS.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def _copy(name: str, target: Path) -> None:
    (target / name).parent.mkdir(exist_ok=True)
    shutil.copy(PROJECT / name, target / name)


@contextlib.contextmanager
def starting(folder: Path, *arguments: str, **settings: object) -> Iterator[Tree]:
    """A tree that has just been started; whatever is left of it is killed at the end."""
    environment = {
        "PATH": os.defpath,
        "VOLTLEDGER_PORT": "0",
        "PYTHONUNBUFFERED": "1",
        **{key: str(value) for key, value in settings.items()},
    }
    output = folder / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "dashboard", *arguments], cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT, text=True
        )
    tree = Tree(process, folder, output)
    try:
        yield tree
    finally:
        process.kill()
        process.wait()
        wait_for(lambda: not tree.processes(), within_s=15)
        for pid in tree.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def running(folder: Path, *arguments: str, **settings: object) -> Iterator[Tree]:
    """A tree that has said that it is ready."""
    with starting(folder, *arguments, **settings) as tree:
        assert wait_for(lambda: "is ready" in tree.said or tree.process.poll() is not None, within_s=30), tree.said
        assert tree.process.poll() is None, tree.said
        yield tree


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_asked_to_stop_it_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    """`kill`, Ctrl-C and a closed terminal end web server, fleet and PostgreSQL, in order, with exit code 0."""
    with running(folder, "--simulate", "7") as tree:
        assert wait_for(lambda: f"fleet run --url {tree.address} --vehicles 7" in tree.said, within_s=5)
        assert get(f"{tree.address}/readyz") == 200
        assert len(tree.processes("gunicorn")) == 4  # two servers with a process each
        assert len(tree.processes("simulator")) == 1
        assert len(tree.processes("postgres")) > 3
        assert tree.end(number) == 0
        assert tree.processes() == []
        assert "database system is shut down" in (folder / ".data" / "postgres.log").read_text()


def test_killed_it_leaves_nothing(folder: Path) -> None:
    """Kill -9 of the one process the operator sees takes all the others with it, and the next start works."""
    with running(folder, "--simulate", "7") as tree:
        assert tree.end(signal.SIGKILL) == -signal.SIGKILL
        assert wait_for(lambda: not tree.processes(), within_s=15), tree.processes()
    with running(folder) as tree, psycopg.connect(tree.database) as connection:
        assert connection.execute("SELECT count(*) FROM starts").fetchone() == (2,)


def test_stopping_while_starting_leaves_nothing(folder: Path) -> None:
    """An impatient Ctrl-C in the middle of the first start is obeyed too."""
    with starting(folder) as tree:
        assert wait_for(lambda: bool(tree.processes("initdb")) or (folder / ".data" / "postgres").exists(), within_s=30)
        assert tree.end(signal.SIGINT) == 0
        assert wait_for(lambda: not tree.processes(), within_s=10), tree.processes()


def test_request_in_flight_is_answered(folder: Path) -> None:
    """What had arrived before the signal gets its answer."""
    with running(folder) as tree:
        asker = subprocess.Popen([sys.executable, "-c", f"import urllib.request as u; u.urlopen('{tree.address}/slow').read()"])
        time.sleep(1)
        assert tree.end(signal.SIGTERM) == 0
        assert asker.wait(10) == 0


def test_second_start_on_the_same_data_is_refused(folder: Path) -> None:
    """It names the folder and the process in one line, exits with 2, and the first goes on."""
    with running(folder) as first:
        again = subprocess.run(
            [sys.executable, "-m", "dashboard"],
            cwd=folder,
            env={"VOLTLEDGER_PORT": "0"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert again.returncode == 2
        assert (
            again.stderr
            == f"{folder}/.data is in use by process {first.process.pid}: stop that one, or set VOLTLEDGER_DATA_DIR to another folder\n"
        )
        assert get(f"{first.address}/readyz") == 200


def test_port_in_use_is_said_in_one_line(folder: Path) -> None:
    """Nothing is started then, and the exit code is 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with starting(folder, VOLTLEDGER_PORT=port) as tree:
            assert tree.process.wait(20) == 2
            assert tree.said.count("\n") == 1
            assert f"127.0.0.1 port {port}" in tree.said
            assert not (folder / ".data").exists()


@pytest.mark.parametrize("url", ["postgresql://someone:geheim@127.0.0.1:{port}/fleet", "nonsense geheim"])
def test_database_that_does_not_answer_is_said_without_its_password(folder: Path, url: str) -> None:
    """One line with the host and the reason; exit code 2; nothing embedded is started instead."""
    with starting(folder, DATABASE_URL=url.format(port=free_port())) as tree:
        assert tree.process.wait(20) == 2
        assert tree.said.startswith("DATABASE_URL ")
        assert tree.said.count("\n") == 1
        assert "geheim" not in tree.said
        assert not (folder / ".data").exists()


def test_wrong_setting_is_named(folder: Path) -> None:
    """A value that cannot be is named in one line, exit code 2."""
    with starting(folder, VOLTLEDGER_WEB_THREADS="many") as tree:
        assert tree.process.wait(20) == 2
        assert "web_threads" in tree.said
        assert tree.said.count("\n") == 1


def test_given_database_is_used(folder: Path, empty_database_url: str) -> None:
    """With DATABASE_URL nothing embedded starts, and the server stays when we end."""
    with running(folder, DATABASE_URL=empty_database_url) as tree:
        assert tree.processes("postgres -D") == []
        assert tree.end(signal.SIGTERM) == 0
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM starts").fetchone() == (1,)


def test_dead_parts_come_back(folder: Path) -> None:
    """The web server, the pages, the fleet and PostgreSQL are each killed; each is back within seconds, at the same address."""
    with running(folder, "--simulate", "7") as tree:
        before = {name: tree.processes(name) for name in ("front:create_app", "app:create_pages", "simulator", "postgres -D")}
        masters = [min(before[name]) for name in ("front:create_app", "app:create_pages")]
        for pid in (*masters, *before["simulator"], *before["postgres -D"]):
            os.kill(pid, signal.SIGKILL)
        assert wait_for(lambda: all(set(tree.processes(name)) - set(pids) for name, pids in before.items()), within_s=40)
        assert wait_for(lambda: "fleet" in tree.said.partition("The simulated fleet ended with code -9")[2], within_s=30)
        assert "The web server ended with code -9" in tree.said
        assert "The pages ended with code -9" in tree.said
        assert "PostgreSQL ended with code -9" in tree.said
        # Not ready (503) is the right answer until PostgreSQL has recovered.
        assert wait_for(lambda: _is_ready(tree.address), within_s=30)
        assert tree.end(signal.SIGTERM) == 0
        assert tree.processes() == []


def _is_ready(address: str) -> bool:
    try:
        return get(f"{address}/readyz") == 200
    except OSError:  # refused, late, or answered with an error status
        return False


def test_web_server_that_cannot_start_ends_the_tree(folder: Path) -> None:
    """No half-alive tree: exit code 1, the reason above it, no process left."""
    (folder / "web-is-broken").touch()
    with starting(folder) as tree:
        assert tree.process.wait(40) == 1
        assert "broken on purpose" in tree.said
        assert tree.processes() == []
