"""Which efficiency is normal: expected loss = a · AC + b · charging hours, by default or as learned.

Source of the default: pairs of losses at 11 kW and 2.3 kW measured by ADAC in 2022. The form `a · AC + b · hours` and not
`a + b / mean power`, because a taper lowers the mean power without making the electronics draw less.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

# Where a band comes from: nothing learned, vehicles of the same model, or this vehicle's own past.
Source = Literal["default", "peers", "learned"]


@dataclass(frozen=True, slots=True)
class LossLine:
    """`share` of the AC energy plus `overhead_kw` for every hour of charging."""

    share: float
    overhead_kw: float

    def efficiency(self, ac_kwh: float, charging_hours: float) -> float:
        """Expected DC ÷ AC. May be negative where a trickle lasts for hours: then anything is normal."""
        return 1 - self.share - self.overhead_kw * charging_hours / ac_kwh


@dataclass(frozen=True, slots=True)
class Band:
    """Expected efficiency, as ratios, around what `line` says; for a learned one the hourly bins it rests on and their robust σ (a ratio)."""

    low: float
    high: float
    line: LossLine
    source: Source = "default"
    observations: int | None = None
    error: float | None = None


@dataclass(frozen=True, slots=True)
class Learned:
    """What the `ok` sessions of one vehicle, or of all of its model, at one class of charger have shown.

    `error` is the robust σ of hourly bins, a ratio. `variance_*` belong to `line` (share², share · kW, kW²): where its two parts were
    never seen apart, the band is wider at other powers than those it was learned at. `is_dc`: at DC chargers, whatever their power meanwhile.
    """

    line: LossLine
    error: float
    variance_share: float
    covariance: float
    variance_overhead: float
    observations: int
    sessions: int
    days: int
    source: Source = "learned"
    is_dc: bool = False


BEST_DEFAULT = LossLine(share=0.046, overhead_kw=0.134)
WORST_DEFAULT = LossLine(share=0.078, overhead_kw=0.422)
MIDDLE_DEFAULT = LossLine(share=0.062, overhead_kw=0.278)
# Beyond what a vehicle's own charger takes, the meter stands on the grid side of a DC charger, whose losses are others.
DC_FROM_KW = 25.0
BEST_DC = LossLine(share=0.05, overhead_kw=0.2)
WORST_DC = LossLine(share=0.09, overhead_kw=0.6)
MIDDLE_DC = LossLine(share=0.07, overhead_kw=0.4)
# A learned band is the fit ± the greater of three points and three robust σ.
LEARNED_AT_LEAST = 0.03
LEARNED_SIGMAS = 3.0


def default_band(ac_kwh: float, charging_hours: float, is_dc: bool | None = None) -> Band:
    """The band of a vehicle nothing has been learned about. `ac_kwh` must be positive. `is_dc` None: by the mean power."""
    if is_dc is None:
        is_dc = ac_kwh > DC_FROM_KW * charging_hours
    worst, middle, best = (WORST_DC, MIDDLE_DC, BEST_DC) if is_dc else (WORST_DEFAULT, MIDDLE_DEFAULT, BEST_DEFAULT)
    low, high = worst.efficiency(ac_kwh, charging_hours), best.efficiency(ac_kwh, charging_hours)
    return Band(max(0.0, low), max(0.0, high), middle)


def learned_band(ac_kwh: float, charging_hours: float, learned: Learned) -> Band:
    """The band that was learned, at this energy and duration. `ac_kwh` must be positive.

    Away from the powers it was learned at it widens by three standard errors of the fit, downwards not beyond the default's edge. It never
    reaches more than three points below that: else a loss that grows slowly would become normal, each night a little more.
    """
    expected = learned.line.efficiency(ac_kwh, charging_hours)
    margin = max(LEARNED_AT_LEAST, LEARNED_SIGMAS * learned.error)
    hours_per_kwh = charging_hours / ac_kwh
    variance = learned.variance_share + 2 * hours_per_kwh * learned.covariance + hours_per_kwh**2 * learned.variance_overhead
    wide = max(margin, LEARNED_SIGMAS * sqrt(max(0.0, variance)))
    usual = default_band(ac_kwh, charging_hours, learned.is_dc).low
    low = max(0.0, usual - LEARNED_AT_LEAST, expected - wide, min(expected - margin, usual))
    return Band(low, min(1.0, max(low, expected + wide)), learned.line, learned.source, learned.observations, learned.error)


def band(ac_kwh: float, charging_hours: float, learned: Learned | None = None, is_dc: bool | None = None) -> Band:
    """The learned band where there is one, else the default, of a DC charger or not. `ac_kwh` must be positive."""
    return learned_band(ac_kwh, charging_hours, learned) if learned else default_band(ac_kwh, charging_hours, is_dc)
