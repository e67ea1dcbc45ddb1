"""The first administrator and the first key, before anybody can log in to make more."""

from datetime import datetime

from api.keys.secret import Made, made, presented
from api.people import passwords
from api.people.passwords import Passwords
from db import device_keys, log_ins, people
from db.engine import Conn
from db.people import Wanted

KEY_NAME = "First key"
SIMULATED = "Simulated fleet, made at its start"
LEAST_SIGNS = 16  # different ones in a key: 43 by chance have some 30, an example or a row of zeros has few


class Refused(ValueError):
    """One sentence about what is wrong with what was given; never with the secret in it."""


def refuse_weak(email: str, password: str, name: str = "") -> None:
    """Raises Refused."""
    if "@" not in email.strip("@") or any(sign.isspace() for sign in email):
        raise Refused("an e-mail address has an @ and no space")
    if fault := passwords.weakness(password, email, name):
        raise Refused(fault)


def administrator(conn: Conn, email: str, password: str, by: str, now: datetime, name: str = "") -> bool:
    """An administrator with this password, made or made so; whether it is a new one. Raises Refused. Whoever had the address logs in anew."""
    refuse_weak(email, password, name)
    wanted, hashed = Wanted(email.strip().lower(), name or email.partition("@")[0], "admin"), Passwords().hash(password)
    found = people.by_email(conn, email)
    if found is None:
        people.create(conn, wanted, hashed, by, now)
        return True
    people.change(conn, found, Wanted(found.email, name or found.name, "admin"), by, now)
    people.set_password(conn, found.person_id, hashed, by, now)
    log_ins.end_all(conn, found.person_id, "password changed", by, now)
    return False


def key(conn: Conn, by: str, now: datetime, shown: str | None = None) -> Made | None:
    """A key of every device with the rights write and read, where there is none yet; None where there is. `shown`: which. Raises Refused."""
    if any(one.name != SIMULATED for one in device_keys.keys(conn)):
        return None
    new = made() if shown is None else _given(shown)
    device_keys.create(conn, new.key_id, device_keys.Wanted(KEY_NAME, ["read", "write"], "gateway"), new.secret_hash, by, now)
    return new


def simulated(conn: Conn, by: str, now: datetime) -> Made:
    """A key for the simulated fleet of this start, which also describes its vehicles; that of the start before opens nothing any more."""
    for one in device_keys.keys(conn):
        if one.name == SIMULATED and one.revoked_at is None:
            device_keys.revoke(conn, one, by, now)
    new = made()
    device_keys.create(conn, new.key_id, device_keys.Wanted(SIMULATED, ["read", "write", "admin"], "gateway"), new.secret_hash, by, now)
    return new


def _given(shown: str) -> Made:
    key_id, hashed = presented(f"Bearer {shown}")
    if not key_id or len(set(shown)) < LEAST_SIGNS:
        raise Refused("a key has twelve hexadecimal digits, a point, and 43 letters, digits, - or _ by chance; `openssl rand` makes both")
    return Made(key_id, shown, hashed)
