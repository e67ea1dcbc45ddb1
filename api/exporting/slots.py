"""How many exports may be written at a time."""

import threading
from collections.abc import Callable

from api.errors import Problem


class Slots:
    """Thread-safe: at most `most` are taken."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = threading.BoundedSemaphore(most)

    def take(self) -> Callable[[], None]:
        """What gives the slot back; calling it again does nothing. Raises Problem 503 where all are taken."""
        if not self._free.acquire(blocking=False):
            words = f"{self._most} reports are being written, and more would leave the pages too few connections: ask again"
            raise Problem(503, "exports_busy", "Service Unavailable", words, retry=True)
        held = threading.Lock()

        def give_back() -> None:
            if held.acquire(blocking=False):
                self._free.release()

        return give_back
