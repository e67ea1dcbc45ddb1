"""Charging efficiency over 24 hours, of one vehicle and of all."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import orjson
from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import Problem, as_json
from api.params import AtQuery, PerformanceQuery, VehiclePath, sane
from api.services import Services
from charging.verdict import Summary
from db.queries import performance

_TAG = Tag(name="Analytics", description="Charging efficiency")
WINDOW = timedelta(hours=24)  # 24 × 3600 s, whatever the clocks on the wall did
# Lines of CSV handed on together: one by one each costs a pass through the server.
_ROWS_AT_ONCE = 500
CSV_COLUMNS = (
    "vehicle_id,meter_ids,from_utc,to_utc,total_ac_kwh,total_dc_kwh,efficiency,loss_kwh,avg_battery_temp_c,coverage_vehicle,coverage_meter,"
    "uncertainty,expected_low,expected_high,verdict,severity,reason,computed_at_utc"
).split(",")


def register(app: OpenAPI, services: Services) -> None:
    """GET /v1/analytics/performance…"""

    @app.get("/v1/analytics/performance/<vehicleId>", tags=[_TAG], summary="One vehicle's 24 hours")
    def get_performance(path: VehiclePath, query: AtQuery) -> Response:
        at = _at(services, query.at)
        found = _summaries(services, at, [path.vehicleId]).get(path.vehicleId)
        if found is None or not found.meter_ids:
            raise Problem(404, "mapping_not_found", "Not Found", "Mapping not found")
        return as_json(as_performance(path.vehicleId, found, at, services.now()))

    @app.get("/v1/analytics/performance", tags=[_TAG], summary="Every vehicle's 24 hours, as JSON or CSV")
    def get_fleet_performance(query: PerformanceQuery) -> Response:
        return _csv(services, query.at) if query.format == "csv" else _json(services, query.at)

    @app.get("/v1/analytics/performance.csv", tags=[_TAG], summary="Every vehicle's 24 hours as CSV")
    def get_fleet_csv(query: AtQuery) -> Response:
        return _csv(services, query.at)


def _at(services: Services, at: datetime | None) -> datetime:
    if at is not None and not sane(at):
        raise Problem(422, "invalid_parameter", "Unprocessable Content", "at lies outside the years 2000 to 2199")
    return (at or services.now()).astimezone(UTC)


def _summaries(services: Services, at: datetime, vehicle_ids: list[str] | None = None) -> dict[str, Summary]:
    with services.reading() as conn:
        return performance.summaries(conn, at - WINDOW, at, vehicle_ids, services.thresholds)


def as_performance(vehicle_id: str, s: Summary, at: datetime, computed_at: datetime) -> dict[str, Any]:
    """The wire's form: the reference's four keys first."""
    return {
        "totalAc": _plain(s.ac_kwh),
        "totalDc": _plain(s.dc_kwh),
        "efficiency": None if s.ratio is None else round(s.ratio, 2),
        "avgTemp": _plain(s.avg_battery_temp_c),
        "vehicleId": vehicle_id,
        "meterIds": list(s.meter_ids),
        "from": _z(at - WINDOW),
        "to": _z(at),
        "computedAt": _z(computed_at),
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


def _z(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _fleet(services: Services, at: datetime | None) -> tuple[datetime, dict[str, Summary]]:
    """The window's end and every vehicle's row: exactly up to `at`, or the newest day in memory where none is asked for."""
    if at is not None:
        at = _at(services, at)
        return at, _summaries(services, at)
    day = services.day()
    return day.at, day.summaries


def _json(services: Services, asked: datetime | None) -> Response:
    (at, found), now = _fleet(services, asked), services.now()

    def lines() -> Iterator[bytes]:
        yield b"["
        for n, (vehicle_id, summary) in enumerate(found.items()):
            yield (b"," if n else b"") + orjson.dumps(as_performance(vehicle_id, summary, at, now))
        yield b"]"

    return Response(lines(), mimetype="application/json")


def _csv(services: Services, asked: datetime | None) -> Response:
    (at, found), now = _fleet(services, asked), services.now()
    start, end, computed = _z(at - WINDOW), _z(at), _z(now)

    def lines() -> Iterator[str]:
        yield csv_line(CSV_COLUMNS)
        rows = (_csv_row(vehicle_id, summary, start, end, computed) for vehicle_id, summary in found.items())
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            yield csv_lines(some)

    name = f"voltledger-24h-{at:%Y%m%dT%H%M%SZ}.csv"
    return Response(lines(), content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f"attachment; filename={name}"})


def _csv_row(vehicle_id: str, s: Summary, start: str, end: str, computed: str) -> list[object]:
    return [
        vehicle_id,
        _safe(" ".join(s.meter_ids)),
        start,
        end,
        s.ac_kwh,
        s.dc_kwh,
        s.ratio,
        s.loss_kwh,
        s.avg_battery_temp_c,
        s.coverage_vehicle,
        s.coverage_meter,
        s.uncertainty,
        s.expected_low,
        s.expected_high,
        s.verdict.value,
        s.severity,
        _safe(s.reason),
        computed,
    ]


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Lines of CSV, whose text has been made safe."""
    lines = io.StringIO()
    csv.writer(lines).writerows(rows)
    return lines.getvalue()


def csv_line(cells: "list[object] | tuple[object, ...] | list[str]") -> str:
    """One line of CSV; text that a spreadsheet would take for a formula gets an apostrophe."""
    return csv_lines([[_safe(cell) for cell in cells]])


def _safe(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
