"""What `make bench` prints: a line for each thing measured, next to its limit or peer."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure of several rounds."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        return cls(tuple(values))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return _short(self.values[0])
        return f"{_short(self.median)} [{_short(min(self.values))}–{_short(max(self.values))}]"


@dataclass(frozen=True, slots=True)
class Line:
    """`ours` next to `theirs`, the figure of the limit or peer named in `against`.

    Both have a figure of each round. `ratio_bar` is the least ratio ours ÷ theirs (theirs ÷ ours where `less_is_better`); `bar` the least figure of ours, or the greatest.
    """

    what: str
    ours: Spread
    unit: str
    against: str = ""
    theirs: Spread | None = None
    ratio_bar: float | None = None
    bar: float | None = None
    less_is_better: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better we are: the median of the rounds' ratios, each of two turns that were neighbours in time."""
        if self.theirs is None or not all((*self.theirs.values, *self.ours.values)):
            return None
        pairs = zip(self.ours.values, self.theirs.values, strict=True)
        return statistics.median(theirs / ours if self.less_is_better else ours / theirs for ours, theirs in pairs)

    @property
    def asked(self) -> str:
        """The bar in words."""
        if self.ratio_bar is not None:
            return f"≥ {self.ratio_bar:g} ×"
        if self.bar is not None:
            return f"{'≤' if self.less_is_better else '≥'} {_short(self.bar)}"
        return ""

    @property
    def held(self) -> bool | None:
        """Whether the bar is held; None where there is no bar, or nothing to compare with."""
        if self.ratio_bar is not None:
            return None if self.ratio is None else self.ratio >= self.ratio_bar
        if self.bar is None:
            return None
        return self.ours.median <= self.bar if self.less_is_better else self.ours.median >= self.bar


def markdown(lines: Iterable[Line]) -> str:
    """The lines as a table that reads well both in a terminal and in a document."""
    head = ("what", "limit or peer", "its figure", "ours", "unit", "ratio", "bar", "held")
    rows = [head, tuple("-" * 3 for _ in head), *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows)


def notes(lines: Iterable[Line]) -> str:
    """What stands beside the figures, a bullet a line."""
    return "\n".join(f"- {line.what}{f' against {line.against}' if line.against else ''}: {line.note}" for line in lines if line.note)


def _cells(line: Line) -> tuple[str, ...]:
    ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
    held = {True: "yes", False: "**no**", None: ""}[line.held]
    return (line.what, line.against, str(line.theirs) if line.theirs else "", str(line.ours), line.unit, ratio, line.asked, held)


def _short(value: float) -> str:
    """Three digits say what a noisy machine can say."""
    if value and abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}"
