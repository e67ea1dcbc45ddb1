"""A summary as the wire words it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from charging.assigning import Planned
from charging.band import Band
from charging.losses import Losses, Price
from charging.matrix import Cell
from charging.sessions import Session
from charging.timeline import ALWAYS, FOREVER
from charging.units import to_kwh
from charging.verdict import Summary
from db.queries.bands import LearnedBand

WINDOW = timedelta(hours=24)  # 24 × 3600 s, whatever the clocks on the wall did


def as_performance(vehicle_id: str, s: Summary, at: datetime, computed_at: datetime, start: datetime | None = None) -> dict[str, Any]:
    """The wire's form: the reference's four keys first. The window ends at `at` and begins at `start`, or 24 hours before."""
    return {
        "totalAc": _plain(s.ac_kwh),
        "totalDc": _plain(s.dc_kwh),
        "efficiency": None if s.ratio is None else round(s.ratio, 2),
        "avgTemp": _plain(s.avg_battery_temp_c),
        "vehicleId": vehicle_id,
        "meterIds": list(s.meter_ids),
        "from": z(at - WINDOW if start is None else start),
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
        **_basis(s.band),
    }


def _basis(band: Band | None) -> dict[str, Any]:
    """What the expected band rests on: the default, or what this vehicle or its model have shown. Nothing where there is no band."""
    if band is None:
        return {}
    return {"expectedFrom": {"source": band.source, "observations": band.observations, "error": _rounded(band.error, 4)}}


def as_session(session: Session) -> dict[str, Any]:
    """The wire's form of a session. Energies in kWh, powers in kW, states of charge in %."""
    s = session.summary
    return {
        "vehicleIds": list(session.vehicle_ids),
        "meterId": session.meter_id,
        "start": z(session.start),
        "end": z(session.end),
        "durationS": round((session.end - session.start).total_seconds()),
        "running": session.running,
        "acKwh": _plain(s.ac_kwh),
        "dcKwh": _plain(s.dc_kwh),
        "efficiencyRatio": _rounded(s.ratio, 7),
        "lossKwh": _plain(s.loss_kwh),
        "meanKw": _rounded(session.mean_kw, 3),
        "peakKw": _rounded(session.peak_kw, 3),
        "socFrom": session.soc_from_pct,
        "socTo": session.soc_to_pct,
        "avgTemp": _plain(s.avg_battery_temp_c),
        "uncertainty": _rounded(s.uncertainty, 4),
        "expected": {"low": _rounded(s.expected_low, 4), "high": _rounded(s.expected_high, 4)},
        **_basis(s.band),
        "coverage": {"vehicle": _plain(_rounded(s.coverage_vehicle, 4)), "meter": _plain(_rounded(s.coverage_meter, 4))},
        "readings": {"vehicle": s.vehicle_readings, "meter": s.meter_readings},
        "verdict": s.verdict.value,
        "severity": s.severity,
        "reason": s.reason,
    }


def as_losses(s: Summary, parts: Losses | None, price: Price, currency: str, start: datetime, end: datetime) -> dict[str, Any]:
    """The wire's form of a window's loss: in kWh, money and kg CO₂; the parts are null where the verdict leaves them unknown."""
    known = None if parts is None else {name: getattr(parts, name) for name in LOSS_PARTS}
    return {
        "from": z(start),
        "to": z(end),
        "acKwh": s.ac_kwh,
        "dcKwh": s.dc_kwh,
        "lossKwh": None if parts is None else to_kwh(parts.total),
        "parts": known and {name: _priced(value, price) for name, value in known.items()},
        "avoidable": None if parts is None else _priced(parts.avoidable, price),
        "tariffPerKwh": price.tariff_per_kwh,
        "co2KgPerKwh": price.co2_kg_per_kwh,
        "currency": currency,
        "expected": {"low": _rounded(s.expected_low, 4), "high": _rounded(s.expected_high, 4)},
        **_basis(s.band),
        "verdict": s.verdict.value,
        "reason": s.reason,
    }


LOSS_PARTS = ("overhead", "conversion", "conditioning", "standby", "unexplained")


def _priced(milliwh: int, price: Price) -> dict[str, float]:
    return {"kwh": to_kwh(milliwh), "cost": round(price.cost(milliwh), 6), "co2Kg": round(price.co2_kg(milliwh), 6)}


def as_band(band: LearnedBand) -> dict[str, Any]:
    """The wire's form of a learned band: expected loss is lossShare · AC + overheadKw · hours, the band as wide as three errors, three points at least."""
    learned = band.learned
    return {
        "chargerClass": band.charger_class,
        "source": learned.source,
        "lossShare": _rounded(learned.line.share, 5),
        "overheadKw": _rounded(learned.line.overhead_kw, 5),
        "error": _rounded(learned.error, 5),
        "observations": learned.observations,
        "sessions": learned.sessions,
        "days": learned.days,
        "learnedAt": z(band.learned_at),
        "frozenSince": z(band.frozen_since) if band.frozen_since else None,
    }


def as_cell(cell: Cell) -> dict[str, Any]:
    """The wire's form of a vehicle at a charger."""
    s = cell.summary
    return {
        "vehicleId": cell.vehicle_id,
        "meterId": cell.meter_id,
        "acKwh": s.ac_kwh,
        "dcKwh": s.dc_kwh,
        "efficiencyRatio": _rounded(s.ratio, 7),
        "uncertainty": _rounded(s.uncertainty, 4),
        "expected": {"low": _rounded(s.expected_low, 4), "high": _rounded(s.expected_high, 4)},
        **_basis(s.band),
        "coverage": {"vehicle": _plain(_rounded(s.coverage_vehicle, 4)), "meter": _plain(_rounded(s.coverage_meter, 4))},
        "chargingHours": None if s.evidence.charging_s is None else round(s.evidence.charging_s / 3600, 3),
        "verdict": s.verdict.value,
        "severity": s.severity,
        "reason": s.reason,
    }


SESSION_COLUMNS = (
    "vehicle_ids,meter_id,start_utc,end_utc,duration_s,running,ac_kwh,dc_kwh,efficiency,loss_kwh,mean_kw,peak_kw,soc_from_pct,soc_to_pct,"
    "avg_battery_temp_c,uncertainty,expected_low,expected_high,expected_from,coverage_vehicle,coverage_meter,verdict,severity,reason"
).split(",")


def session_cells(session: Session) -> list[object]:
    """A session's row under SESSION_COLUMNS, numbers unrounded."""
    s = session.summary
    return [
        " ".join(session.vehicle_ids),
        session.meter_id,
        z(session.start),
        z(session.end),
        round((session.end - session.start).total_seconds()),
        "true" if session.running else "false",
        s.ac_kwh,
        s.dc_kwh,
        s.ratio,
        s.loss_kwh,
        session.mean_kw,
        session.peak_kw,
        session.soc_from_pct,
        session.soc_to_pct,
        s.avg_battery_temp_c,
        s.uncertainty,
        s.expected_low,
        s.expected_high,
        s.band.source if s.band else None,
        s.coverage_vehicle,
        s.coverage_meter,
        s.verdict.value,
        s.severity,
        s.reason,
    ]


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
