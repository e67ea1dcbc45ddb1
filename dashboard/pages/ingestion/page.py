"""The layout of `/ingestion`, and what fills it: once a minute, at once when the database came back, and when something is asked.

While nobody has reported it asks with every tick, so that the first reading appears by itself.
"""

from datetime import timedelta
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, set_props

from dashboard import figures
from dashboard.components.card import csv_link
from dashboard.components.empty import away, first_use
from dashboard.components.plain import plain
from dashboard.pages.ingestion import chart, drawing
from dashboard.pages.ingestion.loading import DAY, SETTLED, STEP, Loading, Overview
from dashboard.pages.vehicle.drawing import EMPTY_FIGURE, Viewer
from db.queries.calendar import PAGE

PARTS = ("head", "now", "rejects", "silent", "skewed", "new", "days")
_LEVELS = (("all", "all came"), ("most", "90 % or more"), ("some", "half or more"), ("few", "less than half"), ("none", "none"), ("unknown", "not yet reporting"))  # fmt: skip


def register(app: Dash, services: Any) -> None:
    """Put the page at `/ingestion`."""
    dash.register_page("ingestion", path="/ingestion", title="Ingestion · Voltledger", layout=layout)
    loading = Loading(services.read)
    _in_the_browser(app)
    _overview(app, services, loading)
    _calendar(app, services, loading)


def _in_the_browser(app: Dash) -> None:
    def client(name: str, *inputs: Any, **options: Any) -> None:
        app.clientside_callback(ClientsideFunction("voltledger", name), *inputs, **options)

    filters = [Input(f"ingestion-{name}", "value") for name in ("side", "site", "q", "disk")]
    client("ingestionDue", Output("ingestion-due", "data"), Input("clock", "n_intervals"), State("ingestion-due", "data"))
    client("ingestionPainted", Output("ingestion-painted", "data"), Input("ingestion-drawn", "data"))
    client(
        "ingestionCalendar", Output("ingestion-calendar-drawn", "data"), Input("ingestion-calendar-data", "data"), Input("viewer", "data")
    )
    client("ingestionFiltered", Output("ingestion-page-number", "data"), *filters, State("ingestion-page-number", "data"))
    turned = [Input(f"ingestion-{way}", "n_clicks") for way in ("previous", "next")]
    client(
        "ingestionTurned",
        Output("ingestion-page-number", "data", allow_duplicate=True),
        *turned,
        State("ingestion-page-number", "data"),
        State("ingestion-calendar-data", "data"),
        prevent_initial_call=True,
    )


def _overview(app: Dash, services: Any, loading: Loading) -> None:
    @app.callback(
        Output("ingestion-graph", "figure"),
        Output("ingestion-drawn", "data"),
        Output("ingestion-page", "data-state"),
        Output("ingestion-site", "data"),
        Input("ingestion-due", "data"),
        Input("ingestion-disk", "value"),
        Input("viewer", "data"),
    )
    def show_overview(_: Any, disk_gb: Any, viewer: Viewer) -> tuple[Any, dict[str, Any], str, list[dict[str, str]]]:
        found = loading.overview(services.now())
        set_props("callback-note", {"hidden": True})
        drawn = {
            name: plain(part) for name, part in drawing.parts(found, viewer["zone"], _size(disk_gb) or services.settings.disk_gb).items()
        }
        sites = [{"value": site_id, "label": name} for site_id, name in loading.sites()]
        return _figure(found, viewer), drawn, "ready" if found.devices or found.since else "empty", sites


def _figure(found: Overview, viewer: Viewer) -> figures.Figure:
    end = found.now - SETTLED
    end -= timedelta(seconds=end.timestamp() % STEP.total_seconds())
    scheme: figures.Scheme = "dark" if viewer["scheme"] == "dark" else "light"
    return chart.readings_a_minute(found.steps, found.since, end - DAY, end, viewer["zone"], scheme)


def _size(disk_gb: Any) -> float | None:
    """What was typed, if it is a size."""
    return float(disk_gb) if isinstance(disk_gb, int | float) and disk_gb > 0 else None


def _calendar(app: Dash, services: Any, loading: Loading) -> None:
    @app.callback(
        Output("ingestion-calendar-data", "data"),
        Input("ingestion-due", "data"),
        Input("ingestion-page-number", "data"),
        State("ingestion-side", "value"),
        State("ingestion-site", "value"),
        State("ingestion-q", "value"),
    )
    def show_calendar(_: Any, asked: dict[str, Any], side: str, site: str | None, q: str | None) -> dict[str, Any]:
        page = max(1, int(asked["page"]))
        found = loading.calendar(services.now(), side, site or None, q or "", page)
        return drawing.calendar(found, page, max(1, -(-found.devices // PAGE)))


def layout(side: str = "vehicle", site: str | None = None, q: str = "", page: str = "1", disk: str | None = None, **_: Any) -> html.Div:
    """The page without its numbers; these come by callback."""
    stores = [f"ingestion-{name}" for name in ("due", "drawn", "painted", "calendar-data", "calendar-drawn")]
    number = int(page) if page.isdecimal() and len(page) < 7 else 1
    return html.Div(
        [
            *(dcc.Store(id=name) for name in stores),
            dcc.Store(id="ingestion-page-number", data={"page": max(1, number)}),
            html.Div(html.H1("Are devices reporting?"), id="ingestion-head", className="page-head"),
            html.Div(away(), className="when-away"),
            html.Div(first_use(), className="when-empty"),
            html.Div(
                [
                    html.Section(id="ingestion-now", className="now-cards intake-now", **{"aria-label": "Now"}),
                    _minutes(),
                    html.Div([_place("rejects"), _place("silent")], className="vehicle-pair"),
                    _gaps(side, site, q),
                    html.Div([_place("skewed"), _place("new")], className="vehicle-pair"),
                    html.Div([_disk(disk), _place("days")], className="intake-days"),
                ],
                className="when-ready stack",
            ),
        ],
        id="ingestion-page",
        **{"data-state": "loading"},
    )


def _place(name: str) -> html.Div:
    return html.Div(id=f"ingestion-{name}", className="place-of-card")


def _minutes() -> html.Section:
    keys = [
        ("is-dc", "vehicles"),
        ("is-ac is-dashed", "meters"),
        ("is-late", "older than 15 min"),
        ("is-twice", "sent twice"),
        ("is-lost", "rejected or in conflict"),
    ]
    legend = html.Div([html.Span([html.Span(className=f"key {name}"), label]) for name, label in keys], className="chart-legend")
    title = html.Div([html.H2("Readings a minute"), html.Div("24 hours, means of five minutes; above as they happen, below the rest", className="card-of")])  # fmt: skip
    head = html.Div([title, legend, csv_link("CSV by minute", "/v1/ingestion/minutes?format=csv")], className="card-head")
    graph = dcc.Graph(
        id="ingestion-graph", figure=EMPTY_FIGURE, config={**figures.CONFIG, "displayModeBar": False}, className="timeline intake-chart"
    )
    return html.Section([head, graph], className="card")


def _gaps(side: str, site: str | None, q: str) -> html.Section:
    controls = html.Div(
        [
            dmc.SegmentedControl(
                id="ingestion-side",
                value=side if side in ("vehicle", "meter") else "vehicle",
                data=[{"value": "vehicle", "label": "Vehicles"}, {"value": "meter", "label": "Meters"}],
                size="xs",
                **{"aria-label": "Kind of device"},
            ),
            dmc.Select(
                id="ingestion-site",
                value=site,
                data=[{"value": site, "label": site}] if site else [],
                placeholder="Site",
                clearable=True,
                searchable=True,
                size="xs",
                **{"aria-label": "Site"},
            ),
            dmc.TextInput(id="ingestion-q", value=q, placeholder="Id or name", debounce=300, size="xs", **{"aria-label": "Search devices"}),
        ],
        className="filters intake-filters",
    )
    title = html.Div([html.H2("Calendar of gaps"), html.Div("seven days by hour, most missing in the last 24 hours first", className="card-of")], className="grow")  # fmt: skip
    keys = html.Div(
        [html.Span([html.Span(className=f"gap-key is-{name}"), label]) for name, label in _LEVELS], className="chart-legend gap-legend"
    )
    return html.Section(
        [
            html.Div(
                [title, controls, csv_link("CSV of this page", "/v1/ingestion/gaps?format=csv")], className="card-head", id="gap-head"
            ),
            keys,
            html.Div(id="ingestion-calendar", className="gap-frame"),
            _turning(),
        ],
        className="card",
        id="gaps",
    )


def _turning() -> html.Div:
    ways = [html.Button(words, id=f"ingestion-{way}", type="button", className="button") for way, words in (("previous", "Previous"), ("next", "Next"))]  # fmt: skip
    return html.Div([html.Span(id="gap-pages", className="is-muted"), html.Div(ways, className="links")], className="card-foot")


def _disk(disk: str | None) -> html.Div:
    return html.Div(
        dmc.NumberInput(
            id="ingestion-disk",
            value=float(disk) if disk and disk.replace(".", "", 1).isdecimal() else None,
            min=1,
            placeholder="Disk",
            suffix=" GB",
            hideControls=True,
            debounce=400,
            size="xs",
            **{"aria-label": "Size of the disk in GB"},
        ),
        className="filters intake-disk",
    )
