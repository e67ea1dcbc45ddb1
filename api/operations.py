"""For those who run it: is the process alive, may it be sent traffic, what does it count."""

from collections.abc import Iterator, Mapping

from flask import Response
from flask_openapi3 import OpenAPI, Tag
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from api.committer import Committer, NotStored
from api.errors import Problem, as_json
from api.keys.gate import Gate
from api.services import Services
from db import partitions

_TAG = Tag(name="Operations", description="Health and metrics")
_FEWEST_DAYS_AHEAD = 3


def register(app: OpenAPI, services: Services) -> None:
    """/healthz, /readyz, /metrics"""
    registry = CollectorRegistry()
    registry.register(_Ingestion(services.intake.committer))
    registry.register(_Keys(services.intake.gate))

    @app.get("/healthz", tags=[_TAG], summary="The process is alive")
    def get_healthz() -> Response:
        return as_json({"status": "ok"})

    @app.get("/readyz", tags=[_TAG], summary="Traffic is welcome")
    def get_readyz() -> Response:
        try:
            services.intake.committer.refuse_early()
        except NotStored as refusal:
            raise Problem(503, refusal.kind, "Not Ready", str(refusal), retry=True) from None
        if services.intake.gate.blind():
            raise Problem(503, "keys_unknown", "Not Ready", "the keys cannot be read from the database", retry=True)
        with services.connection() as conn:
            ahead = partitions.days_ahead(conn, services.now())
        if ahead == 0:
            raise Problem(503, "partition_missing", "Not Ready", "tomorrow has no table yet", retry=True)
        return as_json(
            {"status": "ready", "daysAhead": ahead, "warnings": ["few days ahead have tables"] if ahead < _FEWEST_DAYS_AHEAD else []}
        )

    @app.get("/metrics", tags=[_TAG], summary="For Prometheus")
    def get_metrics() -> Response:
        return Response(generate_latest(registry), mimetype="text/plain")


class _Ingestion:
    """Reads the committer's own counts when asked, so that the hot path pays for no metric."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    def collect(self) -> Iterator[Metric]:
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
        yield CounterMetricFamily("voltledger_commits", "Transactions that wrote readings", value=counts.get("commits", 0))
        yield GaugeMetricFamily("voltledger_queue_readings", "Readings that wait for a commit", value=self._committer.waiting_readings)
        yield GaugeMetricFamily("voltledger_last_commit_seconds", "Duration of the last commit", value=self._committer.last_commit_s)


class _Keys:
    """What the gate refused, by code; never by key or address, which would be a metric for each."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def collect(self) -> Iterator[Metric]:
        metric = CounterMetricFamily("voltledger_key_refusals", "Requests refused for their key, by code", labels=["code"])
        for code, count in sorted(self._gate.refusals.items()):
            metric.add_metric([code], count)
        yield metric


def _labelled(name: str, words: str, label: str, counts: Mapping[str, float], prefix: str) -> Metric:
    """A metric of what is counted under `prefix:label`."""
    metric = CounterMetricFamily(name, words, labels=[label])
    for key, value in sorted(counts.items()):
        if key.startswith(f"{prefix}:"):
            metric.add_metric([key.partition(":")[2]], value)
    return metric
