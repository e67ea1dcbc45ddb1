"""`/reports`: the numbers of any window, as a file that can be trusted. The browser fills it from the API (assets/80-… to 84-…)."""

from typing import Any

import dash
from dash import ClientsideFunction, Dash, Input, Output, dcc, html

from dashboard.components.card import card
from dashboard.components.empty import away, first_use


def register(app: Dash, services: Any) -> None:  # noqa: ARG001 -- every page is registered alike
    """Put the page at `/reports`."""
    dash.register_page("reports", path="/reports", title="Reports · Voltledger", layout=layout)
    app.clientside_callback(
        ClientsideFunction("voltledger", "reportsMounted"), Output("reports-mounted", "data"), Input("reports-page", "id")
    )


def layout(**_: Any) -> html.Div:
    """The frame; which report is meant stands in the address, which the browser reads."""
    return html.Div(
        [
            dcc.Store(id="reports-mounted"),
            html.Div(
                [
                    html.H1("Reports"),
                    html.P("The numbers of any window as a file: complete, or not saved at all. The address of this page is the report.", className="is-muted"),
                ],
                className="page-head",
            ),
            html.Div(away(), className="when-away"),
            html.Div(first_use(), className="when-empty"),
            html.Div([_form(), _file(), _preview(), _columns()], className="when-ready stack"),
        ],
        id="reports-page",
        **{"data-state": "loading"},
    )  # fmt: skip


def _form() -> html.Section:
    return html.Section(html.Div(id="reports-form", className="report-form"), className="card", **{"aria-label": "Which report"})


def _file() -> html.Section:
    """The button, what it does, and the same as a command."""
    download = html.Button(
        [html.Span(className="icon icon-download"), html.Span("Download", id="report-download-words")],
        id="report-download",
        type="button",
        className="button is-primary",
    )
    cancel = html.Button("Cancel", id="report-cancel", type="button", className="button", hidden=True)
    bar = html.Progress(id="report-progress", hidden=True, **{"aria-label": "Progress of the download"})
    transfer = html.Div([bar, html.Span("Nothing is downloaded yet.", id="report-transfer")], className="report-transfer grow")
    copy = html.Button("Copy", type="button", className="button copy", **{"data-copy": "report-curl", "aria-label": "Copy the command"})
    return html.Section(
        [
            html.Div([download, cancel, transfer], className="report-bar"),
            html.Div(id="report-said", className="visually-hidden", role="status"),
            html.Div([html.Pre(html.Code(id="report-curl"), tabIndex=0), copy], className="command"),
        ],
        id="reports-file",
        className="card report-file",
        **{"aria-label": "The file"},
    )


def _preview() -> html.Section:
    again = html.Button("Refresh", id="report-refresh", type="button", className="button")
    waiting = html.Div(id="reports-preview-body", className="report-body")
    return html.Section(
        [
            html.Div(
                [
                    html.Div([html.H2("Preview"), html.Div(id="reports-preview-of", className="card-of", role="status")], className="grow"),
                    again,
                ],
                className="card-head",
            ),
            waiting,
        ],
        id="reports-preview",
        className="card",
        **{"data-preview": "loading"},
    )


def _columns() -> html.Section:
    link = html.A("As JSON", href="/v1/reports/columns", className="button")
    return card("What the columns mean", html.Span(id="reports-columns-of"), html.Div(id="reports-columns-body"), links=link)
