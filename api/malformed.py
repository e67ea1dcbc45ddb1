"""What gunicorn's parser refuses as HTTP, worded like every other refusal. Its own answers are HTML and repeat what was sent."""

from flask import Response
from flask_openapi3 import OpenAPI
from gunicorn.http import errors as http

from api.errors import Problem, response

_LARGE_HEAD = ("headers_too_large", "Request Header Fields Too Large", "a header is larger than 8 KiB, or there are more than 100 of them")
_SAID: dict[type[Exception], tuple[int, str, str, str]] = {
    http.LimitRequestLine: (414, "uri_too_long", "URI Too Long", "the address is longer than 4 KiB"),
    http.LimitRequestHeaders: (431, *_LARGE_HEAD),
    http.ExpectationFailed: (417, "expectation_failed", "Expectation Failed", "Expect may be 100-continue or absent"),
}


def refusal(error: BaseException) -> Problem | None:
    """The problem to answer with; None for what is no fault of a request's form. 400 where nothing better fits."""
    if not isinstance(error, http.ParseException | http.NoMoreData) or isinstance(error, http.ConfigurationProblem):
        return None
    status, kind, title, detail = _SAID.get(type(error), (400, "bad_request", "Bad Request", "this is not HTTP as we speak it"))
    return Problem(status, kind, title, detail)


def register(app: OpenAPI) -> None:
    """Where a body is read by a route: only then is it found out that its chunks are none, or that it ends too soon."""

    def refuse(error: Exception) -> Response:
        problem = refusal(error)
        if problem is None:
            raise error
        return response(problem)

    for kind in (http.ParseException, http.NoMoreData):
        app.register_error_handler(kind, refuse)
