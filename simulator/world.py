"""The fleet minute by minute: drives, plugs in, charges, and shows it to the telemetry unit and the meter.

The world begins at a UTC midnight some days before anyone looks. From each vehicle's first return on, nothing depends on when that was.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from simulator import conditions, physics, trips
from simulator.faults import Faults, none
from simulator.fleet import SITES, Fleet
from simulator.noise import Floats, between, uniform
from simulator.trips import DAY_MIN, Bools

# The longest rest is from Saturday's return to Monday's: a van on the night shift comes home on Sunday and on Tuesday at dawn.
WARM_UP_DAYS = 3
METER_STEP_WH = 1.0


@dataclass(frozen=True)
class Minute:
    """What every vehicle's unit and every meter read in one minute, each at its own second of it.

    `second` is in [0, 60); energies are integers of Wh since the device's previous reading.
    """

    minute: int
    vehicle_second: Floats
    meter_second: Floats
    soc_pct: Floats
    dc_wh: NDArray[np.int64]
    battery_temp_c: Floats
    latitude: Floats
    longitude: Floats
    ac_wh: NDArray[np.int64]
    voltage_v: Floats
    driving: Bools


@dataclass(frozen=True)
class _State:
    """Between two minutes. Everything here is set anew by a return, which is what makes start days interchangeable."""

    soc_pct: Floats
    heat_c: Floats
    wait_min: Floats
    charged_min: Floats
    dc_kwh: Floats
    ac_kwh: Floats
    settled: Bools


class World:
    """Yields one `Minute` after another, beginning with `first_minute` (minutes since 1970 UTC).

    Of the faults it knows those that change what flows or what a counter shows. What happens to a reading on its way is not its business.
    """

    def __init__(self, fleet: Fleet, first_minute: int, faults: Faults | None = None, warm_up_days: int = WARM_UP_DAYS) -> None:
        n = len(fleet)
        self._fleet, self._faults = fleet, faults or none()
        self._never_rest = self._faults.never_rest(n)
        self._changes = conditions.changes(self._faults)
        self._mean_c = np.array([v.site.mean_c for v in fleet.vehicles])
        self._swing_c = np.array([v.site.swing_c for v in fleet.vehicles])
        # Among all sites there are, so that a place has the same weather whatever the size of the fleet.
        self._site_index = np.searchsorted(sorted(site.site_id for site in SITES), [v.site.site_id for v in fleet.vehicles])
        zero = np.zeros(n)
        self._state = _State(zero + 50.0, zero, zero, zero, zero, zero, np.zeros(n, dtype=bool))
        self._minute = (first_minute // DAY_MIN - warm_up_days) * DAY_MIN
        self._condition = conditions.at(fleet, self._faults, self._minute)
        self._day = -1
        self._dc_ticks, self._ac_ticks = zero, zero
        while self._minute < first_minute - 1:
            self._skip()
        self.next()  # its counters are what the first minute's are counted from

    @property
    def settled(self) -> bool:
        """Whether every vehicle has returned at least once, so that nothing depends on where the simulation began."""
        return bool(self._state.settled.all())

    def next(self) -> Minute:
        """The next minute's readings."""
        row, before = self._skip()
        return self._read(row, before, self._after)

    def _skip(self) -> tuple[int, _State]:
        """Let a minute pass without reading it. Gives its row in the day, and the state it began with."""
        day, row = divmod(self._minute, DAY_MIN)
        if day != self._day:
            self._begin(day)
        if self._minute in self._changes:
            self._condition = conditions.at(self._fleet, self._faults, self._minute)
        before = self._state
        self._after = self._pass_minute(row, before)
        returning = self._trips.returning[row]
        at_meter = returning[self._condition.plug]
        self._state = _arrive(self._after, returning, at_meter, self._trips, row) if returning.any() else self._after
        self._minute += 1
        return row, before

    def _begin(self, day: int) -> None:
        """Prepare a UTC day: what does not depend on the minute before is computed for all its minutes at once."""
        fleet = self._fleet
        minutes = np.arange(DAY_MIN)[:, None]
        self._day = day
        self._trips = trips.day_of(fleet, day, self._never_rest, *conditions.homes(fleet, self._faults, day))
        self._local_hour = (minutes + trips.offsets_min(fleet, day)) / 60.0 % 24.0
        day_of_year = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).timetuple().tm_yday
        ends = [between(-3.0, 3.0, uniform(fleet.seed, "weather", self._site_index, d)) for d in (day, day + 1)]
        weather = ends[0] + (ends[1] - ends[0]) * minutes / DAY_MIN  # no jump at midnight
        self._ambient_c = physics.ambient_c(self._mean_c, self._swing_c, day_of_year, self._local_hour, weather)
        absolute = day * DAY_MIN + minutes
        self._supply_share = between(0.985, 1.0, uniform(fleet.seed, "supply", fleet.index, absolute))
        self._wobble = uniform(fleet.seed, "voltage", fleet.index, absolute)
        self._seconds = [_seconds(fleet, what, absolute) for what in ("vehicle", "meter")]

    def _pass_minute(self, row: int, state: _State) -> _State:
        day, condition = self._trips, self._condition
        chargers, supply_kw = condition.chargers, condition.chargers.rated_kw * self._supply_share[row]
        parked = ~day.driving[row]
        charging = parked & (state.wait_min <= 0.0) & (state.soc_pct < chargers.stop_at_soc_pct)
        heater_kw = physics.heater_draw_kw(chargers, self._ambient_c[row] + state.heat_c, state.charged_min)
        ac_kw, dc_kw = physics.charging_power_kw(chargers, state.soc_pct, heater_kw, supply_kw)
        dc_kwh = np.where(charging, dc_kw, 0.0) * physics.MINUTE_H
        at_meter_kw = np.where(charging & ~condition.elsewhere, ac_kw, 0.0)[condition.plug] + chargers.standby_kw
        charged_pct = physics.soc_after(state.soc_pct, dc_kwh, chargers.battery_kwh)
        share = day.share_of_way[row]  # 0 for whoever is parked
        return _State(
            soc_pct=charged_pct + (day.soc_back_pct[row] - charged_pct) * share,
            heat_c=physics.heat_after_minute(state.heat_c + (day.heat_back_c[row] - state.heat_c) * share, dc_kwh, self._ambient_c[row]),
            wait_min=state.wait_min - parked,
            charged_min=state.charged_min + charging,
            dc_kwh=state.dc_kwh + dc_kwh,
            ac_kwh=state.ac_kwh + at_meter_kw * physics.MINUTE_H,
            settled=state.settled,
        )

    def _read(self, row: int, before: _State, after: _State) -> Minute:
        """The readings of a minute. A device reads at its own second of it, so energy and charge are interpolated to that."""
        fleet, day = self._fleet, self._trips
        car, meter = (np.floor(seconds[row]) / 60.0 for seconds in self._seconds)
        dc_ticks = physics.counter_ticks(before.dc_kwh + (after.dc_kwh - before.dc_kwh) * car, fleet.counter_wh)
        ac_ticks = physics.counter_ticks(before.ac_kwh + (after.ac_kwh - before.ac_kwh) * meter, METER_STEP_WH)
        power_kw = (after.ac_kwh - before.ac_kwh) / physics.MINUTE_H
        reading = Minute(
            minute=self._minute - 1,
            vehicle_second=self._seconds[0][row],
            meter_second=self._seconds[1][row],
            soc_pct=before.soc_pct + (after.soc_pct - before.soc_pct) * car,
            dc_wh=np.where(self._condition.frozen, 0.0, (dc_ticks - self._dc_ticks) * fleet.counter_wh).astype(np.int64),
            battery_temp_c=self._ambient_c[row] + after.heat_c,
            latitude=day.latitude[row],
            longitude=day.longitude[row],
            ac_wh=((ac_ticks - self._ac_ticks) * METER_STEP_WH).astype(np.int64),
            voltage_v=physics.grid_voltage_v(fleet.is_dc, power_kw / fleet.chargers.rated_kw, self._local_hour[row], self._wobble[row]),
            driving=day.driving[row],
        )
        returning = day.returning[row]
        self._dc_ticks, self._ac_ticks = np.where(returning, 0.0, dc_ticks), np.where(returning[self._condition.plug], 0.0, ac_ticks)
        return reading


def _arrive(state: _State, returning: Bools, at_meter: Bools, day: trips.Day, row: int) -> _State:
    """A return overrules the past: charge and heat are those of the day's plan, counters and clocks begin again.

    `at_meter` marks the meters to which the returning come: nothing flows there at that moment.
    """
    return _State(
        soc_pct=np.where(returning, day.soc_back_pct[row], state.soc_pct),
        heat_c=np.where(returning, day.heat_back_c[row], state.heat_c),
        wait_min=np.where(returning, day.plug_in_after_min[row], state.wait_min),
        charged_min=np.where(returning, 0.0, state.charged_min),
        dc_kwh=np.where(returning, 0.0, state.dc_kwh),
        ac_kwh=np.where(at_meter, 0.0, state.ac_kwh),
        settled=state.settled | returning,
    )


def _seconds(fleet: Fleet, what: str, minute: NDArray[np.int64]) -> Floats:
    """When in the minute each device reads: its own second, give or take two."""
    own = between(2.0, 57.0, uniform(fleet.seed, "sec-" + what[:3], fleet.index))
    return own + between(-2.0, 2.0, uniform(fleet.seed, "jit-" + what[:3], fleet.index, minute))
