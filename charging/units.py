"""Energy inside is a whole number of thousandths of a watt-hour, so that sums are exact in any order."""

MILLIWH_PER_KWH = 1_000_000


def to_milliwh(kwh: float) -> int:
    """kWh to whole thousandths of a watt-hour, nearest."""
    return round(kwh * MILLIWH_PER_KWH)


def to_kwh(milliwh: int) -> float:
    """Whole thousandths of a watt-hour to kWh; the nearest float, so that 10,608,000 reads 10.608."""
    return milliwh / MILLIWH_PER_KWH
