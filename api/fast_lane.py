"""The hot routes in front of Flask's dispatch: the same intake without the framework's work per request."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from werkzeug.wsgi import get_input_stream

from api.body import Head
from api.errors import Answer
from api.intake import ROUTES, Intake
from api.keys.gate import Presented

_Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class FastLane:
    """WSGI: POSTs to the telemetry routes go to the intake, everything else to `rest`."""

    def __init__(self, rest: _Wsgi, intake: Intake) -> None:
        self._rest, self._intake = rest, intake

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request."""
        if environ["REQUEST_METHOD"] != "POST" or environ["PATH_INFO"] not in ROUTES:
            return self._rest(environ, start_response)
        made = take(self._intake, environ["PATH_INFO"], environ)
        start_response(STATUS_LINES[made.status], [*made.headers, ("Content-Length", str(len(made.body)))])
        return [made.body]


def take(intake: Intake, route: str, environ: dict[str, Any]) -> Answer:
    """The intake's answer to a request in WSGI's form for one of its routes, which may be written otherwise in the request."""
    return intake.take(route, head(environ), lambda most: get_input_stream(environ).read(most), shown(environ))


def shown(environ: dict[str, Any]) -> Presented:
    """What a request in WSGI's form shows of who sends it."""
    return Presented(
        environ.get("HTTP_AUTHORIZATION", ""),
        environ.get("REMOTE_ADDR", ""),
        environ.get("HTTP_X_FORWARDED_FOR", ""),
        environ.get("HTTP_X_REQUEST_ID", ""),
    )


def head(environ: dict[str, Any]) -> Head:
    """What a request in WSGI's form says about its body."""
    length = environ.get("CONTENT_LENGTH", "")
    return Head(
        content_type=environ.get("CONTENT_TYPE", ""),
        encoding=environ.get("HTTP_CONTENT_ENCODING", "").strip().lower(),
        length=int(length) if length.isdecimal() else None,
        chunked=bool(environ.get("HTTP_TRANSFER_ENCODING")),
    )
