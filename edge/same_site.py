"""No other site may have a browser change anything here, or ask the pages' callbacks, in the name of whoever looks at it.

Browsers say where a request comes from: in Sec-Fetch-Site where the page is trusted (https or this machine), else in Origin. Programs
say neither and are not concerned.
"""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from api.errors import Problem, new_request_id, problem_answer
from edge.headers import Wsgi

_READS = frozenset(("GET", "HEAD", "OPTIONS"))
_OURS = frozenset(("same-origin", "none"))  # none: typed, bookmarked or dropped by the person
CALLBACKS = "/_dash-update-component"


class SameSite:
    """WSGI: what comes from another site is answered 403, everything else by `rest`."""

    def __init__(self, rest: Wsgi) -> None:
        self._rest = rest

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request."""
        guarded = environ["REQUEST_METHOD"] not in _READS or environ.get("PATH_INFO") == CALLBACKS
        if not guarded or not is_foreign(environ):
            return self._rest(environ, start_response)
        problem = Problem(403, "other_site", "Forbidden", "a page of another site asked for this")
        made = problem_answer(problem, new_request_id())
        start_response("403 Forbidden", [*made.headers, ("Content-Length", str(len(made.body)))])
        return [made.body]


def is_foreign(environ: dict[str, Any]) -> bool:
    """Whether a browser says that the page that asks is not ours. Another port or subdomain is another site."""
    if site := environ.get("HTTP_SEC_FETCH_SITE"):
        return site not in _OURS
    origin = environ.get("HTTP_ORIGIN")
    return origin is not None and _host(origin) != environ.get("HTTP_HOST", "").lower()


def _host(origin: str) -> str | None:
    """Host and port; the scheme is a proxy's affair. None for `null` and nonsense."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
