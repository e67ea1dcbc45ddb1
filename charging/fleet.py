"""The fleet's figures: only vehicles whose efficiency is known count, and it is said how many do not and why."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from charging.verdict import Summary, Verdict

COUNTED = (Verdict.OK, Verdict.LOW)


@dataclass(frozen=True, slots=True)
class FleetSummary:
    """Energies in kWh of the counted vehicles; `efficiency` and the band are ratios, None where nothing counts. `left_out`: verdict → vehicles."""

    counted: int
    left_out: dict[str, int]
    ac_kwh: float
    dc_kwh: float
    efficiency: float | None
    expected_low: float | None
    expected_high: float | None

    @property
    def loss_kwh(self) -> float:
        """AC − DC of the counted vehicles."""
        return self.ac_kwh - self.dc_kwh


def total(summaries: Iterable[Summary]) -> FleetSummary:
    """Sum what counts. The sums run over integers, so their order does not matter."""
    everyone = list(summaries)
    counted = [s for s in everyone if s.verdict in COUNTED]
    ac = sum(s.evidence.ac.energy_milliwh for s in counted)
    dc = sum(s.evidence.dc_here_milliwh for s in counted)
    banded = [(s.band, s.evidence.ac.energy_milliwh) for s in counted if s.band]
    banded_ac = sum(milliwh for _, milliwh in banded)
    return FleetSummary(
        counted=len(counted),
        left_out=dict(Counter(str(s.verdict) for s in everyone if s.verdict not in COUNTED)),
        ac_kwh=ac / 1e6,
        dc_kwh=dc / 1e6,
        efficiency=dc / ac if ac else None,
        # Each vehicle's own band, weighed by its energy.
        expected_low=sum(band.low * milliwh for band, milliwh in banded) / banded_ac if banded else None,
        expected_high=sum(band.high * milliwh for band, milliwh in banded) / banded_ac if banded else None,
    )
