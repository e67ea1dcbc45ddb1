"""A summary as the wire words it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from charging.assigning import Planned
from charging.timeline import ALWAYS, FOREVER
from charging.verdict import Summary

WINDOW = timedelta(hours=24)  # 24 × 3600 s, whatever the clocks on the wall did


def as_performance(vehicle_id: str, s: Summary, at: datetime, computed_at: datetime) -> dict[str, Any]:
    """The wire's form: the reference's four keys first."""
    return {
        "totalAc": _plain(s.ac_kwh),
        "totalDc": _plain(s.dc_kwh),
        "efficiency": None if s.ratio is None else round(s.ratio, 2),
        "avgTemp": _plain(s.avg_battery_temp_c),
        "vehicleId": vehicle_id,
        "meterIds": list(s.meter_ids),
        "from": z(at - WINDOW),
        "to": z(at),
        "computedAt": z(computed_at),
        "efficiencyRatio": _rounded(s.ratio, 7),
        "uncertainty": _rounded(s.uncertainty, 4),
        "lossKwh": _plain(s.loss_kwh),
        "expected": {"low": _rounded(s.expected_low, 4), "high": _rounded(s.expected_high, 4)},
        "coverage": {"vehicle": _plain(_rounded(s.coverage_vehicle, 4)), "meter": _plain(_rounded(s.coverage_meter, 4))},
        "readings": {"vehicle": s.vehicle_readings, "meter": s.meter_readings},
        "verdict": s.verdict.value,
        "severity": s.severity,
        "reason": s.reason,
    }


def _plain(value: float | None) -> float | int | None:
    """6 rather than 6.0, as the reference wrote it."""
    return int(value) if value is not None and value == int(value) else value


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def z(at: datetime) -> str:
    """An instant in UTC as RFC 3339 writes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def z_or_none(at: datetime | None) -> str | None:
    """The same of an instant that may be open."""
    return None if at is None else z(at)


def change_words(made: Planned, now: datetime) -> list[dict[str, Any]]:
    """What a plan changes, as the wire words it."""
    return [
        {
            "from": None if change.start == ALWAYS else z(change.start),
            "to": None if change.end == FOREVER else z(change.end),
            "meterBefore": change.before,
            "meterAfter": change.after,
            "correctsPast": made.corrects_past(change, now),
        }
        for change in made.changes
    ]
