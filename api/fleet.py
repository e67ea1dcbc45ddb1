"""Vehicles and meters: how they are now, what they reported, what people say about them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from zoneinfo import available_timezones

import orjson
import psycopg
from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import Problem, as_json, wrong_field
from api.exporting.cells import csv_line
from api.params import HistoryQuery, MeterBody, MeterPath, PageQuery, SiteBody, SitePath, ThresholdsBody, VehicleBody, VehiclePath, sane
from api.services import Services
from api.words import WINDOW
from charging.verdict import Summary
from db import sites
from db.queries import devices, history, performance
from db.queries.devices import MeterNow, OwnThresholds, VehicleNow
from db.queries.history import Bucket, MeterPoint, VehiclePoint
from db.sites import Site

_TAG = Tag(name="Fleet", description="Vehicles, meters and their history")
VEHICLE_POINT = ("at", "kwhDeliveredDc", "soc", "batteryTemp", "readings")
METER_POINT = ("at", "kwhConsumedAc", "voltage", "readings")


def register(app: OpenAPI, services: Services) -> None:
    """/v1/vehicles…, /v1/meters…, /v1/sites…"""
    _register_vehicles(app, services)
    _register_meters(app, services)
    _register_descriptions(app, services)
    _register_sites(app, services)


def _register_vehicles(app: OpenAPI, services: Services) -> None:
    @app.get("/v1/vehicles", tags=[_TAG], summary="Vehicles as they are now")
    def get_vehicles(query: PageQuery) -> Response:
        now = services.now()
        with services.connection() as conn:
            found = devices.vehicles(conn, now, query.after, query.limit)
            ids = [v.vehicle_id for v in found]
            judged, own = performance.summaries(conn, now - WINDOW, now, ids, services.policies), devices.own_thresholds(conn, ids)
        body: list[dict[str, Any]] = [_vehicle(v, judged.get(v.vehicle_id), own.get(v.vehicle_id)) for v in found]
        return as_json({"vehicles": body, "next": found[-1].vehicle_id if len(found) == query.limit else None})

    @app.get("/v1/vehicles/<vehicleId>", tags=[_TAG], summary="One vehicle as it is now")
    def get_vehicle(path: VehiclePath) -> Response:
        now = services.now()
        with services.connection() as conn:
            found = devices.vehicle(conn, path.vehicleId, now)
            judged = performance.summaries(conn, now - WINDOW, now, [path.vehicleId], services.policies)
            own = devices.own_thresholds(conn, [path.vehicleId])
        if found is None:
            raise Problem(404, "vehicle_not_found", "Not Found", "Vehicle not found")
        return as_json(_vehicle(found, judged.get(path.vehicleId), own.get(path.vehicleId)))

    @app.get("/v1/vehicles/<vehicleId>/history", tags=[_TAG], summary="What a vehicle reported")
    def get_vehicle_history(path: VehiclePath, query: HistoryQuery) -> Response:
        return _history(services, "vehicleId", path.vehicleId, query)


def _register_meters(app: OpenAPI, services: Services) -> None:
    @app.get("/v1/meters", tags=[_TAG], summary="Meters as they are now")
    def get_meters(query: PageQuery) -> Response:
        with services.connection() as conn:
            found = devices.meters(conn, query.after, query.limit)
        return as_json({"meters": [_meter(m) for m in found], "next": found[-1].meter_id if len(found) == query.limit else None})

    @app.get("/v1/meters/<meterId>", tags=[_TAG], summary="One meter as it is now")
    def get_meter(path: MeterPath) -> Response:
        with services.connection() as conn:
            found = devices.meter(conn, path.meterId)
        if found is None:
            raise Problem(404, "meter_not_found", "Not Found", "Meter not found")
        return as_json(_meter(found))

    @app.get("/v1/meters/<meterId>/history", tags=[_TAG], summary="What a meter reported")
    def get_meter_history(path: MeterPath, query: HistoryQuery) -> Response:
        return _history(services, "meterId", path.meterId, query)


def _register_descriptions(app: OpenAPI, services: Services) -> None:
    @app.put("/v1/sites/<siteId>", tags=[_TAG], summary="Describe a site: what is not given is empty")
    def put_site(path: SitePath, body: SiteBody) -> Response:
        _paired(body.latitude, body.longitude)
        _ordered(body)
        if body.timeZone not in available_timezones():
            raise wrong_field("timeZone", "invalid_text", "timeZone is an IANA name like Europe/Berlin")
        wanted = Site(path.siteId, body.name, body.latitude, body.longitude, body.timeZone, body.tariffPerKwh, body.co2KgPerKwh)
        wanted = replace(wanted, thresholds=body.thresholds, plain_low=body.plainLow, plain_critical=body.plainCritical)
        with services.connection() as conn:
            new = path.siteId not in sites.put(conn, [wanted])
        return as_json(_site(sites.kept(wanted)), 201 if new else 200)

    @app.put("/v1/vehicles/<vehicleId>", tags=[_TAG], summary="Describe a vehicle: what is not given is empty")
    def put_vehicle(path: VehiclePath, body: VehicleBody) -> Response:
        _ordered(body)
        own = OwnThresholds(body.thresholds, body.plainLow, body.plainCritical)
        with _known_site(), services.connection() as conn:
            new = devices.describe_vehicle(conn, path.vehicleId, body.name, body.model, body.siteId, own)
        return as_json({"vehicleId": path.vehicleId, **body.model_dump()}, 201 if new else 200)

    @app.put("/v1/meters/<meterId>", tags=[_TAG], summary="Describe a meter")
    def put_meter(path: MeterPath, body: MeterBody) -> Response:
        _paired(body.latitude, body.longitude)
        with _known_site(), services.connection() as conn:
            new = devices.describe_meter(conn, path.meterId, body.name, body.ratedKw, body.siteId, body.latitude, body.longitude)
        return as_json({"meterId": path.meterId, **body.model_dump()}, 201 if new else 200)


def _register_sites(app: OpenAPI, services: Services) -> None:
    @app.get("/v1/sites", tags=[_TAG], summary="Sites with their tariffs and thresholds")
    def get_sites(query: PageQuery) -> Response:
        with services.connection() as conn:
            found = sites.sites(conn, query.after, query.limit)
        return as_json({"sites": [_site(one) for one in found], "next": found[-1].site_id if len(found) == query.limit else None})

    @app.get("/v1/sites/<siteId>", tags=[_TAG], summary="One site")
    def get_site(path: SitePath) -> Response:
        with services.connection() as conn:
            found = sites.known(conn, [path.siteId]).get(path.siteId)
        if found is None:
            raise Problem(404, "site_not_found", "Not Found", "Site not found")
        return as_json(_site(found))


@contextmanager
def _known_site() -> Iterator[None]:
    """Turns the database's word that a site is unknown into ours."""
    try:
        yield
    except psycopg.errors.ForeignKeyViolation:
        detail = "siteId names no site: describe it first with PUT /v1/sites/{siteId}"
        raise wrong_field("siteId", "out_of_range", detail, "unknown_site") from None


def _paired(latitude: float | None, longitude: float | None) -> None:
    if (latitude is None) != (longitude is None):
        missing = "latitude" if latitude is None else "longitude"
        raise wrong_field(missing, "missing_field", "latitude and longitude come together: give both or neither")


def _ordered(body: ThresholdsBody) -> None:
    if body.plainLow is not None and body.plainCritical is not None and body.plainCritical >= body.plainLow:
        raise wrong_field("plainCritical", "out_of_range", "plainCritical is less than plainLow")


def _z(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _site(site: Site) -> dict[str, Any]:
    return {
        "siteId": site.site_id,
        "name": site.name,
        "latitude": site.latitude,
        "longitude": site.longitude,
        "timeZone": site.time_zone,
        "tariffPerKwh": site.tariff_per_kwh,
        "co2KgPerKwh": site.co2_kg_per_kwh,
        "thresholds": site.thresholds,
        "plainLow": site.plain_low,
        "plainCritical": site.plain_critical,
    }


def _vehicle(v: VehicleNow, judged: Summary | None, own: OwnThresholds | None) -> dict[str, Any]:
    own = own or OwnThresholds()
    return {
        "vehicleId": v.vehicle_id,
        "name": v.name,
        "model": v.model,
        "siteId": v.site_id,
        "siteName": v.site_name,
        "recordedAt": _z(v.recorded_at),
        "receivedAt": _z(v.received_at),
        "soc": v.soc_pct,
        "powerKw": v.power_kw,
        "batteryTemp": v.battery_temp_c,
        "kwhDeliveredDc": v.kwh_delivered_dc,
        "latitude": v.latitude,
        "longitude": v.longitude,
        "positionAt": _z(v.position_at),
        "meterId": v.meter_id,
        "thresholds": own.thresholds,
        "plainLow": own.plain_low,
        "plainCritical": own.plain_critical,
        "efficiencyRatio": judged.ratio if judged else None,
        "verdict": judged.verdict.value if judged else None,
        "severity": judged.severity if judged else None,
        "reason": judged.reason if judged else None,
    }


def _meter(m: MeterNow) -> dict[str, Any]:
    return {
        "meterId": m.meter_id,
        "name": m.name,
        "siteId": m.site_id,
        "siteName": m.site_name,
        "ratedKw": m.rated_kw,
        "recordedAt": _z(m.recorded_at),
        "receivedAt": _z(m.received_at),
        "kwhConsumedAc": m.kwh_consumed_ac,
        "powerKw": m.power_kw,
        "voltage": m.voltage_v,
        "latitude": m.latitude,
        "longitude": m.longitude,
    }


def _history(services: Services, id_name: str, device_id: str, query: HistoryQuery) -> Response:
    end = query.end or services.now()
    start = query.start or (end - timedelta(hours=24) if sane(end) else end)
    if not (sane(start) and sane(end)) or start >= end:
        raise Problem(422, "invalid_parameter", "Unprocessable Content", "from lies before to, both in the years 2000 to 2199")
    parts = _parts(services, device_id, start, end, query.bucket, of_vehicle=id_name == "vehicleId")
    first = next(parts)  # so that a database that is away is a 503 and not a broken stream
    rows = chain([first], parts)
    if query.format == "csv":
        return _history_csv(id_name, device_id, rows)
    head: dict[str, object] = {id_name: device_id, "bucket": query.bucket, "from": _z(start), "to": _z(end)}
    return Response(_history_json(head, id_name, rows), mimetype="application/json")


Part = list[tuple[object, ...]]


def _parts(services: Services, device_id: str, start: datetime, end: datetime, bucket: Bucket, *, of_vehicle: bool) -> Iterator[Part]:
    """Some thousand points at a time. A connection is held only while they are read: clients take them as slowly as they like."""
    after: datetime | None = start
    while after is not None:
        points: Sequence[VehiclePoint | MeterPoint]
        with services.connection() as conn:
            if of_vehicle:
                points, after = history.some_vehicle_points(conn, device_id, after, end, bucket)
            else:
                points, after = history.some_meter_points(conn, device_id, after, end, bucket)
        yield [_cells(point) for point in points]


def _cells(point: VehiclePoint | MeterPoint) -> tuple[object, ...]:
    if isinstance(point, VehiclePoint):
        return (_z(point.at), point.kwh_delivered_dc, point.soc_pct, point.battery_temp_c, point.readings)
    return (_z(point.at), point.kwh_consumed_ac, point.voltage_v, point.readings)


def _history_json(head: dict[str, object], id_name: str, parts: Iterable[Part]) -> Iterator[bytes]:
    names, before = VEHICLE_POINT if id_name == "vehicleId" else METER_POINT, b""
    yield orjson.dumps(head)[:-1] + b',"points":['
    for part in filter(None, parts):
        yield before + orjson.dumps([dict(zip(names, row, strict=True)) for row in part])[1:-1]
        before = b","
    yield b"]}"


def _history_csv(id_name: str, device_id: str, parts: Iterable[Part]) -> Response:
    names = (
        ("at_utc", "kwh_delivered_dc", "soc_pct", "battery_temp_c", "readings")
        if id_name == "vehicleId"
        else ("at_utc", "kwh_consumed_ac", "voltage_v", "readings")
    )

    def lines() -> Iterator[str]:
        yield csv_line(list(names))
        for part in filter(None, parts):
            yield "".join(csv_line(list(row)) for row in part)

    name = f"{device_id.replace(':', '-')}.csv"
    return Response(lines(), content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f"attachment; filename={name}"})
