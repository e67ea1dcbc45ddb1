"""What may be said about an efficiency, and why: the first rule that holds, in words a technician can act on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from charging.band import Band, Learned
from charging.case import CRITICAL_BELOW_LOW, Case, Severity, Thresholds, best_of, slack_of
from charging.evidence import Evidence, together
from charging.units import MILLIWH_PER_KWH, to_kwh

__all__ = ["Severity", "Summary", "Thresholds", "Verdict", "nobodys", "summarise"]

ENOUGH_COVERAGE = 0.8
ENOUGH_AC_MILLIWH = MILLIWH_PER_KWH
MOST_UNCERTAINTY = 0.06
IMPOSSIBLE_RATIO = 1.02
STUCK_S = 30 * 60
STUCK_AC_MILLIWH = MILLIWH_PER_KWH


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
    case = Case.of(judged, thresholds, bool(group), learned, is_dc)
    verdict, severity, reason = first(case)
    return _worded(evidence, case, verdict, severity, reason)


def nobodys(evidence: Evidence) -> Summary:
    """What a meter delivered while no vehicle was assigned to it."""
    reason = (
        f"no vehicle is assigned to meter {_meters(evidence)} meanwhile, so nobody knows what became of {_kwh(evidence.ac.energy_milliwh)}"
    )
    return _worded(evidence, Case.of(evidence, Thresholds("plain"), True, None, None), Verdict.UNMAPPED, None, reason)


def _worded(evidence: Evidence, case: "Case", verdict: Verdict, severity: Severity | None, reason: str) -> Summary:
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


_Found = tuple[Verdict, Severity | None, str] | None


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.1f} %"


def _kwh(milliwh: int) -> str:
    return f"{to_kwh(milliwh):.2f} kWh"


def _meters(evidence: Evidence) -> str:
    return ", ".join(evidence.meter_ids)


def _unmapped(case: Case) -> _Found:
    if case.evidence.meter_ids:
        return None
    return (
        Verdict.UNMAPPED,
        None,
        "no meter is assigned to this vehicle in the window, so nobody knows what its charging took from the grid",
    )


def _not_charging(case: Case) -> _Found:
    if case.dc_moved or case.ac_moved:
        return None
    return Verdict.NOT_CHARGING, None, "neither the vehicle nor its meter saw more energy than standby explains"


def _charged_elsewhere(case: Case) -> _Found:
    evidence = case.evidence
    if not (case.dc_moved and evidence.ac.received and not case.ac_moved):
        return None
    return (
        Verdict.CHARGED_ELSEWHERE,
        None,
        f"{_kwh(evidence.dc.energy_milliwh)} reached the battery while meter {_meters(evidence)} reported and did not move",
    )


def _insufficient_data(case: Case) -> _Found:
    for lacks in _LACKS:
        if lacking := lacks(case):
            return Verdict.INSUFFICIENT_DATA, None, lacking
    return None


def _lacks_stream(case: Case) -> str | None:
    dc, ac = case.evidence.dc, case.evidence.ac
    if case.dc_moved and not ac.received:
        return f"the vehicle charged {_kwh(dc.energy_milliwh)} but meter {_meters(case.evidence)} was silent meanwhile"
    if case.ac_moved and not dc.received:
        return f"meter {_meters(case.evidence)} delivered {_kwh(ac.energy_milliwh)} but the vehicle was silent meanwhile"
    return None


def _lacks_coverage(case: Case) -> str | None:
    for name, stream in (("vehicle", case.evidence.dc), ("meter", case.evidence.ac)):
        if not _ample(stream.coverage):
            return f"only {stream.received} of {stream.due} readings due from the {name} while charging ({_percent(stream.coverage or 0)}; 80 % are needed)"
    return None


def _ample(coverage: float | None) -> bool:
    return coverage is None or coverage >= ENOUGH_COVERAGE


def _lacks_energy(case: Case) -> str | None:
    whole = case.evidence.ac.energy_milliwh
    judged = whole if case.evidence.set_aside_buckets or case.plain_ac_milliwh <= 0 else case.plain_ac_milliwh
    if judged >= ENOUGH_AC_MILLIWH:
        return None
    apart = f" while charging, {_kwh(whole - judged)} of standby apart," if judged < whole else ""
    return f"{_kwh(judged)} from the grid{apart} is too little to judge (1 kWh is needed)"


def _lacks_resolution(case: Case) -> str | None:
    if case.uncertainty is None or case.uncertainty <= MOST_UNCERTAINTY:
        return None
    return f"uncertain by ±{_percent(case.uncertainty)}: the counters' steps are coarse for {_kwh(case.evidence.ac.energy_milliwh)} (±6 % is the most)"


_LACKS: tuple[Callable[[Case], str | None], ...] = (_lacks_stream, _lacks_coverage, _lacks_energy, _lacks_resolution)


def _shared_meter(case: Case) -> _Found:
    if not case.shared or case.ratio is None:
        return None
    evidence = case.evidence
    return (
        Verdict.SHARED_METER,
        None,
        f"meter {_meters(evidence)} feeds {len(evidence.group)} vehicles at once: {_percent(case.ratio)} is theirs together",
    )


def _suspect_measurement(case: Case) -> _Found:
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


def _conditioning(case: Case) -> _Found:
    evidence = case.evidence
    if not evidence.set_aside_buckets or case.plain_ac_milliwh >= ENOUGH_AC_MILLIWH:
        return None
    return (
        Verdict.CONDITIONING,
        None,
        f"{_kwh(evidence.ac.energy_milliwh - evidence.plain_ac_milliwh)} of the grid's energy went while the battery was warmed up or full; what remains is too little to judge",
    )


def _low(case: Case) -> _Found:
    if case.plain_ratio is None:
        return None
    ratio = best_of(case, case.plain_ratio)
    if case.band:
        return _low_by_band(ratio, slack_of(case), case.band, _left_out(case))
    return _low_by_threshold(case, ratio)


def _left_out(case: Case) -> str:
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


def _low_by_threshold(case: Case, ratio: float) -> _Found:
    plain = case.thresholds
    if ratio >= plain.plain_low:
        return None
    severity: Severity = "critical" if ratio < plain.plain_critical else "warning"
    edge = plain.plain_critical if severity == "critical" else plain.plain_low
    why = " (no charging hours known)" if plain.use == "band" else ""
    return Verdict.LOW, severity, f"{_percent(ratio)} is below the plain threshold of {edge * 100:.0f} %{why}"


def _ok(case: Case) -> _Found:
    assert case.plain_ratio is not None  # every rule before this one has made sure
    ratio = f"{_percent(case.plain_ratio)}{_left_out(case)}"
    if case.band:
        return Verdict.OK, None, f"{ratio} against the {_expected(case.band)}"
    return Verdict.OK, None, f"{ratio} is not below the plain threshold of {case.thresholds.plain_low * 100:.0f} %"


_RULES: tuple[Callable[[Case], _Found], ...] = (
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


def first(case: Case) -> tuple[Verdict, Severity | None, str]:
    for rule in _RULES:
        if found := rule(case):
            return found
    raise AssertionError  # the last rule always holds
