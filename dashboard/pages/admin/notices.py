"""The tab that says how people are told of alerts: the channels, how each fared, and a test of each."""

from typing import Any

from dash import html

from dashboard.pages.admin import parts

_COLUMNS = [
    parts.column("vehicle", "Channel", 180, "AdminNameCell", sort="asc"),
    parts.column("kindWords", "Way", 110),
    parts.column("address", "Leads to", 190),
    parts.column("state", "State", 110),
    parts.column("sentMs", "Last sent", 165, "AdminMomentCell"),
    parts.column("failedMs", "Last failed", 165, "AdminMomentCell"),
]
_NOTHING = "No channel yet, so nobody is told of an alert who does not look at the pages. Add a channel, then send it a test."


def layout(_: Any = None) -> list[Any]:
    """Without a row; the browser asks /v1/notice-channels."""
    body = parts.listed("Channels", parts.grid("admin-notices", _COLUMNS, _NOTHING), parts.button("Add a channel", "new"))
    section = parts.picked(body, "Pick a channel to change it, to see what it was sent, or to send it a test.")
    words = html.P(
        [
            "A webhook gets signed JSON, an e-mail words, and ",
            html.Code("slack://"), ", ", html.Code("tgram://"), ", ", html.Code("ntfys://"),
            " and many other services are reached through Apprise. A notice that does not arrive is tried again for 24 hours.",
        ],
        className="admin-words",
    )  # fmt: skip
    return [section, html.Section([html.Div(html.H2("How notices travel"), className="card-head"), words], className="card")]
