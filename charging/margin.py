"""How far a judged efficiency is from where it is low."""

from dataclasses import dataclass

from charging.band import Learned
from charging.case import CRITICAL_BELOW_LOW, Case, Severity, Thresholds, best_of, least_of, slack_of
from charging.evidence import Evidence
from charging.verdict import Verdict, first

# Uncertainty that counts for a charger which is to be well again; what is more counts against it.
SURE_SLACK = 0.02


@dataclass(frozen=True, slots=True)
class Margin:
    """How far a judged efficiency is from where it is low: `judged` (conditioning, standby and gaps apart) against `line`, which is the
    lower edge of what is expected less the uncertainty `slack`, or a plain threshold; below `critical_line` it is critical. `least` is the
    same efficiency with what is missing read the other way. Ratios.
    """

    judged: float
    line: float
    slack: float
    critical_line: float
    least: float

    @property
    def margin(self) -> float:
        """Negative where the efficiency is low."""
        return self.judged - self.line

    @property
    def severity(self) -> Severity | None:
        """As of the summary: None where it is not low."""
        if self.judged >= self.line:
            return None
        return "critical" if self.judged < self.critical_line else "warning"

    @property
    def sure(self) -> float:
        """The margin by which it is known to be well again: what is missing or uncertain is held neither against a charger nor for it."""
        return self.least - self.line - 2 * max(0.0, self.slack - SURE_SLACK)


def margin(evidence: Evidence, thresholds: Thresholds = Thresholds(), learned: Learned | None = None, is_dc: bool | None = None) -> Margin:
    """Of evidence whose verdict is ok or low, of a vehicle that has its meter to itself. Raises ValueError for other evidence."""
    return _margin(Case.of(evidence, thresholds, False, learned, is_dc))


def verdict_and_margin(
    evidence: Evidence, thresholds: Thresholds = Thresholds(), learned: Learned | None = None, is_dc: bool | None = None
) -> tuple[Verdict, Margin | None]:
    """Of a vehicle that has its meter to itself, what `summarise` and `margin` say, for those who need no words: half the time."""
    case = Case.of(evidence, thresholds, False, learned, is_dc)
    verdict = first(case)[0]
    return verdict, _margin(case) if verdict in (Verdict.OK, Verdict.LOW) else None


def _margin(case: "Case") -> Margin:
    if case.plain_ratio is None:
        raise ValueError("this evidence was not judged")
    best, least = best_of(case, case.plain_ratio), least_of(case, case.plain_ratio)
    if case.band:
        slack = slack_of(case)
        edge = case.band.low - slack
        return Margin(best, edge, slack, edge - CRITICAL_BELOW_LOW, least)
    plain = case.thresholds
    return Margin(best, plain.plain_low, 0.0, plain.plain_critical, least)
