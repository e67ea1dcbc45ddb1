"""What the pages' side has to say to whoever watches from outside: plain figures, which the composition root puts among the metrics."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dashboard.checking import Check
from dashboard.kept import Kept

Figure = tuple[str, str, Callable[[], float | None]]


def figures(picture: Kept, check: Check, data_dir: Path | None) -> list[Figure]:
    """Name, words and value of each. `data_dir`: where our own PostgreSQL keeps its data; None where it is another's."""
    return [
        (
            "voltledger_picture_age_seconds",
            "Since the fleet's picture was made; nobody makes one while nobody looks",
            partial(_age_s, picture),
        ),
        ("voltledger_picture_seconds", "Duration of making the newest", lambda: picture.made_in_s),
        ("voltledger_picture_stale", "1 where the newest is an older one because the database was away", lambda: float(picture.stale)),
        ("voltledger_rollup_check_age_seconds", "Since the sums were last compared with the readings, or since the start", check.age_s),
        ("voltledger_rollup_check_differences", "Differences that the newest comparison found: 0, always", check.differences),
        ("voltledger_rollup_check_seconds", "Duration of the newest comparison", check.took_s),
        ("voltledger_disk_free_bytes", "Free on the disk of our own PostgreSQL, for its user", partial(_disk, data_dir, 0)),
        ("voltledger_disk_size_bytes", "Size of that disk", partial(_disk, data_dir, 1)),
    ]


def _age_s(picture: Kept) -> float | None:
    return None if picture.made_monotonic is None else time.monotonic() - picture.made_monotonic


def _disk(data_dir: Path | None, which: int) -> float | None:
    """Free or whole bytes."""
    if data_dir is None:
        return None
    disk = os.statvfs(data_dir)
    return float(disk.f_frsize * (disk.f_bavail, disk.f_blocks)[which])
