"""Who is logged in, for the page and for whoever wonders."""

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import Problem, as_json
from api.people.roles import MAY
from api.services import Services

_TAG = Tag(name="People", description="Who may log in, and as what")


def register(app: OpenAPI, services: Services) -> None:
    """/v1/me"""

    @app.get("/v1/me", tags=[_TAG], summary="Who is logged in here, and what they may do")
    def get_me() -> Response:
        found = services.door.present() if services.door else None
        if found is None:
            raise Problem(404, "nobody", "Not Found", "Nobody is logged in here")
        said = {"personId": found.person_id, "email": found.email, "name": found.name, "role": found.role}
        return as_json({**said, "may": sorted(MAY[found.role]), "mustChangePassword": found.must_change})
