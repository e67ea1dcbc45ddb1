"""Each row of the verdict's table with its boundary values."""

from dataclasses import replace

import pytest

from charging.band import default_band
from charging.evidence import Apart, Evidence, Stream, together
from charging.fleet import total
from charging.verdict import Summary, Thresholds, Verdict, nobodys, summarise

KWH = 1_000_000


def charged(dc_kwh: float = 18.4, ac_kwh: float = 20.0, minutes: int = 110, **changes: object) -> Evidence:
    """An ordinary charge at 11 kW, seen whole by both sides, counters fine to 1 Wh."""
    dc = Stream(round(dc_kwh * KWH), minutes, minutes, minutes, 1_000)
    ac = Stream(round(ac_kwh * KWH), minutes, minutes, minutes, 1_000)
    whole = Evidence(
        dc=dc,
        ac=ac,
        meter_ids=("depot-1",),
        charging_s=minutes * 60,
        plain_charging_s=minutes * 60,
        plain_dc_milliwh=dc.energy_milliwh,
        plain_ac_milliwh=ac.energy_milliwh,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def judged(evidence: Evidence, thresholds: Thresholds = Thresholds()) -> Summary:
    return summarise(evidence, thresholds)


def test_an_ordinary_charge_is_ok_and_says_against_what() -> None:
    summary = judged(charged())
    assert (summary.verdict, summary.severity) == (Verdict.OK, None)
    assert summary.reason == "92.0 % against the expected 88.3 % to 94.2 %"


def test_without_a_meter_it_is_unmapped() -> None:
    assert judged(charged(meter_ids=())).verdict is Verdict.UNMAPPED


@pytest.mark.parametrize(("milliwh", "verdict"), [(50_000, Verdict.NOT_CHARGING), (50_001, Verdict.INSUFFICIENT_DATA)])
def test_not_charging_up_to_a_twentieth_of_a_kwh(milliwh: int, verdict: Verdict) -> None:
    assert judged(Evidence(dc=Stream(0, 1, 1, 1), ac=Stream(milliwh, 1, 1, 1), meter_ids=("depot-1",))).verdict is verdict


@pytest.mark.parametrize(("milliwh", "moved"), [(240_000, False), (240_001, True)])
def test_a_day_of_ten_watts_is_standby_and_not_charging(milliwh: int, moved: bool) -> None:
    assert Stream(milliwh, 1_440, 1_440, 1_440).moved is moved


def test_dc_without_ac_at_a_reporting_meter_is_charged_elsewhere() -> None:
    quiet = Stream(0, 110, 110, 110)
    assert judged(charged(ac=quiet, plain_ac_milliwh=0)).verdict is Verdict.CHARGED_ELSEWHERE
    standby = judged(charged(dc_kwh=13.4, ac=Stream(200_000, 1_440, 110, 110), plain_ac_milliwh=200_000))
    assert (standby.verdict, standby.ratio, standby.loss_kwh, standby.uncertainty) == (Verdict.CHARGED_ELSEWHERE, None, None, None)


def test_dc_at_a_silent_meter_is_missing_data_and_not_a_bad_charger() -> None:
    summary = judged(charged(ac=Stream(0, 0, 0, 110), plain_ac_milliwh=0))
    assert (summary.verdict, summary.ratio) == (Verdict.INSUFFICIENT_DATA, None)
    assert "meter depot-1 was silent" in summary.reason


def test_ac_with_a_silent_vehicle_is_missing_data() -> None:
    assert "the vehicle was silent" in judged(charged(dc=Stream(0, 0, 0, 110), plain_dc_milliwh=0)).reason


@pytest.mark.parametrize(("received", "verdict"), [(88, Verdict.OK), (87, Verdict.INSUFFICIENT_DATA)])
@pytest.mark.parametrize("side", ["dc", "ac"])
def test_coverage_of_four_fifths_is_needed(side: str, received: int, verdict: Verdict) -> None:
    evidence = charged()
    stream = replace(getattr(evidence, side), received=received)
    assert judged(replace(evidence, **{side: stream})).verdict is verdict


@pytest.mark.parametrize(("ac_kwh", "verdict"), [(1.0, Verdict.OK), (0.999999, Verdict.INSUFFICIENT_DATA)])
def test_a_kwh_from_the_grid_is_needed(ac_kwh: float, verdict: Verdict) -> None:
    assert judged(charged(dc_kwh=0.9, ac_kwh=ac_kwh, minutes=6)).verdict is verdict


@pytest.mark.parametrize(("step", "verdict"), [(500_000, Verdict.OK), (500_001, Verdict.INSUFFICIENT_DATA)])
def test_an_uncertainty_of_six_percent_is_the_most(step: int, verdict: Verdict) -> None:
    evidence = charged()
    coarse = replace(evidence, dc=replace(evidence.dc, smallest_milliwh=step), ac=replace(evidence.ac, smallest_milliwh=500_000))
    assert judged(coarse).verdict is verdict


def test_a_shared_meter_blames_no_vehicle_and_gives_the_groups_ratio() -> None:
    one = charged(dc_kwh=10.0, group=("van-7", "van-8"))
    other = charged(dc_kwh=8.4, group=("van-7", "van-8"))
    summary = summarise(one, group=[one, other])
    assert (summary.verdict, summary.ratio, summary.loss_kwh, summary.dc_kwh) == (Verdict.SHARED_METER, 0.92, None, 10.0)


def test_more_out_than_in_is_a_suspect_measurement_beyond_its_uncertainty() -> None:
    assert judged(charged(dc_kwh=20.602)).verdict is Verdict.OK  # 1.0301 = 1.02 + u
    assert judged(charged(dc_kwh=20.61)).verdict is Verdict.SUSPECT_MEASUREMENT


@pytest.mark.parametrize(
    ("seconds", "milliwh", "verdict"),
    [(1800, 1_000_001, Verdict.SUSPECT_MEASUREMENT), (1800, 1_000_000, Verdict.OK), (900, 5_000_000, Verdict.OK)],
)
def test_a_counter_frozen_for_half_an_hour_is_a_suspect_measurement(seconds: int, milliwh: int, verdict: Verdict) -> None:
    assert judged(charged(stuck_s=seconds, stuck_ac_milliwh=milliwh)).verdict is verdict


def test_warming_up_is_conditioning_and_what_remains_decides() -> None:
    cold = charged(dc_kwh=1.0, ac_kwh=3.0, minutes=20, set_aside_buckets=2, plain_dc_milliwh=0, plain_ac_milliwh=999_999)
    assert judged(cold).verdict is Verdict.CONDITIONING
    cold_then_fine = charged(
        dc_kwh=15.0, ac_kwh=20.0, set_aside_buckets=4, plain_dc_milliwh=9_200_000, plain_ac_milliwh=10 * KWH, plain_charging_s=3300
    )
    assert judged(cold_then_fine).verdict is Verdict.OK


def test_low_begins_below_the_band_less_the_uncertainty() -> None:
    band = default_band(20.0, 110 / 60)
    edge = band.low - (0.002 / 20 + 0.01)
    assert judged(charged(dc_kwh=20 * edge + 0.0001)).verdict is Verdict.OK
    warning = judged(charged(dc_kwh=20 * edge - 0.0001))
    assert (warning.verdict, warning.severity) == (Verdict.LOW, "warning")
    critical = judged(charged(dc_kwh=20 * (edge - 0.10) - 0.0001))
    assert (critical.verdict, critical.severity) == (Verdict.LOW, "critical")


@pytest.mark.parametrize(
    ("dc_kwh", "verdict", "severity"),
    [(17.0, "ok", None), (16.9999, "low", "warning"), (15.0, "low", "warning"), (14.9999, "low", "critical")],
)
def test_plain_thresholds_are_taken_literally(dc_kwh: float, verdict: str, severity: str | None) -> None:
    summary = judged(charged(dc_kwh=dc_kwh), Thresholds(use="plain"))
    assert (summary.verdict, summary.severity) == (verdict, severity)


@pytest.mark.parametrize(("kw", "low"), [(11, 0.884), (7.4, 0.865), (3.7, 0.808), (2.3, 0.739)])
def test_the_default_bands_lower_edge_at_the_usual_powers(kw: float, low: float) -> None:
    assert default_band(kw, 1.0).low == pytest.approx(low, abs=0.0006)


def test_a_healthy_small_socket_is_ok() -> None:
    assert judged(charged(dc_kwh=8.0, ac_kwh=10.0, minutes=260)).verdict is Verdict.OK


def test_the_fleet_is_a_ratio_of_sums_over_ok_and_low_and_says_who_is_left_out() -> None:
    fleet = total([judged(charged()), judged(charged(dc_kwh=5.0, ac_kwh=10.0)), judged(charged(meter_ids=()))])
    assert (fleet.counted, fleet.left_out) == (2, {"unmapped": 1})
    assert fleet.efficiency == pytest.approx(23.4 / 30.0)
    assert fleet.loss_kwh == pytest.approx(6.6)


def test_a_dc_charger_has_a_band_of_its_own() -> None:
    assert default_band(50.0, 1.0).low == pytest.approx(1 - 0.09 - 0.6 / 50)
    assert default_band(22.0, 1.0).low == pytest.approx(1 - 0.078 - 0.422 / 22)


def test_what_is_not_known_is_never_zero() -> None:
    silent = judged(charged(dc=Stream(0, 0, 0, 110), plain_dc_milliwh=0))
    assert (silent.ratio, silent.loss_kwh, silent.uncertainty) == (None, None, None)
    nobody = nobodys(charged(dc=Stream(), plain_dc_milliwh=0))
    assert (nobody.verdict, nobody.ratio, nobody.loss_kwh, nobody.ac_kwh) == (Verdict.UNMAPPED, None, None, 20.0)
    assert "no vehicle is assigned to meter depot-1" in nobody.reason


def home_and_elsewhere(at_home: float, elsewhere: float) -> Evidence:
    """20 kWh from the own meter, and this much from another while the own one reported nothing."""
    both = at_home + elsewhere
    return charged(dc_kwh=both, apart=Apart(filled_dc=round(at_home * KWH), filled_ac=20 * KWH, elsewhere_dc=round(elsewhere * KWH)))


def test_a_charge_elsewhere_neither_hides_nor_blames_the_own_charger() -> None:
    fine = judged(home_and_elsewhere(18.4, 50))
    assert (fine.verdict, fine.ratio, fine.loss_kwh, fine.dc_kwh) == (Verdict.OK, 0.92, 1.6, 68.4)
    assert fine.reason.startswith("92.0 % (50.00 kWh charged elsewhere left out)")
    assert judged(home_and_elsewhere(16.0, 5)).verdict is Verdict.LOW
    assert total([fine]).efficiency == pytest.approx(0.92)


@pytest.mark.parametrize(("elsewhere", "ratio"), [(2.04, 1.02), (2.05, 0.918)])
def test_up_to_a_tenth_is_what_clocks_apart_explain_and_not_another_charger(elsewhere: float, ratio: float) -> None:
    assert judged(home_and_elsewhere(18.36, elsewhere)).ratio == pytest.approx(ratio, abs=0.0003)


def test_a_gap_is_not_held_against_the_charger_unless_it_is_low_without_it_too() -> None:
    """16.6 of 18.4 kWh were reported, for a tenth of the vehicle's readings is missing."""
    evidence = charged(dc_kwh=16.6, apart=Apart(filled_dc=round(18.4 * KWH), filled_ac=20 * KWH))
    assert judged(evidence).verdict is Verdict.OK
    assert judged(replace(evidence, apart=Apart(filled_dc=round(17.2 * KWH), filled_ac=20 * KWH))).verdict is Verdict.LOW
    # Without its own missing readings the meter gave more than was reported: no impossible charger either.
    more = charged(dc_kwh=20.7, apart=Apart(filled_dc=round(20.7 * KWH), filled_ac=22 * KWH))
    assert judged(more).verdict is Verdict.OK


def test_what_is_judged_is_without_the_idle_draw_and_has_an_uncertainty_of_its_own() -> None:
    """0.24 kWh of standby around a charge of 1.2 kWh is no bad charger; nor is a remainder of ten minutes below by what one reading is."""
    idle = charged(dc_kwh=1.07, ac_kwh=1.44, minutes=7, apart=Apart(idle_ac=240_000), plain_charging_s=390)
    assert judged(idle).verdict is Verdict.OK
    small = charged(
        dc_kwh=20.0, ac_kwh=25.0, set_aside_buckets=4, plain_dc_milliwh=1_470_000, plain_ac_milliwh=1_770_000, plain_charging_s=600
    )
    assert judged(small).verdict is Verdict.OK
    assert judged(replace(small, plain_charging_s=6_000, plain_dc_milliwh=14_700_000, plain_ac_milliwh=17_700_000)).verdict is Verdict.LOW


def test_a_groups_meter_is_due_whenever_one_of_them_charges() -> None:
    """The meter was silent while the second charged: neither is told that all is well."""
    first = charged(dc_kwh=10, group=("van-7", "van-8"))
    second = charged(dc_kwh=10, ac=Stream(20 * KWH, 110, 0, 110, 1_000), group=("van-8", "van-7"))
    assert together([first, second]).ac.coverage == 0.5
    assert summarise(first, group=[first, second]).verdict is Verdict.INSUFFICIENT_DATA
