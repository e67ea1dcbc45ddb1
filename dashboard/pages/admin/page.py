"""The frame of `/admin` and its tabs. The browser fills them from /v1 and sends what is changed there: one validation for people and programs."""

from typing import Any

import dash
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html

from dashboard.components.empty import message
from dashboard.pages.admin import assignments, devices, keys, notices, people, settings

# Path, name and body of each tab, in the order in which they stand.
TABS = {
    "assignments": ("Assignments", assignments.layout),
    "vehicles": ("Vehicles", devices.vehicles),
    "chargers": ("Chargers", devices.chargers),
    "sites": ("Sites", devices.sites),
    "notices": ("Notices", notices.layout),
    "keys": ("Keys", keys.layout),
    "people": ("People", people.layout),
    "settings": ("Settings", settings.layout),
}
FIRST = "assignments"


def register(app: Dash, services: Any) -> None:
    """Put the page at `/admin` and its tabs at `/admin/<tab>`."""

    def page(tab: str = FIRST, **query: Any) -> html.Div:
        return layout(tab, **{**query, "settings": services.settings})

    dash.register_page("admin", path="/admin", title="Admin · Voltledger", layout=page)
    dash.register_page("admin-tab", path_template="/admin/<tab>", title="Admin · Voltledger", layout=page)
    app.clientside_callback(
        ClientsideFunction("voltledger", "adminMounted"),
        Output("admin-mounted", "data"),
        Input("admin-page", "id"),
        State("admin-tab", "data"),
    )


def layout(tab: str = FIRST, settings: Any = None, **_: Any) -> html.Div:
    """One tab. Its lists and forms are the browser's; the settings are this process's."""
    body = [_unknown(tab)] if tab not in TABS else TABS[tab][1](settings)
    return html.Div(
        [
            dcc.Store(id="admin-tab", data=tab),
            dcc.Store(id="admin-mounted"),
            html.Div([html.H1("Admin"), _tabs(tab)], className="page-head is-row admin-head"),
            _open_door(settings),
            html.Div(id="admin-note", className="banner", role="alert", hidden=True),
            *body,
        ],
        id="admin-page",
        className="stack",
        **{"data-state": "ready" if tab == "settings" or tab not in TABS else "loading"},
    )


def _tabs(chosen: str) -> html.Nav:
    links = [
        html.A(name, href=f"/admin/{tab}", className="admin-tab", **{"data-nav": "", **({"aria-current": "page"} if tab == chosen else {})})
        for tab, (name, _) in TABS.items()
    ]
    return html.Nav(links, className="admin-tabs", **{"aria-label": "Admin"})


def _open_door(settings: Any) -> html.Div | None:
    if settings is not None and settings.require_login:
        return None
    words = "No log-in is set up: anyone who reaches this page can change what stands here. Every change of an assignment is recorded."
    return html.Div(words, className="banner is-quiet")


def _unknown(tab: str) -> html.Div:
    return message(
        f"There is no page {tab} in admin",
        html.P(html.A("See the assignments", href="/admin/assignments", className="button", **{"data-nav": ""})),
    )
