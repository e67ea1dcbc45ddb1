"""What another process of ours says of itself, put beside what this one says, so that one scrape tells of both."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric, Sample
from prometheus_client.parser import text_string_to_metric_families

# Both processes have them, each for itself: the other's get the label `part`. What else both say is the database's or ours alone.
_EACH = ("process_", "voltledger_pool_")
_EACH_EXACTLY = frozenset(("voltledger_request_seconds", "voltledger_key_refusals", "voltledger_threads"))


class Beside:
    """`said` gives the other's metrics in Prometheus' text format, None where it does not answer; `part` is its name."""

    def __init__(self, said: Callable[[], str | None], part: str) -> None:
        self._said, self._part = said, part

    def joined(self, own: Iterable[Metric]) -> list[Metric]:
        """`own` and what the other adds, and whether it answers."""
        families = {family.name: family for family in own}
        text = self._said()
        up = GaugeMetricFamily(
            f"voltledger_{self._part}_up", f"1 where the process of the {self._part} answers", value=float(text is not None)
        )
        for family in text_string_to_metric_families(text or ""):
            known = families.get(family.name)
            if known is None:
                families[family.name] = family
            elif family.name.startswith(_EACH) or family.name in _EACH_EXACTLY:
                known.samples.extend(self._marked(family))
        return [*families.values(), up]

    def _marked(self, family: Metric) -> Iterator[Sample]:
        return (sample._replace(labels={**sample.labels, "part": self._part}) for sample in family.samples)
