"""The simulated fleet obeys its physics, and is the same fleet whenever it is started."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest

from simulator import faults, fleet, physics
from simulator.noise import uniform
from simulator.trips import DAY_MIN, KM_PER_DEGREE
from simulator.world import Minute, World

# A Tuesday in July, so that no battery needs its heater; seed and day are arbitrary.
SUMMER = 20_647 * DAY_MIN + 605
VEHICLES = 200


def minutes(world: World, count: int) -> list[Minute]:
    return [world.next() for _ in range(count)]


@lru_cache(maxsize=4)
def a_day(sick: bool = False) -> tuple[fleet.Fleet, list[Minute]]:
    made = fleet.build(VEHICLES, seed=1)
    everybody = tuple(range(VEHICLES))
    ill = faults.Faults(members={"sick_charger": everybody}, points=dict.fromkeys(everybody, 6.0))
    return made, minutes(World(made, SUMMER, ill if sick else None), DAY_MIN)


def kwh(day: Iterable[Minute], column: str) -> np.ndarray:
    return np.asarray(np.sum([getattr(m, column) for m in day], axis=0) / 1000.0)


def chargers(**changes: float) -> physics.Chargers:
    one = {
        "rated_kw": 11.0,
        "loss_share": 0.06,
        "loss_kw": 0.3,
        "battery_kwh": 60.0,
        "taper_kw_per_pct": 0.98,
        "heater_kw": 2.0,
        "standby_kw": 0.005,
        "stop_at_soc_pct": 100.0,
        "loss_per_kw": 0.0,
    }
    return physics.Chargers(**{name: np.array([value]) for name, value in (one | changes).items()})


@pytest.mark.parametrize("soc", [20.0, 89.0, 95.0, 99.9])
@pytest.mark.parametrize("heater_kw", [0.0, 2.0])
def test_energy_is_conserved(soc: float, heater_kw: float) -> None:
    """AC = DC + a · AC + b + heater, in bulk and in taper."""
    ac, dc = physics.charging_power_kw(chargers(), np.array([soc]), np.array([heater_kw]), np.array([11.0]))
    assert ac == pytest.approx(dc + 0.06 * ac + 0.3 + heater_kw)


def test_power_tapers_above_about_90_percent_down_to_1_kw() -> None:
    soc = np.array([50.0, 89.0, 95.0, 100.0])
    _, dc = physics.charging_power_kw(chargers(), soc, np.zeros(1), np.array([11.0]))
    assert dc[0] == dc[1] == pytest.approx(11.0 * 0.94 - 0.3)
    assert dc[2:] == pytest.approx([5.9, 1.0])


def test_a_cold_battery_is_heated_for_half_an_hour() -> None:
    cold, warm = np.array([4.0]), np.array([12.0])
    assert physics.heater_draw_kw(chargers(), cold, np.array([29.0])) == 2.0
    assert physics.heater_draw_kw(chargers(), cold, np.array([30.0])) == 0.0
    assert physics.heater_draw_kw(chargers(), warm, np.array([0.0])) == 0.0


def test_a_heater_leaves_something_for_the_battery_at_a_weak_socket() -> None:
    weak = chargers(rated_kw=2.3, heater_kw=3.0)
    heater = physics.heater_draw_kw(weak, np.array([0.0]), np.zeros(1))
    _, dc = physics.charging_power_kw(weak, np.array([30.0]), heater, np.array([2.3]))
    assert dc > 0.0


def test_a_battery_warms_by_three_tenths_of_a_degree_per_kwh() -> None:
    assert physics.heat_after_minute(np.zeros(1), np.ones(1), np.full(1, 20.0)) == pytest.approx(0.3, rel=0.01)
    assert physics.heat_after_minute(np.full(1, 20.0), np.ones(1), np.full(1, 30.0)) < 20.0


def test_a_counter_shows_whole_steps_only() -> None:
    assert physics.counter_ticks(np.array([0.299, 0.3, 0.1 + 0.2]), 100.0).tolist() == [2.0, 3.0, 3.0]


def test_noise_depends_on_its_keys_alone() -> None:
    whole = uniform(1, "x", np.arange(100), 7)
    assert uniform(1, "x", np.arange(50, 60), 7).tolist() == whole[50:60].tolist()
    assert uniform(2, "x", np.arange(100), 7).tolist() != whole.tolist()
    assert uniform(1, "y", np.arange(100), 7).tolist() != whole.tolist()
    assert 0.4 < uniform(1, "x", np.arange(1000)).mean() < 0.6


@pytest.mark.parametrize("earlier", [4, 5, 9])
def test_the_world_is_the_same_wherever_its_simulation_began(earlier: int) -> None:
    made = fleet.build(60, seed=3)
    monday_morning = 20_653 * DAY_MIN + 300  # the longest rest lies just behind
    usual, other = World(made, monday_morning), World(made, monday_morning, warm_up_days=earlier)
    assert usual.settled
    for one, two in zip(minutes(usual, 300), minutes(other, 300), strict=True):
        for column, values in vars(one).items():
            assert np.array_equal(values, getattr(two, column)), column


def test_a_restart_in_the_middle_of_a_minute_stream_continues_it() -> None:
    made = fleet.build(40, seed=3)
    through = minutes(World(made, SUMMER), 90)
    again = minutes(World(made, SUMMER + 60), 30)
    for one, two in zip(through[60:], again, strict=True):
        assert np.array_equal(one.ac_wh, two.ac_wh)
        assert np.array_equal(one.dc_wh, two.dc_wh)


def test_a_vehicle_is_the_same_in_a_fleet_of_any_size() -> None:
    assert fleet.build(7, seed=5).vehicles == fleet.build(90, seed=5).vehicles[:7]


def test_the_mix_of_chargers_is_exact() -> None:
    rated = [v.rated_kw for v in fleet.build(VEHICLES, seed=9).vehicles]
    assert [rated.count(kw) for kw in (11.0, 7.4, 3.7, 2.3)] == [120, 40, 20, 10]
    assert sum(50.0 <= kw <= 150.0 for kw in rated) == 10


def test_ids_are_unique_and_cities_many() -> None:
    vehicles = fleet.build(VEHICLES, seed=1).vehicles
    assert len({v.vehicle_id for v in vehicles}) == len({v.meter_id for v in vehicles}) == VEHICLES
    assert len({v.site.site_id for v in vehicles}) >= 10


def test_a_fleet_needs_a_vehicle() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fleet.build(0, seed=1)


def test_each_class_is_about_as_efficient_as_its_losses_say() -> None:
    """Below its figure at full power, because a taper spreads the electronics' share over less energy; never above it."""
    made, day = a_day()
    ac, dc = kwh(day, "ac_wh"), kwh(day, "dc_wh")
    expected = physics.expected_efficiency(made.chargers)
    for rated in np.unique(made.chargers.rated_kw):
        charged = (made.chargers.rated_kw == rated) & (ac > 5.0)
        ratio = dc[charged].sum() / ac[charged].sum()
        assert expected[charged].mean() - 0.03 < ratio < expected[charged].mean() + 0.005, rated


def test_slow_sockets_are_less_efficient_than_wallboxes() -> None:
    made, day = a_day()
    ac, dc = kwh(day, "ac_wh"), kwh(day, "dc_wh")
    ratio = [dc[made.chargers.rated_kw == kw].sum() / ac[made.chargers.rated_kw == kw].sum() for kw in (2.3, 3.7, 11.0)]
    assert ratio == sorted(ratio)


def test_a_sick_charger_loses_its_points() -> None:
    made, day = a_day()
    _, sick = a_day(sick=True)
    at_11 = made.chargers.rated_kw == 11.0
    healthy = kwh(day, "dc_wh")[at_11].sum() / kwh(day, "ac_wh")[at_11].sum()
    ill = kwh(sick, "dc_wh")[at_11].sum() / kwh(sick, "ac_wh")[at_11].sum()
    assert healthy - ill == pytest.approx(0.06, abs=0.012)


def test_everybody_stays_within_the_limits_of_the_wire() -> None:
    _, day = a_day()
    soc = np.array([m.soc_pct for m in day])
    volts = np.array([m.voltage_v for m in day])
    assert soc.min() >= 0.0
    assert soc.max() <= 100.0
    assert volts.min() >= 220.0
    assert volts.max() < 430.0
    assert min(m.dc_wh.min() for m in day) >= 0
    assert min(m.ac_wh.min() for m in day) >= 0
    assert max(m.ac_wh.max() for m in day) < 50_000


def test_nobody_gains_charge_on_the_road() -> None:
    _, day = a_day()
    for one, two in pairwise(day):
        on_the_road = one.driving & two.driving
        assert not (two.soc_pct > one.soc_pct + 1e-9)[on_the_road].any()


def test_energy_into_the_battery_is_what_its_charge_rises_by() -> None:
    """Over the stretches in which a van stands: SoC · capacity = DC, but for one step of a coarse counter."""
    made, day = a_day()
    soc = np.array([m.soc_pct for m in day])
    parked = ~np.array([m.driving for m in day])
    rises = np.clip(np.diff(soc, axis=0), 0, None) * (parked[1:] & parked[:-1])
    stored = rises.sum(axis=0) / 100.0 * made.chargers.battery_kwh
    assert np.abs(stored - kwh(day, "dc_wh")).max() < 3.0  # a minute at 150 kW


def test_somebody_charges_at_any_time() -> None:
    _, day = a_day()
    assert min((m.dc_wh > 0).sum() for m in day) >= 1


def test_vans_drive_out_and_come_home() -> None:
    made, day = a_day()
    home = np.array([(v.latitude, v.longitude) for v in made.vehicles])
    away = np.array([_km(home, m) for m in day])
    driving = np.array([m.driving for m in day])
    assert away[~driving].max() == 0.0
    assert away.max() < 25.0
    assert 0.3 < driving[DAY_MIN // 10 : DAY_MIN // 3].mean() < 1.0
    steps = np.abs(np.diff(away, axis=0))
    assert steps.max() < 5.0, "no van leaps across the map"


def _km(home: np.ndarray, minute: Minute) -> np.ndarray:
    north = (minute.latitude - home[:, 0]) * KM_PER_DEGREE
    east = (minute.longitude - home[:, 1]) * KM_PER_DEGREE * np.cos(np.radians(home[:, 0]))
    return np.asarray(np.hypot(north, east))


def test_a_meter_of_a_van_that_charges_elsewhere_only_idles() -> None:
    made = fleet.build(20, seed=1)
    everybody = faults.Faults(members={"charges_elsewhere": tuple(range(20))})
    day = minutes(World(made, SUMMER, everybody), DAY_MIN)
    assert kwh(day, "ac_wh").max() < 0.25
    assert kwh(day, "dc_wh").sum() > 100.0


def test_faults_are_few_disjoint_and_drawn_from_the_seed() -> None:
    made = fleet.build(VEHICLES, seed=1)
    assigned = faults.assign(made)
    chosen = [i for members in assigned.members.values() for i in members]
    assert len(chosen) == len(set(chosen)) == 12
    assert sorted(assigned.points.values()) == [6.0, 9.0, 12.0, 18.0]
    assert faults.assign(made) == assigned


@pytest.mark.parametrize("vehicles", [1, 3, 10])
def test_a_tiny_fleet_is_mostly_healthy(vehicles: int) -> None:
    assigned = faults.assign(fleet.build(vehicles, seed=1))
    assert sum(len(members) for members in assigned.members.values()) <= vehicles * 0.25
