"""Numbers and times as people read them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dashboard import format as fmt


def test_missing_is_a_dash_and_never_zero() -> None:
    """Every formatter says "–" for None."""
    assert {fmt.number(None), fmt.amount(None), fmt.percent(None), fmt.band(None, 0.9), fmt.age(None), fmt.moment(None, UTC)} == {"–"}


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.126, "0.13"), (12.34, "12.3"), (1234.5, "1,234"), (-4.3, "-4.30")])
def test_amounts_keep_the_decimals_that_matter(value: float, text: str) -> None:
    """Small values keep two, middle ones one, large ones none."""
    assert fmt.amount(value) == text


def test_ratios_are_shown_as_percent() -> None:
    """With a space before the sign, and a dash in bands."""
    assert (fmt.percent(0.9427), fmt.band(0.861, 0.93)) == ("94.3 %", "86.1–93.0 %")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3660, "1 h 1 min"), (172_799, "47 h 59 min"), (172_800, "2 d")],
)
def test_ages_name_their_unit(seconds: int, text: str) -> None:
    """A clock slightly ahead is now."""
    assert fmt.age(timedelta(seconds=seconds)) == text


def test_moments_are_told_in_the_viewers_zone() -> None:
    """With the year: data may be ten years old."""
    assert fmt.moment(datetime(2016, 6, 27, 0, 14, tzinfo=UTC), ZoneInfo("America/New_York")) == "26 Jun 2016, 20:14"


@pytest.mark.parametrize(
    ("name", "text"), [("UTC", "UTC"), ("Europe/Berlin", "UTC+1"), ("Asia/Kolkata", "UTC+5:30"), ("America/Caracas", "UTC−4")]
)
def test_offsets_are_named(name: str, text: str) -> None:
    """In winter."""
    assert fmt.offset_name(datetime(2026, 1, 1, tzinfo=UTC), fmt.zone(name)) == text


@pytest.mark.parametrize("name", [None, "", "Mars/Olympus", "../../etc/passwd", "x" * 500])
def test_unknown_zones_are_utc(name: str | None) -> None:
    """Whatever a browser sends."""
    assert datetime(2026, 1, 1, tzinfo=fmt.zone(name)).utcoffset() == timedelta()


@pytest.mark.parametrize("text", ["2016-06-27T00:14:00Z", "2016-06-27T02:14:00+02:00", "2016-06-27T02:14:00 02:00"])
def test_instants_come_from_addresses(text: str) -> None:
    """A "+" that an address turned into a space is forgiven."""
    assert fmt.instant(text) == datetime(2016, 6, 27, 0, 14, tzinfo=UTC)


@pytest.mark.parametrize("text", [None, "", "yesterday", "2016-06-27T00:14:00", "2016-13-01T00:00:00Z"])
def test_broken_instants_are_none(text: str | None) -> None:
    """No offset, no instant."""
    assert fmt.instant(text) is None
