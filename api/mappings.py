"""Which meter feeds which vehicle."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import Problem, as_json, wrong_field
from api.params import ChangesQuery, MappingBody, MeterPath, TryQuery, VehiclePath, WithdrawQuery, sane
from api.people.door import who
from api.services import Services
from api.trial import tried
from api.words import change_words, z, z_or_none
from charging.assigning import Planned
from charging.timeline import ALWAYS, FOREVER, Occupied, occupied
from db.assignment_changes import AssignmentChange, Author, Via, recorded
from db.assignments import Assignment, assign, on_meter, timelines, withdraw
from db.engine import Conn
from db.queries import devices

_TAG = Tag(name="Mappings", description="Which meter feeds which vehicle, from when on")


def register(app: OpenAPI, services: Services) -> None:
    """/v1/mappings…, /v1/mapping-changes, /v1/meters/{meterId}/mappings"""
    _register_timelines(app, services)
    _register_changing(app, services)


def _register_timelines(app: OpenAPI, services: Services) -> None:
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
            found = _known(conn, path.vehicleId)
        return as_json(_timeline(path.vehicleId, found, services.now()))

    @app.get("/v1/meters/<meterId>/mappings", tags=[_TAG], summary="One meter's timeline: which vehicles it fed")
    def get_meter_mappings(path: MeterPath) -> Response:
        with services.connection() as conn:
            found = on_meter(conn, path.meterId)
            if not found and devices.meter(conn, path.meterId) is None:
                raise Problem(404, "meter_not_found", "Not Found", "Meter not found")
        return as_json(_meter_timeline(path.meterId, found, services.now()))

    @app.get("/v1/mapping-changes", tags=[_TAG], summary="Who changed which assignment, when, from when to when; newest first")
    def get_mapping_changes(query: ChangesQuery) -> Response:
        with services.connection() as conn:
            found = recorded(conn, query.vehicleId, query.meterId, query.limit, query.after)
        return as_json({"changes": [_recorded(one) for one in found], "next": found[-1].change_id if len(found) == query.limit else None})


def _register_changing(app: OpenAPI, services: Services) -> None:
    @app.put("/v1/mappings/<vehicleId>", tags=[_TAG], summary="Assign a meter, or none, from now on or for a stretch of time")
    def put_mapping(path: VehiclePath, query: TryQuery, body: MappingBody) -> Response:
        _within_reason(body.start, body.end)
        now, who = services.now(), author(body.by, body.note)

        def change(conn: Conn) -> Planned:
            return assign(conn, path.vehicleId, body.meterId, body.start, now, who, body.end)

        with _no_empty_stretch():
            return _done_or_tried(services, change, now, dry_run=query.dryRun)

    @app.delete("/v1/mappings/<vehicleId>", tags=[_TAG], summary="End the mapping now, or take out one assignment")
    def delete_mapping(path: VehiclePath, query: WithdrawQuery) -> Response:
        _within_reason(query.start, None)
        now, who = services.now(), author(query.by, query.note)

        def change(conn: Conn) -> Planned:
            _known(conn, path.vehicleId)
            if query.start is None:
                return assign(conn, path.vehicleId, None, None, now, who)
            return _take_out(conn, path.vehicleId, query.start, now, who)

        return _done_or_tried(services, change, now, dry_run=query.dryRun)


def _done_or_tried(services: Services, change: Callable[[Conn], Planned], now: datetime, *, dry_run: bool) -> Response:
    with services.connection() as conn:
        if dry_run:
            made, found, numbers = tried(conn, lambda: change(conn), services, now)
            return _changed(made, found, now, 200, dryRun=True, pastNumbers=numbers)
        made = change(conn)
        found = timelines(conn, made.vehicle_id)
    return _changed(made, found, now, 201 if made.first else 200)


def author(by: str | None, note: str | None, via: Via = "api") -> Author:
    """Who asks: as they say, or where from."""
    return Author(who(by), via, note)


def _within_reason(start: datetime | None, end: datetime | None) -> None:
    for name, at in (("from", start), ("to", end)):
        if at is not None and not sane(at):
            raise wrong_field(name, "out_of_range", f"{name} lies outside the years 2000 to 2199")


@contextmanager
def _no_empty_stretch() -> Iterator[None]:
    try:
        yield
    except ValueError:
        raise wrong_field("to", "out_of_range", "from lies before to; where from is absent, a later mapping begins now") from None


def _known(conn: Conn, vehicle_id: str) -> list[Assignment]:
    found = timelines(conn, vehicle_id)
    if not found:
        raise Problem(404, "mapping_not_found", "Not Found", "Mapping not found")
    return found


def _take_out(conn: Conn, vehicle_id: str, start: datetime, now: datetime, who: Author) -> Planned:
    try:
        return withdraw(conn, vehicle_id, start.astimezone(UTC), now, who)
    except KeyError:
        raise Problem(404, "mapping_not_found", "Not Found", "No mapping of this vehicle begins exactly then") from None


def _changed(made: Planned, found: list[Assignment], now: datetime, status: int, **more: object) -> Response:
    return as_json({**_timeline(made.vehicle_id, found, now), "changes": change_words(made, now), **more}, status)


def _timeline(vehicle_id: str, known: list[Assignment], now: datetime) -> dict[str, Any]:
    present = next((a for a in known if (a.valid_from is None or a.valid_from <= now) and (a.valid_to is None or a.valid_to > now)), None)
    return {
        "vehicleId": vehicle_id,
        "meterId": present.meter_id if present else None,
        "timeline": [{"meterId": a.meter_id, "from": z_or_none(a.valid_from), "to": z_or_none(a.valid_to)} for a in known],
    }


def _meter_timeline(meter_id: str, known: list[Assignment], now: datetime) -> dict[str, Any]:
    stretches = list(occupied((a.vehicle_id, a.valid_from or ALWAYS, a.valid_to or FOREVER) for a in known))
    present = next((one for one in stretches if one.start <= now < one.end), None)
    return {
        "meterId": meter_id,
        "vehicleIds": list(present.vehicle_ids) if present else [],
        "timeline": [_occupied(one) for one in stretches],
    }


def _occupied(one: Occupied) -> dict[str, Any]:
    return {
        "vehicleIds": list(one.vehicle_ids),
        "from": None if one.start == ALWAYS else z(one.start),
        "to": None if one.end == FOREVER else z(one.end),
        "shared": len(one.vehicle_ids) > 1,
    }


def _recorded(one: AssignmentChange) -> dict[str, Any]:
    return {
        "changeId": one.change_id,
        "changedAt": z(one.changed_at),
        "by": one.changed_by,
        "via": one.via,
        "vehicleId": one.vehicle_id,
        "from": z_or_none(one.valid_from),
        "to": z_or_none(one.valid_to),
        "meterBefore": one.meter_before,
        "meterAfter": one.meter_after,
        "correctsPast": one.corrects_past,
        "note": one.note,
    }
