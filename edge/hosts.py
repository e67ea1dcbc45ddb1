"""By which names this server answers. A stranger's page whose name is made to lead here (DNS rebinding) is same-origin for a browser: only the name gives it away.

Addresses and names that nobody can own on the public internet (`localhost`, one label, `.local`, `.internal`) are always ours, and so is
whoever shows a key. The event loop's own lane does not ask: what a browser sends does not take it (see api.plain_http).
"""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from api.errors import Problem, new_request_id, problem_answer
from edge.headers import Wsgi

ANY = "*"
_NOBODYS = (".localhost", ".local", ".internal", ".home.arpa")
_SAID = "this server does not answer by that name: whoever runs it adds it to VOLTLEDGER_ALLOWED_HOSTS, names separated by commas"


def names(said: str | None, *addresses: str | None) -> frozenset[str]:
    """The names in a setting and the hosts of `addresses` (host names or URLs), in small letters."""
    hosts = [urlsplit(one).hostname or "" if "//" in one else one for one in addresses if one]
    return frozenset(name.strip().lower().rstrip(".") for name in (*(said or "").split(","), *hosts) if name.strip())


class Hosts:
    """WSGI: what asks for another name is answered 421, everything else by `rest`. `*` among the names: every name is ours."""

    def __init__(self, rest: Wsgi, ours: frozenset[str]) -> None:
        self._rest, self._ours = rest, ours

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request."""
        if ANY in self._ours or environ.get("HTTP_AUTHORIZATION") or is_ours(environ.get("HTTP_HOST", ""), self._ours):
            return self._rest(environ, start_response)
        made = problem_answer(Problem(421, "unknown_host", "Misdirected Request", _SAID), new_request_id())
        start_response("421 Misdirected Request", [*made.headers, ("Content-Length", str(len(made.body)))])
        return [made.body]


def is_ours(host: str, ours: frozenset[str]) -> bool:
    """Whether a Host header, with or without a port, names us. An absent one names nobody else."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    return name in ours or "." not in name or name.endswith(_NOBODYS) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
