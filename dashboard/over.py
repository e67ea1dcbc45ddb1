"""Which window a page is about: a range up to now or up to an instant, or any two instants of the address; and how fine it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from dashboard import format as fmt
from db.queries.history import Bucket

CHOSEN = "chosen"  # the name of the range that two instants of the address make
# As long as the files of a charger's sessions may be.
LONGEST = timedelta(days=400)
SHORTEST = timedelta(minutes=15)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


class Detail(NamedTuple):
    """How fine a window is shown: seconds of an efficiency bin, and what a point of a curve is, with its seconds."""

    bin_s: int
    bucket: Bucket
    point_s: int


# (up to this long, so fine): some hundred points on a screen. The energy of a single reading is no efficiency: its bins stay quarters.
_FINE: Sequence[tuple[timedelta, Detail]] = (
    (6 * _HOUR, Detail(900, "raw", 60)),
    (2 * _DAY, Detail(3600, "15m", 900)),
    (10 * _DAY, Detail(3600, "1h", 3600)),
    (62 * _DAY, Detail(6 * 3600, "1h", 3600)),
)
_COARSEST = Detail(86_400, "1d", 86_400)


def detail(span: timedelta) -> Detail:
    """The one that suits a window of this length."""
    return next((fine for longest, fine in _FINE if span <= longest), _COARSEST)


@dataclass(frozen=True, slots=True)
class Range:
    """How far back, and how fine: efficiency bins and history points."""

    label: str
    words: str
    span: timedelta
    bin_s: int
    bucket: Bucket
    point_s: int


RANGES = {
    "24h": Range("24 h", "24 hours", 24 * _HOUR, 3600, "15m", 900),
    "7d": Range("7 d", "7 days", 7 * _DAY, 3600, "1h", 3600),
    "30d": Range("30 d", "30 days", 30 * _DAY, 6 * 3600, "1h", 3600),
}


@dataclass(frozen=True, slots=True)
class Over:
    """(start, end], and how fine. `fixed`: it does not move with the clock. `shortened`: more was asked for than a page shows."""

    start: datetime
    end: datetime
    like: Range
    fixed: bool = False
    shortened: bool = False

    @property
    def words(self) -> str:
        """How long it is."""
        return self.like.words if not self.fixed else fmt.age(self.end - self.start)


def over(range_name: str, start: str | None, end: str | None, now: datetime) -> Over:
    """`start` and `end` are instants of the address, which count where the range is CHOSEN; a broken one is as if it were absent."""
    until, since = fmt.instant(end) or now, fmt.instant(start)
    if range_name == CHOSEN and (since or fmt.instant(end)):
        return fixed(since or until - RANGES["24h"].span, until)
    like = RANGES.get(range_name, RANGES["24h"])
    return Over(now - like.span, now, like)


def is_chosen(start: str | None, end: str | None) -> bool:
    """Whether the address names a window of its own."""
    return bool(fmt.instant(start) or fmt.instant(end))


def fixed(since: datetime, until: datetime) -> Over:
    """The window between two instants in any order, not shorter than SHORTEST and not longer than LONGEST."""
    since, until = (at.replace(microsecond=0) for at in (min(since, until), max(since, until)))
    begin = min(max(since, until - LONGEST), until - SHORTEST)
    return Over(begin, until, _like(until - begin), fixed=True, shortened=since < until - LONGEST)


def _like(span: timedelta) -> Range:
    # Cards of a window are of no shorter bins than those of a day.
    fine = detail(max(span, _DAY))
    return Range("Chosen", fmt.age(span), span, fine.bin_s, fine.bucket, fine.point_s)
