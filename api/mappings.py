"""Which meter feeds which vehicle."""

from datetime import UTC, datetime
from typing import Any

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import Problem, as_json
from api.params import MappingBody, VehiclePath, sane
from api.services import Services
from db.assignments import Assignment, assign, timelines

_TAG = Tag(name="Mappings", description="Which meter feeds which vehicle, from when on")


def register(app: OpenAPI, services: Services) -> None:
    """/v1/mappings…"""

    @app.get("/v1/mappings", tags=[_TAG], summary="Every vehicle's timeline")
    def get_mappings() -> Response:
        with services.connection() as conn:
            found = timelines(conn)
        by_vehicle: dict[str, list[Assignment]] = {}
        for one in found:
            by_vehicle.setdefault(one.vehicle_id, []).append(one)
        now = services.now()
        return as_json({"mappings": [_timeline(vehicle_id, known, now) for vehicle_id, known in by_vehicle.items()]})

    @app.get("/v1/mappings/<vehicleId>", tags=[_TAG], summary="One vehicle's timeline")
    def get_mapping(path: VehiclePath) -> Response:
        with services.connection() as conn:
            found = timelines(conn, path.vehicleId)
        if not found:
            raise Problem(404, "mapping_not_found", "Not Found", "Mapping not found")
        return as_json(_timeline(path.vehicleId, found, services.now()))

    @app.put("/v1/mappings/<vehicleId>", tags=[_TAG], summary="Assign a meter, or none")
    def put_mapping(path: VehiclePath, body: MappingBody) -> Response:
        if body.start is not None and not sane(body.start):
            raise Problem(422, "invalid_parameter", "Unprocessable Content", "from lies outside the years 2000 to 2199")
        return _assign(services, path.vehicleId, body.meterId, body.start)

    @app.delete("/v1/mappings/<vehicleId>", tags=[_TAG], summary="End the mapping now")
    def delete_mapping(path: VehiclePath) -> Response:
        with services.connection() as conn:
            if not timelines(conn, path.vehicleId):
                raise Problem(404, "mapping_not_found", "Not Found", "Mapping not found")
        return _assign(services, path.vehicleId, None, None)


def _assign(services: Services, vehicle_id: str, meter_id: str | None, start: datetime | None) -> Response:
    now = services.now()
    with services.connection() as conn:
        first = assign(conn, vehicle_id, meter_id, start, now)
        found = timelines(conn, vehicle_id)
    return as_json(_timeline(vehicle_id, found, now), 201 if first else 200)


def _timeline(vehicle_id: str, known: list[Assignment], now: datetime) -> dict[str, Any]:
    present = next((a for a in known if (a.valid_from is None or a.valid_from <= now) and (a.valid_to is None or a.valid_to > now)), None)
    return {
        "vehicleId": vehicle_id,
        "meterId": present.meter_id if present else None,
        "timeline": [{"meterId": a.meter_id, "from": _z(a.valid_from), "to": _z(a.valid_to)} for a in known],
    }


def _z(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
