"""CPU seconds and memory of process trees, out of /proc."""

import os
import resource
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc. `reaped_cpu_s` is that of children that have ended and been waited for."""

    pid: int
    parent: int
    name: str
    cpu_s: float
    reaped_cpu_s: float


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds by who used them: the web processes, PostgreSQL, and we ourselves with the load programs we ran."""

    web_s: float
    postgres_s: float
    driver_s: float

    def __sub__(self, earlier: "Cpu") -> "Cpu":
        return Cpu(self.web_s - earlier.web_s, self.postgres_s - earlier.postgres_s, self.driver_s - earlier.driver_s)

    def per(self, count: float) -> str:
        """`web 120 + PostgreSQL 80 + driver 10 µs`, for each of `count` things."""
        parts = (("web", self.web_s), ("PostgreSQL", self.postgres_s), ("driver", self.driver_s))
        return " + ".join(f"{name} {seconds / max(count, 1) * 1e6:.1f}" for name, seconds in parts if seconds) + " µs of CPU"


def driver_cpu_s() -> float:
    """What this process used, and its ended children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def tree(root: int) -> list[Process]:
    """The process `root` and everything below it that lives now; empty when it is gone."""
    living = {process.pid: process for process in _all()}
    found = [living[root]] if root in living else []
    for process in found:  # grows while we walk
        found += [child for child in living.values() if child.parent == process.pid]
    return found


def rss_bytes(pids: Iterable[int]) -> int:
    """Memory of these processes now, pages they share counted in each; cheap enough to be asked often."""
    return sum(_rss_bytes(pid) for pid in pids)


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:  # it ended
        return 0


class PeakMemory:
    """The most memory that some processes had since this was made, as far as somebody looked."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)
        self._before = self._most = rss_bytes(self._pids)

    def look(self) -> None:
        self._most = max(self._most, rss_bytes(self._pids))

    @property
    def more_mb(self) -> float:
        """Megabytes above what they had at the beginning."""
        return (self._most - self._before) / 1e6


def cpu_s(processes: Iterable[Process], *, reaped: bool = False) -> float:
    """CPU seconds of these processes; `reaped` adds that of their ended children, for a server that starts a process a client."""
    return sum(process.cpu_s + (process.reaped_cpu_s if reaped else 0) for process in processes)


def _all() -> list[Process]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found.append(_parse((folder / "stat").read_text()))
            except OSError:  # it ended while we looked
                continue
    return found


def _parse(line: str) -> Process:
    begin, _, rest = line.rpartition(")")
    pid, _, name = begin.partition(" (")
    field = rest.split()
    own, reaped = int(field[11]) + int(field[12]), int(field[13]) + int(field[14])
    return Process(int(pid), int(field[1]), name, own / _TICKS_PER_S, reaped / _TICKS_PER_S)
