"""The layout of `/chargers/<meterId>`, and what fills it.

Three callbacks, each with its own pace, which assets/92-charger.js keeps: what is live, the chosen window, and what 30 days say.
"""

from datetime import datetime
from typing import Any
from urllib.parse import unquote

import dash
from dash import ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update, set_props

from dashboard import figures
from dashboard.components import ranges
from dashboard.components.plain import plain
from dashboard.pages.alerts import of_subject
from dashboard.pages.charger import drawing, loading
from dashboard.pages.vehicle.drawing import EMPTY_FIGURE
from dashboard.view import Asked, asked

_PARTS = ("live", "window", "judged")


def register(app: Dash, services: Any) -> None:
    """Put the page at `/chargers/<meterId>`."""
    dash.register_page("charger", path_template="/chargers/<meter_id>", title="Charger · Voltledger", layout=layout)
    _in_the_browser(app)
    _live(app, services)
    _window(app, services)
    _judged(app, services)


def _in_the_browser(app: Dash) -> None:
    def client(name: str, *inputs: Any, **options: Any) -> None:
        app.clientside_callback(ClientsideFunction("voltledger", name), *inputs, **options)

    client("zoomKept", Output("charger-kept", "data"), Input("charger-between", "data"))
    client("zoomHeard", Output("charger-heard", "data"), Input("charger-graph", "figure"))
    client("zoomLeft", Output("charger-zoom", "data"), Input("charger-range", "value"), prevent_initial_call=True)
    client("zoomMarked", Output("charger-marked", "data"), Input("charger-painted", "data"), Input("charger-zoom", "data"))
    for part in _PARTS:
        client(
            "chargerDue",
            Output(f"charger-{part}-due", "data"),
            Input("clock", "n_intervals"),
            State("charger-id", "data"),
            State("charger-range", "value"),
            State(f"charger-{part}-due", "data"),
            State(f"charger-{part}-due", "id"),
        )
    client("chargerPainted", Output("charger-painted", "data"), *(Input(f"charger-drawn-{part}", "data") for part in (*_PARTS, "chart")))


def _live(app: Dash, services: Any) -> None:
    @app.callback(
        Output("charger-head", "children"),
        Output("charger-drawn-live", "data"),
        Output("charger-page", "data-state"),
        Input("charger-live-due", "data"),
        Input("viewer", "data"),
        State("charger-id", "data"),
    )
    def show_live(_: Any, viewer: drawing.Viewer, meter_id: str) -> tuple[Any, Any, str]:
        with services.read() as conn:
            loaded = loading.load_live(conn, meter_id, _second(services.now()), services.policies)
        set_props("callback-note", {"hidden": True})
        head, now, readings, state = drawing.live(loaded, meter_id, viewer)
        return head, {"charger-now": plain(now), "charger-readings": plain(readings)}, state


def _window(app: Dash, services: Any) -> None:
    @app.callback(
        Output("charger-graph", "figure"),
        Output("charger-drawn-window", "data"),
        Output("charger-drawn-chart", "data"),
        Input("charger-range", "value"),
        Input("charger-window-due", "data"),
        Input("viewer", "data"),
        Input("charger-zoom", "data"),
        State("charger-id", "data"),
        State("charger-between", "data"),
    )
    def show_window(
        range_name: str, _: Any, viewer: drawing.Viewer, zoom: list[str | None] | None, meter_id: str, between: list[str | None]
    ) -> tuple[Any, Any, Any]:
        now = _second(services.now())
        view = Asked(range_name, None, between, zoom or (None, None)).view(now)
        only_zoomed = {name.rsplit(".", 1)[0] for name in ctx.triggered_prop_ids} == {"charger-zoom"}
        with services.read() as conn:
            loaded = None if only_zoomed and view.zoomed else loading.load_window(conn, meter_id, view.whole, now, services.policies)
            drawn = loading.load_chart(conn, meter_id, view.start, view.end, now, services.policies) if view.zoomed else None
        charted = drawn or (loaded.timeline if loaded else None)
        assert charted
        figure, parts = drawing.chart(charted, meter_id, view, viewer)
        return figure, _plain(drawing.window(loaded, viewer)) if loaded else no_update, _plain(parts)


def _judged(app: Dash, services: Any) -> None:
    @app.callback(
        Output("charger-drawn-judged", "data"),
        Input("charger-judged-due", "data"),
        Input("viewer", "data"),
        State("charger-id", "data"),
    )
    def show_judged(_: Any, viewer: drawing.Viewer, meter_id: str) -> dict[str, Any]:
        now = _second(services.now())
        with services.read() as conn:
            loaded = loading.load_judged(conn, meter_id, now, now, services.policies)
        return _plain(drawing.judged(loaded, viewer))


def _plain(cards: dict[str, Any]) -> dict[str, Any]:
    return {f"charger-{name}": plain(part) for name, part in cards.items()}


def _second(at: datetime) -> datetime:
    """Whole seconds, so that a window on the screen is the very one in its file's address."""
    return at.replace(microsecond=0)


def layout(meter_id: str = "", range: str | None = None, to: str | None = None, **query: Any) -> html.Div:  # noqa: A002 -- the name in the URL
    """The page without its numbers; these come by callback. How `range`, `from` and `to` go together: see `view.asked`."""
    meter_id, ask = unquote(meter_id), asked(range, None, query.get("from"), to)
    zoom = list(ask.zoom) if all(ask.zoom) else None
    stores = {"charger-id": meter_id, "charger-between": list(ask.between), "charger-zoom": zoom}
    empty = (
        [f"charger-{part}-due" for part in _PARTS]
        + [f"charger-drawn-{part}" for part in (*_PARTS, "chart")]
        + ["charger-painted", "charger-kept", "charger-heard", "charger-marked"]
    )
    head = html.Div(drawing.waiting(meter_id), id="charger-head", className="grow stack is-tight")
    return html.Div(
        [
            *(dcc.Store(id=name, data=value) for name, value in stores.items()),
            *(dcc.Store(id=name) for name in empty),
            html.Div([head, html.Div(ranges.choice("charger", ask.range_name), className="when-known")], className="page-head is-row"),
            html.Div(id="charger-past", className="when-known"),
            html.Div(
                [_place("charger-verdict"), html.Section(id="charger-now", className="now-cards", **{"aria-label": "Now"})],
                className="vehicle-now when-known",
            ),
            html.Div([_place("charger-energy"), _place("charger-matrix")], className="vehicle-pair when-known"),
            html.Section(
                [
                    html.Div([html.H2("Over time"), _legend(), _files()], className="card-head"),
                    html.Div(id="charger-shown", className="place-of-words", role="status"),
                    _graph(),
                ],
                className="card when-known",
            ),
            of_subject.place("meter", meter_id),
            html.Div(_place("charger-sessions"), className="when-known"),
            html.Div([_place("charger-assignments"), _readings()], className="vehicle-pair is-uneven when-known"),
        ],
        id="charger-page",
        className="stack",
        **{"data-state": "loading"},
    )


def _place(element_id: str) -> html.Div:
    """Where a card comes; while it is empty it shimmers."""
    return html.Div(id=element_id, className="place-of-card")


def _graph() -> dcc.Graph:
    return dcc.Graph(id="charger-graph", figure=EMPTY_FIGURE, config=figures.CONFIG, className="timeline")


def _legend() -> html.Div:
    keys = [
        ("is-ac", "AC from the grid"),
        ("is-nobody", "received by nobody"),
        ("is-silent", "vehicle silent"),
        ("is-dc", "DC into batteries"),
        ("is-lost", "lost"),
    ]
    return html.Div([html.Span([html.Span(className=f"key {name}"), label]) for name, label in keys], className="chart-legend")


def _files() -> html.Span:
    return html.Span([html.Span(id="charger-bars"), html.Span(id="charger-history")], className="files")


def _readings() -> html.Section:
    return html.Section([html.Div(html.H2("Newest readings"), className="card-head"), html.Div(id="charger-readings")], className="card")
