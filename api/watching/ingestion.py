"""What came in, as the committer and the gate counted it."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from api.committer import Committer
from api.keys.gate import Gate
from api.watching.histogram import family


class Ingestion:
    """Readings, refusals, the queue and the commits of this process."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    def collect(self) -> Iterator[Metric]:
        """From the committer's own counts."""
        counts = dict(self._committer.tally.totals)
        outcomes = CounterMetricFamily("voltledger_readings", "Readings by what became of them", labels=["outcome"])
        for name in ("ACCEPTED", "CLOSED", "CONFLICT", "DUPLICATE"):
            outcomes.add_metric([name.lower()], counts.get(name, 0))
        yield outcomes
        yield _labelled("voltledger_rejects", "Faults found in readings, by code", "code", counts, "rejected")
        yield _labelled(
            "voltledger_refused_requests", "Requests with readings that were not taken at all, by code", "code", counts, "refused"
        )
        yield _labelled("voltledger_late_readings", "Readings kept for long by their device", "side", counts, "late")
        yield _labelled("voltledger_lag_readings", "Readings whose way here is in voltledger_lag_seconds", "side", counts, "lagged")
        seconds = {name: value / 1000 for name, value in counts.items() if name.startswith("lag_ms:")}
        yield _labelled("voltledger_lag_seconds", "From recorded to received, summed up, late readings left out", "side", seconds, "lag_ms")
        yield from self._commits(counts)
        yield from self._queue()

    def _commits(self, counts: Mapping[str, float]) -> Iterator[Metric]:
        yield CounterMetricFamily("voltledger_commits", "Transactions that wrote readings", value=counts.get("commits", 0))
        yield _labelled("voltledger_commit_failures", "Transactions that did not come to their end, by why", "reason", counts, "failed")
        yield family("voltledger_commit_seconds", "Duration of a commit, from its first statement on", (), [((), self._committer.seconds)])
        yield family("voltledger_commit_readings", "Readings in a commit", (), [((), self._committer.sizes)])

    def _queue(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("voltledger_queue_readings", "Readings that wait for a commit", value=self._committer.waiting_readings)
        yield GaugeMetricFamily("voltledger_queue_limit_readings", "Readings that may wait", value=self._committer.most_readings)
        yield GaugeMetricFamily("voltledger_queue_requests", "Requests that wait for a commit", value=self._committer.waiting_requests)
        yield GaugeMetricFamily("voltledger_queue_limit_requests", "Requests that may wait", value=self._committer.most_requests)


class Keys:
    """What the gate refused, by code; never by key or address, which would be a metric for each."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def collect(self) -> Iterator[Metric]:
        """From the gate's own counts."""
        metric = CounterMetricFamily("voltledger_key_refusals", "Requests refused for their key, by code", labels=["code"])
        for code, count in sorted(dict(self._gate.refusals).items()):
            metric.add_metric([code], count)
        yield metric


def _labelled(name: str, words: str, label: str, counts: Mapping[str, float], prefix: str) -> Metric:
    """A metric of what is counted under `prefix:label`."""
    metric = CounterMetricFamily(name, words, labels=[label])
    for key, value in sorted(counts.items()):
        if key.startswith(f"{prefix}:"):
            metric.add_metric([key.partition(":")[2]], value)
    return metric
