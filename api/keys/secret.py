"""The form of a key: `<id>.<secret>`, both by chance. The id names it in lists and logs, the secret is shown once and kept as a hash."""

import hmac
import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256

ID_BYTES = 6  # twelve hexadecimal digits: a name, not a secret
SECRET_BYTES = 32  # 256 bits by chance: guessing is hopeless, so that a plain hash keeps it well (ASVS 6.5.2)
KEY_ID_PATTERN = r"^[0-9a-f]{12}$"
_BEARER = re.compile(r"[Bb]earer ([0-9a-f]{12})\.([A-Za-z0-9_-]{43})\Z")
_NOBODY = ("", "-" * 43)


@dataclass(frozen=True, slots=True)
class Made:
    """A new secret for a key; `shown` is the whole key as its owner gets it, once."""

    key_id: str
    shown: str = field(repr=False)
    secret_hash: bytes = field(repr=False)


def made(key_id: str | None = None) -> Made:
    """A new key, or another secret for the one of that id."""
    name = key_id or secrets.token_hex(ID_BYTES)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    return Made(name, f"{name}.{secret}", hash_of(secret))


def hash_of(secret: str) -> bytes:
    """What is kept of a secret."""
    return sha256(secret.encode()).digest()


def presented(authorization: str) -> tuple[str, bytes]:
    """The id and the secret's hash of an Authorization header. What is no key at all costs the same and belongs to nobody."""
    found = _BEARER.match(authorization)
    key_id, secret = found.groups() if found else _NOBODY
    return key_id, sha256(secret.encode()).digest()


def same(left: bytes, right: bytes) -> bool:
    """Whether two hashes are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(left, right)
