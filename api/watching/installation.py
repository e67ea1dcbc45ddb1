"""Whether we are ready, and what the database knows of the installation; where it is away, that is left out and `voltledger_database_up` is 0."""

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from db.queries.watching import Facts, Readiness

# Nobody who scrapes waits longer for the database; Prometheus itself gives up after ten seconds.
WAIT_S = 1.0


class Installation:
    """`look(wait_s)` gives the facts, or None where they cannot be had in time; `is_ready` judges them as /readyz does."""

    def __init__(self, look: Callable[[float], Facts | None], is_ready: Callable[[Readiness | None], bool]) -> None:
        self._look, self._is_ready = look, is_ready

    def collect(self) -> Iterator[Metric]:
        """One look, and what it shows."""
        facts = self._look(WAIT_S)
        yield _gauge("voltledger_ready", "1 where /readyz answers 200", self._is_ready(facts.ready if facts else None))
        words = "1 where the database gave the metrics that need it within a second; where 0 they are left out"
        yield _gauge("voltledger_database_up", words, facts is not None)
        if facts is not None:
            yield from _of_database(facts)
            yield from _of_alerting(facts)
            yield from _of_notices(facts)


def _of_database(facts: Facts) -> Iterator[Metric]:
    yield _gauge("voltledger_partitions_ahead_days", "Whole days after today that have tables", facts.ready.days_ahead)
    yield _gauge("voltledger_database_clock_ahead_seconds", "The database's clock less ours", facts.clock_ahead_s)
    yield _gauge("voltledger_database_connections", "Connections that its server has, all programs' together", facts.connections)
    yield _gauge("voltledger_database_connections_limit", "Connections that its server may have", facts.most_connections)


def _of_alerting(facts: Facts) -> Iterator[Metric]:
    yield _gauge("voltledger_alerting_leaders", "Processes that judge and deliver: 1, or 0 where none runs", facts.leaders)
    # Never judged counts as very long ago, so that a rule on the age needs no exception.
    age = float("inf") if facts.evaluated_age_s is None else max(0.0, facts.evaluated_age_s)
    yield _gauge("voltledger_alert_evaluation_age_seconds", "Since alerts were last judged to the end; +Inf: never", age)
    yield _gauge("voltledger_alert_evaluation_failed", "1 where the newest attempt to judge failed", facts.evaluation_failed)
    if facts.evaluation_s is not None:
        yield _gauge("voltledger_alert_evaluation_seconds", "Duration of the newest that came to its end", facts.evaluation_s)
    alerts = GaugeMetricFamily("voltledger_alerts_open", "Alerts that are open, by severity", labels=["severity"])
    for severity, count in facts.open_alerts.items():
        alerts.add_metric([severity], count)
    yield alerts


def _of_notices(facts: Facts) -> Iterator[Metric]:
    yield _gauge("voltledger_notices_waiting", "Notices in the outbox that were not delivered yet", facts.notices_waiting)
    yield _gauge("voltledger_notices_failing", "Those of them that failed at least once", facts.notices_failing)
    yield _gauge("voltledger_notices_oldest_age_seconds", "Age of the oldest that waits; 0 where none does", facts.oldest_notice_age_s)
    yield _gauge("voltledger_notices_given_up", "Notices given up in the last 24 hours", facts.notices_given_up)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=float(value))
