"""When a judgement is one to act on."""

from dataclasses import replace

import numpy as np
import pytest

from charging.decisive import Course, at_best, decides
from charging.evidence import Evidence, Stream
from charging.policy import Policy
from charging.verdict import Summary, Verdict
from db.queries.course import course
from db.queries.weighing import CHARGING, LAST, MILLIWH, READINGS

HOUR = 3600
STEADY = Course(0, 60, 60)


def judged(efficiency: float, ac_kwh: float = 11.0, step_wh: float = 1.0, **more: object) -> tuple[Summary, Course]:
    """An hour at 11 kW."""
    ac = round(ac_kwh * 1e6)
    dc = round(ac * efficiency)
    of_dc, of_ac = (Stream(energy, 60, 60, 60, round(step_wh * 1000)) for energy in (dc, ac))
    evidence = Evidence(of_dc, of_ac, ("depot-1",), HOUR, dc, ac, HOUR)
    return Policy().judge("van-7", replace(evidence, **more)), STEADY  # type: ignore[arg-type]


def decided(summary: Summary, course: Course) -> bool:
    return decides(summary.evidence, Policy().margin("van-7", summary.evidence), lambda: course)


def test_clearly_low_and_clearly_within_the_band_decide() -> None:
    for efficiency, verdict in ((0.80, Verdict.LOW), (0.92, Verdict.OK)):
        summary, course = judged(efficiency)
        assert summary.verdict is verdict
        assert decided(summary, course)


def test_below_the_band_by_less_than_the_uncertainty_does_not() -> None:
    summary, course = judged(0.875)
    assert summary.verdict is Verdict.OK
    assert not decided(summary, course)


def test_within_the_band_only_because_readings_of_the_meter_are_missing_does_not() -> None:
    summary, course = judged(0.92)
    margin = Policy().margin("van-7", summary.evidence)
    assert decides(summary.evidence, margin, lambda: course)
    assert not decides(summary.evidence, replace(margin, least=0.88), lambda: course)


@pytest.mark.parametrize(
    ("course", "is_decided"),
    [(Course(0, 60, 60), True), (Course(0, 60, 56), False), (Course(0, 60, 59), True), (Course(2_000_000, 60, 60), False), (Course(-2_000_000, 60, 60), True)],
)  # fmt: skip
def test_readings_on_their_way_and_clocks_apart_while_the_power_falls_are_given_the_benefit(course: Course, is_decided: bool) -> None:
    summary, _ = judged(0.84)
    assert summary.verdict is Verdict.LOW
    assert decided(summary, course) == is_decided


def test_energy_that_met_an_unmoved_counter_is_left_out_until_it_is_called_suspect() -> None:
    summary, course = judged(0.75, stuck_s=900, stuck_ac_milliwh=2_700_000)
    assert summary.verdict is Verdict.LOW
    assert not decided(summary, course)
    assert at_best(summary.evidence, Policy().margin("van-7", summary.evidence), course) == pytest.approx(0.75 * 11 / 8.3, abs=0.01)


def test_a_coarse_counter_that_shows_energy_every_third_minute_is_not_taken_for_readings_on_their_way() -> None:
    summary, _ = judged(0.60, ac_kwh=3.7, step_wh=70)
    assert summary.verdict is Verdict.LOW
    assert decided(summary, Course(0, 60, 14))


def quarter(milliwh: int, charging: int, readings: int = 15) -> list[int]:
    """As a side of the weighing has it."""
    found = [0] * 10
    found[READINGS], found[CHARGING], found[MILLIWH], found[LAST] = readings, charging, milliwh, 890_000_000
    return found


def test_where_the_power_falls_below_a_coarse_counters_step_its_readings_without_energy_are_there_all_the_same() -> None:
    """11 kW, then a taper of 3 kW, on a counter of 100 Wh: energy in each reading, then in every second one."""
    evidence = Evidence(Stream(0, 60, 60, 60, 100_000), Stream(0, 60, 60, 60, 1_000))
    ac = np.array([quarter(2_750_000, 15), quarter(750_000, 15)]).T
    dc = np.array([quarter(2_400_000, 15), quarter(650_000, 7)]).T
    assert course(dc, ac, evidence)[1:] == (30, 30)
    on_their_way = np.array([quarter(2_400_000, 15), quarter(400_000, 4, readings=9)]).T
    assert course(on_their_way, ac, evidence)[1:] == (30, 24)
    stuck = np.array([quarter(2_400_000, 15), quarter(0, 0)]).T
    assert course(stuck, ac, evidence)[1:] == (30, 15)
    assert course(np.array([quarter(1_200_000, 8), quarter(650_000, 15)]).T, ac, evidence)[2] == 23
