"""Where and when figures were made: without that they say nothing."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench.installation import PROJECT


def described(postgres: str) -> str:
    """One line: date, commit, processor, memory, systems, and how busy the machine was already."""
    parts = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"commit {_commit()}",
        f"{_processor()}, {os.cpu_count()} cores shared by server, database and driver, {_memory_gb():.0f} GB",
        _system(),
        f"Python {platform.python_version()}",
        f"PostgreSQL {postgres}",
        f"load average at the end {os.getloadavg()[0]:.1f}",
    )
    return " · ".join(parts)


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _system() -> str:
    for line in _lines("/etc/os-release"):
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return platform.platform()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _commit() -> str:
    """The commit that is checked out, with a + when files differ from it; the document that we write ourselves does not count."""
    head = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/benchmarks.md")
    return f"{head or 'unknown'}{'+' if changed else ''}"


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
