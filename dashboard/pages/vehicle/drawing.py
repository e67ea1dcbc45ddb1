"""The vehicle page's parts as functions of what was loaded: no database, no clock."""

from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import quote

from dash import html

from charging.verdict import Summary
from dashboard import figures
from dashboard import format as fmt
from dashboard.components.assignments import assignment_timeline
from dashboard.components.card import card, csv_link
from dashboard.components.charger_matrix import vehicle_or_charger
from dashboard.components.empty import message
from dashboard.components.expected import expected
from dashboard.components.links import charger_link, listed
from dashboard.components.losses import loss_parts
from dashboard.components.quantity import facts, now_card, quantity
from dashboard.components.readings import readings_table
from dashboard.components.scale import scale
from dashboard.components.sessions import session_table
from dashboard.components.shown import shown
from dashboard.components.verdict import KINDS, glyph, kind_of
from dashboard.pages.vehicle.loading import CHARGERS_OVER, Chargers, Live, Window
from dashboard.view import View

Viewer = dict[str, str]  # IANA zone and colour scheme
EMPTY_FIGURE: figures.Figure = {"data": [], "layout": {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
                                                       "xaxis": {"visible": False}, "yaxis": {"visible": False}}}  # fmt: skip


def live(loaded: Live | None, vehicle_id: str, past: tuple[datetime, datetime] | None, viewer: Viewer) -> tuple[Any, Any, Any, str]:
    """Head of the page, what is now, newest readings, and the page's state. `past`: the window that is looked at, where it is not the newest."""
    if loaded is None:
        return _unknown(vehicle_id), None, None, "unknown"
    tz = fmt.zone(viewer["zone"])
    head = [_past(past, vehicle_id, tz), _head(loaded, tz)]
    return head, _now(loaded), readings_table(loaded.readings, tz, viewer["zone"]), "ready"


def window(loaded: Window, viewer: Viewer) -> tuple[Any, Any, Any]:
    """Verdict, losses and sessions of the range."""
    of = _of(loaded.chosen.words, loaded.end, fmt.zone(viewer["zone"]))
    losses = card("Where the loss goes", of, loss_parts(loaded.summary, loaded.price, loaded.currency))
    return _verdict(loaded, of), losses, _sessions(loaded, of, viewer)


def chart(loaded: figures.Timeline, vehicle_id: str, view: View, viewer: Viewer) -> tuple[figures.Figure, Any, Any]:
    """The charts, what they show in words, and the file behind them."""
    scheme: figures.Scheme = "dark" if viewer["scheme"] == "dark" else "light"
    figure = figures.timeline(loaded, viewer["zone"], scheme, f"{vehicle_id} {view.name}")
    query = f"format=csv&from={_z(loaded.start)}&to={_z(loaded.end)}&bucket={loaded.bucket}"
    file = csv_link("History as CSV", f"/v1/vehicles/{quote(vehicle_id, safe='')}/history?{query}")
    return figure, shown(loaded, "efficiency and energy", view, fmt.zone(viewer["zone"])), file


def chargers(loaded: Chargers, viewer: Viewer) -> tuple[Any, Any]:
    """Vehicle or charger, and the assignments."""
    tz = fmt.zone(viewer["zone"])
    days = f"{CHARGERS_OVER.days} days"
    query = f"vehicleId={quote(loaded.vehicle_id, safe='')}&from={_z(loaded.end - CHARGERS_OVER)}&to={_z(loaded.end)}"
    link = html.A("As JSON", href=f"/v1/analytics/matrix?{query}", className="button is-plain")
    reading = vehicle_or_charger(loaded.cells, loaded.why, loaded.vehicle_id)
    assigned = assignment_timeline(loaded.assignments, loaded.changes, loaded.now, tz)
    return (
        card("Vehicle or charger?", _of(days, loaded.end, tz), reading, links=link if loaded.cells else None),
        card("Assigned meters", f"all times, as of {_clock(loaded.now, tz)}", assigned),
    )


def waiting(vehicle_id: str) -> list[Any]:
    """The head until the first answer."""
    return [html.H1(vehicle_id), html.P("Reading its history…", className="is-muted")]


def _of(words: str, end: datetime, tz: tzinfo) -> str:
    return f"{words} to {_clock(end, tz)}"


def _clock(at: datetime, tz: tzinfo) -> str:
    return fmt.moment(at, tz, seconds=True)


def _unknown(vehicle_id: str) -> html.Div:
    return message(
        f"Nobody has heard of {vehicle_id}",
        html.P("No reading, no assignment and no description carries this id. It appears here with its first reading."),
        html.P(html.A("See the fleet", href="/", className="button", **{"data-nav": ""})),
        alone=True,
    )


def _past(past: tuple[datetime, datetime] | None, vehicle_id: str, tz: tzinfo) -> Any:
    if past is None:
        return None
    start, end = past
    back = html.A("Back to now", href=f"/vehicles/{quote(vehicle_id, safe='')}", **{"data-nav": ""})
    words = f"You are looking at the past: {fmt.moment(start, tz)} to {fmt.moment(end, tz)} {fmt.offset_name(end, tz)}."
    return html.Div([html.Span([words, " ", back])], className="banner is-quiet", role="status")


def _head(loaded: Live, tz: tzinfo) -> html.Div:
    v = loaded.vehicle
    known = [v.vehicle_id if v.name and v.name != v.vehicle_id else None, v.model, v.site_name, f"as of {_clock(loaded.now, tz)}"]
    return html.Div(
        [
            html.A("Fleet", href="/", className="crumb", **{"data-nav": ""}),
            html.H1(v.name or v.vehicle_id),
            html.P(" · ".join(part for part in known if part), className="is-muted"),
        ]
    )


def _z(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}Z"


def _file(loaded: Window, what: str, words: str, more: str = "") -> html.A:
    query = f"format=csv&from={_z(loaded.start)}&to={_z(loaded.end)}{more}"
    return csv_link(words, f"/v1/vehicles/{quote(loaded.vehicle_id, safe='')}/{what}?{query}")


def _sessions(loaded: Window, of: str, viewer: Viewer) -> html.Section:
    words = f"{loaded.chosen.words} to {fmt.moment(loaded.end, fmt.zone(viewer['zone']))}"
    table = session_table(loaded.sessions, loaded.vehicle_id, fmt.zone(viewer["zone"]), viewer["zone"], words, in_chart=True)
    return card("Charging sessions", of, table, links=_file(loaded, "sessions", "Sessions as CSV"))


def _verdict(loaded: Window, of: str) -> html.Section:
    s = loaded.summary
    if s is None:
        return html.Section(
            [html.H2("No efficiency"), html.P("No meter was assigned and no reading came in this window.")], className="card verdict-card"
        )
    kind = kind_of(s.verdict, s.severity)
    return html.Section(
        [
            html.Div([glyph(kind), html.H2(KINDS[kind].label), html.Span(of, className="is-muted")], className="verdict-head"),
            html.Div(
                [
                    _big(s),
                    html.Div([scale(s.ratio, s.expected_low, s.expected_high), html.Div(_expected(s), className="is-muted")], className="grow"),
                ],
                className="verdict-value",
            ),
            html.P(s.reason, className="reason"),
            _evidence(s),
        ],
        className=f"card verdict-card is-{kind}",
    )  # fmt: skip


def _big(s: Summary) -> html.Span:
    return html.Span(quantity(fmt.NONE if s.ratio is None else fmt.number(s.ratio * 100, 1), "%"), className="figure-value is-large")


def _expected(s: Summary) -> str:
    measured = f", measured ± {fmt.percent(s.uncertainty)}" if s.band else ""
    return expected(s.band) + measured


def _evidence(s: Summary) -> html.Dl:
    coverage = (None if c is None else c * 100 for c in (s.coverage_vehicle, s.coverage_meter))
    vehicle_pct, meter_pct = (quantity(fmt.number(c), "%") for c in coverage)
    return facts(
        ("From the grid (AC)", quantity(fmt.number(s.ac_kwh, 3), "kWh")),
        ("Into the battery (DC)", quantity(fmt.number(s.dc_kwh, 3), "kWh")),
        ("Lost", quantity(fmt.number(s.loss_kwh, 3), "kWh")),
        ("Meter", listed([charger_link(one) for one in s.meter_ids]) or "none assigned"),
        ("Vehicle readings", html.Span([fmt.number(s.vehicle_readings), " · ", vehicle_pct, " of those due"])),
        ("Meter readings", html.Span([fmt.number(s.meter_readings), " · ", meter_pct, " of those due"])),
    )


def _ago(at: datetime | None, now: datetime, never: str) -> str:
    return f"{fmt.age(now - at)} ago" if at else never


def _now(loaded: Live) -> list[Any]:
    v, now = loaded.vehicle, loaded.now
    meter = v.meter
    age = _ago(v.recorded_at, now, "never reported")

    def of_vehicle(value: float | None) -> str:
        return age if value is not None or not v.recorded_at else "not measured"

    if meter and meter.recorded_at:
        meter_age: Any = [charger_link(meter.meter_id), f", {_ago(meter.recorded_at, now, '')}"]
    else:
        meter_age = [charger_link(v.meter_id), " never reported"] if v.meter_id else "no meter assigned"
    return [
        now_card("State of charge", fmt.number(v.soc_pct, 0), "%", of_vehicle(v.soc_pct)),
        now_card("Power into the battery", fmt.amount(v.power_kw), "kW", age),
        now_card("Battery", fmt.number(v.battery_temp_c, 1), "°C", of_vehicle(v.battery_temp_c)),
        now_card("Power from the grid", fmt.amount(meter.power_kw if meter else None), "kW", meter_age),
        now_card("Voltage", fmt.number(meter.voltage_v if meter else None, 0), "V", meter_age),
        _position(loaded),
    ]


def _position(loaded: Live) -> html.Div:
    v = loaded.vehicle
    known = v.latitude is not None and v.longitude is not None
    place = html.Span(f"{v.latitude:.4f}, {v.longitude:.4f}", className="place") if known else fmt.NONE
    return html.Div(
        [
            html.Div("Position", className="figure-label"),
            html.Div(place, className="figure-value is-place"),
            html.Div(_ago(v.position_at, loaded.now, "the vehicle sends none"), className="figure-note"),
        ],
        className="card figure",
    )
