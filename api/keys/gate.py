"""The door: who may come in with which key, to do what, and how fast. Stands before every body; costs a hash and a look into memory."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from api.errors import Problem, unavailable
from api.keys.rights import Right
from api.keys.ring import Known, Ring
from api.keys.strangers import Strangers


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request shows of itself: its Authorization header, the address of its socket, what X-Forwarded-For and X-Request-Id say, all as sent."""

    authorization: str
    address: str
    forwarded: str = ""
    request_id: str = ""


class Gate:
    """Without a ring everything is open: no key is asked for, none is looked at.

    `proxies`: how many proxies of ours stand in front and write X-Forwarded-For; 0: the header is ignored, since anybody can send one.
    """

    def __init__(self, ring: Ring | None = None, proxies: int = 0, clock: Callable[[], float] = time.time) -> None:
        self.ring, self.proxies, self._clock = ring, proxies, clock
        self._strangers = Strangers()
        self.refusals: Counter[str] = Counter()

    def blind(self) -> bool:
        """Whether keys are needed and cannot be judged."""
        return self.ring is not None and not self.ring.fresh(time.monotonic())

    def admit(self, presented: Presented, right: Right) -> Known | None:
        """The key that opens; None where none is needed. A key that writes pays for one reading here.

        Raises Problem 401 (wrong key), 403 (it has not the right), 429 (too fast, or too many wrong keys from there) and 503 (keys cannot be read).
        """
        if self.ring is None:
            return None
        now_s = time.monotonic()
        if not self.ring.fresh(now_s):
            raise self._refused(unavailable("keys_unknown", "the keys cannot be read from the database"))
        known = self.ring.find(presented.authorization)
        if known is None:
            raise self._refused(self._wrong(presented, now_s))
        if right not in known.rights:
            raise self._refused(Problem(403, "forbidden", "Forbidden", f"this key has not the right {right}"), known)
        if right == "write" and known.account.bucket and (wait_s := known.account.bucket.wait_s(now_s)):
            raise self._refused(Problem(429, "too_fast", "Too Many Requests", _TOO_FAST, retry=wait_s), known)
        known.account.used_s = self._clock()
        return known

    def foreign(self, known: Known) -> None:
        """It brought readings of devices that are not its own."""
        self.refusals["forbidden_device"] += 1
        known.account.refuse("forbidden_device", self._clock())

    def _refused(self, problem: Problem, known: Known | None = None) -> Problem:
        self.refusals[problem.kind] += 1
        if known:
            known.account.refuse(problem.kind, self._clock())
        return problem

    def _wrong(self, presented: Presented, now_s: float) -> Problem:
        blocked_s = self._strangers.blocked_s(self._client(presented), now_s)
        if blocked_s:
            return Problem(429, "too_many_wrong_keys", "Too Many Requests", "too many wrong keys came from this address", retry=blocked_s)
        return Problem(401, "unauthorized", "Unauthorized", "a valid key is needed: Authorization: Bearer <key>")

    def _client(self, presented: Presented) -> str:
        """The address that the outermost of our own proxies saw; the socket's where there is none."""
        seen = [part.strip() for part in presented.forwarded.split(",")] if self.proxies else []
        return seen[-self.proxies] if len(seen) >= self.proxies > 0 and seen[-self.proxies] else presented.address


_TOO_FAST = "more readings than this key may send; keep them and send them again later, many in one request"
OPEN = Gate()
