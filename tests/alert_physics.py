"""Which sick chargers are beyond the line: by the rule's own definition, of the energies that really flowed, and of nothing that was found.

What the rule forgives is forgiven here as well: the minutes in which a battery may be heated, a full battery, the meters' 1 %, the counters'
steps. The expected band is the one that was known when the faults began.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from charging.band import band
from charging.case import METER_UNCERTAINTY
from charging.charger import DC_CLASS
from charging.evidence import FULL_CENTI_PCT
from charging.policy import Policy
from simulator.faults import Faults
from simulator.fleet import Fleet
from simulator.physics import HEATER_MINUTES, MINUTE_H
from simulator.world import METER_STEP_WH, Minute, World, _State

# It has to be held for a quarter of an hour, of which evaluations see the first minutes of the next quarter at the latest.
HELD_MIN = 30
MINUTE_S = 60
# beyond: it has to be found. short: beyond, but it charged too little since to be sure of it; it may be found. within: it must not be.
Class = Literal["beyond", "short", "within"]


@dataclass
class Flows:
    """Plain minutes of charging by vehicle (an index): AC and DC in kWh, since its fault began. `heated`: who may have been heated."""

    ac_kwh: dict[int, list[float]] = field(default_factory=dict)
    dc_kwh: dict[int, list[float]] = field(default_factory=dict)
    heated: set[int] = field(default_factory=set)


class Watched(World):
    """A world in which what really flows to those with a fault is written down, until minute `until`."""

    def __init__(self, fleet: Fleet, first_minute: int, faults: Faults, flows: Flows, until: int) -> None:
        self._flows, self._watched_until = flows, until
        super().__init__(fleet, first_minute, faults)

    def _read(self, row: int, before: _State, after: _State) -> Minute:
        reading = super()._read(row, before, after)
        if reading.minute < self._watched_until:
            dc, ac = after.dc_kwh - before.dc_kwh, after.ac_kwh - before.ac_kwh
            for i, since in self._faults.since_min.items():
                if since <= reading.minute and dc[i] > 0:
                    self._write(i, ac[i].item(), dc[i].item(), bool(before.charged_min[i] < HEATER_MINUTES), float(before.soc_pct[i]))
        return reading

    def _write(self, i: int, ac_kwh: float, dc_kwh: float, may_heat: bool, soc_pct: float) -> None:
        if may_heat:
            self._flows.heated.add(i)
        elif soc_pct < FULL_CENTI_PCT / 100:
            self._flows.ac_kwh.setdefault(i, []).append(ac_kwh)
            self._flows.dc_kwh.setdefault(i, []).append(dc_kwh)


@dataclass(frozen=True)
class Real:
    """Of a vehicle with a fault: its true efficiency since, and from where on it is within what is expected, with its uncertainty."""

    kind: Class
    ratio: float
    line: float
    line_in_time: float
    ac_kwh: float

    def __str__(self) -> str:
        return f"{self.kind}: {self.ratio:.4f} of {self.ac_kwh:.1f} kWh, line {self.line:.4f}, in time {self.line_in_time:.4f}"


def judge(fleet: Fleet, flows: Flows, policy: Policy, i: int) -> Real:
    """By what really flowed; `policy` is the one before the faults."""
    ac, dc = np.array(flows.ac_kwh.get(i, [])), np.array(flows.dc_kwh.get(i, []))
    in_time = len(ac) - HELD_MIN
    if in_time <= 0:
        return Real("short", 0.0, 0.0, 0.0, float(ac.sum()))
    ratio, ratio_in_time = dc.sum() / ac.sum(), dc[:in_time].sum() / ac[:in_time].sum()
    line = _low(fleet, policy, i, float(ac.sum()), len(ac)) - METER_UNCERTAINTY
    held = float(ac[:in_time].sum())
    slack = METER_UNCERTAINTY + (METER_STEP_WH + float(fleet.counter_wh[i])) / 1000 / held
    if i in flows.heated:
        slack += MINUTE_S / (MINUTE_S * in_time)  # as of a part: a reading's worth at its edges
    in_time_line = _low(fleet, policy, i, held, in_time) - slack
    kind: Class = "within" if ratio >= line else "beyond" if ratio_in_time < in_time_line else "short"
    return Real(kind, float(ratio), line, in_time_line, float(ac.sum()))


def _low(fleet: Fleet, policy: Policy, i: int, ac_kwh: float, minutes: int) -> float:
    vehicle = fleet.vehicles[i]
    kind = policy.class_of((vehicle.meter_id,))
    return band(ac_kwh, minutes * MINUTE_H, policy.learned_of(vehicle.vehicle_id, kind), kind == DC_CLASS).low
