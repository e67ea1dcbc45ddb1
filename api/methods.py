"""OPTIONS under /v1: what may be done there, and no more. Flask would add what Dash's pages take on any path."""

from flask import Response, request
from flask_openapi3 import OpenAPI
from werkzeug.exceptions import NotFound
from werkzeug.routing import Map


def register(app: OpenAPI) -> None:
    """Call it when every route of ours is there."""
    ours = Map([rule.empty() for rule in app.url_map.iter_rules() if rule.rule.startswith("/v1/")])

    @app.before_request
    def tell_methods() -> Response | None:
        if request.method != "OPTIONS" or not request.path.startswith("/v1/"):
            return None
        allowed = sorted(ours.bind_to_environ(request.environ).allowed_methods())
        if not allowed:
            raise NotFound
        return Response(headers={"Allow": ", ".join(allowed)})
