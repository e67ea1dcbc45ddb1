"""How much of this machine's memory the server we bring along may plan with."""

import os
from pathlib import Path

MIB = 1024 * 1024
_LEAST_MB = 128  # what PostgreSQL takes when nobody says anything
# The pages that 20,000 devices write to are about 200 MB. What is read again beyond this the system's own cache holds as well.
_MOST_MB = 2048
_SHARE = 8  # web processes, the system's cache and sorts need theirs
# A container's limit: control groups version 2, then 1. "max", or a number near 2^63, is none.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def shared_buffers_mb(memory_bytes: int) -> int:
    """What a server on a machine of this size keeps of its tables: an eighth, from 128 to 2048 MB. It takes only what it uses."""
    return min(max(memory_bytes // _SHARE // MIB, _LEAST_MB), _MOST_MB)


def memory_bytes(limits: tuple[Path, ...] = _LIMITS) -> int:
    """This machine's memory, or that of the container we run in if it is less."""
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([installed, *(limit for path in limits if (limit := _limit(path)))])


def _limit(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
