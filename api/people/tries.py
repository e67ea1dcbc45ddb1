"""Wrong passwords, by person and by address: after a few the next try has to wait. Nobody is locked out for good."""

import threading
from collections import OrderedDict, deque

from api.keys.strangers import network

WRONG_PASSWORDS = 5  # of one person within WITHIN_S, from wherever
WITHIN_S = 300.0
WRONG_FROM_ADDRESS = 20  # of anybody from one address: an office shares one
MOST_REMEMBERED = 10_000  # names and addresses; the one that was quiet for longest is forgotten


class Tries:
    """Counts in this process. For any thread; `now_s` is of a clock that only goes forward.

    A try is counted before its password is looked at, so that many at once are counted too; a right one is taken back. While a name or an
    address waits nothing is looked at and nothing counted, so the wait ends by itself five minutes after the first wrong one.
    """

    def __init__(self) -> None:
        self._tried: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, email: str, address: str, now_s: float) -> float:
        """Count a try and say 0, or say for how many seconds none is looked at."""
        limits = ((_name(email), WRONG_PASSWORDS), (_place(address), WRONG_FROM_ADDRESS))
        with self._lock:
            waits = max(self._wait(key, most, now_s) for key, most in limits)
            if waits <= 0:
                for key, _ in limits:
                    self._tried.setdefault(key, deque()).append(now_s)
                    self._tried.move_to_end(key)
                while len(self._tried) > MOST_REMEMBERED:
                    self._tried.popitem(last=False)
        return max(0.0, waits)

    def succeeded(self, email: str, address: str) -> None:
        """The try that was counted last was right: the person begins anew, the address gets it back."""
        with self._lock:
            self._tried.pop(_name(email), None)
            if (tried := self._tried.get(_place(address))) is not None and tried:
                tried.pop()

    def _wait(self, key: str, most: int, now_s: float) -> float:
        tried = self._tried.get(key)
        if tried is None:
            return 0.0
        while tried and now_s - tried[0] >= WITHIN_S:
            tried.popleft()
        return tried[0] + WITHIN_S - now_s if len(tried) >= most else 0.0


def _name(email: str) -> str:
    return f"person {email.strip().lower()[:200]}"


def _place(address: str) -> str:
    return f"address {network(address)}"
