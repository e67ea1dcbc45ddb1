"""The one table of what a key must be allowed for which route. What is not in it is for administrators."""

from typing import Literal, get_args

Right = Literal["write", "read", "admin"]
RIGHTS: tuple[Right, ...] = get_args(Right)

# First match wins: methods ("*": all), how the route begins, the right.
_TABLE: tuple[tuple[str, str, Right], ...] = (
    ("POST", "/v1/telemetry/", "write"),
    ("GET HEAD", "/v1/keys", "admin"),
    ("GET HEAD", "/v1/notice", "admin"),  # where people are told, and what was sent there
    ("GET HEAD", "/v1/", "read"),
    ("*", "/v1/", "admin"),
    ("GET HEAD", "/metrics", "read"),
)


def needed(method: str, path: str) -> Right | None:
    """The right for a request to a path or to a route's rule; None for what is no business of keys: pages, /healthz, /readyz."""
    for methods, begins, right in _TABLE:
        if path.startswith(begins) and (methods == "*" or method in methods.split()):
            return right
    return None


def place(rule: str | None, path: str) -> str:
    """By what a request is judged: its route's rule, or its path where there is none. Dash's page for everything is no route of /v1."""
    return path if rule is None or (rule == "/<path:path>" and path.startswith("/v1/")) else rule
