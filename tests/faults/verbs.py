"""What can be done to an installation: kill, hold, lock, fill, cut. Each undoes itself where that makes sense."""

import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from db.embedded import _processes
from tests.faults.installation import Installation

MIB = 1024 * 1024
WRITERS = "voltledger-write"
READERS = "voltledger-read"


def backends(there: Installation, application: str = "voltledger-") -> list[int]:
    """Process ids of the product's database connections, by how their name begins."""
    with there.connect() as conn:
        rows = conn.execute("SELECT pid FROM pg_stat_activity WHERE application_name LIKE %s || '%%' ORDER BY 1", [application]).fetchall()
    return [row[0] for row in rows]


def kill(*pids: int) -> None:
    """As the kernel does when memory is gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def postmaster(there: Installation) -> int:
    """PostgreSQL's first process."""
    pid = there.database.pid
    assert pid, "PostgreSQL does not run"
    return pid


def restart_database(there: Installation, how: signal.Signals) -> None:
    """As `pg_ctl restart`: SIGINT is fast, SIGQUIT immediate, SIGKILL a crash. Its supervisor starts it again."""
    old = postmaster(there)
    os.kill(old, how)
    deadline = time.monotonic() + 30
    while there.database.pid in (old, None):
        assert time.monotonic() < deadline, "PostgreSQL was not started again"
        time.sleep(0.02)


@contextlib.contextmanager
def database_away(there: Installation) -> Iterator[None]:
    """PostgreSQL is stopped, and started again at the end."""
    there.database.stop()
    try:
        yield
    finally:
        there.database.start()


@contextlib.contextmanager
def database_hangs(there: Installation) -> Iterator[None]:
    """All of PostgreSQL's processes stand still; connections stay open."""
    assert there.database._place
    held = _processes(there.database._place.tag)
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in held:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def locked(there: Installation, table: str) -> Iterator[None]:
    """Nobody else reads or writes the table."""
    with psycopg.connect(there.database_url) as conn:
        conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table)))
        yield
        conn.rollback()


@contextlib.contextmanager
def connections_taken(there: Installation) -> Iterator[int]:
    """Others hold every connection that PostgreSQL allows; how many these are. The product's writers have to connect anew."""
    held: list[psycopg.Connection] = []
    try:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                held.append(psycopg.connect(there.database_url, autocommit=True))
        held[0].execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s", [WRITERS + "%"])
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:  # what the writers gave up is taken too
            with contextlib.suppress(psycopg.OperationalError):
                held.append(psycopg.connect(there.database_url, autocommit=True))
                continue
            if not held[0].execute("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE %s", [WRITERS + "%"]).fetchone():
                break
            held[0].execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s", [WRITERS + "%"])
        yield len(held)
    finally:
        for conn in held:
            conn.close()


@contextlib.contextmanager
def small_volume(size_mb: int) -> Iterator[Path]:
    """A file system in memory of that size; skips the test where nobody may mount one."""
    folder = Path(tempfile.mkdtemp(prefix="vl-volume-", dir="/tmp"))
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=755", "tmpfs", str(folder)], check=False, capture_output=True, text=True
        )
        if mounted.returncode != 0:
            pytest.skip(f"a small volume cannot be mounted here: {mounted.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def filled(folder: Path, leave_mb: float = 0) -> Iterator[Path]:
    """A file takes the volume's space but for so much; the file is gone at the end, or when it is unlinked."""
    path = folder / "filling"
    try:
        with path.open("wb") as file:
            with contextlib.suppress(OSError):
                while (left := shutil.disk_usage(folder).free - int(leave_mb * MIB)) > 0:
                    file.write(b"\0" * min(left, MIB))
                    file.flush()
            with contextlib.suppress(OSError):
                file.flush()
        yield path
    finally:
        path.unlink(missing_ok=True)


class Cable:
    """A TCP way to a server on a Unix socket or another address, which can be cut, frozen and mended. A thread of its own.

    Cut: connections end and new ones are refused. Frozen: they stay open and nothing comes through.
    """

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self.is_cut = self.frozen = False
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Cable":
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(5)
        self._drop_all()
        self._listener.close()
        self._selector.close()

    def cut(self) -> None:
        """Every connection ends, and none comes about."""
        self.is_cut = True
        self._drop_all()

    def mend(self) -> None:
        """As before; what was frozen goes on."""
        self.is_cut = self.frozen = False

    def _drop_all(self) -> None:
        with self._lock:
            for one in list(self._pairs):
                self._drop(one)

    def _drop(self, one: socket.socket) -> None:
        for each in (one, self._pairs.get(one)):
            if each is not None and self._pairs.pop(each, None) is not None:
                self._selector.unregister(each)
                each.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            if self.frozen:
                time.sleep(0.02)
                continue
            for key, _ in self._selector.select(0.05):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._pairs:
                        assert isinstance(key.fileobj, socket.socket)
                        self._pass_on(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            if self.is_cut:
                raise ConnectionRefusedError
            server = self._connect()
        except OSError:
            client.close()
            return
        self._pairs |= {client: server, server: client}
        for one in (client, server):
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket) -> None:
        try:
            data = one.recv(65_536)
            if data:
                self._pairs[one].sendall(data)
                return
        except OSError:
            pass
        self._drop(one)


def hold_each(pids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal to each that still is."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
