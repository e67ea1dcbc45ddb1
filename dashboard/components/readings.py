"""The newest raw readings of a device, recorded and received side by side."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from dash import html

from dashboard import format as fmt
from dashboard.components.card import scrolling
from db.queries.chargers import MeterReading
from db.queries.devices import LatestReading

Columns = Sequence[tuple[str, str]]  # name, unit
_TIMES: Columns = (("Recorded by the device", ""), ("Received here", ""), ("Delay", ""))
_VEHICLE: Columns = (("Into the battery", "kWh"), ("State of charge", "%"), ("Battery", "°C"))
_METER: Columns = (("From the grid", "kWh"), ("Voltage", "V"))


def readings_table(readings: Sequence[LatestReading], tz: tzinfo, zone_name: str) -> Any:
    """A vehicle's, newest first. Times in `tz`, which the caption names."""
    rows = [
        (r.recorded_at, r.received_at, (fmt.number(r.kwh_delivered_dc, 4), fmt.number(r.soc_pct, 1), fmt.number(r.battery_temp_c, 1)))
        for r in readings
    ]
    return _table(_VEHICLE, rows, tz, zone_name, "vehicle")


def meter_readings_table(readings: Sequence[MeterReading], tz: tzinfo, zone_name: str) -> Any:
    """The same of a meter."""
    rows = [(r.recorded_at, r.received_at, (fmt.number(r.kwh_consumed_ac, 4), fmt.number(r.voltage_v, 1))) for r in readings]
    return _table(_METER, rows, tz, zone_name, "meter")


def _table(columns: Columns, rows: Sequence[tuple[datetime, datetime, Sequence[str]]], tz: tzinfo, zone_name: str, whose: str) -> Any:
    """`rows`: recorded, received, values."""
    if not rows:
        return html.P(f"No readings are kept of this {whose}.", className="is-muted")
    head = [
        html.Th([name, html.Span(f" {unit}", className="unit")] if unit else name, scope="col", className="is-number" if i > 1 else "")
        for i, (name, unit) in enumerate((*_TIMES, *columns))
    ]
    caption = html.Caption(f"The {len(rows)} newest, times in {zone_name}")
    table = html.Table([caption, html.Thead(html.Tr(head)), html.Tbody([_row(*row, tz) for row in rows])], className="readings")
    return scrolling("Newest readings", table)


def _row(recorded_at: datetime, received_at: datetime, values: Sequence[str], tz: tzinfo) -> html.Tr:
    times = (fmt.moment(recorded_at, tz, seconds=True), fmt.moment(received_at, tz, seconds=True))
    numbers = (fmt.age(received_at - recorded_at), *values)
    return html.Tr([*(html.Td(at, className="") for at in times), *(html.Td(value, className="is-number") for value in numbers)])
