"""The evidence of a window with everything that is asked of it worked out once: what is held against the line, and how uncertain that is."""

from dataclasses import dataclass
from typing import Literal

from charging.band import Band, Learned, band
from charging.evidence import Evidence, Stream
from charging.units import to_kwh

METER_UNCERTAINTY = 0.01
CRITICAL_BELOW_LOW = 0.10

Severity = Literal["warning", "critical"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What low means: below the expected band, or below plain thresholds (ratios)."""

    use: Literal["band", "plain"] = "band"
    plain_low: float = 0.85
    plain_critical: float = 0.75


def uncertainty(dc: Stream, ac: Stream, of_milliwh: int | None = None) -> float | None:
    """(AC step + DC step) ÷ AC, plus 1 % for the meters; None without AC. `of_milliwh`: a part of the AC whose ratio it is."""
    energy_milliwh = ac.energy_milliwh if of_milliwh is None else of_milliwh
    if energy_milliwh <= 0:
        return None
    # Rounded, so that exactly 6 % is not 6.000000000000001 %.
    return round((ac.step_milliwh + dc.step_milliwh) / energy_milliwh + METER_UNCERTAINTY, 12)


@dataclass(frozen=True, slots=True)
class Case:
    """The evidence with everything the rules ask of it worked out once.

    `plain_ratio` is the one held against the band: conditioning and standby are left out, so that a cold day is no bad charger.
    `filled_ratio` is the same with what is missing filled in, None where both sides were never there: a gap is no bad charger either.
    """

    evidence: Evidence
    thresholds: Thresholds
    shared: bool
    dc_moved: bool
    ac_moved: bool
    ratio: float | None
    plain_ac_milliwh: int
    plain_ratio: float | None
    filled_ratio: float | None
    uncertainty: float | None
    band: Band | None

    @staticmethod
    def of(evidence: Evidence, thresholds: Thresholds, shared: bool, learned: Learned | None, is_dc: bool | None) -> "Case":
        expected = None
        plain_ac = evidence.plain_ac_milliwh - evidence.apart.idle_ac
        if thresholds.use == "band" and plain_ac > 0 and evidence.plain_charging_s:
            expected = band(to_kwh(plain_ac), evidence.plain_charging_s / 3600, None if shared else learned, is_dc)
        # A meter that only fed standby gives no efficiency: 13 kWh charged elsewhere over 0.2 kWh here is not 6,400 %.
        dc_moved, ac_moved = evidence.dc.moved, evidence.ac.moved
        # Nor does one whose vehicle was silent: nothing that is not known is 0.
        silent = not evidence.dc.readings or (evidence.dc.due and not evidence.dc.received)
        ratio = ratio_of(evidence.dc_here_milliwh, evidence.ac.energy_milliwh) if ac_moved and not silent else None
        return Case(
            evidence,
            thresholds,
            shared,
            dc_moved,
            ac_moved,
            ratio,
            plain_ac_milliwh=plain_ac,
            plain_ratio=ratio_of(evidence.plain_dc_milliwh - evidence.apart.idle_dc - evidence.elsewhere_milliwh, plain_ac)
            if plain_ac > 0
            else ratio,
            filled_ratio=ratio_of(evidence.apart.filled_dc, evidence.apart.filled_ac),
            uncertainty=uncertainty(evidence.dc, evidence.ac) if ratio is not None else None,
            band=expected if ratio is not None else None,
        )


def ratio_of(dc_milliwh: int, ac_milliwh: int) -> float | None:
    return dc_milliwh / ac_milliwh if ac_milliwh > 0 else None


def best_of(case: Case, plain_ratio: float) -> float:
    """What is missing is not held against the charger: low is what is low as reported and with the gaps filled in."""
    return max(plain_ratio, plain_ratio if case.filled_ratio is None else case.filled_ratio)


def least_of(case: Case, plain_ratio: float) -> float:
    """Nor for it: where the meter's readings are missing, the efficiency as reported is too good."""
    return min(plain_ratio, plain_ratio if case.filled_ratio is None else case.filled_ratio)


def slack_of(case: Case) -> float:
    """The uncertainty of what is judged: of a part, it is that part's own, and the two sides' readings do not end at the second where it begins."""
    evidence = case.evidence
    if case.plain_ac_milliwh == evidence.ac.energy_milliwh:
        return case.uncertainty or 0.0
    slack = uncertainty(evidence.dc, evidence.ac, case.plain_ac_milliwh) or 0.0
    if not evidence.set_aside_buckets or not evidence.plain_charging_s:
        return slack
    return slack + max(evidence.dc.rhythm_s, evidence.ac.rhythm_s) / evidence.plain_charging_s
