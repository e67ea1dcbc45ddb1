"""Where the loss goes: what electronics and conversion take, warming up, a full battery's standby, and what none of these explains."""

from dataclasses import dataclass

from charging.band import LossLine, default_band
from charging.units import MILLIWH_PER_KWH, to_kwh
from charging.verdict import Summary, Verdict

# Verdicts under which a loss is known well enough to be taken apart.
KNOWN = (Verdict.OK, Verdict.LOW, Verdict.CONDITIONING)


@dataclass(frozen=True, slots=True)
class Losses:
    """Thousandths of a watt-hour; the five parts add up to `total` exactly.

    `overhead` is the electronics' draw while charging (b · hours), `conversion` what grows with the energy (a · AC), `conditioning` what a
    cold battery took beyond these, `standby` what flowed to a full battery or to an idle charger, `unexplained` the rest: negative where
    the charge went better than expected. `avoidable` would not have been lost at the upper edge of the expected band.
    """

    total: int = 0
    overhead: int = 0
    conversion: int = 0
    conditioning: int = 0
    standby: int = 0
    unexplained: int = 0
    avoidable: int = 0

    def __add__(self, other: "Losses") -> "Losses":
        return Losses(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Price:
    """What a kWh from the grid costs and emits at a site."""

    tariff_per_kwh: float
    co2_kg_per_kwh: float

    def cost(self, milliwh: int) -> float:
        """Money."""
        return to_kwh(milliwh) * self.tariff_per_kwh

    def co2_kg(self, milliwh: int) -> float:
        """Kilograms of CO₂."""
        return to_kwh(milliwh) * self.co2_kg_per_kwh


def losses(summary: Summary) -> Losses | None:
    """The loss of a judged window taken apart; None where it is not known, or no hours of charging are."""
    e = summary.evidence
    if summary.verdict not in KNOWN or not e.charging_s or e.plain_charging_s is None or e.ac.energy_milliwh <= 0:
        return None
    # Nothing plain to hold against a band, or plain thresholds are chosen: the default says what electronics and conversion take.
    expected = summary.band or default_band(to_kwh(e.ac.energy_milliwh), e.charging_s / 3600)
    line, plain_h = expected.line, e.plain_charging_s / 3600
    total = e.ac.energy_milliwh - e.dc_here_milliwh
    standby = (e.apart.full_ac - e.apart.full_dc) + (e.apart.idle_ac - e.apart.idle_dc)
    cold_ac = e.ac.energy_milliwh - e.plain_ac_milliwh - e.apart.full_ac
    cold_dc = e.dc.energy_milliwh - e.plain_dc_milliwh - e.apart.full_dc
    cold_h = (e.charging_s - e.plain_charging_s - e.apart.full_s) / 3600
    plain_ac = e.plain_ac_milliwh - e.apart.idle_ac
    overhead = round(line.overhead_kw * (plain_h + cold_h) * MILLIWH_PER_KWH)
    conversion = round(line.share * (plain_ac + cold_ac))
    conditioning = max(0, cold_ac - cold_dc - _expected(line, cold_ac, cold_h)) if cold_ac else 0
    unexplained = total - standby - overhead - conversion - conditioning
    avoidable = max(0, round(e.ac.energy_milliwh * expected.high) - e.dc_here_milliwh)
    return Losses(total, overhead, conversion, conditioning, standby, unexplained, avoidable)


def _expected(line: LossLine, ac_milliwh: int, hours: float) -> int:
    return round(line.share * ac_milliwh + line.overhead_kw * hours * MILLIWH_PER_KWH)
