"""One shape for everything that is not 2xx: application/problem+json (RFC 9457)."""

import math
import os
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Response, g

MOST_ERRORS_LISTED = 100
Headers = tuple[tuple[str, str], ...]
PROBLEM_TYPE = "application/problem+json"
_NOSNIFF = ("X-Content-Type-Options", "nosniff")  # the event loop's answers pass no other place that could say it
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}\Z")
RETRY_AFTER_S = (1, 30)  # jittered, so that a fleet turned away does not come back as one


class Problem(Exception):
    """An answer that is an error; `kind` becomes the problem's type, `extra` further members.

    `retry`: say when to come back, at some time soon or in that many seconds.
    """

    def __init__(self, status: int, kind: str, title: str, detail: str, *, retry: bool | float = False, **extra: Any) -> None:
        super().__init__(detail)
        self.status, self.kind, self.title, self.detail, self.retry, self.extra = status, kind, title, detail, retry, extra


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back for one request, whoever puts it on the wire."""

    status: int
    headers: Headers
    body: bytes


def new_request_id() -> str:
    """An id that finds one request in the log."""
    return os.urandom(16).hex()


def request_id_of(given: str) -> str:
    """What a proxy of ours calls the request, where that is a name; else a new one."""
    return given if _REQUEST_ID.match(given) else new_request_id()


def request_id() -> str:
    """This Flask request's id, made on first use."""
    if "request_id" not in g:
        g.request_id = new_request_id()
    return str(g.request_id)


def as_json(body: object, status: int = 200, headers: Mapping[str, str] | None = None, mimetype: str = "application/json") -> Response:
    """A JSON response of plain values, dates and dataclasses."""
    return Response(orjson.dumps(body), status=status, headers=dict(headers or {}), mimetype=mimetype)


def answer(body: object, status: int, request: str, mimetype: str = "application/json", more: Headers = ()) -> Answer:
    """The same, for those who answer without Flask."""
    return Answer(status, (("Content-Type", mimetype), _NOSNIFF, ("X-Request-Id", request), *more), orjson.dumps(body))


def problem_answer(problem: Problem, request: str) -> Answer:
    """The problem on the wire."""
    body = {
        "type": f"urn:voltledger:problem:{problem.kind}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "requestId": request,
        **problem.extra,
    }
    return answer(body, problem.status, request, PROBLEM_TYPE, _headers(problem))


def _headers(problem: Problem) -> Headers:
    if problem.status == 401:
        return (("WWW-Authenticate", "Bearer"),)
    if problem.retry is False:
        return ()
    least, most = RETRY_AFTER_S if problem.retry is True else (math.ceil(problem.retry), math.ceil(problem.retry) + 1)
    return (("Retry-After", str(random.randint(least, most))),)  # noqa: S311 -- jitter, not a secret


def as_response(made: Answer) -> Response:
    """An answer as Flask's."""
    return Response(made.body, status=made.status, headers=list(made.headers))


def response(problem: Problem) -> Response:
    """The problem as Flask's."""
    return as_response(problem_answer(problem, request_id()))


def unavailable(kind: str, detail: str) -> Problem:
    """503: not confirmed, send the same again."""
    return Problem(503, kind, "Service Unavailable", f"{detail}; nothing is confirmed, send the same again", retry=True)


def faults(errors: Sequence[Mapping[str, object]]) -> dict[str, Any]:
    """The members that list payload faults, cut at 100 and saying so."""
    return {"errors": list(errors[:MOST_ERRORS_LISTED]), "errorsTruncated": len(errors) > MOST_ERRORS_LISTED}


def wrong_field(name: str, code: str, detail: str, kind: str = "invalid_parameter") -> Problem:
    """422 for what no single value is wrong by itself: the field to which it is said."""
    return Problem(
        422, kind, "Unprocessable Content", detail, **faults([{"index": 0, "pointer": f"/{name}", "code": code, "detail": detail}])
    )
