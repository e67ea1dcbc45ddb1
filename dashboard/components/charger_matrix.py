"""Vehicle or charger? The reading of a matrix of vehicles and chargers in words, and the matrix."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from dash import html

from charging.matrix import Cell, Reading, read_charger, read_vehicle
from dashboard import format as fmt
from dashboard.components.card import empty, scrolling
from dashboard.components.verdict import KINDS, glyph, kind_of

# More is no table that a person reads.
MOST_VEHICLES, MOST_CHARGERS = 20, 12
# What a reading looks like: nothing to find, something to find, not enough to say.
_LOOK = {"none": "ok", "vehicle": "low", "charger": "low", "both": "low", "unknown": "insufficient_data"}


def vehicle_or_charger(cells: Sequence[Cell] | None, why: str, vehicle_id: str) -> Any:
    """The vehicle's reading, each of its chargers', and the matrix where there is more than one cell. `why` there are no cells, if None."""
    if cells is None:
        return empty(why)
    own = sorted({c.meter_id for c in cells if c.vehicle_id == vehicle_id})
    if not own:
        return empty(
            "Not enough to say: in these days there was no charger at which the vehicle was alone and anything was reported. "
            "Stretches on a shared meter are left out."
        )
    readings = [("This vehicle", read_vehicle(vehicle_id, cells)), *((f"Charger {meter}", read_charger(meter, cells)) for meter in own)]
    lines = html.Ul([_reading(*one) for one in readings[: MOST_CHARGERS + 1]], className="readings-list")
    return html.Div([lines, _matrix(cells, vehicle_id, own) if len(cells) > 1 else _alone(cells[0])])


def _reading(subject: str, reading: Reading) -> html.Li:
    return html.Li([glyph(_LOOK[reading.blame]), html.Span([html.B(f"{subject}: "), reading.words])])


def _alone(cell: Cell) -> html.P:
    s = cell.summary
    return empty(
        f"One vehicle at one charger ({fmt.amount(s.ac_kwh)} kWh): another vehicle at {cell.meter_id}, or this one at another charger, "
        "would tell the two apart."
    )


def _matrix(cells: Sequence[Cell], vehicle_id: str, own: Sequence[str]) -> Any:
    """The vehicle itself and its own chargers come first."""
    meters = [*own, *sorted({c.meter_id for c in cells} - set(own))]
    vehicles = [vehicle_id, *sorted({c.vehicle_id for c in cells} - {vehicle_id})]
    by_pair = {(c.vehicle_id, c.meter_id): c for c in cells}
    shown = meters[:MOST_CHARGERS]
    head = [html.Th("Vehicle", scope="col"), *(html.Th(meter, scope="col", className="is-own" if meter in own else "") for meter in shown)]
    rows = [
        html.Tr([_vehicle(one, vehicle_id), *(_cell(by_pair.get((one, meter))) for meter in shown)]) for one in vehicles[:MOST_VEHICLES]
    ]
    table = html.Table([_caption(len(vehicles), len(meters)), html.Thead(html.Tr(head)), html.Tbody(rows)], className="readings matrix")
    return scrolling("Vehicles and chargers", table, class_name="is-low")


def _caption(vehicles: int, meters: int) -> html.Caption:
    more = [f"{n} more {what}" for n, what in ((vehicles - MOST_VEHICLES, "vehicles"), (meters - MOST_CHARGERS, "chargers")) if n > 0]
    left_out = f" {' and '.join(more)} are in the file." if more else ""
    return html.Caption(f"Efficiency and energy from the grid of each vehicle at each charger; empty: was not there.{left_out}")


def _vehicle(one: str, vehicle_id: str) -> html.Th:
    if one == vehicle_id:
        return html.Th(one, scope="row", className="is-own")
    return html.Th(html.A(one, href=f"/vehicles/{quote(one, safe='')}", **{"data-nav": ""}), scope="row")


def _cell(cell: Cell | None) -> html.Td:
    if cell is None:
        return html.Td()
    s = cell.summary
    kind = kind_of(s.verdict, s.severity)
    words = fmt.percent(s.ratio) if cell.judged else KINDS[kind].label.lower()
    parts = [html.Span([glyph(kind), words], className="verdict"), html.Small(f"{fmt.amount(s.ac_kwh)} kWh")]
    return html.Td(parts, title=f"{KINDS[kind].label}: {s.reason}", className="" if cell.judged else "is-unjudged")
