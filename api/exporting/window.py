"""Which stretch of time a report is asked for: any (from, to], or a day as the clocks of a place show it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from api.errors import Problem, faults
from api.params import sane
from api.words import WINDOW

# More than a year, so that a year can be held against the one before; the answer grows with it, and so does the work.
LONGEST = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Window:
    """(start, end] in UTC; `zone` is whose clocks the local columns follow, `day` the local day that was asked for."""

    start: datetime
    end: datetime
    zone: ZoneInfo
    day: date | None = None

    @property
    def hours(self) -> float:
        """24 unless something else was asked for, or the clocks were changed in between."""
        return (self.end - self.start) / timedelta(hours=1)

    def local(self, at: datetime) -> str:
        """The instant as the zone's clocks show it, RFC 3339 with their offset."""
        return at.astimezone(self.zone).isoformat()

    @property
    def name(self) -> str:
        """For a file's name."""
        if self.day:
            return f"{self.day}-{self.zone.key.replace('/', '-')}"
        return f"{self.start:%Y%m%dT%H%M%SZ}-{self.end:%Y%m%dT%H%M%SZ}"


def refused(parameter: str, code: str, detail: str) -> Problem:
    """422 that names the parameter, in the form of those that the specification refuses."""
    found = [{"index": 0, "pointer": f"/{parameter}", "code": code, "detail": detail}]
    return Problem(422, "invalid_parameter", "Unprocessable Content", f"/{parameter}: {detail}", **faults(found))


def window(start: datetime | None, end: datetime | None, day: str | None, zone: str, now: datetime) -> Window:
    """What was asked for; the last 24 × 3600 s where nothing was. Raises Problem 422 naming the parameter that is wrong."""
    known = _zone(zone)
    if day is not None:
        if start is not None or end is not None:
            raise refused("day", "conflict", "give a day, or from and to, but not both")
        return _local_day(day, known)
    end = end or now
    if not sane(end):
        raise refused("to", "out_of_range", "lies outside the years 2000 to 2199")
    start = start or end - WINDOW
    if not sane(start):
        raise refused("from", "out_of_range", "lies outside the years 2000 to 2199")
    if start >= end:
        raise refused("from", "out_of_range", "must lie before to")
    if end - start > LONGEST:
        raise refused("from", "out_of_range", f"lies more than {LONGEST.days} days before to: ask for several files")
    return Window(start.astimezone(UTC), end.astimezone(UTC), known)


def _zone(name: str) -> ZoneInfo:
    if name not in available_timezones():
        raise refused("zone", "unknown_zone", "is no IANA name like Europe/Berlin")
    return ZoneInfo(name)


def _local_day(text: str, zone: ZoneInfo) -> Window:
    """From midnight to midnight. Where the clocks skip midnight, the day begins with the first instant there is."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise refused("day", "no_such_day", "is no day of the calendar, YYYY-MM-DD") from None
    if not 2000 < day.year < 2199:
        raise refused("day", "out_of_range", "lies outside the years 2001 to 2198")
    start, end = (datetime.combine(one, time(), zone).astimezone(UTC) for one in (day, day + timedelta(days=1)))
    if start >= end:
        raise refused("day", "no_such_day", f"{day} was left out of the calendar in {zone.key}")
    return Window(start, end, zone, day)
