"""The expected band in words, and what it rests on."""

from charging.band import Band
from dashboard import format as fmt


def basis(band: Band) -> str:
    """Where the band comes from; hours are hours of charging, the error is the robust σ of one."""
    if band.source == "default":
        return "default: nothing learned yet"
    whose = "this vehicle" if band.source == "learned" else "its model"
    error = "" if band.error is None else f", ±{fmt.number(band.error * 100, 1)} points"
    hours = band.observations
    if hours is None:
        return f"learned from {whose}{error}"
    counted = f"{fmt.number(hours)} {'hour' if hours == 1 else 'hours'}"
    return f"learned from {counted} of this vehicle{error}" if band.source == "learned" else f"learned from its model, {counted}{error}"


def expected(band: Band | None) -> str:
    """The band with its basis, or that there is none."""
    return f"expected {fmt.band(band.low, band.high)} ({basis(band)})" if band else "no expected band for this window"
