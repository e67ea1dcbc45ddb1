"""What people wrote down about every device, and what nobody did: lists to edit, without any judgement or live value."""

from typing import Any

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import as_json
from api.params import PageQuery
from api.services import Services
from api.words import z_or_none
from db.queries import descriptions
from db.queries.descriptions import MeterDescription, VehicleDescription

_TAG = Tag(name="Fleet")


def register(app: OpenAPI, services: Services) -> None:
    """GET /v1/descriptions/vehicles, GET /v1/descriptions/meters"""

    @app.get(
        "/v1/descriptions/vehicles", tags=[_TAG], summary="What is written down about each vehicle; unlike /v1/vehicles cheap for a fleet"
    )
    def get_vehicle_descriptions(query: PageQuery) -> Response:
        with services.connection() as conn:
            found = descriptions.vehicles(conn, services.now(), query.after, query.limit)
        return as_json({"vehicles": [_vehicle(one) for one in found], "next": found[-1].vehicle_id if len(found) == query.limit else None})

    @app.get("/v1/descriptions/meters", tags=[_TAG], summary="What is written down about each meter, and whose position is shown for it")
    def get_meter_descriptions(query: PageQuery) -> Response:
        with services.connection() as conn:
            found = descriptions.meters(conn, query.after, query.limit)
        return as_json({"meters": [_meter(one) for one in found], "next": found[-1].meter_id if len(found) == query.limit else None})


def _vehicle(one: VehicleDescription) -> dict[str, Any]:
    return {
        "vehicleId": one.vehicle_id,
        "name": one.name,
        "model": one.model,
        "siteId": one.site_id,
        "thresholds": one.thresholds,
        "plainLow": one.plain_low,
        "plainCritical": one.plain_critical,
        "meterId": one.meter_id,
        "recordedAt": z_or_none(one.recorded_at),
        "placed": one.placed,
    }


def _meter(one: MeterDescription) -> dict[str, Any]:
    """`latitude` and `longitude` are what is written down, which is what PUT /v1/meters takes; `placedBy` is meter, description, site or null."""
    return {
        "meterId": one.meter_id,
        "name": one.name,
        "siteId": one.site_id,
        "ratedKw": one.rated_kw,
        "latitude": one.latitude,
        "longitude": one.longitude,
        "placedBy": one.placed_by,
        "recordedAt": z_or_none(one.recorded_at),
    }
