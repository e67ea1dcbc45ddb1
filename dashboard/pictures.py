"""Pictures of the fleet as bytes, made once and served to every viewer: the whole, and what changed since the one a viewer has."""

import gzip
import hashlib
import threading
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

Content = dict[str, Any]

# A viewer that asks every tick has the picture before this one, a slow one that of two or three ticks ago. Each costs some MB for 10,000
# vehicles; whoever is further behind is sent everything.
_EARLIER = 3
_LEVEL = 5  # of gzip: the next one takes twice as long for 3 % less


class Changes:
    """From each of the `earlier` pictures, (etag, content), to `content`. Made when the first viewer needs it, then kept."""

    def __init__(self, earlier: tuple[tuple[str, Content], ...] = (), content: Content | None = None) -> None:
        self._earlier, self._content = dict(earlier), content
        self._bodies: dict[str, bytes | None] = {}
        self._lock = threading.Lock()

    def since(self, etag: str) -> bytes | None:
        """gzip-compressed JSON; None where only the whole will do."""
        before = self._earlier.get(etag)
        if before is None or self._content is None:
            return None
        with self._lock:
            if etag not in self._bodies:
                self._bodies[etag] = self._made(etag, before, self._content)
            return self._bodies[etag]

    def _made(self, etag: str, before: Content, after: Content) -> bytes | None:
        changed = difference(before, after)
        if changed is None:
            return None
        return gzip.compress(orjson.dumps({"since": etag, **changed}), _LEVEL)


@dataclass(frozen=True, slots=True)
class Picture:
    """`body` is gzip-compressed JSON; `etag` changes when it does."""

    body: bytes
    etag: str
    made_monotonic: float
    changes: Changes = field(default_factory=Changes)

    def since(self, etag: str) -> bytes:
        """What a viewer needs that has the picture with this etag ('' for none): what changed, or everything."""
        return self.changes.since(etag) or self.body


def whole(content: Content, made_monotonic: float) -> Picture:
    """The picture of this content, without what changed before it."""
    raw = orjson.dumps(content)
    return Picture(gzip.compress(raw, _LEVEL), hashlib.sha256(raw).hexdigest()[:24], made_monotonic)


class Album:
    """Makes pictures out of contents and remembers the latest ones. Not thread-safe: one makes pictures at a time."""

    def __init__(self) -> None:
        self._latest: deque[tuple[str, Content]] = deque(maxlen=_EARLIER + 1)

    def add(self, content: Content, made_monotonic: float) -> Picture:
        """The picture of this content, which must not be changed afterwards."""
        picture = whole(content, made_monotonic)
        if not self._latest or self._latest[-1][0] != picture.etag:
            self._latest.append((picture.etag, content))
        earlier = tuple(one for one in self._latest if one[0] != picture.etag)
        return replace(picture, changes=Changes(earlier, content))


def difference(before: Content, after: Content) -> Content | None:
    """What to put in place of what `before` says to get `after`; None where the vehicles are others.

    Columns of `vehicles` are given where they changed: `rows`, each as its distance from the one before, and their `values`.
    """
    then, now = before["vehicles"], after["vehicles"]
    if then["id"] != now["id"]:
        return None
    columns = {name: _column(then[name], now[name]) for name in now if then[name] is not now[name] and then[name] != now[name]}
    rest = {name: value for name, value in after.items() if name != "vehicles" and before[name] != value}
    return {**rest, "vehicles": columns}


def _column(then: list[Any], now: list[Any]) -> dict[str, list[Any]]:
    rows = [row for row, (old, new) in enumerate(zip(then, now, strict=True)) if old != new]
    return {"rows": [row - last for last, row in zip([0, *rows], rows, strict=False)], "values": [now[row] for row in rows]}
