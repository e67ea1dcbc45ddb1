"""Charging efficiency over 24 hours, of one vehicle and of all."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import orjson
from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api import errors
from api.asking import Asker
from api.errors import Problem, as_json, as_response
from api.exporting.cells import csv_line, csv_lines, safe
from api.params import AtQuery, PerformanceQuery, VehiclePath, sane
from api.services import Services
from api.words import WINDOW, as_performance, z
from charging.verdict import Summary
from db.queries import performance

_TAG = Tag(name="Analytics", description="Charging efficiency")
# Lines of CSV handed on together: one by one each costs a pass through the server.
_ROWS_AT_ONCE = 500
CSV_COLUMNS = (
    "vehicle_id,meter_ids,from_utc,to_utc,total_ac_kwh,total_dc_kwh,efficiency,loss_kwh,avg_battery_temp_c,coverage_vehicle,coverage_meter,"
    "uncertainty,expected_low,expected_high,verdict,severity,reason,computed_at_utc"
).split(",")


def register(app: OpenAPI, services: Services, asker: Asker) -> None:
    """GET /v1/analytics/performance…"""

    @app.get("/v1/analytics/performance/<vehicleId>", tags=[_TAG], summary="One vehicle's 24 hours")
    def get_performance(path: VehiclePath, query: AtQuery) -> Response:
        if query.at is None:
            return as_response(asker.ask(path.vehicleId, services.intake.limits.commit_wait_s, errors.request_id()))
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
        return performance.summaries(conn, at - WINDOW, at, vehicle_ids, services.policies)


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
    start, end, computed = z(at - WINDOW), z(at), z(now)

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
        safe(" ".join(s.meter_ids)),
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
        safe(s.reason),
        computed,
    ]
