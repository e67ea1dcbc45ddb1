"""Everything /metrics says. Each part is asked when somebody scrapes, so that the hot path pays for no metric."""

import platform
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from psycopg_pool import ConnectionPool

from api.watching.beside import Beside
from db.engine import Conn

EXPOSITION = "voltledger-metrics"  # under this name a Flask application keeps it
# Name, words, and what gives the value when asked: None where there is none.
Figure = tuple[str, str, Callable[[], float | None]]


class Part(Protocol):
    """Something that has metrics."""

    def collect(self) -> Iterator[Metric]:
        """As they are now."""


class Exposition:
    """The parts, in their order. `version`: of the product."""

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)  # says nothing where there is no /proc
        self.add(_About(version))
        self._beside: Beside | None = None

    def stand_beside(self, other: Beside) -> None:
        """Tell of another process too."""
        self._beside = other

    def add(self, part: Part) -> None:
        """One more part. What it raises fails no scrape."""
        self._registry.register(_Guarded(part))

    def add_figures(self, figures: Iterable[Figure]) -> None:
        """Gauges."""
        self.add(_Figures(tuple(figures)))

    def text(self) -> bytes:
        """In Prometheus' text format."""
        if self._beside is None:
            return generate_latest(self._registry)
        return generate_latest(_Given(self._beside.joined(self._registry.collect())))


class _Given(CollectorRegistry):
    """Metrics that were collected already."""

    def __init__(self, families: list[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


class _Guarded:
    def __init__(self, part: Part) -> None:
        self._part = part

    def collect(self) -> Iterable[Metric]:
        """All of the part's or none: half of it could be taken for the whole."""
        try:
            return list(self._part.collect())
        except Exception:  # noqa: BLE001 -- whatever one part cannot say, the others are still wanted, above all then
            return []


class _About:
    def __init__(self, version: str) -> None:
        self._labels = {"version": version, "python": platform.python_version()}

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("voltledger_build_info", "What runs here; always 1", labels=list(self._labels))
        info.add_metric(list(self._labels.values()), 1)
        yield info
        yield GaugeMetricFamily("voltledger_threads", "Threads of this process", value=threading.active_count())


class _Figures:
    def __init__(self, figures: tuple[Figure, ...]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for name, words, value_of in self._figures:
            if (value := value_of()) is not None:
                yield GaugeMetricFamily(name, words, value=value)


class Pools:
    """How busy the connections to the database are, by pool: read (pages, analytics), write (readings), admin (housekeeping)."""

    def __init__(self, pools: "Mapping[str, ConnectionPool[Conn]]") -> None:
        self._pools = pools

    def collect(self) -> Iterator[Metric]:
        """From the pools' own counts."""
        stats = {name: pool.get_stats() for name, pool in self._pools.items()}
        gauge, counter = partial(_by_pool, GaugeMetricFamily, stats), partial(_by_pool, CounterMetricFamily, stats)
        yield gauge("voltledger_pool_connections", "Connections that a pool has now", "pool_size")
        yield gauge("voltledger_pool_connections_idle", "Those that nobody uses now", "pool_available")
        yield gauge("voltledger_pool_connections_limit", "Connections that a pool may have", "pool_max")
        yield gauge("voltledger_pool_waiting", "Threads that wait for a connection", "requests_waiting")
        yield counter("voltledger_pool_timeouts", "Times that nobody got a connection within a second", "requests_errors")
        yield counter("voltledger_pool_connections_lost", "Connections found broken", "connections_lost")


def _by_pool(
    kind: type[GaugeMetricFamily | CounterMetricFamily], stats: Mapping[str, Mapping[str, float]], name: str, words: str, key: str
) -> Metric:
    metric = kind(name, words, labels=["pool"])
    for pool, values in stats.items():
        metric.add_metric([pool], values.get(key, 0))
    return metric
