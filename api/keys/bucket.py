"""How fast a key may write, counted in readings: a bucket that fills steadily and lends a little to one batch."""

import math
import threading


class Bucket:
    """`per_s` readings a second flow in, up to `burst`. For any thread; `now_s` is of a clock that only goes forward.

    A request is let in while there is at least one reading in it and takes all of its readings, so that a device that was cut off can hand in
    what it kept in one batch, however large. What is taken above its content is owed, `burst` at most: that device is back within minutes.
    """

    __slots__ = ("_at_s", "_burst", "_content", "_lock", "_per_s")

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._content = burst
        self._at_s = -math.inf
        self._lock = threading.Lock()

    def resize(self, per_s: float, burst: float) -> None:
        """Another number of devices is bound to the key."""
        with self._lock:
            self._per_s, self._burst = per_s, burst
            self._content = min(self._content, burst)

    def wait_s(self, now_s: float) -> float:
        """Take one reading and say 0, or say in how many seconds there is one."""
        with self._lock:
            if now_s > self._at_s:
                self._content = min(self._burst, self._content + (now_s - self._at_s) * self._per_s)
                self._at_s = now_s
            if self._content < 1:
                return (1 - self._content) / self._per_s
            self._content -= 1
            return 0.0

    def take(self, readings: int) -> None:
        """Take that many more; a negative number gives back."""
        with self._lock:
            self._content = min(self._burst, max(-self._burst, self._content - readings))
