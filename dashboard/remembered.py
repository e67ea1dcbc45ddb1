"""Answers that are kept for a while, so that fifty viewers cost as much as one."""

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """One answer for each key, made again when it is older than `keeps_s`. Who asks meanwhile waits; what fails, and what is old, is not kept."""

    def __init__(self, keeps_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._keeps_s, self._clock = keeps_s, clock
        self._lock = threading.Lock()
        self._kept: dict[Any, tuple[float, T]] = {}

    def get(self, key: object, make: Callable[[], T]) -> T:
        """The answer for `key`. Raises what `make` raises."""
        with self._lock:
            known = self._kept.get(key)
            if known and self._clock() - known[0] < self._keeps_s:
                return known[1]
            made = make()
            now = self._clock()
            self._kept = {other: one for other, one in self._kept.items() if now - one[0] < self._keeps_s}
            self._kept[key] = (now, made)
            return made
