"""The layout of `/vehicles/<id>`, and what fills it.

Three callbacks, each with its own pace: what is live follows every reading; the chosen range follows every reading over 24 hours, which is
cheap, and otherwise once a minute; what its chargers say, of 30 days at least, once a minute.
"""

from datetime import datetime
from typing import Any
from urllib.parse import unquote

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, set_props

from charging.losses import Price
from dashboard import figures
from dashboard import format as fmt
from dashboard.components.plain import plain
from dashboard.pages.alerts import of_subject
from dashboard.pages.vehicle import drawing, loading
from dashboard.pages.vehicle.loading import RANGES


def register(app: Dash, services: Any) -> None:
    """Put the page at `/vehicles/<id>`."""
    dash.register_page("vehicle", path_template="/vehicles/<vehicle_id>", title="Vehicle · Voltledger", layout=layout)
    _in_the_browser(app)
    _live(app, services)
    _window(app, services)
    _chargers(app, services)


def _in_the_browser(app: Dash) -> None:
    def client(name: str, *inputs: Any, **options: Any) -> None:
        app.clientside_callback(ClientsideFunction("voltledger", name), *inputs, **options)

    client("ranged", Input("vehicle-range", "value"), prevent_initial_call=True)
    client("zoomed", Output("vehicle-zoom", "data"), Input("vehicle-graph", "relayoutData"), Input("vehicle-range", "value"))
    on_the_clock = (Input("clock", "n_intervals"), State("vehicle-id", "data"))
    client("beat", Output("vehicle-beat", "data"), *on_the_clock, State("vehicle-beat", "data"))
    client(
        "windowDue",
        Output("vehicle-window-due", "data"),
        *on_the_clock,
        State("vehicle-range", "value"),
        State("vehicle-window-due", "data"),
    )
    drawn = [Input(f"vehicle-drawn-{part}", "data") for part in ("live", "window", "chargers")]
    client("painted", Output("vehicle-painted", "data"), *drawn)
    client("chargersDue", Output("vehicle-chargers-due", "data"), *on_the_clock, State("vehicle-chargers-due", "data"))


def _live(app: Dash, services: Any) -> None:
    @app.callback(
        Output("vehicle-head", "children"),
        Output("vehicle-drawn-live", "data"),
        Output("vehicle-page", "data-state"),
        Input("vehicle-beat", "data"),
        Input("vehicle-range", "value"),
        Input("viewer", "data"),
        State("vehicle-id", "data"),
        State("vehicle-at", "data"),
    )
    def show_live(_: Any, range_name: str, viewer: drawing.Viewer, vehicle_id: str, at: str | None) -> tuple[Any, Any, str]:
        with services.read() as conn:
            loaded = loading.load_live(conn, vehicle_id, _second(services.now()))
        set_props("callback-note", {"hidden": True})
        end = fmt.instant(at)
        head, now, readings, state = drawing.live(loaded, vehicle_id, end and (end - RANGES[range_name].span, end), viewer)
        return head, {"vehicle-now": plain(now), "vehicle-readings": plain(readings)}, state


def _window(app: Dash, services: Any) -> None:
    price = Price(services.settings.tariff_per_kwh, services.settings.grid_co2_kg_per_kwh)
    currency = services.settings.currency

    @app.callback(
        Output("vehicle-graph", "figure"),
        Output("vehicle-drawn-window", "data"),
        Input("vehicle-range", "value"),
        Input("vehicle-window-due", "data"),
        Input("viewer", "data"),
        State("vehicle-id", "data"),
        State("vehicle-at", "data"),
        State("vehicle-zoom", "data"),
    )
    def show_window(
        range_name: str, _: Any, viewer: drawing.Viewer, vehicle_id: str, at: str | None, zoom: list[str] | None
    ) -> tuple[Any, Any]:
        now, past = _second(services.now()), fmt.instant(at)
        with services.read() as conn:
            loaded = loading.load_window(conn, vehicle_id, RANGES[range_name], past or now, now, services.policies, price, currency)
        kept = (zoom[0], zoom[1]) if zoom and ctx.triggered_id != "vehicle-range" else None
        verdict, figure, file, losses, sessions = drawing.window(loaded, past is not None, viewer, kept)
        parts = {"verdict": verdict, "history": file, "losses": losses, "sessions": sessions}
        return figure, {f"vehicle-{name}": plain(part) for name, part in parts.items()}


def _chargers(app: Dash, services: Any) -> None:
    @app.callback(
        Output("vehicle-drawn-chargers", "data"),
        Input("vehicle-chargers-due", "data"),
        Input("viewer", "data"),
        State("vehicle-id", "data"),
        State("vehicle-at", "data"),
    )
    def show_chargers(_: Any, viewer: drawing.Viewer, vehicle_id: str, at: str | None) -> dict[str, Any]:
        now = _second(services.now())
        with services.read() as conn:
            loaded = loading.load_chargers(conn, vehicle_id, fmt.instant(at) or now, now, services.policies)
        reading, assigned = drawing.chargers(loaded, viewer)
        return {"vehicle-chargers": plain(reading), "vehicle-assignments": plain(assigned)}


def _second(at: datetime) -> datetime:
    """Whole seconds, so that a window on the screen is the very one in its file's address."""
    return at.replace(microsecond=0)


def layout(vehicle_id: str = "", range: str = "24h", at: str | None = None, **_: Any) -> html.Div:  # noqa: A002 -- the name in the URL
    """The page without its numbers; these come by callback."""
    vehicle_id = unquote(vehicle_id)
    stores = {"vehicle-id": vehicle_id, "vehicle-at": at}
    drawn = ("drawn-live", "drawn-window", "drawn-chargers", "painted")
    empty = [f"vehicle-{name}" for name in ("beat", "window-due", "chargers-due", "zoom", *drawn)]
    head = html.Div(drawing.waiting(vehicle_id), id="vehicle-head", className="grow stack is-tight")
    return html.Div(
        [
            *(dcc.Store(id=name, data=value) for name, value in stores.items()),
            *(dcc.Store(id=name) for name in empty),
            html.Div([head, html.Div(_ranges(range), className="when-known")], className="page-head is-row"),
            html.Div(
                [_place("vehicle-verdict"), html.Section(id="vehicle-now", className="now-cards", **{"aria-label": "Now"})],
                className="vehicle-now when-known",
            ),
            html.Div([_place("vehicle-losses"), _place("vehicle-chargers")], className="vehicle-pair when-known"),
            html.Section(
                [html.Div([html.H2("Over time"), _legend(), html.Span(id="vehicle-history")], className="card-head"), _graph()],
                className="card when-known",
            ),
            of_subject.place("vehicle", vehicle_id),
            html.Div(_place("vehicle-sessions"), className="when-known"),
            html.Div([_place("vehicle-assignments"), _readings()], className="vehicle-pair is-uneven when-known"),
        ],
        id="vehicle-page",
        className="stack",
        **{"data-state": "loading"},
    )  # fmt: skip


def _place(element_id: str) -> html.Div:
    """Where a card comes; while it is empty it shimmers."""
    return html.Div(id=element_id, className="place-of-card")


def _ranges(chosen: str) -> dmc.SegmentedControl:
    return dmc.SegmentedControl(
        id="vehicle-range",
        value=chosen if chosen in RANGES else "24h",
        data=[{"value": name, "label": r.label} for name, r in RANGES.items()],
        size="xs",
        **{"aria-label": "Range"},
    )


def _graph() -> dcc.Graph:
    return dcc.Graph(id="vehicle-graph", figure=drawing.EMPTY_FIGURE, config=figures.CONFIG, className="timeline")


def _legend() -> html.Div:
    keys = [("is-ac", "AC from the grid"), ("is-dc", "DC into the battery"), ("is-lost", "lost"), ("is-band", "expected")]
    return html.Div([html.Span([html.Span(className=f"key {name}"), label]) for name, label in keys], className="chart-legend")


def _readings() -> html.Section:
    return html.Section([html.Div(html.H2("Newest readings"), className="card-head"), html.Div(id="vehicle-readings")], className="card")
