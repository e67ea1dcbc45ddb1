"""The door for people: who they are by their cookie, whether they may, and the two ways in: logging in and another password."""

import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from hashlib import sha256
from typing import Any

from flask import Request, Response, g, request

from api.errors import Problem
from api.people import passwords, presence
from api.people.passwords import Passwords
from api.people.presence import Presence
from api.people.roles import Action, may
from api.people.tries import Tries
from db import log_ins, people
from db.engine import Conn
from db.log_ins import LogIn

COOKIE = "voltledger"
CSRF_COOKIE, CSRF_HEADER, CSRF_FIELD = "_csrf_token", "X-CSRFToken", "csrf"  # the names that Dash sends its own under
ACTIVE_HEADER = "X-Person-Active"  # a page says so where its person touched anything since it last asked
_READS = frozenset(("GET", "HEAD", "OPTIONS"))
WRONG = "The address or the password is wrong."


class Door:
    """`connect` gives a connection in a transaction, or raises Problem 503. `plain_http`: whether a log-in may travel unencrypted."""

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Conn]],
        logged_in: Presence,
        now: Callable[[], datetime],
        hashes: Passwords,
        *,
        plain_http: bool,
    ) -> None:
        self._connect, self.logged_in, self._now, self.hashes, self.plain_http = connect, logged_in, now, hashes, plain_http
        self._tries = Tries()

    # ------------------------------------------------------------------------------------------------- who is there

    def present(self) -> LogIn | None:
        """Who sends the Flask request at hand. Raises Problem 503 where that cannot be known."""
        if "person" not in g:
            token = self.token(request)
            g.person = self.logged_in.find(token, does_something=_does_something(request)) if token else None
        found: LogIn | None = g.person
        return found

    def admit(self, action: Action) -> LogIn:
        """Whoever it is, allowed to do this. Raises Problem 401 (nobody), 403 (not their role, or no token of the page), 503."""
        found = self.present()
        if found is None:
            raise Problem(401, "not_logged_in", "Unauthorized", "log in first; programs send a key: Authorization: Bearer <key>")
        if found.must_change and action != "own":
            raise Problem(403, "password_must_change", "Forbidden", "change the one-time password first")
        if not may(found.role, action):
            raise Problem(403, "forbidden", "Forbidden", f"your role, {found.role}, is not for this")
        if request.method not in _READS:
            self.refuse_without_token()
        return found

    def refuse_without_token(self) -> None:
        """Raises Problem 403 where a request that changes something does not prove that a page of ours sent it."""
        shown = request.headers.get(CSRF_HEADER) or (request.form.get(CSRF_FIELD, "") if request.mimetype.endswith("urlencoded") else "")
        if not hmac.compare_digest(shown.encode(), self.csrf().encode()):
            raise Problem(403, "no_csrf_token", "Forbidden", "the page's token is missing or of another log-in: load the page anew")

    def token(self, asked: Request) -> str:
        """What the cookie holds; nothing where there is none."""
        return asked.cookies.get(cookie_name(secure=asked.is_secure), "")

    def csrf(self) -> str:
        """The token of the pages of the log-in at hand: made from it, so that none is kept."""
        return csrf_of(self.token(request))

    # ------------------------------------------------------------------------------------------------- coming and going

    def log_in(self, email: str, password: str) -> str:
        """What the new log-in's cookie shall hold. Raises Problem 401, 429 and 503; the same 401 whatever was wrong, after the same work."""
        self._refuse_plain_http()
        wait_s = self._tries.wait_s(email, _address(), time.monotonic())
        if wait_s:
            raise _too_many(wait_s)
        with self._connect() as conn:
            lock = people.lock_of(conn, email)
        right = self.hashes.verify(lock.password_hash if lock else None, password)
        now = self._now()
        if lock is None or not right:
            self._failed(lock, now)
            raise Problem(401, "wrong_password", "Unauthorized", WRONG)
        if not lock.active or (lock.one_time_until is not None and lock.one_time_until <= now):
            raise Problem(401, "wrong_password", "Unauthorized", WRONG)
        self._tries.succeeded(email, _address())
        renewed = self.hashes.hash(password) if self.hashes.is_old(lock.password_hash) else None
        with self._connect() as conn:
            people.hold_still(conn)
            if people.lock_of(conn, email) != lock:  # changed while this one was being verified
                raise Problem(401, "wrong_password", "Unauthorized", WRONG)
            if renewed:
                people.rehash(conn, lock.person_id, renewed)
            return self._begin(conn, lock.person_id, now)

    def change_password(self, current: str, new: str) -> str:
        """Give whoever is there another password; every log-in of theirs ends. What the new one's cookie shall hold. Raises Problem."""
        found = self.admit("own")
        wait_s = self._tries.wait_s(found.email, _address(), time.monotonic())
        if wait_s:
            raise _too_many(wait_s)
        with self._connect() as conn:
            lock = people.lock_of(conn, found.email)
        now = self._now()
        if lock is None or not self.hashes.verify(lock.password_hash, current):
            self._failed(lock, now)
            raise Problem(422, "wrong_password", "Unprocessable Content", "The password you have now is another one.")
        self._tries.succeeded(found.email, _address())
        fault = (
            "That is the password you have now: take another one." if new == current else passwords.weakness(new, found.email, found.name)
        )
        if fault:
            raise Problem(422, "weak_password", "Unprocessable Content", fault)
        hashed = self.hashes.hash(new)
        with self._connect() as conn:
            people.set_password(conn, found.person_id, hashed, found.email, now)
            log_ins.end_all(conn, found.person_id, "password changed", found.email, now)
            token = self._begin(conn, found.person_id, now)
        self.logged_in.renew()
        return token

    def log_out(self) -> None:
        """End the log-in at hand, for every page that is open with it."""
        with self._connect() as conn:
            log_ins.end(conn, hash_of_request(self), "logged out", self._now())
        self.logged_in.renew()

    def _begin(self, conn: Conn, person_id: int, now: datetime) -> str:
        """A new id each time; one that the browser had before is ended."""
        if self.token(request):
            log_ins.end(conn, hash_of_request(self), "logged in anew", now)
        token = presence.made()
        log_ins.begin(conn, presence.hash_of(token), person_id, _address(), request.user_agent.string, now)
        return token

    def _failed(self, lock: people.Lock | None, now: datetime) -> None:
        if lock is not None:
            with self._connect() as conn:
                people.count_failure(conn, lock.person_id, _address(), now)

    def _refuse_plain_http(self) -> None:
        if not (self.plain_http or request.is_secure):
            raise Problem(403, "https_only", "Forbidden", "This address is reached unencrypted: log in by https:// only.")

    # ------------------------------------------------------------------------------------------------- cookies

    def give(self, response: Response, token: str) -> Response:
        """The answer with the cookies of a log-in."""
        secure = request.is_secure
        how: dict[str, Any] = {"secure": secure, "samesite": "Lax", "path": "/", "max_age": int(self.logged_in.absolute.total_seconds())}
        response.set_cookie(cookie_name(secure=secure), token, httponly=True, **how)
        response.set_cookie(CSRF_COOKIE, csrf_of(token), **how)  # for the page's scripts to send back
        return response

    def take(self, response: Response) -> Response:
        """The answer that takes them away."""
        secure = request.is_secure
        response.delete_cookie(cookie_name(secure=secure), path="/", secure=secure, httponly=True, samesite="Lax")
        response.delete_cookie(CSRF_COOKIE, path="/", secure=secure, samesite="Lax")
        return response


def who(by: str | None) -> str:
    """Who asks, for the record: whoever is logged in; else as they say, or where from."""
    found: LogIn | None = g.get("person")
    return found.email if found else by or request.remote_addr or "unknown"


def cookie_name(*, secure: bool) -> str:
    """`__Host-`: the browser takes it from this host alone, by TLS, for every path; plain HTTP on this machine cannot have that."""
    return f"__Host-{COOKIE}" if secure else COOKIE


def csrf_of(token: str) -> str:
    """The pages' token of a log-in. Whoever knows it cannot say the cookie's."""
    return urlsafe_b64encode(hmac.digest(token.encode(), b"csrf", sha256)).decode().rstrip("=")


def hash_of_request(door: Door) -> bytes:
    """The name of the log-in at hand."""
    return presence.hash_of(door.token(request))


def _does_something(asked: Request) -> bool:
    """Whether a person did this: a page opened, something changed, or a page's clock that says so."""
    if asked.headers.get(ACTIVE_HEADER):
        return True
    return asked.headers.get("Sec-Fetch-Mode") == "navigate" or (asked.method not in _READS and asked.path.startswith("/v1/"))


def _address() -> str:
    return request.remote_addr or "unknown"


def _too_many(wait_s: float) -> Problem:
    minutes = max(1, round(wait_s / 60))
    said = f"Too many wrong passwords: try again in {minutes} {'minute' if minutes == 1 else 'minutes'}."
    return Problem(429, "too_many_wrong_passwords", "Too Many Requests", said, retry=wait_s)
