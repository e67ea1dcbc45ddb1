"""The PostgreSQL server we bring along: one cluster in the data folder, supervised by the process that uses it.

    with EmbeddedPostgres(Path(".data")) as server:
        psycopg.connect(server.url)

The data folder holds `postgres/` (the cluster), `postgres.log`, `lock` (who uses it) and `socket/`. The server listens on a unix socket
in a folder that only its own user (and root) can enter, and on no network port; therefore it needs no password.

The server ends when its supervisor ends, however that happens, and comes back when it dies on its own.
"""

import contextlib
import fcntl
import json
import logging
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

import psycopg

from db import tether
from db.pgbinaries import CLEAN_ENVIRONMENT, BinariesMissing, psql_command, usable_installation
from db.room import ballast_of, drop_ballast, lay_ballast

__all__ = ["BinariesMissing", "DataDirInUse", "EmbeddedPostgres", "EmbeddedPostgresError", "psql_command", "running_url", "wal_dir"]

log = logging.getLogger(__name__)

SUPERUSER = DATABASE = "voltledger"
_PORT = 5432  # only part of the socket's name
_SOCKET_PATH_LIMIT = 103  # bytes, of sockaddr_un.sun_path less its end: 107 on Linux, 103 on macOS and the BSDs
_UNPRIVILEGED = ("postgres", "nobody")  # who runs the server when root starts it: PostgreSQL refuses to run as root
_LOG_KEPT_BYTES = 20_000_000
_STOP_PATIENCE_S = 60.0  # a fast shutdown writes a checkpoint, which a slow disk makes slow
_LEFTOVER_PATIENCE_S = 30.0
_ORPHAN_PATIENCE_S = 1.0  # backends notice the death of their postmaster at once unless they are computing
_HEALTHY_AFTER_S = 10.0  # a server that lived this long is restarted without waiting
_LONGEST_PAUSE_S = 5.0


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot be started; the message says what to do."""


class DataDirInUse(EmbeddedPostgresError):
    """Another process supervises a server on the same data folder."""


def running_url(data_dir: Path) -> str | None:
    """The URL of the server that another process runs on this data folder, or None when nobody does."""
    try:
        lock = _claim(data_dir)
    except DataDirInUse:
        return _lock_record(data_dir).get("url")
    except FileNotFoundError:
        return None
    os.close(lock)
    return None


def wal_dir(data_dir: Path) -> Path:
    """Where the server on this data folder keeps its write-ahead log."""
    return data_dir.absolute() / "postgres" / "pg_wal"


class EmbeddedPostgres:
    """One supervised server. Not for Windows.

    `shared_buffers_mb` is what it keeps in memory of its tables. `durable=False` is for tests only: a commit then survives `kill -9` but
    not a power cut. `start_timeout_s` must cover crash recovery, which replays up to 4 GB of log. `ballast_mb`: see `db.room`.
    """

    def __init__(
        self, data_dir: Path, *, shared_buffers_mb: int = 256, durable: bool = True, start_timeout_s: float = 300.0, ballast_mb: int = 0
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._cluster = self._data_dir / "postgres"
        self._shared_buffers_mb = shared_buffers_mb
        self._durable = durable
        self._start_timeout_s = start_timeout_s
        self._ballast_mb = ballast_mb
        self._closing = contextlib.ExitStack()
        self._stopping = threading.Event()
        self._first_outcome = threading.Event()
        self._failure: Exception | None = None
        self._guard = threading.Lock()  # between the thread that starts the server and the one that stops it
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._place: _Place | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """`postgresql://…` of the started server's database. It stays the same when the server is restarted."""
        if self._place is None:
            raise EmbeddedPostgresError("the embedded PostgreSQL is not running")
        return _url(self._place.socket_dir, DATABASE)

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster, None while there is none."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def start(self) -> str:
        """Creates the cluster if there is none, starts the server and returns its URL once it answers.

        Raises DataDirInUse, BinariesMissing or EmbeddedPostgresError (with the end of the server's log).
        """
        try:
            self._prepare()
            # The thread is the one that starts the server, because the kernel ends the server with the thread that started it.
            self._thread = threading.Thread(target=self._supervise, name="embedded-postgres", daemon=True)
            self._thread.start()
            self._first_outcome.wait()
            if self._failure:
                raise self._failure
            self._create_database()
        except BaseException:
            self.stop()
            raise
        log.info("PostgreSQL runs on %s", self._data_dir)
        return self.url

    def stop(self) -> None:
        """Ends the server in an orderly way and frees the data folder. Does nothing when it is not running."""
        with self._guard:
            self._stopping.set()
            process = self._process
        if process:
            _end(process)
        if self._thread:
            self._thread.join()
        self._closing.close()
        self._place = None

    def _prepare(self) -> None:
        if sys.platform == "win32":
            raise EmbeddedPostgresError("the embedded PostgreSQL does not run on Windows: set DATABASE_URL")
        self._stopping.clear()
        self._first_outcome.clear()
        self._failure = None
        self._data_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        lock = _claim(self._data_dir)
        self._closing.callback(_release, lock)
        user = _server_user(self._cluster)
        installation = usable_installation(self._data_dir, user)
        self._place = _Place(installation, user, self._cluster, self._closing.enter_context(_socket_dir(self._data_dir, user)))
        if not self._cluster.exists():
            _create_cluster(self._place, durable=self._durable)
        lay_ballast(ballast_of(self._data_dir, wal_dir(self._data_dir)), self._ballast_mb)
        _record(lock, {"pid": os.getpid(), "url": self.url})

    def _supervise(self) -> None:
        """Keeps a server running until told to stop; pauses longer and longer while it does not come up."""
        pause = 0.0
        while not self._stopping.wait(pause):
            began = time.monotonic()
            try:
                self._run_once()
            except Exception as error:  # noqa: BLE001 - this thread's end would end the server too; it must outlive every surprise
                if not self._first_outcome.is_set():
                    self._failure = error
                    break
                log.error("PostgreSQL did not come back: %s", error)  # noqa: TRY400 - a line for the operator, the cause is in postgres.log
            if not self._stopping.is_set() and drop_ballast(ballast_of(self._data_dir, wal_dir(self._data_dir))):
                log.error("the disk of %s is full: its ballast was given up so that PostgreSQL comes back; make room", self._data_dir)
            lived = time.monotonic() - began
            pause = 0.0 if lived > _HEALTHY_AFTER_S else min(2 * pause or 0.1, _LONGEST_PAUSE_S)
        self._first_outcome.set()

    def _run_once(self) -> None:
        """One life of the server, from the first to the last moment."""
        assert self._place
        _end_leftovers(self._place)
        with contextlib.ExitStack() as files:
            with self._guard:
                if self._stopping.is_set():
                    return
                self._process = self._place.popen(self._argv(), files, _open_log(self._data_dir, files))
            try:
                self._wait_until_it_answers(self._process)
                self._first_outcome.set()
                code = self._process.wait()
            finally:
                _end(self._process)
        if not self._stopping.is_set():
            log.warning("PostgreSQL ended with code %s and is started again; see %s", code, self._data_dir / "postgres.log")

    def _argv(self) -> "Argv":
        assert self._place
        values = _settings(shared_buffers_mb=self._shared_buffers_mb, durable=self._durable)
        values["cluster_name"] = self._place.tag
        place = self._place

        def argv(visible: Callable[[Path], str]) -> list[str]:
            values["unix_socket_directories"] = visible(place.socket_dir)
            options = [part for name, value in values.items() for part in ("-c", f"{name}={value}")]
            return [place.program("postgres"), "-D", visible(place.cluster), *options]

        return argv

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        assert self._place
        deadline = time.monotonic() + self._start_timeout_s
        while not _answers(_url(self._place.socket_dir, "postgres")):
            if process.poll() is not None or time.monotonic() > deadline:
                if self._stopping.is_set():
                    return
                raise EmbeddedPostgresError(f"PostgreSQL did not start on {self._cluster}:\n{_log_tail(self._data_dir)}")
            time.sleep(0.02)

    def _create_database(self) -> None:
        assert self._place
        with psycopg.connect(_url(self._place.socket_dir, "postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f'CREATE DATABASE "{DATABASE}"')


Argv = Callable[[Callable[[Path], str]], list[str]]  # a command, given how the server's user names a folder


@dataclass(frozen=True)
class _Place:
    """Where a server's parts lie and who runs them: `user` is None when we run them ourselves."""

    installation: Path
    user: str | None
    cluster: Path
    socket_dir: Path

    def program(self, name: str) -> str:
        return str(self.installation / "bin" / name)

    @property
    def tag(self) -> str:
        """A name that every process of this cluster carries in its title, so that we know our own in another life."""
        facts = self.cluster.stat()
        return f"voltledger-{facts.st_dev:x}-{facts.st_ino:x}"

    def popen(self, argv: Argv, files: contextlib.ExitStack, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        """Starts a program as the server's user, tied to this thread's life."""
        opened: list[int] = []

        def visible(folder: Path) -> str:
            if self.user is None or sys.platform != "linux":
                return str(folder)
            # The user may not be allowed through the folders above (a clone in /root): an open folder needs no way there.
            opened.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
            files.callback(os.close, opened[-1])
            return f"/proc/self/fd/{opened[-1]}"

        command = argv(visible)
        return subprocess.Popen(
            tether.command(command, at_parent_death=signal.SIGINT, user=self.user),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=CLEAN_ENVIRONMENT,
            cwd="/",
            pass_fds=opened,
            start_new_session=True,  # Ctrl-C in a terminal goes to us alone; we end the server last
        )


def _settings(*, shared_buffers_mb: int, durable: bool) -> dict[str, str]:
    """What differs from PostgreSQL's own defaults."""
    values = {
        "listen_addresses": "",  # the unix socket only: nothing to scan, no password to lose
        "port": str(_PORT),
        "unix_socket_permissions": "0700",
        "timezone": "UTC",  # days are UTC days, whatever the machine says
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        "log_lock_waits": "on",  # says who waited for whom when a write was slow
        "shared_buffers": f"{shared_buffers_mb}MB",
        "max_wal_size": "4GB",  # fewer checkpoints: each makes every page's next change a full page of log
        "checkpoint_timeout": "15min",
        "wal_compression": "on",  # those full pages are the larger part of the log
        "jit": "off",  # compiling costs more than our short queries take
        "max_locks_per_transaction": "256",  # a dump or a check touches every day's partition at once
        "fsync": "on",  # an answered reading is on disk: never off where data matters
        "synchronous_commit": "on",
    }
    if not durable:
        values |= {"fsync": "off", "full_page_writes": "off", "max_wal_size": "1GB"}  # still survives kill -9, but not a power cut
    return values


def _url(socket_dir: Path, database: str) -> str:
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(socket_dir), safe='')}&port={_PORT}"


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _server_user(cluster: Path) -> str | None:
    """Who runs the server: we ourselves, or when we are root the owner of the cluster, else an existing unprivileged user."""
    if os.geteuid() != 0:
        if cluster.exists() and cluster.stat().st_uid != os.geteuid():
            owner = _name_of(cluster.stat().st_uid)
            raise EmbeddedPostgresError(
                f"{cluster} belongs to {owner}: start as that user or as root, or set VOLTLEDGER_DATA_DIR to another folder"
            )
        return None
    if cluster.exists() and (owner_id := cluster.stat().st_uid) != 0:
        return _name_of(owner_id)
    for name in _UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise EmbeddedPostgresError(
        f"PostgreSQL does not run as root, and there is no user {' or '.join(_UNPRIVILEGED)}: start as another user"
    )


def _name_of(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        raise EmbeddedPostgresError(f"the data folder belongs to user id {user_id}, which this machine does not know") from None


# ---------------------------------------------------------------------------------------------------------------- the data folder


def _claim(data_dir: Path) -> int:
    """Takes the data folder for this process: an open file whose lock the kernel frees with us. Raises DataDirInUse."""
    try:
        lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise EmbeddedPostgresError(
            f"no right to use {data_dir}: start as its owner, or set VOLTLEDGER_DATA_DIR to another folder"
        ) from error
    for _ in range(10):  # someone who only asks for the running server holds it for a moment
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        time.sleep(0.02)
    os.close(lock)
    pid = _lock_record(data_dir).get("pid", "unknown")
    raise DataDirInUse(f"{data_dir} is in use by process {pid}: stop that one, or set VOLTLEDGER_DATA_DIR to another folder")


def _lock_record(data_dir: Path) -> dict[str, str]:
    try:
        return {key: str(value) for key, value in json.loads((data_dir / "lock").read_text()).items()}
    except (OSError, ValueError, AttributeError):  # being written at this moment
        return {}


def _record(lock: int, facts: dict[str, object]) -> None:
    content = json.dumps(facts).encode()
    os.ftruncate(lock, 0)
    os.pwrite(lock, content, 0)


def _release(lock: int) -> None:
    """Frees the data folder. The file stays: removing it would let two processes lock two files of the same name."""
    os.ftruncate(lock, 0)
    os.close(lock)


@contextlib.contextmanager
def _socket_dir(data_dir: Path, user: str | None) -> Iterator[Path]:
    """A private folder for the socket: in the data folder, or a short-lived one in the system's if the path would be too long."""
    folder, temporary = data_dir / "socket", False
    if len(os.fsencode(folder / f".s.PGSQL.{_PORT}")) > _SOCKET_PATH_LIMIT or set(str(folder)) & set(",\"' @"):
        folder, temporary = Path(tempfile.mkdtemp(prefix="voltledger-", dir="/tmp")), True  # mkdtemp: private; not $TMPDIR: may be long
    else:
        shutil.rmtree(folder, ignore_errors=True)  # what a killed server left there could name a process id that is another's by now
        folder.mkdir(mode=0o700)
    _give(folder, user)
    try:
        yield folder
    finally:
        if temporary:
            shutil.rmtree(folder, ignore_errors=True)


def _give(folder: Path, user: str | None) -> None:
    if user:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def _open_log(data_dir: Path, files: contextlib.ExitStack) -> IO[bytes]:
    """The server's log, opened by us so that the server's user needs no right in the data folder. One older file is kept."""
    path = data_dir / "postgres.log"
    if path.exists() and path.stat().st_size > _LOG_KEPT_BYTES:
        path.replace(path.with_suffix(".log.1"))
    path.touch(mode=0o600)
    return files.enter_context(path.open("ab"))


def _log_tail(data_dir: Path, lines: int = 10) -> str:
    try:
        with (data_dir / "postgres.log").open("rb") as file:
            file.seek(-min(4096, file.seek(0, os.SEEK_END)), os.SEEK_END)
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(no log: {error})"


def _create_cluster(place: _Place, *, durable: bool) -> None:
    """Makes a cluster beside its final place and moves it there when complete, so that a killed first start leaves no half one."""
    unfinished = place.cluster.with_name("postgres.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    _give(unfinished, place.user)
    # Sorted by code point: the same on every machine, and no operating system update can break an index.
    options = ["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    options += [] if durable else ["--no-sync"]
    with contextlib.ExitStack() as files:
        output = files.enter_context(tempfile.TemporaryFile())
        process = place.popen(lambda visible: [place.program("initdb"), "-D", visible(unfinished), *options], files, output)
        if process.wait() != 0:
            output.seek(0)
            raise EmbeddedPostgresError(f"initdb failed in {unfinished}:\n{output.read().decode(errors='replace').strip()}")
    unfinished.rename(place.cluster)


# ---------------------------------------------------------------------------------------------------------------- ending servers


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a postmaster: fast (an orderly end), then immediate, then by force."""
    for ask, patience in ((signal.SIGINT, _STOP_PATIENCE_S), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(ask)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)


def _end_leftovers(place: _Place) -> None:
    """Makes way for a new server: ends what a killed one left running, and its pid file that may name a stranger by now.

    Safe because we hold the folder's lock: whatever still runs on this cluster has lost its supervisor.
    """
    pid_file = place.cluster / "postmaster.pid"
    postmaster = _first_number(pid_file)
    if postmaster in _processes(place.tag):
        _signal([postmaster], signal.SIGINT)
        _wait_gone(place.tag, _LEFTOVER_PATIENCE_S)
    for ask, patience in ((None, _ORPHAN_PATIENCE_S), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 5.0)):
        if not (left := _processes(place.tag)):
            break
        if ask:
            _signal(left, ask)
        _wait_gone(place.tag, patience)
    if left := _processes(place.tag):
        raise EmbeddedPostgresError(f"processes {left} of an earlier server on {place.cluster} do not end")
    pid_file.unlink(missing_ok=True)
    for name in (f".s.PGSQL.{_PORT}", f".s.PGSQL.{_PORT}.lock"):
        (place.socket_dir / name).unlink(missing_ok=True)


def _first_number(path: Path) -> int:
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _wait_gone(tag: str, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while _processes(tag) and time.monotonic() < deadline:
        time.sleep(0.02)


def _processes(tag: str) -> list[int]:
    """Process ids of the PostgreSQL processes whose title carries the tag. Titles can be read in a container without extra rights."""
    if Path("/proc/self/cmdline").exists():
        return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit() and _is_tagged(folder, tag)]
    listing = subprocess.run(["ps", "-axo", "pid=,command="], env=CLEAN_ENVIRONMENT, capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listing.splitlines() if tag in line and "postgres" in line.split()[1]]


def _is_tagged(folder: Path, tag: str) -> bool:
    try:
        return (folder / "comm").read_text().strip() == "postgres" and tag.encode() in (folder / "cmdline").read_bytes()
    except OSError:  # it ended while we looked
        return False
