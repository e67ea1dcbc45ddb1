"""The newest raw readings of a vehicle, recorded and received side by side."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from dash import html

from dashboard import format as fmt
from db.queries.devices import LatestReading

_HEAD = (
    ("Recorded by the device", ""),
    ("Received here", ""),
    ("Delay", ""),
    ("Into the battery", "kWh"),
    ("State of charge", "%"),
    ("Battery", "°C"),
)


def _cell(value: str, numeric: bool = True) -> html.Td:
    return html.Td(value, className="is-number" if numeric else "")


def _row(reading: LatestReading, tz: tzinfo) -> html.Tr:
    return html.Tr(
        [
            _cell(fmt.moment(reading.recorded_at, tz, seconds=True), numeric=False),
            _cell(fmt.moment(reading.received_at, tz, seconds=True), numeric=False),
            _cell(fmt.age(reading.received_at - reading.recorded_at)),
            _cell(fmt.number(reading.kwh_delivered_dc, 4)),
            _cell(fmt.number(reading.soc_pct, 1)),
            _cell(fmt.number(reading.battery_temp_c, 1)),
        ]
    )


def readings_table(readings: Sequence[LatestReading], tz: tzinfo, zone_name: str) -> Any:
    """Newest first. Times in `tz`, which the caption names."""
    if not readings:
        return html.P("No readings are kept of this vehicle.", className="is-muted")
    head = [
        html.Th([name, html.Span(f" {unit}", className="unit")] if unit else name, scope="col", className="is-number" if i > 1 else "")
        for i, (name, unit) in enumerate(_HEAD)
    ]
    caption = html.Caption(f"The {len(readings)} newest, times in {zone_name}")
    return html.Div(
        html.Table([caption, html.Thead(html.Tr(head)), html.Tbody([_row(r, tz) for r in readings])], className="readings"),
        className="scroll-x",
        tabIndex=0,
        role="region",
        **{"aria-label": "Newest readings"},
    )
