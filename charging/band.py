"""Which efficiency is normal: expected loss = a · AC + b · charging hours.

Source of the default: pairs of losses at 11 kW and 2.3 kW measured by ADAC in 2022. The form `a · AC + b · hours` and not
`a + b / mean power`, because a taper lowers the mean power without making the electronics draw less.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Band:
    """Expected efficiency, as ratios."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LossLine:
    """`share` of the AC energy plus `overhead_kw` for every hour of charging."""

    share: float
    overhead_kw: float

    def efficiency(self, ac_kwh: float, charging_hours: float) -> float:
        """Expected DC ÷ AC. May be negative where a trickle lasts for hours: then anything is normal."""
        return 1 - self.share - self.overhead_kw * charging_hours / ac_kwh


BEST_DEFAULT = LossLine(share=0.046, overhead_kw=0.134)
WORST_DEFAULT = LossLine(share=0.078, overhead_kw=0.422)
# Beyond what a vehicle's own charger takes, the meter stands on the grid side of a DC charger, whose losses are others.
DC_FROM_KW = 25.0
BEST_DC = LossLine(share=0.05, overhead_kw=0.2)
WORST_DC = LossLine(share=0.09, overhead_kw=0.6)


def default_band(ac_kwh: float, charging_hours: float) -> Band:
    """The band of a vehicle nothing has been learned about. `ac_kwh` must be positive."""
    worst, best = (WORST_DC, BEST_DC) if ac_kwh > DC_FROM_KW * charging_hours else (WORST_DEFAULT, BEST_DEFAULT)
    return Band(low=max(0.0, worst.efficiency(ac_kwh, charging_hours)), high=max(0.0, best.efficiency(ac_kwh, charging_hours)))
