"""Who comes to a server beside the devices: raw sockets, guessers of keys, a wild device, viewers. All from this process, over plain sockets."""

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from proof.load import raise_file_limit
from proof.wire import Place

ANSWER_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Said:
    """An answer. Header names are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


def opened(url: str, source: str = "", receive_bytes: int = 0) -> socket.socket:
    """A connection; `source` is the loopback address it comes from, `receive_bytes` how little it takes before it is read."""
    place = Place.of(url)
    made = socket.socket()
    made.settimeout(ANSWER_WITHIN_S)
    if receive_bytes:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    if source:
        made.bind((source, 0))
    try:
        made.connect((place.host, place.port))
    except OSError:
        made.close()
        raise
    return made


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """HTTP; a header's name is given with _ for -."""
    lines = [f"{method} {path} HTTP/1.1", "Host: there", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answer(line: socket.socket) -> Said:
    """The next answer. Raises OSError, ConnectionError where there is none."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += _more(line)
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
    body = data[end + 4 :]
    while len(body) < int(headers.get("content-length", 0)):
        body += _more(line)
    return Said(int(first.split()[1]), headers, body)


def _more(line: socket.socket) -> bytes:
    data = line.recv(65_536)
    if not data:
        raise ConnectionResetError("closed without an answer")
    return data


def ask(url: str, what: bytes, source: str = "") -> Said:
    """The answer to one request on a connection of its own."""
    with opened(url, source) as line:
        line.sendall(what)
        return answer(line)


@dataclass
class Hammer:
    """Threads that ask again as soon as they are answered: `make()` gives the next request. `said` counts answers by status.

    `fresh`: each on a new connection, from the loopback address `source`.
    """

    url: str
    make: Callable[[], bytes]
    at_once: int = 8
    fresh: bool = False
    source: str = ""
    said: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    samples: dict[int, Said] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        line: socket.socket | None = None
        while not self._stop.is_set():
            try:
                line = line or opened(self.url, self.source)
                with self._lock:
                    what = self.make()
                line.sendall(what)
                one = answer(line)
            except OSError as error:
                self.failures.append(repr(error))
                line = None
                continue
            self.said[one.status] += 1
            self.samples.setdefault(one.status, one)
            if self.fresh:
                line.close()
                line = None
        if line:
            line.close()

    @contextlib.contextmanager
    def at_it(self) -> Iterator["Hammer"]:
        """While in this context."""
        threads = [threading.Thread(target=self.run, daemon=True) for _ in range(self.at_once)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(ANSWER_WITHIN_S + 5)


@dataclass
class Sockets:
    """Connections that all do the same: send `first`, and `nudge` every two seconds. `ended_s`: when the server closed each."""

    url: str
    count: int
    first: bytes = b""
    nudge: bytes = b""
    open: list[socket.socket] = field(default_factory=list)
    ended_s: list[float] = field(default_factory=list)
    refused: int = 0
    _began: float = 0.0
    _nudged: float = 0.0

    def __enter__(self) -> "Sockets":
        raise_file_limit()
        self._began = self._nudged = time.monotonic()
        for _ in range(self.count):
            try:
                line = opened(self.url)
                line.sendall(self.first)
                line.setblocking(False)
                self.open.append(line)
            except OSError:
                self.refused += 1
        return self

    def __exit__(self, *_: object) -> None:
        for line in self.open:
            line.close()

    def step(self) -> None:
        """Nudge, and see which are closed."""
        now = time.monotonic()
        nudges = bool(self.nudge) and now - self._nudged > 2
        self._nudged = now if nudges else self._nudged
        for line in list(self.open):
            if _is_over(line, self.nudge if nudges else b""):
                line.close()
                self.open.remove(line)
                self.ended_s.append(now - self._began)


def _is_over(line: socket.socket, nudge: bytes) -> bool:
    """Whether the server has closed it, or answered: it will not wait for the rest."""
    try:
        if nudge:
            line.send(nudge)
        return len(line.recv(4096)) >= 0
    except BlockingIOError:
        return False
    except OSError:
        return True


@dataclass
class Viewers:
    """Open pages as the server sees them: each asks for the fleet's picture once a tick and says which one it has."""

    url: str
    count: int
    tick_s: float
    said: Counter[int] = field(default_factory=Counter)
    beside: Counter[int] = field(default_factory=Counter)
    pictures: set[str] = field(default_factory=set)
    sizes: list[int] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, beside: Callable[[int], bytes]) -> None:
        """Evenly over the tick; `beside(turn)` is what else is asked at that turn, if anything."""
        lines, has = [opened(self.url) for _ in range(self.count)], [""] * self.count
        turn, due = 0, time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            n = turn % self.count
            try:
                has[n] = self._look(lines[n], has[n])
                if more := beside(turn):
                    self.beside[ask(self.url, more).status] += 1
            except OSError as error:
                self.failures.append(repr(error))
                lines[n].close()
                lines[n], has[n] = opened(self.url), ""
            turn, due = turn + 1, due + self.tick_s / self.count
        for line in lines:
            line.close()

    def _look(self, line: socket.socket, has: str) -> str:
        began = time.monotonic()
        path = f"/live/fleet?since={has}" if has else "/live/fleet"
        line.sendall(request("GET", path, If_None_Match=f'"{has}"'))
        one = answer(line)
        self.took_s.append(time.monotonic() - began)
        self.said[one.status] += 1
        if one.status != 200:
            return has
        self.sizes.append(len(one.body))
        name = one.headers["etag"].strip('"')
        self.pictures.add(name)
        return name

    @contextlib.contextmanager
    def looking(self, beside: Callable[[int], bytes] = lambda _: b"") -> Iterator["Viewers"]:
        """While in this context."""
        thread = threading.Thread(target=self.run, args=(beside,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join(ANSWER_WITHIN_S + 5)
