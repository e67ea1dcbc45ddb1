"""The charger's charts as a function of data: what it gave and what was received, its power and its voltage, on one time axis with one zoom."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from charging.units import to_kwh
from dashboard import figures, strip
from dashboard import format as fmt
from dashboard.figures import COLOURS, Axis, Bars, Figure, Scheme, Timeline, Trace
from db.queries.meter_energy import MeterEnergy

_ROWS = (("Energy", "kWh", 0.4), ("Power from the grid", "kW", 0.3), ("Voltage", "V", 0.23), ("Charging sessions", "", 0.07))
_HEIGHT_PX = 700


@dataclass(frozen=True, slots=True)
class ChargerTimeline:
    """`over`: the window with the meter's points (its vehicle part is empty); `energy`: its bins, each `over.bin_s` seconds wide."""

    over: Timeline
    energy: Sequence[tuple[datetime, MeterEnergy]]


def charger(data: ChargerTimeline, zone_name: str, scheme: Scheme, revision: str) -> Figure:
    """AC and DC as paired bars with the loss, and what nobody received marked on the AC; power, voltage and the sessions below."""
    axis, colours = Axis(fmt.zone(zone_name), data.over.end), COLOURS[scheme]
    curves = [figures.ac_power(data.over, axis, colours, "y2"), figures.voltage(data.over, axis, colours, "y3")]
    traces = [*_energy(data, axis, colours), *curves, *strip.drawn(data.over, axis, colours, f"y{len(_ROWS)}")]
    layout = figures.frame(_ROWS, (0, 1), colours, revision, _HEIGHT_PX)
    strip.lay_out(layout, data.over, len(_ROWS))
    return {"data": figures.dated(traces), "layout": layout | figures.times(data.over.start, axis, zone_name, _ROWS, colours)}


def _energy(data: ChargerTimeline, axis: Axis, colours: dict[str, str]) -> list[Trace]:
    """The AC bar is all that flowed; the parts that nobody received are marked at its top."""
    moved = [(at, one) for at, one in data.energy if one.ac or one.dc]
    bars = Bars("y", [figures.middle(at, data.over.bin_s, axis) for at, _ in moved], data.over.bin_s * 1000)
    lost = [max(0.0, to_kwh(one.ac_received - one.dc)) for _, one in moved]
    nobody = [(to_kwh(one.ac_received), to_kwh(one.ac_nobody + one.ac_not_received)) for _, one in moved]
    silent = [(to_kwh(one.ac - one.ac_unknown), to_kwh(one.ac_unknown)) for _, one in moved]
    return [
        *figures.paired([to_kwh(one.ac) for _, one in moved], [to_kwh(one.dc) for _, one in moved], lost, bars, colours),
        _marked(bars, "Received by nobody", nobody, _covering(colours, "x")),
        _marked(bars, "Vehicle silent", silent, _covering(colours, ".")),
    ]


def _covering(colours: dict[str, str], shape: str) -> Trace:
    """Over the bar below it."""
    lines = figures.hatched(colours["muted"], shape)
    return lines | {"color": colours["paper"], "pattern": lines["pattern"] | {"solidity": 0.2}}


def _marked(bars: Bars, name: str, parts: Sequence[tuple[float, float]], marker: Trace) -> Trace:
    """(from, how much) in kWh by bin, only where there is any: a bar of nothing would still be named under the pointer."""
    some = [n for n, (_, kwh) in enumerate(parts) if kwh > 0]
    there = Bars(bars.yaxis, [bars.x[n] for n in some], bars.width_ms)
    return there.drawn(name, [parts[n][1] for n in some], -0.4, marker, [parts[n][0] for n in some])
