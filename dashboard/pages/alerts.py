"""`/alerts`: which vehicles charge badly, how sure that is, and what to check."""

from typing import Any

import dash
from dash import ClientsideFunction, Dash, Input, Output, dcc, html

from dashboard.components.empty import away, first_use, message


def register(app: Dash, services: Any) -> None:  # noqa: ARG001 -- every page is registered alike
    """Put the page at `/alerts`."""
    dash.register_page("alerts", path="/alerts", title="Alerts · Voltledger", layout=layout)
    app.clientside_callback(ClientsideFunction("voltledger", "mounted"), Output("alerts-mounted", "data"), Input("alerts-page", "id"))


def layout(**_: Any) -> html.Div:
    """Headings for the two severities; the browser fills them from the live picture."""
    calm = message(
        "No vehicle needs anyone",
        html.P("Every vehicle with enough evidence in the last 24 hours charges as expected."),
        html.P(html.A("See the fleet", href="/", className="button", **{"data-nav": ""})),
        tone="is-calm",
    )
    return html.Div(
        [
            dcc.Store(id="alerts-mounted"),
            html.Div(
                [
                    html.H1("Alerts"),
                    html.P(
                        "Vehicles whose charging efficiency over the last 24 hours lies below what is expected of them.",
                        className="is-muted",
                    ),
                ],
                className="page-head",
            ),
            html.Div(away(), className="when-away"),
            html.Div(first_use(), className="when-empty"),
            html.Div(calm, className="when-calm"),
            html.Div([_group("critical", "Critical"), _group("warning", "Warning")], className="when-ready stack"),
        ],
        id="alerts-page",
        **{"data-state": "loading"},
    )


def _group(severity: str, title: str) -> html.Section:
    count = html.Span(id=f"alerts-{severity}-count", className="count")
    return html.Section(
        [html.H2([title, " ", count]), html.Div(id=f"alerts-{severity}-list", className="stack is-tight")],
        id=f"alerts-{severity}",
        hidden=True,
    )
