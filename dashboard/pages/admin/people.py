"""The tab of people: who may log in, as what, when each did last, and whose password was wrong how often."""

from typing import Any

from dash import html

from dashboard.pages.admin import parts

_COLUMNS = [
    parts.column("vehicle", "Person", 220, "AdminNameCell", sort="asc"),
    parts.column("role", "Role", 100),
    parts.column("state", "State", 100),
    parts.column("seenMs", "Last log-in", 165, "AdminMomentCell"),
    parts.number("openLogIns", "Log-ins", 90),
    parts.number("failed", "Refused", 90),
]
_NOTHING = "Nobody yet. The first administrator is made with: python -m db admin"
_ROLES = (
    ("viewer", "sees every page and figure"),
    ("technician", "acknowledges and silences alerts too"),
    ("analyst", "takes reports and files of any window too"),
    ("admin", "changes everything else: assignments, descriptions, rules, notices, keys, people"),
)


def layout(settings: Any = None) -> list[Any]:
    """Without a row; the browser asks /v1/people."""
    body = parts.listed("People", parts.grid("admin-people", _COLUMNS, _NOTHING), parts.button("Add somebody", "new"))
    section = parts.picked(body, "Pick somebody to change the role, to make a one-time password, or to end their log-ins.")
    roles = html.Dl([part for role, words in _ROLES for part in (html.Dt(role), html.Dd(words))], className="key-facts")
    return [
        section,
        html.Section([html.Div(html.H2("What roles are for"), className="card-head"), roles, _asked(settings)], className="card"),
    ]


def _asked(settings: Any) -> html.P:
    required = settings is not None and settings.require_login
    words = (
        "Nobody sees a page without a log-in. Who logged in, and every change here, is kept in the record."
        if required
        else "Nobody is asked to log in now. Make the first administrator with python -m db admin, set both variables to 1 and start the program anew."
    )
    codes = [html.Code("VOLTLEDGER_REQUIRE_LOGIN"), " ", html.Code("VOLTLEDGER_REQUIRE_KEYS")]
    return html.P([words, " ", *codes], className="admin-words")
