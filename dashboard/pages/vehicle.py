"""`/vehicles/<id>`: what is wrong with this vehicle, or is it the charger?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import quote, unquote

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, set_props

from charging.verdict import Summary
from dashboard import figures
from dashboard import format as fmt
from dashboard.components.empty import message
from dashboard.components.quantity import facts, now_card, quantity
from dashboard.components.readings import readings_table
from dashboard.components.scale import scale
from dashboard.components.verdict import KINDS, glyph, kind_of
from db.engine import Conn
from db.queries import devices, history, performance
from db.queries.devices import LatestReading, VehicleNow
from db.queries.history import Bucket
from db.queries.policies import Policies


@dataclass(frozen=True, slots=True)
class Range:
    """How far back, and how fine: efficiency bins and history points."""

    label: str
    words: str
    span: timedelta
    bin_s: int
    bucket: Bucket
    point_s: int


RANGES = {
    "24h": Range("24 h", "24 hours", timedelta(hours=24), 3600, "15m", 900),
    "7d": Range("7 d", "7 days", timedelta(days=7), 3600, "1h", 3600),
    "30d": Range("30 d", "30 days", timedelta(days=30), 6 * 3600, "1h", 3600),
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything the page draws, read over one connection. `at` is the end of the window, `now` the server's time."""

    vehicle: VehicleNow
    summary: Summary | None
    timeline: figures.Timeline
    readings: Sequence[LatestReading]
    at: datetime
    now: datetime
    past: bool


def load(conn: Conn, vehicle_id: str, chosen: Range, at: datetime | None, now: datetime, policies: Policies) -> Loaded | None:
    """The vehicle over the range that ends at `at` (now where None); None if nobody ever heard of it."""
    vehicle = devices.vehicle(conn, vehicle_id, now)
    if vehicle is None:
        return None
    end = at or now
    start = end - chosen.span
    summary = performance.summaries(conn, start, end, [vehicle_id], policies).get(vehicle_id)
    meter_ids = summary.meter_ids if summary else ()
    timeline = figures.Timeline(
        start=start,
        end=end,
        bins=performance.bins(conn, vehicle_id, start, end, chosen.bin_s, policies),
        bin_s=chosen.bin_s,
        vehicle=history.vehicle_points(conn, vehicle_id, start, end, chosen.bucket),
        # one meter's power only where one meter was assigned: two would read as one that jumps
        meter=history.meter_points(conn, meter_ids[0], start, end, chosen.bucket) if len(meter_ids) == 1 else [],
        point_s=chosen.point_s,
    )
    return Loaded(vehicle, summary, timeline, devices.latest_readings(conn, vehicle_id), end, now, at is not None)


def register(app: Dash, services: Any) -> None:
    """Put the page at `/vehicles/<id>`."""
    dash.register_page("vehicle", path_template="/vehicles/<vehicle_id>", title="Vehicle · Voltledger", layout=layout)
    app.clientside_callback(ClientsideFunction("voltledger", "ranged"), Input("vehicle-range", "value"), prevent_initial_call=True)
    app.clientside_callback(
        ClientsideFunction("voltledger", "zoomed"),
        Output("vehicle-zoom", "data"),
        Input("vehicle-graph", "relayoutData"),
        Input("vehicle-range", "value"),
    )
    app.clientside_callback(
        ClientsideFunction("voltledger", "beat"),
        Output("vehicle-beat", "data"),
        Input("clock", "n_intervals"),
        State("vehicle-id", "data"),
        State("vehicle-beat", "data"),
    )

    @app.callback(
        Output("vehicle-top", "children"),
        Output("vehicle-graph", "figure"),
        Output("vehicle-readings", "children"),
        Output("vehicle-page", "data-state"),
        Input("vehicle-range", "value"),
        Input("vehicle-beat", "data"),
        Input("viewer", "data"),
        State("vehicle-id", "data"),
        State("vehicle-at", "data"),
        State("vehicle-zoom", "data"),
    )
    def show(
        range_name: str, _: Any, viewer: dict[str, str], vehicle_id: str, at: str | None, zoom: list[str] | None
    ) -> tuple[Any, Any, Any, str]:
        chosen = RANGES[range_name]
        with services.read() as conn:
            loaded = load(conn, vehicle_id, chosen, fmt.instant(at), services.now(), services.policies)
        set_props("callback-note", {"hidden": True})
        return draw(loaded, vehicle_id, range_name, viewer, (zoom[0], zoom[1]) if zoom and ctx.triggered_id != "vehicle-range" else None)


def draw(
    loaded: Loaded | None, vehicle_id: str, range_name: str, viewer: dict[str, str], zoom: figures.Zoom | None = None
) -> tuple[Any, Any, Any, str]:
    """Top of the page, charts, readings and the page's state. `viewer`: IANA zone and colour scheme."""
    if loaded is None:
        return _unknown(vehicle_id), {"data": [], "layout": {}}, None, "unknown"
    tz, chosen = fmt.zone(viewer["zone"]), RANGES[range_name]
    scheme: figures.Scheme = "dark" if viewer["scheme"] == "dark" else "light"
    revision = f"{vehicle_id} {range_name} {loaded.at if loaded.past else 'live'}"
    figure = figures.timeline(loaded.timeline, viewer["zone"], scheme, revision, zoom)
    top = [
        _past(loaded, vehicle_id, tz),
        _head(loaded.vehicle, loaded, chosen),
        html.Div([_verdict(loaded, chosen, tz), _now(loaded)], className="vehicle-now"),
    ]
    return top, figure, readings_table(loaded.readings, tz, viewer["zone"]), "ready"


def layout(vehicle_id: str = "", range: str = "24h", at: str | None = None, **_: Any) -> html.Div:  # noqa: A002 -- the name in the URL
    """The page without its numbers; these come by callback."""
    ranges = dmc.SegmentedControl(
        id="vehicle-range",
        value=range if range in RANGES else "24h",
        data=[{"value": name, "label": r.label} for name, r in RANGES.items()],
        size="xs",
        **{"aria-label": "Range"},
    )
    graph = dcc.Graph(
        id="vehicle-graph",
        figure={
            "data": [],
            "layout": {
                "paper_bgcolor": "rgba(0,0,0,0)",
                "plot_bgcolor": "rgba(0,0,0,0)",
                "xaxis": {"visible": False},
                "yaxis": {"visible": False},
            },
        },
        config=figures.CONFIG,
        className="timeline",
    )
    return html.Div(
        [
            dcc.Store(id="vehicle-id", data=unquote(vehicle_id)),
            dcc.Store(id="vehicle-at", data=at),
            dcc.Store(id="vehicle-beat"),
            dcc.Store(id="vehicle-zoom"),
            html.Div(_waiting(unquote(vehicle_id)), id="vehicle-top", className="stack"),
            html.Section([html.Div([html.H2("Over time"), _legend(), ranges], className="card-head"), graph], className="card when-known"),
            html.Section(
                [html.Div(html.H2("Newest readings"), className="card-head"), html.Div(id="vehicle-readings")], className="card when-known"
            ),
        ],
        id="vehicle-page",
        className="stack",
        **{"data-state": "loading"},
    )


def _waiting(vehicle_id: str) -> list[Any]:
    return [
        html.Div([html.H1(vehicle_id), html.P("Reading its history…", className="is-muted")], className="page-head"),
        html.Div(className="card skeleton"),
    ]


def _legend() -> html.Div:
    keys = [("is-ac", "AC from the grid"), ("is-dc", "DC into the battery"), ("is-lost", "lost"), ("is-band", "expected")]
    return html.Div([html.Span([html.Span(className=f"key {name}"), label]) for name, label in keys], className="chart-legend")


def _unknown(vehicle_id: str) -> html.Div:
    return message(
        f"Nobody has heard of {vehicle_id}",
        html.P("No reading, no assignment and no description carries this id. It appears here with its first reading."),
        html.P(html.A("See the fleet", href="/", className="button", **{"data-nav": ""})),
    )


def _past(loaded: Loaded, vehicle_id: str, tz: tzinfo) -> Any:
    if not loaded.past:
        return None
    back = html.A("Back to now", href=f"/vehicles/{quote(vehicle_id, safe='')}", **{"data-nav": ""})
    words = f"You are looking at the past: {fmt.moment(loaded.timeline.start, tz)} to {fmt.moment(loaded.at, tz)} {fmt.offset_name(loaded.at, tz)}."
    return html.Div([html.Span([words, " ", back])], className="banner is-quiet", role="status")


def _head(vehicle: VehicleNow, loaded: Loaded, chosen: Range) -> html.Div:
    known = [vehicle.vehicle_id if vehicle.name and vehicle.name != vehicle.vehicle_id else None, vehicle.model, vehicle.site_name]
    under = " · ".join(part for part in known if part)
    window = f"from={_z(loaded.timeline.start)}&to={_z(loaded.at)}&bucket={chosen.bucket}"
    csv = f"/v1/vehicles/{quote(vehicle.vehicle_id, safe='')}/history?format=csv&{window}"
    return html.Div(
        [
            html.Div(
                [
                    html.A("Fleet", href="/", className="crumb", **{"data-nav": ""}),
                    html.H1(vehicle.name or vehicle.vehicle_id),
                    html.P(under, className="is-muted"),
                ],
                className="grow",
            ),
            html.A(
                [html.Span(className="icon icon-download"), f"History as CSV, {chosen.label}"], href=csv, className="button", download=""
            ),
        ],
        className="page-head is-row",
    )


def _z(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}Z"


def _verdict(loaded: Loaded, chosen: Range, tz: tzinfo) -> html.Section:
    s = loaded.summary
    if s is None:
        return html.Section(
            [html.H2("No efficiency"), html.P("No meter was assigned and no reading came in this window.")], className="card verdict-card"
        )
    kind = kind_of(s.verdict, s.severity)
    window = f"{chosen.words} to {fmt.moment(loaded.at, tz)}"
    return html.Section(
        [
            html.Div([glyph(kind), html.H2(KINDS[kind].label), html.Span(window, className="is-muted")], className="verdict-head"),
            html.Div(
                [
                    _big(s),
                    html.Div(
                        [scale(s.ratio, s.expected_low, s.expected_high), html.Div(_expected(s), className="is-muted")], className="grow"
                    ),
                ],
                className="verdict-value",
            ),
            html.P(s.reason, className="reason"),
            _evidence(s),
        ],
        className=f"card verdict-card is-{kind}",
    )


def _big(s: Summary) -> html.Span:
    return html.Span(quantity(fmt.NONE if s.ratio is None else fmt.number(s.ratio * 100, 1), "%"), className="figure-value is-large")


def _expected(s: Summary) -> str:
    if s.expected_low is None:
        return "no expected band for this window"
    return f"expected {fmt.band(s.expected_low, s.expected_high)}, measured ± {fmt.percent(s.uncertainty)}"


def _evidence(s: Summary) -> html.Dl:
    coverage = (None if c is None else c * 100 for c in (s.coverage_vehicle, s.coverage_meter))
    vehicle_pct, meter_pct = (quantity(fmt.number(c), "%") for c in coverage)
    return facts(
        ("From the grid (AC)", quantity(fmt.number(s.ac_kwh, 3), "kWh")),
        ("Into the battery (DC)", quantity(fmt.number(s.dc_kwh, 3), "kWh")),
        ("Lost", quantity(fmt.number(s.loss_kwh, 3), "kWh")),
        ("Meter", ", ".join(s.meter_ids) or "none assigned"),
        ("Vehicle readings", html.Span([fmt.number(s.vehicle_readings), " · ", vehicle_pct, " of those due"])),
        ("Meter readings", html.Span([fmt.number(s.meter_readings), " · ", meter_pct, " of those due"])),
    )


def _now(loaded: Loaded) -> html.Section:
    v, now = loaded.vehicle, loaded.now
    meter = v.meter
    age = f"{fmt.age(now - v.recorded_at)} ago" if v.recorded_at else "never reported"
    meter_age = (
        f"{meter.meter_id}, {fmt.age(now - meter.recorded_at)} ago"
        if meter and meter.recorded_at
        else f"{v.meter_id} never reported"
        if v.meter_id
        else "no meter assigned"
    )
    place = (
        html.Span(f"{v.latitude:.4f}, {v.longitude:.4f}", className="place") if v.latitude is not None and v.longitude is not None else None
    )
    return html.Section(
        [
            now_card("State of charge", fmt.number(v.soc_pct, 0), "%", age if v.soc_pct is not None or not v.recorded_at else "not measured"),
            now_card("Power into the battery", fmt.amount(v.power_kw), "kW", age),
            now_card("Battery", fmt.number(v.battery_temp_c, 1), "°C", age if v.battery_temp_c is not None or not v.recorded_at else "not measured"),
            now_card("Power from the grid", fmt.amount(meter.power_kw if meter else None), "kW", meter_age),
            now_card("Voltage", fmt.number(meter.voltage_v if meter else None, 0), "V", meter_age),
            html.Div(
                [html.Div("Position", className="figure-label"), html.Div(place or fmt.NONE, className="figure-value is-place"),
                 html.Div(f"{fmt.age(now - v.position_at)} ago" if v.position_at else "the vehicle sends none", className="figure-note")],
                className="card figure",
            ),
        ],
        className="now-cards",
        **{"aria-label": "Now"},
    )  # fmt: skip
