"""How long requests take, by what is asked for, on both ways: those of the event loop and those of Flask."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client.core import Metric

from api.watching.histogram import SECONDS, Histogram, family

_Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
TELEMETRY, PERFORMANCE = "telemetry", "performance"
# The first that fits; what is none of these is a page.
_KINDS = (
    ("/v1/telemetry/", TELEMETRY),
    ("/v1/analytics/performance/", PERFORMANCE),
    ("/v1/", "api"),
    ("/live/", "live"),
    ("/_dash-update-component", "callback"),
    ("/_dash-component-suites/", "asset"),
    ("/assets/", "asset"),
    ("/healthz", "operations"),
    ("/readyz", "operations"),
    ("/metrics", "operations"),
)


def kind_of(path: str) -> str:
    """One of a dozen words, whatever strangers ask for."""
    return next((kind for start, kind in _KINDS if path.startswith(start)), "page")


class RequestTimes:
    """Counted from when a request was whole to when its answer was ready: what a slow line adds is not ours. Of a streamed answer, its beginning."""

    def __init__(self) -> None:
        self._by: dict[tuple[str, int], Histogram] = {}

    def answered(self, kind: str, status: int, seconds: float) -> None:
        """One more. Takes a millionth of a second."""
        key = kind, status // 100
        histogram = self._by.get(key)
        if histogram is None:
            histogram = self._by.setdefault(key, Histogram(SECONDS))
        histogram.observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """For Prometheus."""
        made = [((kind, f"{hundreds}xx"), histogram) for (kind, hundreds), histogram in sorted(self._by.items())]
        words = "From the whole request to its answer, by what was asked for and the answer's status"
        yield family("voltledger_request_seconds", words, ("kind", "status"), made)


class Timed:
    """WSGI: `rest`, with its times taken."""

    def __init__(self, rest: _Wsgi, times: RequestTimes) -> None:
        self._rest, self._times = rest, times

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request."""
        begun, status = time.monotonic(), 500

        def start(line: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            nonlocal status
            status = int(line[:3])
            return start_response(line, headers, *more)

        try:
            return self._rest(environ, start)
        finally:
            self._times.answered(kind_of(environ["PATH_INFO"]), status, time.monotonic() - begun)
