"""`/alerts/rules`: when alerts fire, for whom that differs, and changing it after seeing what the change would have meant.

The browser fills it from /v1/alert-rules and sends what is changed there: one validation for people and programs.
"""

from typing import Any

import dash
from dash import ClientsideFunction, Dash, Input, Output, dcc, html

from dashboard.components.empty import away
from dashboard.pages.alerts import frame


def register(app: Dash, services: Any) -> None:  # noqa: ARG001 -- every page is registered alike
    """Put the page at `/alerts/rules`."""
    dash.register_page("alert-rules", path="/alerts/rules", title="Alert rules · Voltledger", layout=page)
    app.clientside_callback(
        ClientsideFunction("voltledger", "alertRulesMounted"), Output("alert-rules-mounted", "data"), Input("alert-rules", "id")
    )


def page(**_: Any) -> html.Div:
    """The tab with its head."""
    return html.Div([frame.head("rules"), layout()])


def layout(**_: Any) -> html.Div:
    """The tab's content; which rule's form is open stands in the address, which the browser reads."""
    return html.Div(
        [
            dcc.Store(id="alert-rules-mounted"),
            html.Div(id="alert-rules-note", className="banner", role="alert", hidden=True),
            html.Div(away(), className="when-away"),
            html.P(
                "When alerts fire. What is set for a vehicle or a charger comes before what is set for its site, and that before what is set for all.",
                className="is-muted",
            ),
            html.Div(id="alert-rules-list", className="when-ready"),
        ],
        id="alert-rules",
        className="stack",
        **{"data-state": "loading"},
    )
