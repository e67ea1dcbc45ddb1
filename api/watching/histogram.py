"""Counts by size, cheap enough for every reading."""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import HistogramMetricFamily

# From what the event loop needs for a reading to what a device waits for a commit at most, and beyond.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
READINGS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)


class Histogram:
    """How many values were at most each of `bounds`, which ascend. For any thread."""

    __slots__ = ("_bounds", "_counts", "_lock", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        """One more."""
        place = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[place] += 1
            self._sum += value

    def read(self) -> tuple[list[tuple[str, float]], float]:
        """Prometheus' cumulative buckets, and the sum of all values."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        cumulative, buckets = 0, []
        for bound, count in zip([*map(str, self._bounds), "+Inf"], counts, strict=True):
            cumulative += count
            buckets.append((bound, float(cumulative)))
        return buckets, total


def family(name: str, words: str, labels: Sequence[str], made: Iterable[tuple[Sequence[str], Histogram]]) -> HistogramMetricFamily:
    """Histograms of one name, each with the values of its labels."""
    metric = HistogramMetricFamily(name, words, labels=list(labels))
    for values, histogram in made:
        buckets, total = histogram.read()
        metric.add_metric(list(values), buckets, total)
    return metric
