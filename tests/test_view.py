"""What an address asks of a page with charts: the window of the cards, the part the charts show, and how fine."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.over import CHOSEN, LONGEST, SHORTEST, detail
from dashboard.view import asked

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("hours", "bucket", "bin_s"),
    [
        (0.25, "raw", 900),
        (6, "raw", 900),
        (6.1, "15m", 3600),
        (24, "15m", 3600),
        (168, "1h", 3600),
        (720, "1h", 21_600),
        (2160, "1d", 86_400),
    ],
)
def test_what_is_looked_at_is_as_fine_as_suits_it_and_no_efficiency_is_of_a_reading(hours: float, bucket: str, bin_s: int) -> None:
    assert (detail(hours * HOUR).bucket, detail(hours * HOUR).bin_s) == (bucket, bin_s)


def test_without_a_zoom_the_charts_show_what_the_cards_do() -> None:
    view = asked(None, None, None, None).view(NOW)
    assert (view.start, view.end, view.zoomed, view.whole.fixed) == (NOW - 24 * HOUR, NOW, False, False)
    past = asked("7d", "2026-02-04T12:00:00Z", None, None).view(NOW)
    assert (past.whole.end, past.whole.start, past.whole.fixed) == (datetime(2026, 2, 4, 12, tzinfo=UTC), datetime(2026, 1, 28, 12, tzinfo=UTC), True)  # fmt: skip


def test_a_zoom_is_a_part_of_its_range_and_the_cards_stay() -> None:
    view = asked("7d", None, "2026-11-20T01:00:00Z", "2026-11-20T04:00:00Z").view(NOW)
    assert (view.zoomed, view.end - view.start, view.whole.start) == (True, 3 * HOUR, NOW - timedelta(days=7))
    assert view.name == asked("7d", None, "2026-11-20T01:00:00Z", "2026-11-20T04:00:00Z").view(NOW + HOUR).name


def test_two_instants_without_a_range_are_the_range_which_can_be_zoomed_into_too() -> None:
    ask = asked(None, None, "2026-03-01T00:00:00Z", "2026-03-11T00:00:00Z")
    assert (ask.range_name, ask.view(NOW).zoomed, ask.view(NOW).whole.like.span) == (CHOSEN, False, timedelta(days=10))
    within = asked("2026-03-01T00:00:00Z/2026-03-11T00:00:00Z", None, "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z").view(NOW)
    assert (within.zoomed, within.start.day, within.whole.start.day, within.whole.fixed) == (True, 2, 1, True)


def test_yesterdays_link_into_the_newest_day_still_shows_yesterday_and_its_cards() -> None:
    view = asked("24h", None, "2026-11-20T01:00:00Z", "2026-11-20T04:00:00Z").view(NOW)
    assert (view.zoomed, view.whole.start.day, view.whole.fixed) == (False, 20, True)


@pytest.mark.parametrize("broken", ["x", "2026-13-01T00:00:00Z", "2026-11-20T01:00:00", ""])
def test_what_is_broken_counts_as_absent(broken: str) -> None:
    assert not asked("7d", None, broken, "2026-11-20T04:00:00Z").view(NOW).zoomed
    assert asked(f"{broken}/{broken}", None, None, None).range_name == "24h"
    assert asked("nonsense", broken, None, None).view(NOW).whole.end == NOW


def test_a_zoom_is_neither_too_short_nor_too_long_nor_backwards() -> None:
    short = asked("24h", None, "2026-11-24T04:00:00Z", "2026-11-24T03:59:59Z").view(NOW)
    assert (short.end - short.start, short.end.hour) == (SHORTEST, 4)
    long = asked("24h", None, "2001-01-01T00:00:00Z", "2026-11-24T04:00:00Z").view(NOW)
    assert long.end - long.start == LONGEST
