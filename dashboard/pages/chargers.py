"""`/chargers`: every charger, how it is, who is on it, and its last 24 hours."""

from typing import Any

import dash
from dash import ClientsideFunction, Dash, Input, Output, dcc, html

from dashboard.components import filters
from dashboard.components.empty import away, first_charger
from dashboard.components.table import column, table
from dashboard.kept import answer

_STATES = {
    "charging": "Charging",
    "reporting": "Reporting",
    "silent": "Silent",
    "unassigned": "Nobody assigned",
    "shared": "Shared",
    "unknown": "Class not known",
}
_COLUMNS = [
    column("name", "Charger", "ChargerCell", 150, False, colId="charger", valueGetter={"function": "params.data.name || params.data.id"}),
    column("rank", "Verdict", "ChargerKindCell", 190, False, headerTooltip="Of the vehicle that is on it, over the last 24 hours"),
    column("powerKw", "Power", "AmountCell", 84, cellRendererParams={"unit": "kW"}),
    column("voltage", "Voltage", "AmountCell", 84, cellRendererParams={"unit": "V"}),
    column("acKwh", "Grid, 24 h", "AmountCell", 96, cellRendererParams={"unit": "kWh"}),
    column("ratedKw", "Rated", "AmountCell", 84, cellRendererParams={"unit": "kW"}),
    column("class", "Class", "ClassCell", 130, False),
    column("recordedAt", "Last reading", "AgeCell", 108),
    column("who", "Assigned", "VehiclesCell", 170, False),
    column("site", "Site", None, 148, False, tooltipField="site"),
]


def register(app: Dash, services: Any) -> None:
    """Put the page at `/chargers`, and what fills it at `/live/chargers`."""
    dash.register_page("chargers", path="/chargers", title="Chargers · Voltledger", layout=layout)
    app.server.add_url_rule("/live/chargers", "get_live_chargers", lambda: answer(services.chargers.get()))

    def client(name: str, *inputs: Any, **options: Any) -> None:
        app.clientside_callback(ClientsideFunction("voltledger", name), *inputs, **options)

    # Dash calls a callback when its page is drawn only if it has an output, so these have one that nobody reads
    client("chargersMounted", Output("chargers-mounted", "data"), Input("chargers-page", "id"))
    client("chargersTick", Output("chargers-ticked", "data"), Input("clock", "n_intervals"), Input("chargers-page", "id"))
    names = ("q", "verdict", "site", "state")
    client("chargersFiltered", Output("chargers-filtered", "data"), *(Input(f"chargers-{name}", "value") for name in names))
    client("chargersCleared", Input("chargers-clear", "n_clicks"), prevent_initial_call=True)
    client("chargersExported", Input("chargers-export", "n_clicks"), prevent_initial_call=True)


def layout(q: str = "", verdict: str = "", site: str | list[str] = "", state: str | None = None, **_: Any) -> html.Div:
    """The page with the filter of its address. The browser fills the rest."""
    sites = [one for one in ([site] if isinstance(site, str) else site) if one]
    return html.Div(
        [
            *(dcc.Store(id=f"chargers-{name}") for name in ("mounted", "ticked", "filtered")),
            html.Div(
                html.Div([html.A("Fleet", href="/", className="crumb", **{"data-nav": ""}), html.H1("Chargers")], className="grow"),
                className="page-head is-row",
            ),
            html.Div(away(), className="when-away"),
            html.Div(first_charger(), className="when-empty"),
            html.Div([_filters(q, verdict, sites, state), _list()], className="when-ready stack"),
        ],
        id="chargers-page",
        className="stack",
        **{"data-state": "loading"},
    )


def _filters(q: str, verdict: str, sites: list[str], state: str | None) -> html.Section:
    return html.Section(
        [
            filters.search("chargers-q", q, "Charger, site or vehicle"),
            filters.verdicts("chargers-verdict", verdict),
            filters.many("chargers-site", "Site", sites, sites),
            filters.one("chargers-state", "State", _STATES, state),
            html.Span(id="chargers-count", className="filter-count", role="status"),
            html.Button("Clear", id="chargers-clear", className="button is-plain", type="button", hidden=True),
        ],
        className="filters",
        **{"aria-label": "Filter"},
    )


def _list() -> html.Section:
    export = html.Button(
        [html.Span(className="icon icon-download"), "Rows as CSV"], id="chargers-export", type="button", className="button"
    )
    head = [html.Div([html.H2("Chargers"), html.Div(id="chargers-as-of", className="card-of")], className="grow"), export]
    return html.Section(
        [html.Div(head, className="card-head"), table("chargers-table", _COLUMNS, "charger")], id="chargers-list", className="card list"
    )
