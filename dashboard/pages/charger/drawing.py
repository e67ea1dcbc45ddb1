"""The charger page's parts as functions of what was loaded: no database, no clock."""

from datetime import datetime, tzinfo
from typing import Any
from urllib.parse import quote

from dash import html

from charging.fleet import total
from charging.matrix import Blame, Cell, read_charger
from charging.units import to_kwh
from dashboard import charger_figure, figures
from dashboard import format as fmt
from dashboard.charger_figure import ChargerTimeline
from dashboard.components.card import card, csv_link
from dashboard.components.charger_matrix import LOOK, charger_or_vehicles
from dashboard.components.empty import message
from dashboard.components.links import vehicle_link
from dashboard.components.occupation import occupation_timeline
from dashboard.components.quantity import facts, now_card, quantity
from dashboard.components.readings import meter_readings_table
from dashboard.components.scale import scale
from dashboard.components.sessions import charger_session_table
from dashboard.components.shown import shown
from dashboard.components.verdict import badge, glyph
from dashboard.pages.charger.loading import JUDGED_OVER, Judged, Live, Occupant, Window
from dashboard.view import View
from db.queries import meter_energy
from db.queries.chargers import Rating
from db.queries.meter_energy import MeterEnergy

Viewer = dict[str, str]  # IANA zone and colour scheme
# What a technician wants to know, before why.
_ANSWERS: dict[Blame, str] = {
    "none": "As expected",
    "charger": "It is the charger",
    "vehicle": "It is not the charger",
    "both": "Perhaps the charger",
    "unknown": "Not enough to say",
}
_BINS = {900: "15m", 3600: "1h", 6 * 3600: "6h", 24 * 3600: "1d"}  # as the API names them
_PLACES = {"reading": "sent by the meter", "description": "as described", "site": "its site's"}


def live(loaded: Live | None, meter_id: str, viewer: Viewer) -> tuple[Any, Any, Any, str]:
    """Head of the page, what is now, newest readings, and the page's state."""
    if loaded is None:
        return _unknown(meter_id), None, None, "unknown"
    tz = fmt.zone(viewer["zone"])
    return _head(loaded, tz), _now(loaded), meter_readings_table(loaded.readings, tz, viewer["zone"]), "ready"


def window(loaded: Window, viewer: Viewer) -> dict[str, Any]:
    """The cards of the window by name: the energy, the sessions, what window it is."""
    tz, over = fmt.zone(viewer["zone"]), loaded.over
    of = f"{over.words} to {_clock(over.end, tz)}"
    table = charger_session_table(loaded.sessions, tz, viewer["zone"], of, in_chart=True)
    return {
        "past": _past(loaded, tz),
        "energy": card("Energy", of, _energy(meter_energy.total(loaded.timeline.energy))),
        "sessions": card("Charging sessions", of, table, links=_file(loaded.meter_id, over.start, over.end, "sessions", "Sessions as CSV")),
    }


def chart(loaded: ChargerTimeline, meter_id: str, view: View, viewer: Viewer) -> tuple[figures.Figure, dict[str, Any]]:
    """The charts, and by name what they show in words and the files behind them."""
    scheme: figures.Scheme = "dark" if viewer["scheme"] == "dark" else "light"
    over = loaded.over
    span = (meter_id, over.start, over.end)
    parts = {
        "shown": shown(over, "energy", view, fmt.zone(viewer["zone"])),
        "history": _file(*span, "history", "Power and voltage as CSV", f"&bucket={over.bucket}"),
        "bars": _file(*span, "energy", "Energy as CSV", f"&bin={_BINS[over.bin_s]}"),
    }
    return charger_figure.charger(loaded, viewer["zone"], scheme, f"{meter_id} {view.name}"), parts


def judged(loaded: Judged, viewer: Viewer) -> dict[str, Any]:
    """The cards by name: the verdict in words, the matrix, and who was assigned when."""
    tz = fmt.zone(viewer["zone"])
    of = f"{JUDGED_OVER.days} days to {_clock(loaded.end, tz)}"
    query = f"meterId={quote(loaded.meter_id, safe='')}&from={_z(loaded.end - JUDGED_OVER)}&to={_z(loaded.end)}"
    link = html.A("As JSON", href=f"/v1/analytics/matrix?{query}", className="button is-plain")
    told = charger_or_vehicles(loaded.cells, loaded.why, loaded.meter_id)
    assigned = occupation_timeline(loaded.stretches, loaded.changes, loaded.meter_id, loaded.now, tz)
    return {
        "verdict": _verdict(loaded, of),
        "matrix": card("Charger or vehicle?", of, told, links=link if loaded.cells else None),
        "assignments": card("Assigned vehicles", f"all times, as of {_clock(loaded.now, tz)}", assigned),
    }


def waiting(meter_id: str) -> list[Any]:
    """The head until the first answer."""
    return [html.H1(meter_id), html.P("Reading its history…", className="is-muted")]


def _clock(at: datetime, tz: tzinfo) -> str:
    return fmt.moment(at, tz, seconds=True)


def _z(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}Z"


def _file(meter_id: str, start: datetime, end: datetime, what: str, words: str, more: str = "") -> html.A:
    query = f"format=csv&from={_z(start)}&to={_z(end)}{more}"
    return csv_link(words, f"/v1/meters/{quote(meter_id, safe='')}/{what}?{query}")


def _unknown(meter_id: str) -> html.Div:
    return message(
        f"Nobody has heard of charger {meter_id}",
        html.P("No reading, no assignment and no description carries this meter's id. It appears here with its first reading."),
        html.P(html.A("See all chargers", href="/chargers", className="button", **{"data-nav": ""})),
        alone=True,
    )


def _past(loaded: Window, tz: tzinfo) -> Any:
    over = loaded.over
    if not over.fixed:
        return None
    back = html.A("Back to now", href=f"/chargers/{quote(loaded.meter_id, safe='')}", **{"data-nav": ""})
    limit = " That is as much as a page shows; ask the API for more." if over.shortened else ""
    words = f"Energy, charts and sessions are of {fmt.moment(over.start, tz)} to {fmt.moment(over.end, tz)} {fmt.offset_name(over.end, tz)}.{limit}"
    return html.Div(html.Span([words, " ", back]), className="banner is-quiet", role="status")


def _head(loaded: Live, tz: tzinfo) -> html.Div:
    m = loaded.meter
    known = [
        m.meter_id if m.name and m.name != m.meter_id else None,
        m.site_name,
        _rating(loaded.rating),
        f"as of {_clock(loaded.now, tz)}",
    ]
    return html.Div(
        [
            html.A("Chargers", href="/chargers", className="crumb", **{"data-nav": ""}),
            html.H1(m.name or m.meter_id),
            html.P(" · ".join(part for part in known if part), className="is-muted"),
        ]
    )


def _rating(rating: Rating) -> str:
    """What it can give, its class, and how that is known."""
    if rating.rated_kw:
        return f"{fmt.amount(rating.rated_kw)} kW, {rating.kind} class (described)"
    if rating.peak_kw:
        return f"{rating.kind} class (learned: gave up to {fmt.amount(rating.peak_kw)} kW)"
    return "class not known yet: nobody described its power and too little was charged to learn it"


def _now(loaded: Live) -> list[Any]:
    m, now = loaded.meter, loaded.now
    age = _ago(m.recorded_at, now)

    def of(value: float | None, otherwise: str) -> str:
        return age if value is not None or not m.recorded_at else otherwise

    return [
        now_card("Power from the grid", fmt.amount(m.power_kw), "kW", of(m.power_kw, f"not known: a single reading, {age}")),
        now_card("Voltage", fmt.number(m.voltage_v, 0), "V", of(m.voltage_v, "not measured")),
        _position(loaded),
        _occupants(loaded),
    ]


def _ago(at: datetime | None, now: datetime) -> str:
    return f"{fmt.age(now - at)} ago" if at else "never reported"


def _position(loaded: Live) -> html.Div:
    m, place = loaded.meter, loaded.place
    known = m.latitude is not None and m.longitude is not None
    value = html.Span(f"{m.latitude:.4f}, {m.longitude:.4f}", className="place") if known else fmt.NONE
    note = "not sent and not described"
    if place:
        note = _PLACES[place.source] + (f", {_ago(place.at, loaded.now)}" if place.at else "")
    return html.Div(
        [
            html.Div("Position", className="figure-label"),
            html.Div(value, className="figure-value is-place"),
            html.Div(note, className="figure-note"),
        ],
        className="card figure",
    )


def _occupants(loaded: Live) -> html.Div:
    """Who is on it, each with a link and its state."""
    more = loaded.many - len(loaded.occupants)
    rows = [_occupant(one, loaded.now) for one in loaded.occupants]
    if more > 0:
        rows.append(html.Li(f"and {fmt.number(more)} more, which share this meter"))
    nobody = html.P("No vehicle is assigned: nobody knows who receives what it gives.", className="figure-note")
    label = "Assigned now" if loaded.many < 2 else f"Assigned now: {fmt.number(loaded.many)} vehicles share this meter"
    body = html.Ul(rows, className="occupants") if rows else nobody
    return html.Div([html.Div(label, className="figure-label"), body], className="card figure is-wide")


def _occupant(one: Occupant, now: datetime) -> html.Li:
    v, s = one.vehicle, one.summary
    state = [
        quantity(fmt.number(v.soc_pct, 0), "%"),
        quantity(fmt.amount(v.power_kw), "kW into the battery"),
        html.Span(_ago(v.recorded_at, now), className="is-muted"),
    ]
    judged = html.Span([badge(s.verdict, s.severity), html.Span(" 24 h", className="is-muted")]) if s else None
    return html.Li([html.B(vehicle_link(v.vehicle_id, v.name)), judged, *state])


def _verdict(loaded: Judged, of: str) -> html.Section:
    reading = read_charger(loaded.meter_id, loaded.cells or ())
    own = [cell for cell in loaded.cells or () if cell.meter_id == loaded.meter_id]
    words = loaded.why or f"This charger: {reading.words}"
    look = LOOK[reading.blame]
    return html.Section(
        [
            html.Div([glyph(look), html.H2(_ANSWERS[reading.blame]), html.Span(of, className="is-muted")], className="verdict-head"),
            _measured(own),
            html.P(words, className="reason"),
            _evidence(own) if own else None,
        ],
        className=f"card verdict-card is-{look}",
    )


def _measured(own: list[Cell]) -> html.Div:
    """All judged charging here together."""
    whole = total(cell.summary for cell in own)
    value = fmt.NONE if whole.efficiency is None else fmt.number(whole.efficiency * 100, 1)
    band = "no expectation yet" if whole.expected_low is None else f"expected {fmt.band(whole.expected_low, whole.expected_high)}"
    counted = f"{whole.counted} of {len(own)} vehicle{'' if len(own) == 1 else 's'} with enough evidence"
    words = [f"{counted}, {band}"] if own else ["no vehicle was alone here while anything was reported"]
    side = html.Div(
        [scale(whole.efficiency, whole.expected_low, whole.expected_high), html.Div(words, className="is-muted")], className="grow"
    )
    return html.Div([html.Span(quantity(value, "%"), className="figure-value is-large"), side], className="verdict-value")


def _evidence(own: list[Cell]) -> html.Dl:
    """What the efficiency above is made of."""
    whole = total(cell.summary for cell in own)
    left_out = sum(whole.left_out.values())
    return facts(
        ("Judged: from the grid (AC)", quantity(fmt.number(whole.ac_kwh, 1), "kWh")),
        ("Into batteries (DC)", quantity(fmt.number(whole.dc_kwh, 1), "kWh")),
        ("Lost", quantity(fmt.number(whole.loss_kwh, 1), "kWh")),
        ("Left out", f"{fmt.number(left_out)} vehicle{'' if left_out == 1 else 's'}"),
    )


def _energy(e: MeterEnergy) -> Any:
    lost = e.ac_received - e.dc
    share = f" ({fmt.percent(lost / e.ac_received)})" if e.ac_received > 0 else ""
    nobody = e.ac_nobody + e.ac_not_received
    rows = [
        ("From the grid (AC)", _kwh(e.ac)),
        ("Received by its vehicles (DC)", _kwh(e.dc)),
        ("Lost on the way", html.Span([_kwh(lost), share])),
        ("Received by nobody", _kwh(nobody)),
        ("… while no vehicle was assigned", _kwh(e.ac_nobody)),
        ("… while the vehicle said nothing arrives", _kwh(e.ac_not_received)),
        ("While the vehicle was silent", _kwh(e.ac_unknown)),
    ]
    note = "" if e.ac or e.dc else "Nothing was reported in this window."
    return html.Div([facts(*rows), html.P(note, className="card-empty") if note else _advice(e)], className="energy-facts")


def _advice(e: MeterEnergy) -> Any:
    """What to do about energy that went to nobody."""
    if not e.ac_nobody:
        return None
    return html.P(
        "A vehicle took what no vehicle was assigned to: assign it for that time, also afterwards, and the numbers follow.",
        className="card-empty",
    )


def _kwh(milliwh: int) -> html.Span:
    return quantity(fmt.number(to_kwh(milliwh), 2), "kWh")
