"""`/`: is my fleet all right now, what am I losing, what needs me?"""

from datetime import timedelta
from typing import Any

import dash
import dash_leaflet as dl
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update

from dashboard import format as fmt
from dashboard.components import filters
from dashboard.components.day_bars import day_bars
from dashboard.components.empty import away, first_use
from dashboard.components.figure_card import figure_card, note
from dashboard.components.scale import scale
from dashboard.components.table import column, table
from db.queries import performance

_STATES = {"reporting": "Reporting", "silent": "Silent", "charging": "Charging", "idle": "Idle", "unplaced": "Without position"}


def register(app: Dash, services: Any) -> None:
    """Put the page at `/`."""
    settings = services.settings

    def page(**query: Any) -> html.Div:
        return layout(
            **{**query, "map_tiles_url": settings.map_tiles_url, "silent_after_s": settings.silent_after_s, "keys": settings.require_keys}
        )

    dash.register_page("fleet", path="/", title="Fleet · Voltledger", layout=page)
    _in_the_browser(app)

    @app.callback(Output("panel-day", "children"), Input("fleet-selected", "data"), State("viewer", "data"))
    def show_day(vehicle_id: str | None, viewer: dict[str, str]) -> Any:
        if not vehicle_id:
            return no_update
        end = services.now()
        with services.read() as conn:
            bins = performance.bins(conn, vehicle_id, end - timedelta(hours=24), end, 3600, services.policies)
        return day_bars(bins, end, fmt.zone(viewer["zone"]))


def _in_the_browser(app: Dash) -> None:
    def client(name: str, *inputs: Any, **options: Any) -> None:
        app.clientside_callback(ClientsideFunction("voltledger", name), *inputs, **options)

    # Dash calls a callback when its page is drawn only if it has an output, so these two have one that nobody reads
    client("fleetMounted", Output("fleet-mounted", "data"), Input("fleet-page", "id"), State("fleet-selected", "data"))
    client(
        "filtered",
        Output("fleet-filtered", "data"),
        Input("fleet-q", "value"),
        Input("fleet-verdict", "value"),
        Input("fleet-site", "value"),
        Input("fleet-state", "value"),
    )
    client("cleared", Input("fleet-clear", "n_clicks"), prevent_initial_call=True)
    client("closed", Input("panel-close", "n_clicks"), prevent_initial_call=True)
    client("shownOnMap", Input("panel-show", "n_clicks"), State("fleet-selected", "data"), prevent_initial_call=True)
    client("downloaded", Input("fleet-export", "n_clicks"), prevent_initial_call=True)


def layout(
    q: str = "",
    verdict: str = "",
    site: str | list[str] = "",
    state: str | None = None,
    vehicle: str | None = None,
    map_tiles_url: str | None = None,
    silent_after_s: int = 900,
    keys: bool = False,
    **_: Any,
) -> html.Div:
    """The page with the filter of its address. Everything live is filled by the browser."""
    sites = [site] if isinstance(site, str) else site
    return html.Div(
        [
            dcc.Store(id="fleet-selected", data=vehicle),
            dcc.Store(id="fleet-mounted"),
            dcc.Store(id="fleet-filtered"),
            html.H1("Fleet", className="visually-hidden"),
            html.Div(away(), className="when-away"),
            html.Div(first_use(keys=keys), className="when-empty"),
            html.Div(
                [
                    _figures(fmt.age(timedelta(seconds=silent_after_s))),
                    _filters(q, verdict, [s for s in sites if s], state),
                    html.Div([_map(map_tiles_url), _side()], className="fleet-main"),
                    _list(),
                ],
                className="when-ready stack",
            ),
        ],
        id="fleet-page",
        **{"data-state": "loading"},
    )


def _figures(silent_after: str) -> html.Section:
    return html.Section(
        [
            figure_card("Reporting", "reporting", "vehicles", [note("reportingOf"), note("meters")], "asOf", "/?state=reporting"),
            figure_card(
                "Silent",
                "silent",
                "vehicles",
                [html.Span(f"no reading for {silent_after}", className="figure-note")],
                "asOf",
                "/?state=silent",
                attention="silent",
            ),
            figure_card("Charging now", "charging", "vehicles", [note("chargingKw")], "asOf", "/?state=charging"),
            figure_card(
                "Efficiency",
                "efficiency",
                "%",
                [note("band"), note("leftOut")],
                "window",
                "/?verdict=critical,low,ok",
                extra=scale(None, None, None, id="fleet-scale"),
            ),
            figure_card(
                "Energy lost", "lossKwh", "kWh", [note("lossCost"), note("lossPrices"), note("lossOf")], "window", "/?sort=-lossKwh"
            ),
            figure_card("Open alerts", "alerts", "alerts", [note("critical"), note("alertsToDo")], "asOf", "/alerts", attention="alerts"),
        ],
        className="figures",
        **{"aria-label": "Figures"},
    )


def _filters(q: str, verdict: str, sites: list[str], state: str | None) -> html.Section:
    return html.Section(
        [
            filters.search("fleet-q", q, "Vehicle, site or meter"),
            filters.verdicts("fleet-verdict", verdict),
            filters.many("fleet-site", "Site", sites, sites),
            filters.one("fleet-state", "State", _STATES, state),
            html.Span(id="fleet-count", className="filter-count", role="status"),
            html.Button("Clear", id="fleet-clear", className="button is-plain", type="button", hidden=True),
            html.A(
                [html.Span(className="icon icon-download"), "Download 24 h CSV"],
                href="/v1/analytics/performance.csv",
                className="button",
                download="",
            ),
        ],
        className="filters",
        **{"aria-label": "Filter"},
    )


def _map(tiles_url: str | None) -> html.Section:
    tiles = {"data-tiles": ""} if tiles_url else {}
    return html.Section(
        [
            dl.Map(
                dl.TileLayer(url=tiles_url) if tiles_url else [],
                id="fleet-map",
                center=[50.2, 9.5],
                zoom=4,
                minZoom=2,
                maxZoom=17,
                zoomSnap=0.5,
                wheelPxPerZoomLevel=90,
                maxBounds=[[-85, -200], [85, 200]],
                attributionControl=True,
                className="map",
            ),
            html.Div(id="map-legend", className="legend", role="group", **{"aria-label": "Verdicts: show only"}),
        ],
        id="fleet-map-frame",
        className="card map-frame",
        **{"aria-label": "Map of the fleet", **tiles},
    )


def _side() -> html.Aside:
    return html.Aside([_alert_panel(), _vehicle_panel()], className="side")


def _alert_panel() -> html.Section:
    return html.Section(
        [
            html.Div(
                [
                    html.H2(["Needs someone ", html.Span(id="alert-count", className="count")]),
                    html.A("All alerts", href="/alerts", **{"data-nav": ""}),
                ],
                className="card-head",
            ),
            html.Ul(id="alert-list", className="alert-list"),
            html.P("No open alert waits for anyone.", id="alert-none", className="is-muted", hidden=True),
        ],
        id="alert-panel",
        className="card side-card",
    )


def _vehicle_panel() -> html.Section:
    close = html.Button(
        html.Span(className="icon icon-close"), id="panel-close", type="button", className="icon-button", **{"aria-label": "Close"}
    )
    return html.Section(
        [
            html.Div(
                [
                    html.Span(id="panel-glyph"),
                    html.Div([html.H2(id="panel-name"), html.Div(id="panel-under", className="is-muted")], className="grow"),
                    close,
                ],
                className="card-head",
            ),
            html.Div(
                [
                    html.Span(id="panel-efficiency", className="figure-value"),
                    html.Span(id="panel-verdict"),
                    html.Span(id="panel-band", className="is-muted"),
                ],
                className="panel-verdict",
            ),
            html.Div(id="panel-day", className="panel-day"),
            html.Dl(id="panel-facts", className="facts"),
            html.Div(
                [
                    html.Span(id="panel-age", className="is-muted"),
                    html.Button("On the map", id="panel-show", type="button", className="button is-plain"),
                    html.A("Open the vehicle", id="panel-open", className="button", **{"data-nav": ""}),
                ],
                className="card-foot",
            ),
        ],
        id="vehicle-panel",
        className="card side-card",
        hidden=True,
        tabIndex=-1,  # the search hands the keyboard over to it
        **{"aria-live": "off", "aria-labelledby": "panel-name"},
    )


_COLUMNS = [
    column("name", "Vehicle", "VehicleCell", 140, False, colId="vehicle", valueGetter={"function": "params.data.name || params.data.id"}),
    column("rank", "Verdict", "KindCell", 190, False, sort="asc"),
    column("efficiency", "Efficiency", "PercentCell", 96, cellRendererParams={"times": 100, "digits": 1}),
    column("expectedLow", "Expected", "BandCell", 112),
    column("soc", "Charge", "PercentCell", 78),
    column("powerKw", "Power", "AmountCell", 84, cellRendererParams={"unit": "kW"}),
    column("acKwh", "Grid, 24 h", "AmountCell", 96, cellRendererParams={"unit": "kWh"}),
    column("dcKwh", "Battery, 24 h", "AmountCell", 104, cellRendererParams={"unit": "kWh"}),
    column("lossKwh", "Lost, 24 h", "AmountCell", 96, cellRendererParams={"unit": "kWh"}),
    column("recordedAt", "Last reading", "AgeCell", 108),
    column("site", "Site", None, 148, False, tooltipField="site"),
    column("meterId", "Meter", "MeterCell", 116, False, tooltipField="meterId"),
]


def _list() -> html.Section:
    selection = {"mode": "singleRow", "checkboxes": False, "enableClickSelection": True}
    grid = table("fleet-table", _COLUMNS, "vehicle", rowSelection=selection)
    export = html.Button("Export rows", id="fleet-export", type="button", className="button is-plain")
    chargers = html.A("All chargers", href="/chargers", className="button is-plain", **{"data-nav": ""})
    unplaced = html.Details([html.Summary(), html.Ul()], id="unplaced", className="unplaced", hidden=True)
    return html.Section(
        [html.Div([html.H2("Vehicles"), html.Span([chargers, export])], className="card-head"), grid, unplaced],
        id="fleet-list",
        className="card list",
    )
