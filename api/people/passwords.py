"""Passwords: hashed by argon2id, at most two at once, and refused while they are weak."""

import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from api.errors import Problem

# OWASP's least for argon2id: 19 MiB, two passes, one lane. More memory would let a few log-ins at once take what readings need.
MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
AT_ONCE = 2  # two cores; the third waits
WAIT_S = 5.0
SHORTEST, LONGEST = 12, 200  # the longest keeps a body from becoming work
ONE_TIME_BYTES = 12  # 96 bits by chance: sixteen signs that can be read out
# What examples, images and impatience put there, whatever is added in front or behind.
_WEAK = (
    "password",
    "passwort",
    "changeme",
    "change-me",
    "voltledger",
    "administrator",
    "letmein",
    "qwertz",
    "qwerty",
    "12345678",
    "welcome",
)


class Passwords:
    """Hashes and verifies. For any thread; more than `AT_ONCE` of them wait for each other."""

    def __init__(self, memory_kib: int = MEMORY_KIB, passes: int = PASSES) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=LANES, type=Type.ID)
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    def hash(self, password: str) -> str:
        """What is kept of a password. Raises Problem 503 where too many wait."""
        with self._turn():
            return self._hasher.hash(_normal(password))

    def verify(self, kept: str | None, password: str) -> bool:
        """Whether it is the password; the same work where there is nobody (`kept` None). Raises Problem 503 where too many wait."""
        with self._turn():
            try:
                self._hasher.verify(kept or self._nobody, _normal(password))
            except (VerificationError, InvalidHashError):
                return False
        return kept is not None

    def is_old(self, kept: str) -> bool:
        """Whether it was hashed at another cost than today's."""
        return self._hasher.check_needs_rehash(kept)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=WAIT_S):
            raise Problem(503, "busy", "Service Unavailable", "too many passwords are being checked at once: try again", retry=WAIT_S)
        try:
            yield
        finally:
            self._turns.release()


def weakness(password: str, *own: str) -> str | None:
    """What is wrong with a password in a sentence, None where nothing is. `own` are words like the person's name and address."""
    said = _normal(password)
    folded = said.casefold()
    if len(said) < SHORTEST:
        return f"A password has at least {SHORTEST} signs: a few words in a row are easy to keep in mind"
    if len(said) > LONGEST:
        return f"A password has at most {LONGEST} signs"
    if len(set(folded)) < 5:
        return "This repeats a few signs: take other words"
    words = [part for one in own for part in (one.casefold(), one.casefold().partition("@")[0]) if len(part) > 3]
    if _is_mostly(folded, [*_WEAK, *words]):
        return "This is easily guessed: it is mostly a word that everybody tries first"
    return None


def one_time() -> str:
    """A password that its owner changes at once."""
    return secrets.token_urlsafe(ONE_TIME_BYTES)


def _is_mostly(folded: str, words: list[str]) -> bool:
    """Whether fewer than eight signs are left of it without one of these words."""
    return any(word in folded and len(folded.replace(word, "")) < 8 for word in words)


def _normal(password: str) -> str:
    """The same signs however a keyboard sends them."""
    return unicodedata.normalize("NFKC", password)
