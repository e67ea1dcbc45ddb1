"""A fault that begins at a known minute changes what physics says it must, from that minute on, and nothing else."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from simulator import conditions, faults, fleet, physics, scenario, travel
from simulator.faults import Faults
from simulator.fleet import METERS, VEHICLES, Fleet
from simulator.trips import DAY_MIN, KM_PER_DEGREE, utc_offset_min
from simulator.world import World

MONDAY = 20_472 * DAY_MIN  # 19 January 2026
DAYS = 2
N = 120
AC_KINDS = ("sick_charger", "resistance")


class Course:
    """What every vehicle and meter did, a row per minute from MONDAY on and a column per vehicle."""

    def __init__(self, made: Fleet, ill: Faults | None) -> None:
        world = World(made, MONDAY, ill)
        minutes = [world.next() for _ in range(DAYS * DAY_MIN)]
        self.columns = {name: np.array([getattr(m, name) for m in minutes]) for name in vars(minutes[0]) if name != "minute"}
        self.ac_wh, self.dc_wh, self.soc = (self.columns[name] for name in ("ac_wh", "dc_wh", "soc_pct"))
        self.charges = self.dc_wh > 0

    def differs(self, other: "Course") -> np.ndarray:
        """Where anything at all is not the same: (minutes, vehicles)."""
        return np.asarray(np.any([self.columns[name] != other.columns[name] for name in self.columns], axis=0))


@pytest.fixture(scope="module")
def made() -> Fleet:
    return fleet.build(N, seed=4)


@pytest.fixture(scope="module")
def drawn(made: Fleet) -> Faults:
    return scenario.draw(made, MONDAY, MONDAY + DAYS * DAY_MIN)


@pytest.fixture(scope="module")
def well(made: Fleet) -> Course:
    return Course(made, None)


@pytest.fixture(scope="module")
def ill(made: Fleet, drawn: Faults) -> Course:
    return Course(made, drawn)


def rows(drawn: Faults, kind: str) -> Iterator[tuple[int, int]]:
    """Each vehicle with this fault, and the row in which it begins."""
    return ((i, drawn.since_min[i] - MONDAY) for i in drawn.of(kind))


# --------------------------------------------------------------------------------------------------------------------- the onset


def test_whoever_has_no_physical_fault_is_the_same_to_the_last_bit(made: Fleet, drawn: Faults, well: Course, ill: Course) -> None:
    physical = {i for kind in (*AC_KINDS, "frozen_counter", "charges_elsewhere", "swapped_mapping") for i in drawn.of(kind)}
    others = sorted(set(range(N)) - physical)
    assert len(others) > N / 2
    assert not well.differs(ill)[:, others].any()


def test_a_sick_charger_shows_from_the_first_minute_it_charges_after_its_onset(drawn: Faults, well: Course, ill: Course) -> None:
    for kind in AC_KINDS:
        for i, onset in rows(drawn, kind):
            first = int(np.argmax(well.differs(ill)[:, i]))
            began = onset + int(np.argmax((well.ac_wh[onset:, i] > 20) & well.charges[onset:, i]))
            assert onset <= first
            assert abs(first - began) <= 1, (kind, i)


def test_a_counter_freezes_in_the_very_minute(drawn: Faults, well: Course, ill: Course) -> None:
    for i, onset in rows(drawn, "frozen_counter"):
        assert well.dc_wh[onset - 1 : onset + 1, i].all()
        assert int(np.argmax(well.differs(ill)[:, i])) == onset


@pytest.mark.parametrize("kind", ["charges_elsewhere", "swapped_mapping"])
def test_whoever_charges_at_another_place_leaves_for_it_in_the_very_minute(kind: str, drawn: Faults, well: Course, ill: Course) -> None:
    for i, onset in rows(drawn, kind):
        assert well.columns["driving"][onset : onset + conditions.MOVES_WITHIN_MIN, i].all()
        assert int(np.argmax(well.differs(ill)[:, i])) == onset + 1


# --------------------------------------------------------------------------------------------------------------------- what flows


def test_a_sick_charger_loses_its_points(made: Fleet, drawn: Faults, well: Course, ill: Course) -> None:
    for i, onset in rows(drawn, "sick_charger"):
        ratio = [c.dc_wh[onset:, i].sum() / c.ac_wh[onset:, i].sum() for c in (well, ill)]
        assert ratio[0] - ratio[1] == pytest.approx(0.06, abs=0.015), made.vehicles[i].rated_kw


def test_with_a_sick_charger_a_charge_takes_longer_and_fills_the_battery_as_well(
    made: Fleet, drawn: Faults, well: Course, ill: Course
) -> None:
    compared = 0
    for i, onset in rows(drawn, "sick_charger"):
        begin = onset + int(np.argmax(well.charges[onset:, i]))
        rest = slice(begin, begin + int(np.argmax(np.append(well.columns["driving"][begin:, i], True))))
        ended = [int(np.flatnonzero(c.charges[rest, i])[-1]) for c in (well, ill)]
        if rest.stop - begin - ended[0] < 60:
            continue  # its van leaves, or the days end, before it can be full
        lasted_min = int(well.charges[rest, i].sum())
        assert ended[1] > ended[0] or lasted_min < 15
        minute_wh = made.vehicles[i].rated_kw * 1000.0 / 60.0  # who stops before 100 % stops at the end of a minute
        assert ill.dc_wh[rest, i].sum() == pytest.approx(well.dc_wh[rest, i].sum(), abs=minute_wh + made.counter_wh[i])
        assert ill.soc[rest.stop - 1, i] == pytest.approx(well.soc[rest.stop - 1, i], abs=0.5)
        compared += 1
    assert compared >= 10


def test_a_sick_charger_draws_no_more_than_before(drawn: Faults, well: Course, ill: Course) -> None:
    sick = list(drawn.of("sick_charger"))
    assert ill.ac_wh[:, sick].max() <= well.ac_wh[:, sick].max() + 1


def test_a_sick_battery_warms_by_what_reaches_it(drawn: Faults, well: Course, ill: Course) -> None:
    """Six points less go in each minute, so it is never warmer than the healthy one while both charge for the first time."""
    for i, onset in rows(drawn, "sick_charger"):
        both = np.flatnonzero(well.charges[onset:, i] & ill.charges[onset:, i])[:60] + onset
        assert (ill.columns["battery_temp_c"][both, i] <= well.columns["battery_temp_c"][both, i] + 1e-9).all()


def one(**changes: float) -> physics.Chargers:
    values = {"rated_kw": 11.0, "loss_share": 0.06, "loss_kw": 0.3, "battery_kwh": 60.0, "taper_kw_per_pct": 0.98, "heater_kw": 0.0}
    values |= {"standby_kw": 0.005, "stop_at_soc_pct": 100.0, "loss_per_kw": 0.07 / 11.0}
    return physics.Chargers(**{name: np.array([value]) for name, value in (values | changes).items()})


@pytest.mark.parametrize("soc", [20.0, 89.0, 95.0, 99.9])
@pytest.mark.parametrize("supply_kw", [11.0, 3.7])
def test_energy_is_conserved_at_a_bad_contact(soc: float, supply_kw: float) -> None:
    """AC = DC + a · AC + b + r · AC² + heater."""
    ac, dc = physics.charging_power_kw(one(), np.array([soc]), np.array([0.4]), np.array([supply_kw]))
    assert ac == pytest.approx(dc + 0.06 * ac + 0.3 + 0.07 / 11.0 * ac**2 + 0.4)
    assert ac <= supply_kw + 1e-9


def test_a_bad_contact_loses_with_the_square_of_the_current() -> None:
    """7 points at 11 kW, a third of that at a third of the power; in kW a ninth."""

    def extra_kw(soc: float, supply_kw: float) -> tuple[float, float]:
        ac, dc = physics.charging_power_kw(one(), np.array([soc]), np.zeros(1), np.array([supply_kw]))
        return float(ac[0]), float((ac - dc - 0.06 * ac - 0.3)[0])

    full, slow, tapered = extra_kw(20.0, 11.0), extra_kw(20.0, 11.0 / 3.0), extra_kw(97.0, 11.0)
    assert full[1] == pytest.approx(0.07 * 11.0)
    assert slow[1] == pytest.approx(full[1] / 9.0)
    assert tapered[1] == pytest.approx(full[1] * (tapered[0] / 11.0) ** 2)
    assert tapered[0] < 6.0


def test_a_vehicle_with_a_bad_contact_loses_less_in_taper(made: Fleet, drawn: Faults, well: Course, ill: Course) -> None:
    """What it loses more than a healthy one, as a share of the AC energy: seven points at full power, far less when power has fallen."""
    tapers = 0
    for i, onset in rows(drawn, "resistance"):
        rated_wh, after = made.vehicles[i].rated_kw * 1000.0 / 60.0, np.arange(len(ill.soc)) > onset
        full = after & (well.ac_wh[:, i] > 0.97 * rated_wh) & (ill.ac_wh[:, i] > 0.97 * rated_wh)
        lost = (well.dc_wh[full, i].sum() - ill.dc_wh[full, i].sum()) / ill.ac_wh[full, i].sum()
        assert lost == pytest.approx(0.07, abs=0.005)
        taper = after & (ill.soc[:, i] > 95.0) & (ill.ac_wh[:, i] > 20)
        if taper.sum() > 30 and rated_wh > 5_000 / 60:
            ac, dc = ill.ac_wh[taper, i].sum(), ill.dc_wh[taper, i].sum()
            healthy_loss = made.chargers.loss_share[i] * ac + made.chargers.loss_kw[i] * 1000.0 / 60.0 * taper.sum()
            assert (ac - dc - healthy_loss) / ac < 0.045
            tapers += 1
    assert tapers >= 1


def test_a_frozen_counter_makes_nothing_up(drawn: Faults, well: Course, ill: Course) -> None:
    for i, onset in rows(drawn, "frozen_counter"):
        end = drawn.until_min[i] - MONDAY
        assert 4 * 60 <= end - onset <= 10 * 60
        assert not ill.dc_wh[onset:end, i].any()
        assert well.dc_wh[onset:end, i].sum() > 2_000
        assert np.array_equal(ill.dc_wh[end:, i], well.dc_wh[end:, i])
        assert np.array_equal(ill.ac_wh[:, i], well.ac_wh[:, i])
        assert np.array_equal(ill.soc[:, i], well.soc[:, i])


def test_a_meter_of_a_vehicle_that_charges_elsewhere_only_idles_from_then_on(drawn: Faults, well: Course, ill: Course) -> None:
    for i, onset in rows(drawn, "charges_elsewhere"):
        assert ill.ac_wh[onset + 1 :, i].max() <= 1
        assert well.ac_wh[onset + 1 :, i].sum() > 1_000
        assert np.array_equal(ill.dc_wh[:, i], well.dc_wh[:, i])
        parked = ~ill.columns["driving"][:, i] & (np.arange(len(ill.soc)) > onset)
        north = (ill.columns["latitude"] - well.columns["latitude"])[parked, i] * KM_PER_DEGREE
        east = (ill.columns["longitude"] - well.columns["longitude"])[parked, i] * KM_PER_DEGREE
        east *= np.cos(np.radians(ill.columns["latitude"][parked, i]))
        assert np.hypot(north, east) == pytest.approx(4.0, rel=0.01)


def test_of_two_that_exchanged_their_chargers_each_meter_sees_the_other(made: Fleet, drawn: Faults, ill: Course) -> None:
    for i, onset in rows(drawn, "swapped_mapping"):
        other = drawn.partners[i]
        after = np.arange(len(ill.soc)) > onset
        alone = after & (ill.ac_wh[:, other] > 20) & (ill.ac_wh[:, i] <= 1)
        assert alone.sum() > 30
        assert ill.dc_wh[alone, other].sum() <= made.vehicles[other].model.counter_wh
        ratio = ill.dc_wh[alone, i].sum() / ill.ac_wh[alone, other].sum()
        assert 0.4 < ratio < 0.97
        parked = after & ~ill.columns["driving"][:, i]
        place = made.vehicles[other].latitude, made.vehicles[other].longitude
        assert ill.columns["latitude"][parked, i] == pytest.approx(place[0], abs=1e-9)
        assert ill.columns["longitude"][parked, i] == pytest.approx(place[1], abs=1e-9)


def test_an_exchange_loses_no_energy(drawn: Faults, made: Fleet, ill: Course) -> None:
    """The pair's meters together saw what both vehicles took and lost."""
    for i, onset in rows(drawn, "swapped_mapping"):
        pair = [i, drawn.partners[i]]
        ac, dc = ill.ac_wh[onset:, pair].sum(), ill.dc_wh[onset:, pair].sum()
        worst = (made.chargers.loss_share + made.chargers.loss_kw / made.chargers.rated_kw)[pair].max()
        assert 1.0 - worst - 0.12 < dc / ac < 0.96


def test_at_another_charger_the_weaker_side_decides(made: Fleet) -> None:
    rated = made.chargers.rated_kw
    strong, weak = (int(np.argmax(rated == kw)) for kw in (11.0, 3.7))
    swapped = Faults({"swapped_mapping": (strong, weak)}, since_min={strong: 10, weak: 10}, partners={strong: weak, weak: strong})
    before, after = (conditions.at(made, swapped, minute) for minute in (9, 10))
    assert before.chargers.rated_kw[[strong, weak]].tolist() == [11.0, 3.7]
    assert after.chargers.rated_kw[[strong, weak]].tolist() == [3.7, 3.7]
    assert after.plug[[strong, weak]].tolist() == [weak, strong]


# -------------------------------------------------------------------------------------------------------------------- on the way


def journeys(made: Fleet, drawn: Faults, stream: str) -> travel.Journey:
    days = [travel.of_day(made, drawn, stream, MONDAY // DAY_MIN + k) for k in range(DAYS)]
    return travel.Journey._make(np.concatenate(columns) for columns in zip(*days, strict=True))


@pytest.mark.parametrize("stream", [VEHICLES, METERS])
def test_a_clock_is_off_by_the_same_from_its_onset_on(stream: str, made: Fleet, drawn: Faults) -> None:
    off = journeys(made, drawn, stream).stamp_off_s
    for i, onset in rows(drawn, "clock_skew"):
        skew = drawn.skew_s[i] if drawn.streams[i] == stream else 0
        assert not off[:onset, i].any()
        assert set(off[onset:, i].tolist()) == {skew}
    assert {np.sign(skew) for skew in drawn.skew_s.values()} == {-1, 1}
    assert all(-600 < skew < 300 and skew % 60 == 30 for skew in drawn.skew_s.values())


@pytest.mark.parametrize("stream", [VEHICLES, METERS])
def test_now_and_then_a_stamp_lies_a_day_ahead(stream: str, made: Fleet, drawn: Faults) -> None:
    off = journeys(made, drawn, stream).stamp_off_s
    for i, onset in rows(drawn, "future_stamp"):
        ahead = np.flatnonzero(off[:, i])
        assert len(ahead) == 0 if drawn.streams[i] != stream else 3 <= len(ahead) <= 30
        assert (ahead >= onset).all()
        assert all(abs(by - 86_400) <= 60 and 5 <= by % 60 <= 55 for by in off[ahead, i].tolist()), "or it may be tomorrow's own stamp"
    well = [i for i in range(N) if i not in drawn.streams]
    assert not off[:, well].any()


def test_an_outage_silences_all_meters_of_one_site_and_nothing_else(made: Fleet, drawn: Faults) -> None:
    (outage,) = drawn.outages
    lost = journeys(made, drawn, METERS).lost
    there = np.array([v.site.site_id == outage.site_id for v in made.vehicles])
    assert 2 * 60 <= outage.until_min - outage.since_min <= 4 * 60
    assert lost[outage.since_min - MONDAY : outage.until_min - MONDAY, there].all()
    assert lost.sum() == (outage.until_min - outage.since_min) * there.sum()
    assert not journeys(made, drawn, VEHICLES).lost.any()


def test_an_outage_meets_vehicles_that_charge(made: Fleet, drawn: Faults, ill: Course) -> None:
    (outage,) = drawn.outages
    there = [i for i, v in enumerate(made.vehicles) if v.site.site_id == outage.site_id]
    dark = slice(outage.since_min - MONDAY, outage.until_min - MONDAY)
    assert (ill.dc_wh[dark, there].sum(axis=0) > 1_000).sum() >= 3
    local = outage.since_min + utc_offset_min(made.vehicles[there[0]].site.time_zone, MONDAY // DAY_MIN)
    assert 17 * 60 <= local % DAY_MIN < 19 * 60


def test_readings_are_late_or_sent_twice_only_once_that_has_begun(made: Fleet, drawn: Faults) -> None:
    later = replace(drawn, wire_since_min=MONDAY + 100)
    journey = journeys(made, later, METERS)
    for column, share in ((journey.delay_s, faults.LATE), (journey.copy_after_s, faults.DUPLICATES)):
        assert not column[:100].any()
        assert np.count_nonzero(column[100:]) / column[100:].size == pytest.approx(share, rel=0.1)
    assert journey.delay_s.max() <= faults.LATE_UP_TO_MIN * 60


# ------------------------------------------------------------------------------------------------------------------ who has what

WANTED = {
    "sick_charger": 24,
    "resistance": 4,
    "frozen_counter": 3,
    "charges_elsewhere": 4,
    "swapped_mapping": 4,
    "clock_skew": 3,
    "future_stamp": 3,
}


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_recording_of_120_has_every_kind_and_a_healthy_majority(seed: int) -> None:
    made = fleet.build(N, seed)
    drawn = scenario.draw(made, MONDAY, MONDAY + 3 * DAY_MIN)
    chosen = [i for members in drawn.members.values() for i in members]
    assert {kind: len(members) for kind, members in drawn.members.items()} == WANTED
    assert len(chosen) == len(set(chosen)) <= N / 2
    assert Counter(made.vehicles[i].rated_kw for i in drawn.of("sick_charger")) == {11.0: 15, 7.4: 5, 3.7: 3, 2.3: 1}
    assert not any(made.vehicles[i].model.is_dc for kind in (*AC_KINDS, "swapped_mapping") for i in drawn.of(kind))
    assert all(MONDAY <= drawn.since_min[i] < MONDAY + DAY_MIN / 2 for i in drawn.of("sick_charger"))
    assert all(MONDAY <= since < MONDAY + 2 * DAY_MIN for since in drawn.since_min.values())
    sites = {i: made.vehicles[i].site for i in chosen}
    assert all(sites[i] == sites[other] and drawn.partners[other] == i for i, other in drawn.partners.items())
    assert scenario.draw(made, MONDAY, MONDAY + 3 * DAY_MIN) == drawn


@pytest.mark.parametrize("vehicles", [1, 2, 3, 12, 40])
def test_half_of_a_small_fleet_stays_well(vehicles: int) -> None:
    drawn = scenario.draw(fleet.build(vehicles, seed=1), MONDAY, MONDAY + DAY_MIN)
    assert sum(len(members) for members in drawn.members.values()) <= vehicles / 2


def test_what_would_begin_after_the_end_is_left_out(made: Fleet) -> None:
    drawn = scenario.draw(made, MONDAY, MONDAY + 360)
    begun = [i for members in drawn.members.values() for i in members]
    assert 0 < len(begun) < sum(WANTED.values())
    assert all(drawn.since_min[i] < MONDAY + 360 for i in begun)
    told = faults.truth(made, drawn, {})
    assert len(told["faults"]) == len(begun)
    assert set(drawn.points) <= set(begun)


def test_the_truth_says_when_and_how_much(made: Fleet, drawn: Faults) -> None:
    told = faults.truth(made, drawn, {})
    by_kind = {kind: [f for f in told["faults"] if f["kind"] == kind] for kind in (*WANTED, "site_outage")}
    i = drawn.of("sick_charger")[0]
    vehicle = made.vehicles[i]
    onset = str(np.datetime64(drawn.since_min[i], "m")) + ":00+00:00"
    assert by_kind["sick_charger"][0] == {
        "kind": "sick_charger",
        "vehicleId": vehicle.vehicle_id,
        "meterId": vehicle.meter_id,
        "lostPoints": 6.0,
        "onset": onset,
    }
    assert {f["lostPoints"] for f in by_kind["resistance"]} == {7.0}
    assert all(f["end"] > f["onset"] for f in by_kind["frozen_counter"])
    assert {f["chargesAtMeterId"] for f in by_kind["swapped_mapping"]} == {f["meterId"] for f in by_kind["swapped_mapping"]}
    assert {f["skewSeconds"] for f in by_kind["clock_skew"]} == set(drawn.skew_s.values())
    assert len(by_kind["site_outage"][0]["meterIds"]) == 10


def test_the_truth_about_a_charger_is_its_efficiency_with_the_fault(made: Fleet, drawn: Faults) -> None:
    told = {v["vehicleId"]: v for v in faults.truth(made, drawn, {})["vehicles"]}
    expected = physics.expected_efficiency(conditions.at(made, drawn, MONDAY + DAYS * DAY_MIN).chargers)
    for i, vehicle in enumerate(made.vehicles):
        if i not in drawn.partners:
            assert told[vehicle.vehicle_id]["efficiencyAtFullPower"] == pytest.approx(expected[i], abs=1e-5)
