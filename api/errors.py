"""One shape for everything that is not 2xx: application/problem+json (RFC 9457)."""

import random
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from flask import Response, g

MOST_ERRORS_LISTED = 100
PROBLEM_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer that is an error; `kind` becomes the problem's type, `extra` further members."""

    def __init__(self, status: int, kind: str, title: str, detail: str, *, retry: bool = False, **extra: Any) -> None:
        super().__init__(detail)
        self.status, self.kind, self.title, self.detail, self.retry, self.extra = status, kind, title, detail, retry, extra


def request_id() -> str:
    """This request's id, made on first use."""
    if "request_id" not in g:
        g.request_id = uuid.uuid4().hex
    return str(g.request_id)


def as_json(body: object, status: int = 200, headers: Mapping[str, str] | None = None, mimetype: str = "application/json") -> Response:
    """A JSON response of plain values, dates and dataclasses."""
    return Response(orjson.dumps(body), status=status, headers=dict(headers or {}), mimetype=mimetype)


def response(problem: Problem) -> Response:
    """The problem on the wire. `Retry-After` is jittered, so that a fleet turned away does not come back as one."""
    headers = {"Retry-After": str(random.randint(1, 30))} if problem.retry else {}  # noqa: S311 -- jitter, not a secret
    body = {
        "type": f"urn:voltledger:problem:{problem.kind}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "requestId": request_id(),
        **problem.extra,
    }
    return as_json(body, problem.status, headers, PROBLEM_TYPE)


def unavailable(kind: str, detail: str) -> Problem:
    """503: not confirmed, send the same again."""
    return Problem(503, kind, "Service Unavailable", f"{detail}; nothing is confirmed, send the same again", retry=True)


def faults(errors: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    """The members that list payload faults, cut at 100 and saying so."""
    return {"errors": list(errors[:MOST_ERRORS_LISTED]), "errorsTruncated": len(errors) > MOST_ERRORS_LISTED}
