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


def default_band(ac_kwh: float, charging_hours: float) -> Band:
    """The band of a vehicle nothing has been learned about. `ac_kwh` must be positive."""
    return Band(
        low=max(0.0, WORST_DEFAULT.efficiency(ac_kwh, charging_hours)),
        high=max(0.0, BEST_DEFAULT.efficiency(ac_kwh, charging_hours)),
    )
