"""The tab of keys: who may send readings, read and administer by program, when each key was used and refused last."""

from typing import Any

from dash import html

from dashboard.pages.admin import parts

_COLUMNS = [
    parts.column("vehicle", "Key", 220, "AdminNameCell", sort="asc"),
    parts.column("writes", "Writes", 170),
    parts.column("state", "State", 90),
    parts.column("usedMs", "Last used", 165, "AdminMomentCell"),
    parts.number("refused", "Refused", 90),
    parts.column("expiresMs", "Expires", 165, "AdminMomentCell"),
]
_NOTHING = "No key yet. Make one for each device, put it in there, and then require keys."


def layout(settings: Any = None) -> list[Any]:
    """Without a row; the browser asks /v1/keys."""
    table = parts.grid("admin-keys", _COLUMNS, _NOTHING)
    body = parts.listed("Keys", table, parts.button("Make a key", "new"))
    section = parts.picked(body, "Pick a key to see how it fared, to give it another secret, or to revoke it.")
    return [
        section,
        html.Section([html.Div(html.H2("Whether keys are asked for"), className="card-head"), _asked(settings)], className="card"),
    ]


def _asked(settings: Any) -> html.P:
    required = settings is not None and settings.require_keys
    words = (
        "Keys are required: without one nobody sends a reading or uses the API by program. Uses and refusals are written down once a minute."
        if required
        else "Keys are not required now: everybody who reaches this address may send readings, with or without one. When every device has its "
        "key, set the variable below to 1 and start the program anew."
    )
    return html.P([words, " ", html.Code("VOLTLEDGER_REQUIRE_KEYS")], className="admin-words")
