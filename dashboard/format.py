"""Numbers and times as people read them. Missing is "–", never 0. assets/20-format.js says the same in the browser."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NONE = "–"


def number(value: float | None, digits: int = 0) -> str:
    """1234.5 → "1,234.5"."""
    return NONE if value is None else f"{value:,.{digits}f}"


def amount(value: float | None) -> str:
    """Energy or power: small values keep their decimals."""
    if value is None:
        return NONE
    return number(value, 0 if not value or abs(value) >= 100 else 1 if abs(value) >= 10 else 2)


def percent(ratio: float | None, digits: int = 1) -> str:
    """0.915 → "91.5 %"."""
    return NONE if ratio is None else f"{number(ratio * 100, digits)} %"


def band(low: float | None, high: float | None) -> str:
    """(0.861, 0.93) → "86.1–93.0 %"."""
    return NONE if low is None or high is None else f"{number(low * 100, 1)}–{number(high * 100, 1)} %"


def age(span: timedelta | None) -> str:
    """How long ago, in the largest units that matter; a clock slightly ahead counts as now."""
    if span is None:
        return NONE
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 2 * 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86400:,} d"


def zone(name: str | None) -> tzinfo:
    """The zone of an IANA name as the browser tells it; UTC where this machine does not know it."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def moment(at: datetime | None, tz: tzinfo, seconds: bool = False) -> str:
    """27 Jun 2016, 00:14. Leaving the year out where it is obvious would be shorter and sometimes wrong."""
    return NONE if at is None else f"{at.astimezone(tz):%-d %b %Y, %H:%M{':%S' if seconds else ''}}"


def offset_name(at: datetime, tz: tzinfo) -> str:
    """The one offset an axis is drawn with, like UTC+2."""
    minutes = round((at.astimezone(tz).utcoffset() or timedelta()).total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    return "UTC" if not minutes else f"UTC{'+' if minutes > 0 else '−'}{hours}{f':{rest:02}' if rest else ''}"


def instant(text: str | None) -> datetime | None:
    """An RFC 3339 instant from an address; None where it is absent, broken or says no offset. A "+" that became a space is forgiven."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else None
