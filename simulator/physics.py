"""What electricity does between the socket and the cells. Pure functions on numpy arrays, one element per vehicle.

Power is in kW, energy in kWh, state of charge in %, temperature in °C. While charging

    AC = DC + a · AC + b + r · AC² + heater

where `a` is the share lost in the on-board charger and the cables, `b` the electronics that run while charging, and `r` what a bad contact
adds: its loss grows with the square of the current, which is proportional to the power. Healthy chargers have r = 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.noise import Floats

MINUTE_H = 1.0 / 60.0
HEAT_C_PER_KWH = 0.3
COOLED_FROM_C = 38.0
COOLED_TO_C = 50.0
KEPT_EACH_MINUTE = float(np.exp(-1.0 / 300.0))
HEATER_BELOW_C = 12.0
HEATER_MINUTES = 30
TAPER_KW_WHEN_FULL = 1.0
TAPER_KW_PER_PCT = 0.98
DC_TAPER_FROM_PCT = 80.0
# A heater never takes more than this share of what would reach the battery: cars stuck at a weak socket heat less.
HEATER_LARGEST_SHARE = 0.6


@dataclass(frozen=True)
class Chargers:
    """One element per vehicle: what its charger, battery and meter are like. `loss_share` is a, `loss_kw` is b, `loss_per_kw` is r (1/kW)."""

    rated_kw: Floats
    loss_share: Floats
    loss_kw: Floats
    battery_kwh: Floats
    taper_kw_per_pct: Floats
    heater_kw: Floats
    standby_kw: Floats
    stop_at_soc_pct: Floats
    loss_per_kw: Floats


def taper_kw_per_pct(rated_kw: Floats, is_dc: NDArray[np.bool_]) -> Floats:
    """How fast the battery's limit rises below 100 % SoC, kW per percent.

    AC cars meet it near 90 %. A DC charger would then be throttled from half full, so its slope is set to begin at 80 %.
    """
    dc = (rated_kw - TAPER_KW_WHEN_FULL) / (100.0 - DC_TAPER_FROM_PCT)
    return np.where(is_dc, dc, TAPER_KW_PER_PCT)


def battery_limit_kw(soc_pct: Floats, slope_kw_per_pct: Floats) -> Floats:
    """The DC power a battery accepts at this state of charge, kW: 1 kW when full, more for each percent below."""
    return TAPER_KW_WHEN_FULL + slope_kw_per_pct * (100.0 - soc_pct)


def heater_draw_kw(chargers: Chargers, battery_temp_c: Floats, charged_min: Floats) -> Floats:
    """What the battery heater takes, kW: on below 12 °C, for the first half hour of a session."""
    wanted = np.where((battery_temp_c < HEATER_BELOW_C) & (charged_min < HEATER_MINUTES), chargers.heater_kw, 0.0)
    available = _past_the_losses_kw(chargers, chargers.rated_kw)
    return np.minimum(wanted, HEATER_LARGEST_SHARE * available)


def charging_power_kw(chargers: Chargers, soc_pct: Floats, heater_kw: Floats, supply_kw: Floats) -> tuple[Floats, Floats]:
    """(AC, DC) power in kW of vehicles that charge: what the supply allows, or less when the battery tapers."""
    dc_from_supply = _past_the_losses_kw(chargers, supply_kw) - heater_kw
    dc = np.minimum(dc_from_supply, battery_limit_kw(soc_pct, chargers.taper_kw_per_pct))
    return _ac_kw(chargers, dc + chargers.loss_kw + heater_kw), dc


def _past_the_losses_kw(chargers: Chargers, ac_kw: Floats) -> Floats:
    """What is left of this much AC power for battery and heater."""
    return np.asarray(ac_kw * (1.0 - chargers.loss_share) - chargers.loss_kw - chargers.loss_per_kw * ac_kw**2)


def _ac_kw(chargers: Chargers, needed_kw: Floats) -> Floats:
    """The AC power that gives this much to battery, heater and electronics: the smaller root of r · AC² - (1 - a) · AC + needed = 0.

    Written so that r = 0 gives exactly needed / (1 - a).
    """
    passed_on = 1.0 - chargers.loss_share
    return np.asarray(2.0 * needed_kw / (passed_on + np.sqrt(passed_on**2 - 4.0 * chargers.loss_per_kw * needed_kw)))


def soc_after(soc_pct: Floats, dc_kwh: Floats, battery_kwh: Floats) -> Floats:
    """State of charge in % after this much DC energy, never above 100."""
    return np.minimum(100.0, soc_pct + 100.0 * dc_kwh / battery_kwh)


def heat_after_minute(heat_c: Floats, dc_kwh: Floats, ambient_c: Floats) -> Floats:
    """How much warmer than its surroundings a battery is, °C: 0.3 for each kWh charged, fading within hours.

    From 38 °C on the vehicle cools it, the harder the hotter: nothing is added at 50 °C.
    """
    uncooled = np.clip((COOLED_TO_C - ambient_c - heat_c) / (COOLED_TO_C - COOLED_FROM_C), 0.0, 1.0)
    return np.asarray((heat_c + HEAT_C_PER_KWH * dc_kwh * uncooled) * KEPT_EACH_MINUTE)


def ambient_c(mean_c: Floats, swing_c: Floats, day_of_year: float, local_hour: Floats, weather_c: Floats) -> Floats:
    """Air temperature in °C: coldest around 20 January and before dawn, plus the weather of the day."""
    season = -swing_c * np.cos(2.0 * np.pi * (day_of_year - 20.0) / 365.25)
    return np.asarray(mean_c + season + 3.0 * np.cos(2.0 * np.pi * (local_hour - 15.0) / 24.0) + weather_c)


def expected_efficiency(chargers: Chargers) -> Floats:
    """DC ÷ AC at full power with a warm battery: 1 - a - b / P - r · P."""
    return np.asarray(_past_the_losses_kw(chargers, chargers.rated_kw) / chargers.rated_kw)


def counter_ticks(kwh_total: Floats, step_wh: Floats | float) -> Floats:
    """What a counter with this resolution shows, in steps. The margin keeps 0.3 kWh from reading as 0.2 through rounding."""
    return np.floor(kwh_total * 1000.0 / step_wh + 1e-6)


def grid_voltage_v(is_dc: NDArray[np.bool_], load_share: Floats, local_hour: Floats, wobble: Floats) -> Floats:
    """Voltage at the meter in V, 220 to 240 (grid side of a DC charger: around 400): sags in the evening and under load."""
    evening = np.cos(2.0 * np.pi * (local_hour - 19.0) / 24.0)
    volts = 231.5 - 2.0 * evening - 2.5 * load_share + 4.0 * (wobble - 0.5)
    return np.where(is_dc, volts * 1.732, np.clip(volts, 220.0, 240.0))
