"""Vehicles whose efficiency is low over the last 24 hours, with the numbers behind it."""

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.analytics import WINDOW, as_performance
from api.errors import as_json
from api.params import AlertsQuery
from api.services import Services
from charging.verdict import Verdict
from db.queries import performance

_TAG = Tag(name="Alerts", description="What needs somebody")


def register(app: OpenAPI, services: Services) -> None:
    """GET /v1/alerts"""

    @app.get("/v1/alerts", tags=[_TAG], summary="Low efficiency, worst first")
    def get_alerts(query: AlertsQuery) -> Response:
        now = services.now()
        with services.connection() as conn:
            found = performance.summaries(conn, now - WINDOW, now, None, services.thresholds)
        if query.state not in (None, "firing"):
            return as_json({"alerts": []})
        low = [(vehicle_id, s) for vehicle_id, s in found.items() if s.verdict is Verdict.LOW]
        low.sort(key=lambda one: (one[1].severity != "critical", one[1].ratio or 0))
        body = [{"rule": "low_efficiency", "state": "firing", **as_performance(vehicle_id, s, now, now)} for vehicle_id, s in low]
        return as_json({"alerts": body})
