"""The HTTP contract as one Flask application, fenced off from the pages that share it."""

import structlog
from flask import Response, g, redirect, request
from flask_openapi3 import Info, OpenAPI
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map

from api import (
    alert_rules,
    alerts,
    analytics,
    channels,
    descriptions,
    efficiency,
    errors,
    fleet,
    ingestion,
    losses,
    malformed,
    mappings,
    meter_energy,
    methods,
    operations,
    previews,
    reports,
    sessions,
    specification_page,
    telemetry,
)
from api.asking import Asker
from api.bulk import routes as bulk
from api.errors import Problem
from api.fast_lane import FastLane, shown
from api.intake import ROUTES, Intake
from api.keys import rights
from api.keys import routes as keys
from api.keys.gate import Gate
from api.lanes import LANES, Lanes
from api.people import roles
from api.people import routes as people
from api.people.door import Door
from api.services import Services
from api.shallow_json import ShallowJson
from api.specification import SpecifiedApi
from api.watching.requests import RequestTimes, Timed

log = structlog.get_logger()

_OURS = ("/v1", "/healthz", "/readyz", "/metrics", "/api")


def create(services: Services) -> OpenAPI:
    """The server that the dashboard is put upon. Nothing outside /v1, /api and the three operations routes is answered here."""
    app = SpecifiedApi(
        "voltledger",
        info=Info(
            title="Voltledger",
            version="0.1.0",
            description="Where does the energy go between the grid and the battery of an electric fleet?",
        ),
        doc_prefix="/api",
        doc_url="/openapi.json",
        security_schemes={},
        validation_error_callback=_invalid_parameters,
        static_folder=None,
    )
    app.json = ShallowJson(app)
    for room in (
        telemetry,
        fleet,
        descriptions,
        efficiency,
        meter_energy,
        sessions,
        losses,
        reports,
        previews,
        mappings,
        bulk,
        alerts,
        channels,
        alert_rules,
        ingestion,
        keys,
        people,
    ):
        room.register(app, services)
    times = RequestTimes()
    operations.register(app, services, times)
    asker = Asker(services.reading, services.policies, services.now)
    analytics.register(app, services, asker)
    specification_page.register(app)
    app.add_url_rule("/api", "api_ui", lambda: redirect("/api/swagger"))
    app.add_url_rule("/api-json", "api_json", lambda: redirect("/api/openapi.json"))
    app.register_error_handler(Problem, errors.response)
    malformed.register(app)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    _name_requests(app, services.intake)
    _ask_who(app, services.intake.gate, services.door)
    _fence(app)
    methods.register(app)
    app.wsgi_app = Timed(FastLane(app.wsgi_app, services.intake), times)  # type: ignore[method-assign]
    app.extensions[LANES] = Lanes(services.intake, asker, times)
    return app


def _name_requests(app: OpenAPI, intake: Intake) -> None:
    """Every line that is logged for a request has its id, and so has every answer."""

    @app.before_request
    def name_the_request() -> None:
        g.request_id = intake.request_id(shown(request.environ))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.after_request
    def say_its_name(response: Response) -> Response:
        response.headers.setdefault("X-Request-Id", errors.request_id())
        return response


def _ask_who(app: OpenAPI, gate: Gate, door: Door | None) -> None:
    """Before anything else is told, even that there is no such route. The telemetry routes ask by themselves, on their shorter way too."""

    @app.before_request
    def refuse_strangers() -> None:
        path = rights.place(request.url_rule.rule if request.url_rule else None, request.path)
        right = rights.needed(request.method, path)
        if right is None or gate.ring is None or (request.method == "POST" and path in ROUTES):
            return
        if door and "Authorization" not in request.headers:
            door.admit(roles.needed(request.method, path))
        else:
            gate.admit(shown(request.environ), right)


def _fence(app: OpenAPI) -> None:
    """Dash answers every unknown GET with its page, also /v1/nope: what is not one of our routes is refused before it gets there."""
    ours = Map([rule.empty() for rule in app.url_map.iter_rules() if rule.rule.startswith("/v1/")])

    @app.before_request
    def refuse_unknown() -> None:
        if request.url_rule and request.url_rule.rule.startswith("/v1/"):
            return  # found already
        if request.path == "/v1" or request.path.startswith("/v1/"):
            ours.bind_to_environ(request.environ).match()


def _invalid_parameters(error: ValidationError) -> Response:
    found = [
        {"index": 0, "pointer": "/" + "/".join(str(part) for part in one["loc"]), "code": one["type"], "detail": one["msg"]}
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    detail = "; ".join(f"{one['pointer']}: {one['detail']}" for one in found[:3])
    return errors.response(Problem(422, "invalid_parameter", "Unprocessable Content", detail, **errors.faults(found)))


def _http_error(error: HTTPException) -> Response:
    if error.code is None or error.code < 400:
        return error.get_response()  # type: ignore[return-value]  # a redirect
    if not request.path.startswith(_OURS):
        return Response(f"{error.name}\nRequest {errors.request_id()}\n", status=error.code, mimetype="text/plain")
    kind = error.name.lower().replace(" ", "_")
    response = errors.response(Problem(error.code, kind, error.name, error.description or error.name))
    allow = getattr(error, "valid_methods", None)
    if allow:
        response.headers["Allow"] = ", ".join(sorted(allow))
    return response


def _unexpected(error: Exception) -> Response:
    log.error("unexpected", exc_info=error, path=request.path, error=type(error).__name__)
    return errors.response(
        Problem(500, "internal", "Internal Server Error", "something went wrong here; the request id finds it in the log")
    )
