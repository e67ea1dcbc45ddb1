"""What a page with charts is asked to show: the window its cards are of, and the part of it that its charts are zoomed to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard import format as fmt
from dashboard.over import CHOSEN, RANGES, Over, fixed, is_chosen, over


@dataclass(frozen=True, slots=True)
class View:
    """The window of the cards, and that of the charts, which is the same unless somebody zoomed."""

    whole: Over
    start: datetime
    end: datetime

    @property
    def zoomed(self) -> bool:
        """Whether the charts show something else than the cards."""
        return (self.start, self.end) != (self.whole.start, self.whole.end)

    @property
    def name(self) -> str:
        """The same as long as the same is looked at, also while the clock moves it on."""
        return f"{self.start} {self.end}" if self.zoomed or self.whole.fixed else self.whole.like.label


@dataclass(frozen=True, slots=True)
class Asked:
    """The parts of the address, as the browser holds them: a range's name or CHOSEN; the range's end where it is not now; two instants of a
    chosen range; two instants of the zoom. What is broken counts as absent.
    """

    range_name: str = "24h"
    at: str | None = None
    between: Sequence[str | None] = (None, None)
    zoom: Sequence[str | None] = (None, None)

    def view(self, now: datetime) -> View:
        """A zoom that has nothing to do with the range, such as yesterday's of a link to the newest 24 hours, is a window of its own."""
        whole, zoom = self._whole(now), self._zoom()
        if zoom and not (zoom.start < whole.end and whole.start < zoom.end):
            whole = zoom
        return View(whole, zoom.start, zoom.end) if zoom else View(whole, whole.start, whole.end)

    def _whole(self, now: datetime) -> Over:
        end = fmt.instant(self.at)
        if self.range_name == CHOSEN or not end:
            return over(self.range_name, self.between[0], self.between[1], now)
        like = RANGES.get(self.range_name, RANGES["24h"])
        return Over(end - like.span, end, like, fixed=True)

    def _zoom(self) -> Over | None:
        since, until = (fmt.instant(one) for one in self.zoom)
        return fixed(since, until) if since and until else None


def asked(range_name: str | None, at: str | None, since: str | None, until: str | None) -> Asked:
    """From an address: `range` is a name or two instants with a slash between; `from` and `to` without a range are the range, and with one the zoom."""
    if range_name and "/" in range_name:
        begin, end = range_name.split("/", 1)
        return Asked(CHOSEN, None, (begin, end), (since, until)) if is_chosen(begin, end) else Asked()
    if not range_name and not at and is_chosen(since, until):
        return Asked(CHOSEN, None, (since, until))
    return Asked(range_name if range_name in RANGES else "24h", at, zoom=(since, until))
