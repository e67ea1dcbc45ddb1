"""Fifty open pages as the server sees them: each asks for the picture once a tick and says which one it has; ten also show a vehicle."""

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from bench import wire
from bench.installation import BenchError

VIEWERS = 50


@dataclass
class Asked:
    """`sizes` are the bytes of every answer; `pictures` the ETags that were seen."""

    sizes: list[int] = field(default_factory=list)
    same: int = 0
    pictures: set[str] = field(default_factory=set)
    took_ms: list[float] = field(default_factory=list)


class Viewers:
    """One thread that asks for all of them, evenly over the tick, each on its own connection."""

    def __init__(self, endpoint: tuple[str, int], tick_s: float, count: int = VIEWERS) -> None:
        self._pause_s, self.asked = tick_s / count, Asked()
        self._etags = [""] * count
        self._connections = [wire.Connection(endpoint) for _ in range(count)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="viewers", daemon=True)
        self._failure = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(10)
        for connection in self._connections:
            connection.__exit__(kind, error, trace)
        if self._failure and not error:
            raise BenchError(f"the viewers ended: {self._failure}")

    def _run(self) -> None:
        due, turn = time.monotonic(), 0
        try:
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                self._ask(turn % len(self._etags))
                turn, due = turn + 1, due + self._pause_s
        except (OSError, ValueError, BenchError) as error:
            self._failure = str(error)

    def _ask(self, viewer: int) -> None:
        etag, began = self._etags[viewer], time.perf_counter()
        path = f"/live/fleet?since={etag}" if etag else "/live/fleet"
        answer = self._connections[viewer].exchange(wire.request("GET", path, headers={"If-None-Match": f'"{etag}"'} if etag else None))
        self.asked.took_ms.append((time.perf_counter() - began) * 1000)
        status = wire.status(answer)
        if status not in (200, 304):
            raise BenchError(f"the picture was answered {status}")
        if status == 304:
            self.asked.same += 1
            return
        self._etags[viewer] = _header(answer, "etag").strip('"')
        self.asked.pictures.add(self._etags[viewer])
        self.asked.sizes.append(len(answer))


def _header(answer: bytes | bytearray, name: str) -> str:
    head = bytes(answer[: answer.find(b"\r\n\r\n")]).decode()
    return next((line.partition(":")[2].strip() for line in head.split("\r\n") if line.lower().startswith(f"{name}:")), "")
