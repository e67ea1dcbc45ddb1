"""The one table of what people may do: what each role is for, and what each route and page needs.

An action is held against the role of whoever is logged in, in the request itself; hidden buttons are a courtesy.
"""

from typing import Literal, get_args

from db.people import Role

Action = Literal["see", "tend", "export", "administer", "own"]
ACTIONS: tuple[Action, ...] = get_args(Action)
ROLES: tuple[Role, ...] = get_args(Role)

# see: every page and figure. tend: acknowledge and silence alerts, with a note. export: reports and files of any window.
# administer: mappings, descriptions, rules, channels, keys, people. own: one's own password.
MAY: dict[Role, frozenset[Action]] = {
    "viewer": frozenset(("own", "see")),
    "technician": frozenset(("own", "see", "tend")),
    "analyst": frozenset(("own", "see", "tend", "export")),
    "admin": frozenset(("own", "see", "tend", "export", "administer")),
}

# First match wins: methods ("*": all), how the route or path begins, the action.
_TABLE: tuple[tuple[str, str, Action], ...] = (
    ("*", "/v1/me", "own"),
    ("*", "/password", "own"),
    ("*", "/log-out", "own"),
    ("GET HEAD", "/v1/people", "administer"),
    ("GET HEAD", "/v1/keys", "administer"),
    ("GET HEAD", "/v1/notice", "administer"),  # where people are told, and what was sent there
    ("GET HEAD", "/v1/reports/", "export"),
    ("GET HEAD", "/v1/", "see"),
    ("POST", "/v1/alerts/", "tend"),
    ("POST DELETE", "/v1/silences", "tend"),
    ("*", "/v1/", "administer"),
    ("GET HEAD", "/admin", "administer"),
    ("GET HEAD", "/reports", "export"),
    ("POST", "/_dash-update-component", "see"),  # each callback is judged by its own, see `needed_by_callback`
    ("GET HEAD", "/", "see"),
)
# By the id at the beginning of a callback's output. Every callback there is only shows; one that does more is named here.
_CALLBACKS: tuple[tuple[str, Action], ...] = (("admin", "administer"), ("report", "export"))


def may(role: Role, action: Action) -> bool:
    """Whether that role is for this."""
    return action in MAY[role]


def needed(method: str, path: str) -> Action:
    """What a request needs; what is not in the table is for administrators."""
    for methods, begins, action in _TABLE:
        if path.startswith(begins) and (methods == "*" or method in methods.split()):
            return action
    return "administer"


def needed_by_callback(output: str) -> Action:
    """What one of Dash's callbacks needs, by its output as Dash writes it: `id.property`, or several as `..a.b...c.d..`."""
    return next((action for begins, action in _CALLBACKS if output.lstrip(".").startswith(begins)), "see")
