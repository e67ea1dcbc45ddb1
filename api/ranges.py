"""The window that a question asks for."""

from datetime import datetime, timedelta

from api.errors import Problem
from api.params import RangeQuery, sane

DEFAULT_SPAN = timedelta(days=30)
# A month of a large fleet takes a minute; what is longer than this is asked for piece by piece, or as a report.
LONGEST_SPAN = timedelta(days=400)


def bounds(query: RangeQuery, now: datetime) -> tuple[datetime, datetime]:
    """(from, to], by default the 30 days up to now. Raises Problem 422 where it is empty, out of the calendar or too long."""
    end = query.end or now
    start = query.start or (end - DEFAULT_SPAN if sane(end) else end)
    if not (sane(start) and sane(end)) or start >= end:
        raise Problem(422, "invalid_parameter", "Unprocessable Content", "from lies before to, both in the years 2000 to 2199")
    if end - start > LONGEST_SPAN:
        raise Problem(422, "invalid_parameter", "Unprocessable Content", f"from and to are at most {LONGEST_SPAN.days} days apart")
    return start, end
