"""A picture of the database, made once for all viewers and kept as bytes: stale rather than gone."""

import threading
import time
from typing import Any

import psycopg
from flask import Response, request
from psycopg_pool import PoolTimeout

from dashboard.pictures import Content, Picture, whole

# What is younger than this share of a tick belongs to it: viewers ask at their own moments.
SAME_TICK = 0.8


class Kept:
    """Keeps the newest picture for `every_s` seconds. Where the database is away the last one stays, marked as stale."""

    def __init__(self, every_s: float) -> None:
        self.every_s = every_s
        self._lock = threading.Lock()
        self._picture: Picture | None = None
        self._content: dict[str, Any] | None = None
        self.made_in_s = 0.0
        self.stale = False

    def read(self) -> dict[str, Any]:
        """What is to be shown, as JSON. May raise the database's errors."""
        raise NotImplementedError

    def nothing(self) -> dict[str, Any]:
        """What is shown while nothing could be read yet."""
        raise NotImplementedError

    @property
    def made_monotonic(self) -> float | None:
        """When the newest picture was made; None where there is none yet."""
        return self._picture.made_monotonic if self._picture else None

    def get(self) -> Picture:
        """The newest picture; the first viewer after its time makes the next one, the others wait for it or take the one before."""
        picture = self._picture
        if picture and time.monotonic() - picture.made_monotonic < self.every_s * SAME_TICK:
            return picture
        if picture and not self._lock.acquire(blocking=False):
            return picture
        if not picture:
            self._lock.acquire()
        try:
            if self._picture is not picture and self._picture:
                return self._picture
            self._picture = self._made()
            return self._picture
        finally:
            self._lock.release()

    def _made(self) -> Picture:
        begun = time.monotonic()
        try:
            self._content, self.stale = self.read(), False
        except (psycopg.Error, PoolTimeout):
            self._content, self.stale = {**(self._content or self.nothing()), "stale": True}, True
        made = self.picture(self._content, time.monotonic())
        self.made_in_s = time.monotonic() - begun
        return made

    def picture(self, content: Content, made_monotonic: float) -> Picture:
        """The picture of this content."""
        return whole(content, made_monotonic)


def answer(picture: Picture) -> Response:
    """The picture as the answer to this request: all of it, what changed since the one that the viewer has, or that nothing did."""
    response = Response(picture.since(request.args.get("since", "")), mimetype="application/json")
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = "no-cache"
    response.set_etag(picture.etag)
    return response.make_conditional(request)  # type: ignore[return-value]
