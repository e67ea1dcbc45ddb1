"""Charging sessions: where one ends and the next begins, and what is known about each.

A session ends where the devices report for half an hour that nothing flows. Silence is not a pause: what happened meanwhile is unknown,
so a charge goes on across it, unless it lasts too long or the battery is emptier after a break: then the vehicle was away.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from charging.evidence import Stream
from charging.verdict import Summary

PAUSE_S = 30 * 60
LONGEST_SILENCE_S = 6 * 3600
# Less than this is what a battery loses while it stands, or how finely a vehicle reports.
EMPTIER_CENTI_PCT = 200
# In less than this nobody drives away, empties the battery and comes back: what it lost, it lost before the charge began or after it ended.
AWAY_AT_LEAST_S = 600
# The coarsest counters show tenths of a kWh: one such step alone is hours of standby.
COARSEST_STEP_MILLIWH = 100_000
# Power over a shorter stretch says more about a counter's steps than about the charge.
PEAK_AT_LEAST_S = 600


def begins_anew(idle_s: Any, silent_s: Any, emptier_centi_pct: Any) -> Any:
    """Whether a new session begins after a break (numbers, or numpy arrays of them).

    `idle_s` of it the devices reported that nothing flowed, `silent_s` neither reported; `emptier_centi_pct` is how much charge the battery
    lost meanwhile, in hundredths of a percent, 0 where it is not known.
    """
    was_away = (emptier_centi_pct > EMPTIER_CENTI_PCT) & (idle_s + silent_s >= AWAY_AT_LEAST_S)
    return (idle_s >= PAUSE_S) | (silent_s > LONGEST_SILENCE_S) | was_away


def charged(side: Stream, charging_readings: int) -> bool:
    """Whether a side took part in a charge: more than standby explains, and more than one step of a counter."""
    return side.moved and (charging_readings > 1 or side.energy_milliwh > COARSEST_STEP_MILLIWH)


@dataclass(frozen=True, slots=True)
class Session:
    """(start, end]: from a rhythm before the first reading that charged to the last one. `running` while it may go on.

    `vehicle_ids` were assigned to the meter: one, several that share it, or nobody; `meter_id` is None for a vehicle without one.
    Power in kW at the meter (into the battery where the meter delivered no more than standby), the peak as mean of a quarter of an hour;
    None for a single reading. State of charge in %, of one vehicle alone. `summary` carries energies, efficiency, evidence and verdict.
    """

    vehicle_ids: tuple[str, ...]
    meter_id: str | None
    start: datetime
    end: datetime
    running: bool
    mean_kw: float | None
    peak_kw: float | None
    soc_from_pct: float | None
    soc_to_pct: float | None
    summary: Summary
