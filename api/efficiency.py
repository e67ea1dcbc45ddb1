"""A vehicle's efficiency over any window: the whole, and bin by bin, each with its evidence and verdict."""

from datetime import datetime, timedelta
from typing import Any

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import Problem, as_json
from api.params import EfficiencyQuery, VehiclePath
from api.ranges import bounds
from api.services import Services
from api.words import as_performance, z
from charging.verdict import Summary
from db.queries import performance

_TAG = Tag(name="Analytics", description="Charging efficiency")
_BIN_S = {"15m": 900, "1h": 3_600, "6h": 6 * 3_600, "1d": 24 * 3_600}
# More than anybody looks at or any chart can draw; a finer look is a shorter one.
MOST_BINS = 5_000


def register(app: OpenAPI, services: Services) -> None:
    """GET /v1/vehicles/{id}/efficiency"""

    @app.get("/v1/vehicles/<vehicleId>/efficiency", tags=[_TAG], summary="A vehicle's efficiency over any window, and bin by bin")
    def get_vehicle_efficiency(path: VehiclePath, query: EfficiencyQuery) -> Response:
        now = services.now()
        (start, end), bin_s = bounds(query, now), _BIN_S[query.bin]
        if (end - start).total_seconds() > MOST_BINS * bin_s:
            detail = f"{query.bin} makes more than {MOST_BINS:,} bins of it: choose longer ones or a shorter time"
            raise Problem(422, "invalid_parameter", "Unprocessable Content", detail)
        with services.reading() as conn:
            whole = performance.summaries(conn, start, end, [path.vehicleId], services.policies).get(path.vehicleId)
            bins = performance.bins(conn, path.vehicleId, start, end, bin_s, services.policies) if whole else []
        if whole is None:
            raise Problem(404, "vehicle_not_found", "Not Found", "Vehicle not found")

        def worded(s: Summary, begin: datetime, finish: datetime) -> dict[str, Any]:
            return as_performance(path.vehicleId, s, finish, now, begin)

        step = timedelta(seconds=bin_s)
        body = [worded(s, max(at, start), min(at + step, end)) for at, s in bins]
        return as_json(
            {
                "vehicleId": path.vehicleId,
                "from": z(start),
                "to": z(end),
                "bin": query.bin,
                "whole": worded(whole, start, end),
                "bins": body,
            }
        )
