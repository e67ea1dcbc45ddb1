"""Vehicle or charger? The reading of a matrix of vehicles and chargers in words, and the matrix."""

from collections.abc import Sequence
from typing import Any

from dash import html

from charging.matrix import Cell, Reading, read_charger, read_vehicle
from dashboard import format as fmt
from dashboard.components.card import empty, scrolling
from dashboard.components.links import charger_link, vehicle_link
from dashboard.components.verdict import KINDS, glyph, kind_of

# More is no table that a person reads.
MOST_VEHICLES, MOST_CHARGERS = 20, 12
# What a reading looks like: nothing to find, something to find, not enough to say.
LOOK = {"none": "ok", "vehicle": "low", "charger": "low", "both": "low", "unknown": "insufficient_data"}


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
    return _told(cells, readings[: MOST_CHARGERS + 1], [vehicle_id], own, vehicle_id)


def charger_or_vehicles(cells: Sequence[Cell] | None, why: str, meter_id: str) -> Any:
    """The same seen from a charger: its reading and each of its vehicles'."""
    if cells is None:
        return empty(why)
    own = sorted({c.vehicle_id for c in cells if c.meter_id == meter_id})
    if not own:
        return empty(
            "Not enough to say: in these days no vehicle was alone at this charger while anything was reported. "
            "Stretches that vehicles shared are left out."
        )
    readings = [("This charger", read_charger(meter_id, cells)), *((f"Vehicle {one}", read_vehicle(one, cells)) for one in own)]
    return _told(cells, readings[: MOST_VEHICLES + 1], own, [meter_id], meter_id)


def _told(
    cells: Sequence[Cell], readings: Sequence[tuple[str, Reading]], vehicles: Sequence[str], meters: Sequence[str], here: str
) -> html.Div:
    """`vehicles` and `meters` are those the page is about, which stand first; `here`: whose page it is, which needs no link."""
    lines = html.Ul([_reading(*one) for one in readings], className="readings-list")
    return html.Div([lines, _matrix(cells, vehicles, meters, here) if len(cells) > 1 else _alone(cells[0])])


def _reading(subject: str, reading: Reading) -> html.Li:
    return html.Li([glyph(LOOK[reading.blame]), html.Span([html.B(f"{subject}: "), reading.words])])


def _alone(cell: Cell) -> html.P:
    s = cell.summary
    return empty(
        f"One vehicle at one charger ({fmt.amount(s.ac_kwh)} kWh): another vehicle at ", charger_link(cell.meter_id), ", or ",
        vehicle_link(cell.vehicle_id), " at another charger, would tell the two apart.",
    )  # fmt: skip


def _matrix(cells: Sequence[Cell], own_vehicles: Sequence[str], own_meters: Sequence[str], here: str) -> Any:
    meters = [*own_meters, *sorted({c.meter_id for c in cells} - set(own_meters))]
    vehicles = [*own_vehicles, *sorted({c.vehicle_id for c in cells} - set(own_vehicles))]
    by_pair = {(c.vehicle_id, c.meter_id): c for c in cells}
    shown = meters[:MOST_CHARGERS]
    head = [
        html.Th("Vehicle", scope="col"),
        *(
            html.Th(meter if meter == here else charger_link(meter), scope="col", className="is-own" if meter in own_meters else "")
            for meter in shown
        ),
    ]
    rows = [
        html.Tr([_vehicle(one, one in own_vehicles, here), *(_cell(by_pair.get((one, meter))) for meter in shown)])
        for one in vehicles[:MOST_VEHICLES]
    ]
    table = html.Table([_caption(len(vehicles), len(meters)), html.Thead(html.Tr(head)), html.Tbody(rows)], className="readings matrix")
    return scrolling("Vehicles and chargers", table, class_name="is-low")


def _caption(vehicles: int, meters: int) -> html.Caption:
    more = [f"{n} more {what}" for n, what in ((vehicles - MOST_VEHICLES, "vehicles"), (meters - MOST_CHARGERS, "chargers")) if n > 0]
    left_out = f" {' and '.join(more)} are in the file." if more else ""
    return html.Caption(f"Efficiency and energy from the grid of each vehicle at each charger; empty: was not there.{left_out}")


def _vehicle(one: str, own: bool, here: str) -> html.Th:
    return html.Th(one if one == here else vehicle_link(one), scope="row", className="is-own" if own else "")


def _cell(cell: Cell | None) -> html.Td:
    if cell is None:
        return html.Td()
    s = cell.summary
    kind = kind_of(s.verdict, s.severity)
    words = fmt.percent(s.ratio) if cell.judged else KINDS[kind].label.lower()
    parts = [html.Span([glyph(kind), words], className="verdict"), html.Small(f"{fmt.amount(s.ac_kwh)} kWh")]
    return html.Td(parts, title=f"{KINDS[kind].label}: {s.reason}", className="" if cell.judged else "is-unjudged")
