"""Room on the volume of the write-ahead log. PostgreSQL panics when that is full; whoever stops writing in time keeps it up for reading.

`Room` says when to stop. The ballast is a file that gives back some room to a server that needs it to come up again.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

MIB = 1024 * 1024
GIB = 1024 * MIB
_LOOK_EVERY_S = 0.5
# More is never asked for, however large the volume: the log grows to 4 GB between two checkpoints (`db.embedded`), and one to go.
_MOST = 5 * GIB
# The ballast is laid only where so many times its size is free: it shall not be what fills the volume.
_PLENTY = 4
# A server that ended with less free than four segments of its log (16 MB each) ended for want of it.
_STARVED = 64 * MIB


class Room:
    """`short()` says in words that less is free than `least_gb`, or than `least_pct` of the volume (but never more than 5 GiB is asked for).

    It looks twice a second at most. A folder that cannot be looked at says nothing.
    """

    def __init__(self, folder: Path, least_gb: float, least_pct: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._least, self._share, self._clock = folder, least_gb * GIB, least_pct / 100, clock
        self._looked_at, self._words = -_LOOK_EVERY_S, ""

    def short(self) -> str:
        """Why nothing more should be written; empty where all is well."""
        now = self._clock()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at, self._words = now, self._look()
        return self._words

    def _look(self) -> str:
        try:
            volume = shutil.disk_usage(self._folder)
        except OSError:
            return ""
        least = max(self._least, min(volume.total * self._share, _MOST))
        if volume.free >= least:
            return ""
        return f"the database's disk has {volume.free / MIB:,.0f} MB left, and {least / MIB:,.0f} MB are kept free"


def ballast_of(data_dir: Path, wal: Path) -> Path:
    """Where the ballast of a server lies: in the data folder, or on the log's own volume if it has one."""
    log = wal.resolve()
    places = [data_dir / "ballast", log.parent / "voltledger.ballast", log / "voltledger.ballast"]
    return next(path for path in places if path.parent.stat().st_dev == log.stat().st_dev)


def lay_ballast(path: Path, size_mb: int) -> None:
    """Take so much of the volume, unless it is there already or room is scarce. Nothing depends on it: trouble with it is ignored."""
    size = size_mb * MIB
    with contextlib.suppress(OSError):
        if not size or path.exists() or shutil.disk_usage(path.parent).free < _PLENTY * size:
            return
        with path.open("wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except (OSError, AttributeError):  # macOS has none
                path.unlink()


def drop_ballast(path: Path) -> bool:
    """Give it back where the volume is full; whether that was done."""
    with contextlib.suppress(OSError):
        if path.exists() and shutil.disk_usage(path.parent).free < _STARVED:
            path.unlink()
            return True
    return False
