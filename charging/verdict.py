"""What may be said about an efficiency, and why: the first rule that holds, in words a technician can act on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from charging.band import Band, Learned, band
from charging.evidence import Evidence, Stream, together
from charging.units import MILLIWH_PER_KWH, to_kwh

ENOUGH_COVERAGE = 0.8
ENOUGH_AC_MILLIWH = MILLIWH_PER_KWH
MOST_UNCERTAINTY = 0.06
METER_UNCERTAINTY = 0.01
IMPOSSIBLE_RATIO = 1.02
STUCK_S = 30 * 60
STUCK_AC_MILLIWH = MILLIWH_PER_KWH
CRITICAL_BELOW_LOW = 0.10
# Uncertainty that counts for a charger which is to be well again; what is more counts against it.
SURE_SLACK = 0.02


class Verdict(StrEnum):
    """In the order in which they are tried."""

    UNMAPPED = "unmapped"
    NOT_CHARGING = "not_charging"
    CHARGED_ELSEWHERE = "charged_elsewhere"
    INSUFFICIENT_DATA = "insufficient_data"
    SHARED_METER = "shared_meter"
    SUSPECT_MEASUREMENT = "suspect_measurement"
    CONDITIONING = "conditioning"
    LOW = "low"
    OK = "ok"


Severity = Literal["warning", "critical"]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What low means: below the expected band, or below plain thresholds (ratios)."""

    use: Literal["band", "plain"] = "band"
    plain_low: float = 0.85
    plain_critical: float = 0.75


@dataclass(frozen=True, slots=True)
class Summary:
    """A window of one vehicle with its judgement: energies in kWh, ratios and coverages 0…1, temperature in °C.

    `ratio`, `loss_kwh` and `uncertainty` are None where no more than standby came from the grid, or the vehicle was silent meanwhile; what
    was charged elsewhere is in `dc_kwh` alone. `band` is None where no charging hours are known or plain thresholds are chosen. On a shared
    meter `ratio` is the group's.
    """

    evidence: Evidence = field(repr=False)
    ac_kwh: float
    dc_kwh: float
    ratio: float | None
    loss_kwh: float | None
    uncertainty: float | None
    band: Band | None
    coverage_vehicle: float | None
    coverage_meter: float | None
    vehicle_readings: int
    meter_readings: int
    meter_ids: tuple[str, ...]
    avg_battery_temp_c: float | None
    verdict: Verdict
    severity: Severity | None
    reason: str

    @property
    def expected_low(self) -> float | None:
        """The band's lower edge."""
        return self.band.low if self.band else None

    @property
    def expected_high(self) -> float | None:
        """The band's upper edge."""
        return self.band.high if self.band else None


def uncertainty(dc: Stream, ac: Stream, of_milliwh: int | None = None) -> float | None:
    """(AC step + DC step) ÷ AC, plus 1 % for the meters; None without AC. `of_milliwh`: a part of the AC whose ratio it is."""
    energy_milliwh = ac.energy_milliwh if of_milliwh is None else of_milliwh
    if energy_milliwh <= 0:
        return None
    # Rounded, so that exactly 6 % is not 6.000000000000001 %.
    return round((ac.step_milliwh + dc.step_milliwh) / energy_milliwh + METER_UNCERTAINTY, 12)


def summarise(
    evidence: Evidence,
    thresholds: Thresholds = Thresholds(),
    group: list[Evidence] | None = None,
    learned: Learned | None = None,
    is_dc: bool | None = None,
) -> Summary:
    """Judge one vehicle's window.

    `group`: the evidence of every vehicle on its shared meter, itself first. `learned`: what its past has shown. `is_dc`: whether it was
    charged by a DC charger; where None, its mean power tells.
    """
    judged = together(group) if group else evidence
    case = _Case.of(judged, thresholds, bool(group), learned, is_dc)
    verdict, severity, reason = _first(case)
    return _worded(evidence, case, verdict, severity, reason)


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
    return _margin(_Case.of(evidence, thresholds, False, learned, is_dc))


def verdict_and_margin(
    evidence: Evidence, thresholds: Thresholds = Thresholds(), learned: Learned | None = None, is_dc: bool | None = None
) -> tuple[Verdict, Margin | None]:
    """Of a vehicle that has its meter to itself, what `summarise` and `margin` say, for those who need no words: half the time."""
    case = _Case.of(evidence, thresholds, False, learned, is_dc)
    verdict = _first(case)[0]
    return verdict, _margin(case) if verdict in (Verdict.OK, Verdict.LOW) else None


def _margin(case: "_Case") -> Margin:
    if case.plain_ratio is None:
        raise ValueError("this evidence was not judged")
    best, least = _best(case, case.plain_ratio), _least(case, case.plain_ratio)
    if case.band:
        slack = _slack(case)
        edge = case.band.low - slack
        return Margin(best, edge, slack, edge - CRITICAL_BELOW_LOW, least)
    plain = case.thresholds
    return Margin(best, plain.plain_low, 0.0, plain.plain_critical, least)


def nobodys(evidence: Evidence) -> Summary:
    """What a meter delivered while no vehicle was assigned to it."""
    reason = (
        f"no vehicle is assigned to meter {_meters(evidence)} meanwhile, so nobody knows what became of {_kwh(evidence.ac.energy_milliwh)}"
    )
    return _worded(evidence, _Case.of(evidence, Thresholds("plain"), True, None, None), Verdict.UNMAPPED, None, reason)


def _worded(evidence: Evidence, case: "_Case", verdict: Verdict, severity: Severity | None, reason: str) -> Summary:
    own_loss = to_kwh(evidence.ac.energy_milliwh - evidence.dc_here_milliwh)
    # By position: with names this call takes twice as long, and a fleet makes thousands of them in a tick.
    return Summary(
        evidence,
        to_kwh(evidence.ac.energy_milliwh),
        to_kwh(evidence.dc.energy_milliwh),
        case.ratio,
        None if case.shared or case.ratio is None else own_loss,
        case.uncertainty,
        case.band,
        evidence.dc.coverage,
        evidence.ac.coverage,
        evidence.dc.readings,
        evidence.ac.readings,
        evidence.meter_ids,
        evidence.avg_battery_temp_c,
        verdict,
        severity,
        reason,
    )


@dataclass(frozen=True, slots=True)
class _Case:
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
    def of(evidence: Evidence, thresholds: Thresholds, shared: bool, learned: Learned | None, is_dc: bool | None) -> "_Case":
        expected = None
        plain_ac = evidence.plain_ac_milliwh - evidence.apart.idle_ac
        if thresholds.use == "band" and plain_ac > 0 and evidence.plain_charging_s:
            expected = band(to_kwh(plain_ac), evidence.plain_charging_s / 3600, None if shared else learned, is_dc)
        # A meter that only fed standby gives no efficiency: 13 kWh charged elsewhere over 0.2 kWh here is not 6,400 %.
        dc_moved, ac_moved = evidence.dc.moved, evidence.ac.moved
        # Nor does one whose vehicle was silent: nothing that is not known is 0.
        silent = not evidence.dc.readings or (evidence.dc.due and not evidence.dc.received)
        ratio = _ratio(evidence.dc_here_milliwh, evidence.ac.energy_milliwh) if ac_moved and not silent else None
        return _Case(
            evidence,
            thresholds,
            shared,
            dc_moved,
            ac_moved,
            ratio,
            plain_ac_milliwh=plain_ac,
            plain_ratio=_ratio(evidence.plain_dc_milliwh - evidence.apart.idle_dc - evidence.elsewhere_milliwh, plain_ac)
            if plain_ac > 0
            else ratio,
            filled_ratio=_ratio(evidence.apart.filled_dc, evidence.apart.filled_ac),
            uncertainty=uncertainty(evidence.dc, evidence.ac) if ratio is not None else None,
            band=expected if ratio is not None else None,
        )


def _ratio(dc_milliwh: int, ac_milliwh: int) -> float | None:
    return dc_milliwh / ac_milliwh if ac_milliwh > 0 else None


_Found = tuple[Verdict, Severity | None, str] | None


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.1f} %"


def _kwh(milliwh: int) -> str:
    return f"{to_kwh(milliwh):.2f} kWh"


def _meters(evidence: Evidence) -> str:
    return ", ".join(evidence.meter_ids)


def _unmapped(case: _Case) -> _Found:
    if case.evidence.meter_ids:
        return None
    return (
        Verdict.UNMAPPED,
        None,
        "no meter is assigned to this vehicle in the window, so nobody knows what its charging took from the grid",
    )


def _not_charging(case: _Case) -> _Found:
    if case.dc_moved or case.ac_moved:
        return None
    return Verdict.NOT_CHARGING, None, "neither the vehicle nor its meter saw more energy than standby explains"


def _charged_elsewhere(case: _Case) -> _Found:
    evidence = case.evidence
    if not (case.dc_moved and evidence.ac.received and not case.ac_moved):
        return None
    return (
        Verdict.CHARGED_ELSEWHERE,
        None,
        f"{_kwh(evidence.dc.energy_milliwh)} reached the battery while meter {_meters(evidence)} reported and did not move",
    )


def _insufficient_data(case: _Case) -> _Found:
    for lacks in _LACKS:
        if lacking := lacks(case):
            return Verdict.INSUFFICIENT_DATA, None, lacking
    return None


def _lacks_stream(case: _Case) -> str | None:
    dc, ac = case.evidence.dc, case.evidence.ac
    if case.dc_moved and not ac.received:
        return f"the vehicle charged {_kwh(dc.energy_milliwh)} but meter {_meters(case.evidence)} was silent meanwhile"
    if case.ac_moved and not dc.received:
        return f"meter {_meters(case.evidence)} delivered {_kwh(ac.energy_milliwh)} but the vehicle was silent meanwhile"
    return None


def _lacks_coverage(case: _Case) -> str | None:
    for name, stream in (("vehicle", case.evidence.dc), ("meter", case.evidence.ac)):
        if not _ample(stream.coverage):
            return f"only {stream.received} of {stream.due} readings due from the {name} while charging ({_percent(stream.coverage or 0)}; 80 % are needed)"
    return None


def _ample(coverage: float | None) -> bool:
    return coverage is None or coverage >= ENOUGH_COVERAGE


def _lacks_energy(case: _Case) -> str | None:
    whole = case.evidence.ac.energy_milliwh
    judged = whole if case.evidence.set_aside_buckets or case.plain_ac_milliwh <= 0 else case.plain_ac_milliwh
    if judged >= ENOUGH_AC_MILLIWH:
        return None
    apart = f" while charging, {_kwh(whole - judged)} of standby apart," if judged < whole else ""
    return f"{_kwh(judged)} from the grid{apart} is too little to judge (1 kWh is needed)"


def _lacks_resolution(case: _Case) -> str | None:
    if case.uncertainty is None or case.uncertainty <= MOST_UNCERTAINTY:
        return None
    return f"uncertain by ±{_percent(case.uncertainty)}: the counters' steps are coarse for {_kwh(case.evidence.ac.energy_milliwh)} (±6 % is the most)"


_LACKS: tuple[Callable[[_Case], str | None], ...] = (_lacks_stream, _lacks_coverage, _lacks_energy, _lacks_resolution)


def _shared_meter(case: _Case) -> _Found:
    if not case.shared or case.ratio is None:
        return None
    evidence = case.evidence
    return (
        Verdict.SHARED_METER,
        None,
        f"meter {_meters(evidence)} feeds {len(evidence.group)} vehicles at once: {_percent(case.ratio)} is theirs together",
    )


def _suspect_measurement(case: _Case) -> _Found:
    ratio, slack, evidence = case.ratio, case.uncertainty, case.evidence
    if ratio is None or slack is None:
        return None
    if min(ratio, ratio if case.filled_ratio is None else case.filled_ratio) > IMPOSSIBLE_RATIO + slack:
        return (
            Verdict.SUSPECT_MEASUREMENT,
            None,
            f"{_percent(ratio)} is more than a charger can give (102 % ± {_percent(slack)}): one of the two measures wrongly",
        )
    if evidence.stuck_s >= STUCK_S and evidence.stuck_ac_milliwh > STUCK_AC_MILLIWH:
        minutes = evidence.stuck_s // 60
        return (
            Verdict.SUSPECT_MEASUREMENT,
            None,
            f"the vehicle reported exactly 0 kWh for {minutes} min while the meter delivered {_kwh(evidence.stuck_ac_milliwh)}: a frozen counter?",
        )
    return None


def _conditioning(case: _Case) -> _Found:
    evidence = case.evidence
    if not evidence.set_aside_buckets or case.plain_ac_milliwh >= ENOUGH_AC_MILLIWH:
        return None
    return (
        Verdict.CONDITIONING,
        None,
        f"{_kwh(evidence.ac.energy_milliwh - evidence.plain_ac_milliwh)} of the grid's energy went while the battery was warmed up or full; what remains is too little to judge",
    )


def _low(case: _Case) -> _Found:
    if case.plain_ratio is None:
        return None
    ratio = _best(case, case.plain_ratio)
    if case.band:
        return _low_by_band(ratio, _slack(case), case.band, _left_out(case))
    return _low_by_threshold(case, ratio)


def _best(case: _Case, plain_ratio: float) -> float:
    """What is missing is not held against the charger: low is what is low as reported and with the gaps filled in."""
    return max(plain_ratio, plain_ratio if case.filled_ratio is None else case.filled_ratio)


def _least(case: _Case, plain_ratio: float) -> float:
    """Nor for it: where the meter's readings are missing, the efficiency as reported is too good."""
    return min(plain_ratio, plain_ratio if case.filled_ratio is None else case.filled_ratio)


def _slack(case: _Case) -> float:
    """The uncertainty of what is judged: of a part, it is that part's own, and the two sides' readings do not end at the second where it begins."""
    evidence = case.evidence
    if case.plain_ac_milliwh == evidence.ac.energy_milliwh:
        return case.uncertainty or 0.0
    slack = uncertainty(evidence.dc, evidence.ac, case.plain_ac_milliwh) or 0.0
    if not evidence.set_aside_buckets or not evidence.plain_charging_s:
        return slack
    return slack + max(evidence.dc.rhythm_s, evidence.ac.rhythm_s) / evidence.plain_charging_s


def _left_out(case: _Case) -> str:
    parts = ["warm-up and full-battery stretches"] if case.evidence.set_aside_buckets else []
    if elsewhere := case.evidence.elsewhere_milliwh:
        parts.append(f"{_kwh(elsewhere)} charged elsewhere")
    return f" ({' and '.join(parts)} left out)" if parts else ""


def _low_by_band(ratio: float, slack: float, band: Band, left_out: str) -> _Found:
    edge = band.low - slack
    if ratio >= edge:
        return None
    severity: Severity = "critical" if ratio < edge - CRITICAL_BELOW_LOW else "warning"
    words = f"{_percent(ratio)}{left_out} is below the {_expected(band)}, uncertain by ±{_percent(slack)}"
    return Verdict.LOW, severity, words


_WHOSE = {"default": "expected", "peers": "expected of its model,", "learned": "expected of this vehicle,"}


def _expected(band: Band) -> str:
    return f"{_WHOSE[band.source]} {_percent(band.low)} to {_percent(band.high)}"


def _low_by_threshold(case: _Case, ratio: float) -> _Found:
    plain = case.thresholds
    if ratio >= plain.plain_low:
        return None
    severity: Severity = "critical" if ratio < plain.plain_critical else "warning"
    edge = plain.plain_critical if severity == "critical" else plain.plain_low
    why = " (no charging hours known)" if plain.use == "band" else ""
    return Verdict.LOW, severity, f"{_percent(ratio)} is below the plain threshold of {edge * 100:.0f} %{why}"


def _ok(case: _Case) -> _Found:
    assert case.plain_ratio is not None  # every rule before this one has made sure
    ratio = f"{_percent(case.plain_ratio)}{_left_out(case)}"
    if case.band:
        return Verdict.OK, None, f"{ratio} against the {_expected(case.band)}"
    return Verdict.OK, None, f"{ratio} is not below the plain threshold of {case.thresholds.plain_low * 100:.0f} %"


_RULES: tuple[Callable[[_Case], _Found], ...] = (
    _unmapped,
    _not_charging,
    _charged_elsewhere,
    _insufficient_data,
    _shared_meter,
    _suspect_measurement,
    _conditioning,
    _low,
    _ok,
)


def _first(case: _Case) -> tuple[Verdict, Severity | None, str]:
    for rule in _RULES:
        if found := rule(case):
            return found
    raise AssertionError  # the last rule always holds
