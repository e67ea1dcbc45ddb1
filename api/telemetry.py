"""The telemetry routes as Flask and the specification know them; the work is the intake's."""

from typing import Any

from flask import Response, request
from flask_openapi3 import OpenAPI, Tag

from api import fast_lane
from api.errors import as_response
from api.schemas import ID_PATTERN, METER_WIRE, VEHICLE_WIRE, Wire
from api.services import Services

_TAG = Tag(name="Telemetry", description="Readings from vehicles and meters")


def register(app: OpenAPI, services: Services) -> None:
    """POST /v1/telemetry/{vehicle,meter,batch}."""

    def post() -> Response:
        return as_response(fast_lane.take(services.intake, request.url_rule.rule if request.url_rule else request.path, request.environ))

    @app.post(
        "/v1/telemetry/vehicle",
        tags=[_TAG],
        summary="A vehicle's reading, or an array of up to 5,000",
        openapi_extensions=_takes(VEHICLE_WIRE),
    )
    def post_vehicle() -> Response:
        return post()

    @app.post(
        "/v1/telemetry/meter", tags=[_TAG], summary="A meter's reading, or an array of up to 5,000", openapi_extensions=_takes(METER_WIRE)
    )
    def post_meter() -> Response:
        return post()

    @app.post(
        "/v1/telemetry/batch",
        tags=[_TAG],
        summary="Vehicles' and meters' readings, up to 5,000 in all",
        openapi_extensions=_takes(VEHICLE_WIRE, METER_WIRE, batch=True),
    )
    def post_batch() -> Response:
        return post()


def _schema(wire: Wire) -> dict[str, Any]:
    """The specification's form of one side's reading, out of the same description that the faults are worded from."""
    properties: dict[str, Any] = {
        wire.id_name: {"type": "string", "pattern": ID_PATTERN.replace(r"\Z", "$")},
        "timestamp": {"type": "string", "format": "date-time"},
    }
    for number in wire.numbers:
        properties[number.name] = {
            "anyOf": [{"type": "number", "minimum": number.low, "maximum": number.high}, *([{"type": "null"}] if number.nullable else [])],
            "description": number.unit,
        }
    required = [wire.id_name, "timestamp", *(number.name for number in wire.numbers if number.required)]
    return {"type": "object", "properties": properties, "required": required}


def _takes(*wires: Wire, batch: bool = False) -> dict[str, Any]:
    one = [_schema(wire) for wire in wires]
    if batch:
        lists = {name: {"type": "array", "items": schema} for name, schema in zip(("vehicles", "meters"), one, strict=True)}
        schema: dict[str, Any] = {"type": "object", "properties": lists}
    else:
        schema = {"oneOf": [one[0], {"type": "array", "items": one[0], "maxItems": 5000}]}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
