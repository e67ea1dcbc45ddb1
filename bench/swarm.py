"""Thousands of devices in one thread: each owns a keep-alive socket, sends one request at a time, and comes back when it was refused.

Requests are bytes made by their source; the loop costs about 20 µs of CPU an answer, so that the machine is the server's.
"""

import contextlib
import errno
import heapq
import itertools
import math
import resource
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench import wire
from bench.race import percentile_ms

_CONNECT_TIMEOUT_S = 20.0
_RECONNECT_AFTER_S = 0.05
_FILES_BESIDE_SOCKETS = 100
_LOOK_EVERY_S = 0.05
_GREETING = wire.request("GET", "/healthz")


class Answer(NamedTuple):
    """When it was due, sent and answered. A request that was refused stays due since its first try."""

    due: float
    sent: float
    at: float


@dataclass(slots=True)
class Tally:
    """What became of the requests of one group of devices. Instants are of `time.perf_counter`."""

    good: list[Answer] = field(default_factory=list)
    refused: list[Answer] = field(default_factory=list)
    resets: int = 0  # a socket closed, by the server, before an answer
    misshapen_refusals: int = 0  # a 503 without Retry-After or not problem+json
    others: Counter[str] = field(default_factory=Counter)  # neither 2xx nor 503: beginnings of such answers

    def since_due_ms(self, percentile: int) -> float:
        """What a device waited for its good answer, refusals and queueing included."""
        return percentile_ms([answer.at - answer.due for answer in self.good], percentile)

    def good_ms(self, percentile: int) -> float:
        """From the last try to its good answer."""
        return percentile_ms([answer.at - answer.sent for answer in self.good], percentile)

    def refused_ms(self, percentile: int) -> float:
        """From a try to its refusal."""
        return percentile_ms([answer.at - answer.sent for answer in self.refused], percentile)

    def last_answer_s(self) -> float:
        """When the last good answer came."""
        return max((answer.at for answer in self.good), default=0.0)

    def count(self, answer: bytearray, times: Answer) -> None:
        code = wire.status(answer)
        if 200 <= code < 300:
            self.good.append(times)
        elif code == 503:
            self.refused.append(times)
            head = bytes(answer[:600]).lower()
            self.misshapen_refusals += b"\r\nretry-after:" not in head or b"application/problem+json" not in head
        else:
            self.others[bytes(answer[:300]).decode(errors="replace")] += 1


@dataclass(slots=True, eq=False)
class Group:
    """Devices that behave alike. `sources` gives each its requests; the group is over when all have ended.

    `pace_s` is the time between two requests of a device, None for "as soon as it was answered"; beats that it slept through are left out.
    `retry_scale` shortens the server's Retry-After; 0 sends again at once. They send between `begins_s` and `ends_s` of the run.
    """

    sources: Sequence[Iterator[bytes]]
    pace_s: float | None = None
    retry_scale: float = 1.0
    begins_s: float = 0.0
    ends_s: float = math.inf
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True, eq=False)
class _Device:
    source: Iterator[bytes]
    group: Group
    socket: socket.socket
    due: float
    sending: bytes = b""
    sent_at: float = 0.0
    received: bytearray = field(default_factory=bytearray)


class Swarm:
    """Open it, then `run`; closing it closes the sockets. Raises OSError when the server does not take that many connections."""

    def __init__(self, endpoint: tuple[str, int], groups: Iterable[Group]) -> None:
        self._endpoint = endpoint
        groups = list(groups)
        _allow_files(sum(len(group.sources) for group in groups) + _FILES_BESIDE_SOCKETS)
        self._poll = select.epoll()
        self._by_fd: dict[int, _Device] = {}
        self._order = itertools.count()  # breaks ties in the heap
        self._due: list[tuple[float, int, _Device]] = []
        self._devices: list[_Device] = []
        self._unanswered = 0
        self._began = 0.0
        try:
            self._devices.extend(_Device(source, group, self._connect(greet=True), 0.0) for group in groups for source in group.sources)
        except OSError:
            self.close()
            raise
        for device in self._devices:
            self._watch(device)

    def __enter__(self) -> "Swarm":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes every socket."""
        self._poll.close()
        for device in self._devices:
            device.socket.close()

    def run(self, for_s: float, patience_s: float = 10.0, meanwhile: Callable[[], None] | None = None) -> float:
        """Lets the devices send for so long or to the end of their sources, then waits for answers; returns when it began.

        `meanwhile` is called every 50 ms at most.
        """
        self._began = next_look = time.perf_counter()
        self._begin()
        while self._due or self._unanswered:
            now = time.perf_counter()
            if now >= self._began + for_s:
                self._due.clear()
                if now >= self._began + for_s + patience_s:
                    break
            self._send_due(now)
            wait_s = max(0.0, min(self._due[0][0] - now if self._due else _LOOK_EVERY_S, _LOOK_EVERY_S))
            for fd, _ in self._poll.poll(wait_s):
                self._receive(self._by_fd[fd])
            if meanwhile and now >= next_look:
                meanwhile()
                next_look = now + _LOOK_EVERY_S
        return self._began

    def _begin(self) -> None:
        """Paced devices spread over their pace, the others send at one instant."""
        for group, members in itertools.groupby(self._devices, key=lambda device: device.group):
            devices = list(members)
            for place, device in enumerate(devices):
                self._next(device, self._began + group.begins_s + (group.pace_s or 0.0) * place / len(devices))

    def _next(self, device: _Device, due: float) -> None:
        """The device's next request, or its end."""
        device.sending = next(device.source, b"")
        if device.sending:
            device.due = due
            self._later(device, due)

    def _later(self, device: _Device, at: float) -> None:
        if at < self._began + device.group.ends_s:
            heapq.heappush(self._due, (at, next(self._order), device))

    def _send_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            device = heapq.heappop(self._due)[2]
            device.sent_at = time.perf_counter()
            self._unanswered += 1
            try:
                device.socket.sendall(device.sending)
            except OSError:
                self._again_on_a_new_socket(device)

    def _receive(self, device: _Device) -> None:
        try:
            data = device.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._again_on_a_new_socket(device)
            return
        device.received += data
        if (length := wire.complete(device.received)) is not None:
            answer = device.received[:length]
            del device.received[:length]
            self._answered(device, answer)

    def _answered(self, device: _Device, answer: bytearray) -> None:
        now, group = time.perf_counter(), device.group
        group.tally.count(answer, Answer(device.due, device.sent_at, now))
        self._unanswered -= 1
        device.sent_at = 0.0
        if wire.status(answer) == 503:
            self._later(device, now + _retry_after_s(answer) * group.retry_scale)
        else:
            self._next(device, now if group.pace_s is None else next_beat(device.due, group.pace_s, now))

    def _again_on_a_new_socket(self, device: _Device) -> None:
        """What was under way has an unknown outcome: the same again."""
        with contextlib.suppress(OSError, ValueError):
            self._poll.unregister(device.socket)
        self._by_fd.pop(device.socket.fileno(), None)
        device.socket.close()
        device.received.clear()
        device.socket = self._connect()
        self._watch(device)
        if device.sent_at:
            device.sent_at = 0.0
            device.group.tally.resets += 1
            self._unanswered -= 1
            self._later(device, time.perf_counter() + _RECONNECT_AFTER_S)

    def _connect(self, *, greet: bool = False) -> socket.socket:
        """A new socket; one that greets has been used once, as a device's that has been there for long."""
        made = socket.create_connection(self._endpoint, timeout=_CONNECT_TIMEOUT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if greet:
            made.sendall(_GREETING)
            answer = b""
            while wire.complete(answer) is None and (data := made.recv(65536)):
                answer += data
        made.setblocking(False)
        return made

    def _watch(self, device: _Device) -> None:
        self._by_fd[device.socket.fileno()] = device
        self._poll.register(device.socket, select.EPOLLIN)


def next_beat(due: float, pace_s: float, now: float) -> float:
    """The device's own next instant: beats it slept through are left out, so that devices that were held up together part again."""
    return due + pace_s * max(1, math.ceil((now - due) / pace_s))


def _retry_after_s(answer: bytearray) -> float:
    head = bytes(answer[:600]).lower()
    _, found, rest = head.partition(b"\r\nretry-after:")
    return float(rest.split(b"\r\n", 1)[0]) if found else 1.0


def _allow_files(count: int) -> None:
    """Raises the limit of open files. Raises OSError where the system does not allow as many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            raise OSError(errno.EMFILE, f"{count} open files are needed and {hard} are allowed: raise `ulimit -n`")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
