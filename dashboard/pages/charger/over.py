"""Which window a charger's page is about: a range up to now, or any two instants of the address."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard import format as fmt
from dashboard.pages.vehicle.loading import RANGES, Range

CHOSEN = "chosen"  # the name of the range that `from` and `to` in the address make
# As long as the files of a charger's sessions may be.
LONGEST = timedelta(days=400)
SHORTEST = timedelta(minutes=15)
# (up to this long, like this range); what is longer is shown by the day.
_LIKE = ((timedelta(days=2), "24h"), (timedelta(days=10), "7d"), (timedelta(days=62), "30d"))


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
        return _fixed(since or until - RANGES["24h"].span, until)
    like = RANGES.get(range_name, RANGES["24h"])
    return Over(now - like.span, now, like)


def is_chosen(start: str | None, end: str | None) -> bool:
    """Whether the address names a window of its own."""
    return bool(fmt.instant(start) or fmt.instant(end))


def _fixed(since: datetime, until: datetime) -> Over:
    since, until = (at.replace(microsecond=0) for at in (min(since, until), max(since, until)))
    begin = min(max(since, until - LONGEST), until - SHORTEST)
    return Over(begin, until, _like(until - begin), fixed=True, shortened=since < until - LONGEST)


def _like(span: timedelta) -> Range:
    for longest, name in _LIKE:
        if span <= longest:
            return RANGES[name]
    return Range("days", "days", span, 86_400, "1d", 86_400)
