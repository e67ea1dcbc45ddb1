"""The layout of `/vehicles/<id>`, and what fills it.

Three callbacks, each with its own pace: what is live follows every reading; the chosen range follows every reading over 24 hours, which is
cheap, and otherwise once a minute; what its chargers say, of 30 days at least, once a minute. A zoom, which assets/94-zoom.js keeps in the
address, asks for the charts alone.
"""

from datetime import datetime, timedelta
from typing import Any, TypedDict
from urllib.parse import unquote

import dash
from dash import ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update, set_props

from charging.losses import Price
from dashboard import figures
from dashboard import format as fmt
from dashboard.components import ranges
from dashboard.components.plain import plain
from dashboard.pages.alerts import of_subject
from dashboard.pages.vehicle import drawing, loading
from dashboard.pages.vehicle.loading import Window
from dashboard.view import Asked, View, asked
from db.engine import Conn

_Pair = list[str | None]
# A zoom that ended so long ago is not drawn anew when the window is due again (the first time is no. 0): it shows what it showed.
_SETTLED = timedelta(hours=1)


class _Own(TypedDict):
    """What the address asks for beside a range's name: see `Asked`."""

    at: str | None
    between: _Pair


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

    client("zoomKept", Output("vehicle-kept", "data"), Input("vehicle-asked", "data"))
    client("zoomHeard", Output("vehicle-heard", "data"), Input("vehicle-graph", "figure"))
    client("zoomLeft", Output("vehicle-zoom", "data"), Input("vehicle-range", "value"), prevent_initial_call=True)
    client("zoomMarked", Output("vehicle-marked", "data"), Input("vehicle-painted", "data"), Input("vehicle-zoom", "data"))
    on_the_clock = (Input("clock", "n_intervals"), State("vehicle-id", "data"))
    client("beat", Output("vehicle-beat", "data"), *on_the_clock, State("vehicle-beat", "data"))
    client(
        "windowDue",
        Output("vehicle-window-due", "data"),
        *on_the_clock,
        State("vehicle-range", "value"),
        State("vehicle-window-due", "data"),
    )
    drawn = [Input(f"vehicle-drawn-{part}", "data") for part in ("live", "window", "chargers", "chart")]
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
        State("vehicle-asked", "data"),
        State("vehicle-zoom", "data"),
    )
    def show_live(_: Any, range_name: str, viewer: drawing.Viewer, vehicle_id: str, own: _Own, zoom: _Pair | None) -> tuple[Any, Any, str]:
        now = _second(services.now())
        with services.read() as conn:
            loaded = loading.load_live(conn, vehicle_id, now)
        set_props("callback-note", {"hidden": True})
        whole = _asked(range_name, own, zoom).view(now).whole
        past = (whole.start, whole.end) if whole.fixed else None
        head, values, readings, state = drawing.live(loaded, vehicle_id, past, viewer)
        return head, {"vehicle-now": plain(values), "vehicle-readings": plain(readings)}, state


def _asked(range_name: str, own: _Own, zoom: _Pair | None) -> Asked:
    return Asked(range_name, own["at"], own["between"], zoom or (None, None))


def _window(app: Dash, services: Any) -> None:
    @app.callback(
        Output("vehicle-graph", "figure"),
        Output("vehicle-drawn-window", "data"),
        Output("vehicle-drawn-chart", "data"),
        Input("vehicle-range", "value"),
        Input("vehicle-window-due", "data"),
        Input("viewer", "data"),
        Input("vehicle-zoom", "data"),
        State("vehicle-id", "data"),
        State("vehicle-asked", "data"),
    )
    def show_window(
        range_name: str, due: int | None, viewer: drawing.Viewer, zoom: _Pair | None, vehicle_id: str, own: _Own
    ) -> tuple[Any, Any, Any]:
        now = _second(services.now())
        view = _asked(range_name, own, zoom).view(now)
        asked = {name.rsplit(".", 1)[0] for name in ctx.triggered_prop_ids}
        with services.read() as conn:
            loaded = None if asked == {"vehicle-zoom"} else _load_window(conn, services, vehicle_id, view, now)
            if loaded and due and asked == {"vehicle-window-due"} and view.zoomed and view.end < now - _SETTLED:
                return no_update, _cards(loaded, viewer), no_update
            known = loaded.sessions if loaded and not view.zoomed else None
            drawn = loading.load_chart(conn, vehicle_id, view.start, view.end, now, services.policies, known)
        figure, shown, file = drawing.chart(drawn, vehicle_id, view, viewer)
        return figure, _cards(loaded, viewer) if loaded else no_update, {"vehicle-shown": plain(shown), "vehicle-history": plain(file)}


def _load_window(conn: Conn, services: Any, vehicle_id: str, view: View, now: datetime) -> Window:
    price = Price(services.settings.tariff_per_kwh, services.settings.grid_co2_kg_per_kwh)
    return loading.load_window(conn, vehicle_id, view.whole.like, view.whole.end, now, services.policies, price, services.settings.currency)


def _cards(loaded: Window, viewer: drawing.Viewer) -> dict[str, Any]:
    names = ("vehicle-verdict", "vehicle-losses", "vehicle-sessions")
    return {name: plain(part) for name, part in zip(names, drawing.window(loaded, viewer), strict=True)}


def _chargers(app: Dash, services: Any) -> None:
    @app.callback(
        Output("vehicle-drawn-chargers", "data"),
        Input("vehicle-chargers-due", "data"),
        Input("viewer", "data"),
        State("vehicle-id", "data"),
        State("vehicle-asked", "data"),
    )
    def show_chargers(_: Any, viewer: drawing.Viewer, vehicle_id: str, own: _Own) -> dict[str, Any]:
        now = _second(services.now())
        with services.read() as conn:
            loaded = loading.load_chargers(conn, vehicle_id, fmt.instant(own["at"] or own["between"][1]) or now, now, services.policies)
        reading, assigned = drawing.chargers(loaded, viewer)
        return {"vehicle-chargers": plain(reading), "vehicle-assignments": plain(assigned)}


def _second(at: datetime) -> datetime:
    """Whole seconds, so that a window on the screen is the very one in its file's address."""
    return at.replace(microsecond=0)


def layout(vehicle_id: str = "", range: str | None = None, at: str | None = None, to: str | None = None, **query: Any) -> html.Div:  # noqa: A002 -- the name in the URL
    """The page without its numbers; these come by callback. How `range`, `at`, `from` and `to` go together: see `view.asked`."""
    vehicle_id, ask = unquote(vehicle_id), asked(range, at, query.get("from"), to)
    zoom = list(ask.zoom) if all(ask.zoom) else None
    stores = {"vehicle-id": vehicle_id, "vehicle-asked": {"at": ask.at, "between": list(ask.between)}, "vehicle-zoom": zoom}
    drawn = ("drawn-live", "drawn-window", "drawn-chargers", "drawn-chart", "painted")
    empty = [f"vehicle-{name}" for name in ("beat", "window-due", "chargers-due", "kept", "heard", "marked", *drawn)]
    head = html.Div(drawing.waiting(vehicle_id), id="vehicle-head", className="grow stack is-tight")
    return html.Div(
        [
            *(dcc.Store(id=name, data=value) for name, value in stores.items()),
            *(dcc.Store(id=name) for name in empty),
            html.Div([head, html.Div(ranges.choice("vehicle", ask.range_name), className="when-known")], className="page-head is-row"),
            html.Div(
                [_place("vehicle-verdict"), html.Section(id="vehicle-now", className="now-cards", **{"aria-label": "Now"})],
                className="vehicle-now when-known",
            ),
            html.Div([_place("vehicle-losses"), _place("vehicle-chargers")], className="vehicle-pair when-known"),
            html.Section(
                [html.Div([html.H2("Over time"), _legend(), html.Span(id="vehicle-history")], className="card-head"), html.Div(id="vehicle-shown", className="place-of-words", role="status"), _graph()],
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


def _graph() -> dcc.Graph:
    return dcc.Graph(id="vehicle-graph", figure=drawing.EMPTY_FIGURE, config=figures.CONFIG, className="timeline")


def _legend() -> html.Div:
    keys = [("is-ac", "AC from the grid"), ("is-dc", "DC into the battery"), ("is-lost", "lost"), ("is-band", "expected")]
    return html.Div([html.Span([html.Span(className=f"key {name}"), label]) for name, label in keys], className="chart-legend")


def _readings() -> html.Section:
    return html.Section([html.Div(html.H2("Newest readings"), className="card-head"), html.Div(id="vehicle-readings")], className="card")
