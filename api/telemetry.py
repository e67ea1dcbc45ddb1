"""What devices post. An answer is sent after the commit."""

from collections.abc import Callable
from typing import Any

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.body import json_body
from api.committer import NotStored
from api.errors import Problem, as_json, faults, request_id, unavailable
from api.schemas import ID_PATTERN, METER_WIRE, VEHICLE_WIRE, Clock, Fault, Wire, readings
from api.services import Services
from db.ingest import Outcome, Reading

_TAG = Tag(name="Telemetry", description="Readings from vehicles and meters")


def register(app: OpenAPI, services: Services) -> None:
    """POST /v1/telemetry/{vehicle,meter,batch}."""

    @app.post(
        "/v1/telemetry/vehicle",
        tags=[_TAG],
        summary="A vehicle's reading, or an array of up to 5,000",
        openapi_extensions=_takes(VEHICLE_WIRE),
    )
    def post_vehicle() -> Response:
        return _post_side(services, VEHICLE_WIRE)

    @app.post(
        "/v1/telemetry/meter", tags=[_TAG], summary="A meter's reading, or an array of up to 5,000", openapi_extensions=_takes(METER_WIRE)
    )
    def post_meter() -> Response:
        return _post_side(services, METER_WIRE)

    @app.post(
        "/v1/telemetry/batch",
        tags=[_TAG],
        summary="Vehicles' and meters' readings, up to 5,000 in all",
        openapi_extensions=_takes(VEHICLE_WIRE, METER_WIRE, batch=True),
    )
    def post_batch() -> Response:
        return _post_batch(services)


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


def _body(services: Services) -> Any:
    try:
        services.committer.refuse_early()
    except NotStored as refusal:
        raise unavailable(refusal.kind, str(refusal)) from None
    return json_body(services.limits.body_bytes, services.limits.inflated_bytes)


def _clock(services: Services) -> Clock:
    return Clock.at(services.now(), services.limits.clock_ahead_s, services.limits.oldest_reading_days)


def _post_side(services: Services, wire: Wire) -> Response:
    body = _body(services)
    if isinstance(body, dict):
        items, pointer = [body], ""
    elif isinstance(body, list):
        items, pointer = body, "/{}"
    else:
        raise Problem(400, "not_a_reading", "Bad Request", "the body is one reading (a JSON object) or an array of readings")
    _refuse_giant(services, len(items))
    rows, indexes, bad = readings(wire, items, _clock(services), pointer, 0)
    by_vehicle = wire is VEHICLE_WIRE
    return _answer(services, rows if by_vehicle else [], [] if by_vehicle else rows, indexes, bad, len(items), pointer.format)


def _post_batch(services: Services) -> Response:
    body = _body(services)
    if not isinstance(body, dict):
        raise Problem(400, "not_a_batch", "Bad Request", 'the body is an object {"vehicles": [...], "meters": [...]}')
    vehicles, meters = body.get("vehicles", []), body.get("meters", [])
    _refuse_misshapen(body, vehicles, meters)
    _refuse_giant(services, len(vehicles) + len(meters))
    clock = _clock(services)

    def pointers(index: int) -> str:
        return f"/vehicles/{index}" if index < len(vehicles) else f"/meters/{index - len(vehicles)}"

    vehicle_rows, vehicle_indexes, vehicle_faults = readings(VEHICLE_WIRE, vehicles, clock, "/vehicles/{}", 0)
    meter_rows, meter_indexes, meter_faults = readings(METER_WIRE, meters, clock, "/meters/{}", len(vehicles))
    return _answer(
        services,
        vehicle_rows,
        meter_rows,
        vehicle_indexes + meter_indexes,
        vehicle_faults + meter_faults,
        len(vehicles) + len(meters),
        pointers,
    )


def _refuse_misshapen(body: dict[str, Any], vehicles: Any, meters: Any) -> None:
    errors: list[Fault] = []
    if "vehicles" not in body and "meters" not in body:
        errors.append(
            {"index": 0, "pointer": "/vehicles", "code": "missing_field", "detail": "vehicles or meters is missing; an empty array is fine"}
        )
    for name, value in (("vehicles", vehicles), ("meters", meters)):
        if not isinstance(value, list):
            errors.append({"index": 0, "pointer": f"/{name}", "code": "wrong_type", "detail": f"{name} is an array of readings"})
    if errors:
        raise Problem(
            422, "invalid_readings", "Unprocessable Content", "the batch has not the shape of one; nothing is stored", **faults(errors)
        )


def _refuse_giant(services: Services, count: int) -> None:
    most = services.limits.batch_readings
    if count > most:
        raise Problem(413, "batch_too_large", "Content Too Large", f"{count} readings in one request; {most} is the limit")


def _answer(
    services: Services,
    vehicles: list[Reading],
    meters: list[Reading],
    indexes: list[int],
    bad: list[Fault],
    received: int,
    pointers: Callable[[int], str],
) -> Response:
    outcomes = _commit(services, vehicles, meters)
    conflicts = [_conflict(index, pointers) for index, outcome in zip(indexes, outcomes, strict=True) if outcome is Outcome.CONFLICT]
    accepted, duplicates = outcomes.count(Outcome.ACCEPTED), outcomes.count(Outcome.DUPLICATE)
    errors = sorted(bad + conflicts, key=lambda fault: int(str(fault["index"])))
    counts: dict[str, Any] = {
        "received": received,
        "accepted": accepted,
        "duplicates": duplicates,
        "rejected": received - accepted - duplicates,
    }
    services.committer.counts.update(f"rejected:{fault['code']}" for fault in errors)
    if received and counts["rejected"] == received:
        detail = "the reading was not stored" if received == 1 else "none of the readings was stored"
        raise Problem(422, "invalid_readings", "Unprocessable Content", detail, **counts, **faults(errors))
    status = 207 if errors else 201 if accepted else 200
    return as_json({"requestId": request_id(), **counts, **faults(errors)}, status)


def _conflict(index: int, pointers: Callable[[int], str]) -> Fault:
    return {
        "index": index,
        "pointer": pointers(index),
        "code": "conflict",
        "detail": "a reading of this device at this instant is stored with other values; the first one stays",
    }


def _commit(services: Services, vehicles: list[Reading], meters: list[Reading]) -> list[Outcome]:
    if not vehicles and not meters:
        return []
    try:
        return services.committer.submit(vehicles, meters, services.limits.commit_wait_s)
    except NotStored as refusal:
        raise unavailable(refusal.kind, str(refusal)) from None
