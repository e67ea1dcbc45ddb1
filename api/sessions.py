"""Charging sessions of a vehicle and at a meter."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import as_json
from api.exporting.cells import csv_line
from api.params import MeterPath, SessionsQuery, VehiclePath
from api.ranges import bounds
from api.services import Services
from api.words import SESSION_COLUMNS, as_session, session_cells, z
from charging.sessions import Session
from db.engine import Conn
from db.queries import sessions

_TAG = Tag(name="Sessions", description="Charging sessions, derived from the readings at every question")


def register(app: OpenAPI, services: Services) -> None:
    """GET /v1/vehicles/{id}/sessions and /v1/meters/{id}/sessions"""

    @app.get("/v1/vehicles/<vehicleId>/sessions", tags=[_TAG], summary="A vehicle's charging sessions")
    def get_vehicle_sessions(path: VehiclePath, query: SessionsQuery) -> Response:
        def read(conn: Conn, start: datetime, end: datetime) -> list[Session]:
            return sessions.of_vehicles(conn, [path.vehicleId], start, end, services.now(), services.policies)

        return _answer(services, {"vehicleId": path.vehicleId}, query, read)

    @app.get("/v1/meters/<meterId>/sessions", tags=[_TAG], summary="The charging sessions at a meter")
    def get_meter_sessions(path: MeterPath, query: SessionsQuery) -> Response:
        def read(conn: Conn, start: datetime, end: datetime) -> list[Session]:
            return sessions.of_meters(conn, [path.meterId], start, end, services.now(), services.policies)

        return _answer(services, {"meterId": path.meterId}, query, read)


def _answer(
    services: Services, whose: dict[str, Any], query: SessionsQuery, read: Callable[[Conn, datetime, datetime], list[Session]]
) -> Response:
    start, end = bounds(query, services.now())
    with services.connection() as conn:
        found = read(conn, start, end)
    if query.format == "csv":
        name = f"voltledger-sessions-{next(iter(whose.values()))}.csv".replace(":", "-")
        lines = "".join([csv_line(SESSION_COLUMNS), *(csv_line(session_cells(session)) for session in found)])
        return Response(lines, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f"attachment; filename={name}"})
    return as_json({**whose, "from": z(start), "to": z(end), "sessions": [as_session(s) for s in found]})
