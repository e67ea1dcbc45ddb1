"""Vehicles whose efficiency is low over the last 24 hours, with the numbers behind it."""

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import as_json
from api.params import AlertsQuery
from api.services import Services
from api.words import as_performance
from charging.verdict import Verdict

_TAG = Tag(name="Alerts", description="What needs somebody")


def register(app: OpenAPI, services: Services) -> None:
    """GET /v1/alerts"""

    @app.get("/v1/alerts", tags=[_TAG], summary="Low efficiency, worst first")
    def get_alerts(query: AlertsQuery) -> Response:
        if query.state not in (None, "firing"):
            return as_json({"alerts": []})
        day, now = services.day(), services.now()
        low = [(vehicle_id, s) for vehicle_id, s in day.summaries.items() if s.verdict is Verdict.LOW]
        low.sort(key=lambda one: (one[1].severity != "critical", one[1].ratio or 0))
        body = [{"rule": "low_efficiency", "state": "firing", **as_performance(vehicle_id, s, day.at, now)} for vehicle_id, s in low]
        return as_json({"alerts": body})
