"""Who presents wrong keys, by address: after a few of them the answers cost next to nothing and say when to come back."""

import ipaddress
import threading
from collections import OrderedDict

WRONG_KEYS = 10  # within BLOCK_S: a mistyped key is tried a few times, a guesser does not stop
BLOCK_S = 60.0
# More than anybody attacks from at once; the one that was quiet for longest is forgotten.
MOST_ADDRESSES = 10_000


class Strangers:
    """Counts by address. For any thread; `now_s` is of a clock that only goes forward.

    Right keys are let in from a blocked address too: behind one router or proxy many devices share an address, and one with a wrong key, or
    one stranger, must not silence the others. Guessing gains nothing by it: there are 2^256 secrets.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[int, float]] = OrderedDict()  # wrong keys, and until when they count
        self._lock = threading.Lock()

    def blocked_s(self, address: str, now_s: float) -> float:
        """Count a wrong key from there; for how many seconds the address is blocked: 0 where this one is still answered 401."""
        source = network(address)
        with self._lock:
            wrong, until_s = self._seen.get(source, (0, 0.0))
            if now_s >= until_s:
                wrong, until_s = 0, now_s + BLOCK_S
            wrong += 1
            if wrong <= WRONG_KEYS:
                until_s = now_s + BLOCK_S
            self._seen[source] = wrong, until_s
            self._seen.move_to_end(source)
            if len(self._seen) > MOST_ADDRESSES:
                self._seen.popitem(last=False)
        return until_s - now_s if wrong > WRONG_KEYS else 0.0


def network(address: str) -> str:
    """What one stranger can have many of counts as one: an IPv6 address by its /64."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    mapped = found.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((found, 64), strict=False))
