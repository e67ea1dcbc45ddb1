"""Charts as functions of data: no database, no clock. One time axis for everything, so that there is one zoom."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from statistics import median
from typing import Any, Literal

from charging.sessions import Session
from charging.verdict import Summary
from dashboard import format as fmt
from dashboard import strip
from dashboard.components.verdict import KINDS, kind_of
from db.queries.history import Bucket, MeterPoint, VehiclePoint

Scheme = Literal["light", "dark"]
Figure = dict[str, Any]
Trace = dict[str, Any]
JUDGED = ("ok", "low")

# The same colours as in assets/90-style.css; a test compares.
COLOURS: dict[str, dict[str, str]] = {
    "light": {
        "text": "#1b2230", "muted": "#5a6577", "grid": "#e8ebf0", "paper": "#ffffff", "ac": "#4f74b3", "dc": "#0c8577", "loss": "#b7791f", "band": "rgba(12,133,119,.13)",
        "ok": "#0c8577", "low": "#b45309", "critical": "#c2185b", "suspect_measurement": "#7c3aed", "charged_elsewhere": "#8a5a2b", "insufficient_data": "#6b7688",
        "shared_meter": "#4b5bb0", "conditioning": "#0277b6", "unmapped": "#6b7688", "not_charging": "#8b95a5", "soc": "#4b5bb0", "temp": "#b7791f",
    },
    "dark": {
        "text": "#e4e8ef", "muted": "#98a3b5", "grid": "#232a36", "paper": "#151a22", "ac": "#7fa3e0", "dc": "#35c0ae", "loss": "#e0aa4e", "band": "rgba(53,192,174,.14)",
        "ok": "#35c0ae", "low": "#f2a33c", "critical": "#ff6b93", "suspect_measurement": "#b794f6", "charged_elsewhere": "#c99b6c", "insufficient_data": "#8d99ab",
        "shared_meter": "#98a5ef", "conditioning": "#5cb8f2", "unmapped": "#8d99ab", "not_charging": "#6b7688", "soc": "#98a5ef", "temp": "#e0aa4e",
    },
}  # fmt: skip
# Rows from top to bottom: name, unit, share of the height.
Rows = Sequence[tuple[str, str, float]]
_ROWS: Rows = (
    ("Efficiency", "%", 0.26),
    ("Energy", "kWh", 0.19),
    ("Power", "kW", 0.15),
    ("State of charge", "%", 0.12),
    ("Battery temperature", "°C", 0.12),
    ("Voltage at the meter", "V", 0.11),
    ("Charging sessions", "", 0.05),
)
_STRIP = len(_ROWS)  # the row of what is marked, right above the times
_HEIGHT_PX = 980
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- a place on an axis that has been moved from UTC
_GAP, _FIRST_GAP = 0.045, 0.026
_FLOOR_PCT = 60.0


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was the matter in (start, end], still is where `end` is None, in words, and the page that tells more."""

    start: datetime
    end: datetime | None
    severity: str
    words: str
    href: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """What one vehicle and its meter did over (start, end]. Bins and points are named by their beginning and `*_s` seconds wide.

    With the bucket "raw" the points are readings, named by their own time and `point_s` seconds apart where nothing else is known; some
    lie before `start`. `sessions` and `marks` are those that touch the window.
    """

    start: datetime
    end: datetime
    bins: Sequence[tuple[datetime, Summary]]
    bin_s: int
    vehicle: Sequence[VehiclePoint]
    meter: Sequence[MeterPoint]
    point_s: int
    bucket: Bucket = "15m"
    sessions: Sequence[Session] = ()
    marks: Sequence[Mark] = ()


def timeline(data: Timeline, zone_name: str, scheme: Scheme, revision: str) -> Figure:
    """Efficiency with its band, both energies with the loss between them, power, state of charge, temperature and voltage, and what is marked.

    Times are drawn with the one offset that `zone_name` has at the end of the window, named on the axis: no hour appears twice. `meta`
    holds it for the browser, which turns places on the axis into instants again.
    """
    axis = Axis(fmt.zone(zone_name), data.end)
    colours = COLOURS[scheme]
    marked = strip.drawn(data, axis, colours, f"y{_STRIP}")
    traces = [
        *_efficiency(data, axis, colours),
        *_energy(data, axis, colours),
        *_power(data, axis, colours),
        *_state(data, axis, colours),
        *marked,
    ]
    return {"data": dated(traces), "layout": _layout(data, colours, revision) | times(data.start, axis, zone_name, _ROWS, colours)}


def dated(traces: Sequence[Trace]) -> list[Trace]:
    """With their places on the time axis in words: plotly takes a number for an instant and shows it in the browser's zone, whatever was added to it."""
    return [trace | {"x": [written(ms) for ms in trace["x"]]} for trace in traces]


def written(ms: float) -> str:
    """A place on the time axis in words."""
    return f"{_EPOCH + timedelta(milliseconds=ms):%Y-%m-%d %H:%M:%S}"


@dataclass(frozen=True, slots=True)
class Axis:
    """Turns instants into what plotly draws as local time: milliseconds shifted by one offset. `end`: of the window."""

    tz: tzinfo
    end: datetime

    @property
    def offset_ms(self) -> float:
        """How far the axis is ahead of UTC."""
        return (self.end.astimezone(self.tz).utcoffset() or timedelta()).total_seconds() * 1000

    def ms(self, at: datetime) -> float:
        """Where an instant stands on the axis."""
        return at.timestamp() * 1000 + self.offset_ms


def _efficiency(data: Timeline, axis: Axis, colours: dict[str, str]) -> list[Trace]:
    floor = _floor_pct(data.bins)
    judged = [(at, s) for at, s in data.bins if s.verdict in JUDGED and s.ratio is not None]
    other = [(at, s) for at, s in data.bins if s.verdict not in JUDGED]
    return [
        _band(data, axis, colours),
        _line(judged, data.bin_s, axis, colours),
        _judged(judged, data.bin_s, axis, colours),
        _unjudged(other, data.bin_s, axis, colours, floor),
    ]


def _floor_pct(bins: Iterable[tuple[datetime, Summary]]) -> float:
    """60 %, or lower where a judged bin lies lower."""
    ratios = [s.ratio * 100 for _, s in bins if s.ratio is not None and s.verdict in JUDGED]
    return max(0.0, min([_FLOOR_PCT, *(10 * (r // 10) - 5 for r in ratios)]))


def middle(at: datetime, width_s: int, axis: Axis) -> float:
    """Where the middle of a bin stands that is named by its beginning."""
    return axis.ms(at) + width_s * 500


def _band(data: Timeline, axis: Axis, colours: dict[str, str]) -> Trace:
    known = [
        (at, s.expected_low, s.expected_high)
        for at, s in data.bins
        if s.verdict in JUDGED and s.expected_low is not None and s.expected_high is not None
    ]
    return {
        "type": "bar", "name": "Expected", "yaxis": "y", "x": [middle(at, data.bin_s, axis) for at, _, _ in known],
        "base": [low * 100 for _, low, _ in known], "y": [(high - low) * 100 for _, low, high in known], "width": data.bin_s * 1000,
        "marker": {"color": colours["band"], "line": {"width": 0}}, "customdata": [fmt.band(low, high) for _, low, high in known],
        "hovertemplate": "%{customdata}<extra>Expected</extra>", "offset": -data.bin_s * 500,
    }  # fmt: skip


def _gapped(points: Sequence[tuple[float, float | None]], width_ms: float) -> tuple[list[float], list[float | None]]:
    """Coordinates with a hole wherever two neighbours are further apart than the width: a gap is a gap."""
    xs: list[float] = []
    ys: list[float | None] = []
    for x, y in points:
        if xs and x - xs[-1] > width_ms * 1.5:
            xs.append(xs[-1] + width_ms)
            ys.append(None)
        xs.append(x)
        ys.append(y)
    return xs, ys


def _line(judged: Sequence[tuple[datetime, Summary]], bin_s: int, axis: Axis, colours: dict[str, str]) -> Trace:
    xs, ys = _gapped([(middle(at, bin_s, axis), (s.ratio or 0) * 100) for at, s in judged], bin_s * 1000)
    return {
        "type": "scatter",
        "mode": "lines",
        "yaxis": "y",
        "x": xs,
        "y": ys,
        "line": {"color": colours["ok"], "width": 1.2},
        "opacity": 0.5,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _judged(judged: Sequence[tuple[datetime, Summary]], bin_s: int, axis: Axis, colours: dict[str, str]) -> Trace:
    kinds = [kind_of(s.verdict, s.severity) for _, s in judged]
    return {
        "type": "scatter", "mode": "markers", "name": "Efficiency", "yaxis": "y",
        "x": [middle(at, bin_s, axis) for at, _ in judged], "y": [(s.ratio or 0) * 100 for _, s in judged],
        "error_y": {"type": "data", "array": [(s.uncertainty or 0) * 100 for _, s in judged], "color": colours["muted"], "thickness": 1, "width": 0},
        "marker": {"size": 10, "color": [colours[k] for k in kinds], "symbol": [strip.SYMBOLS[KINDS[k].shape] for k in kinds], "line": {"width": 1.2, "color": colours["paper"]}},
        "customdata": [[fmt.percent(s.uncertainty), KINDS[k].label] for (_, s), k in zip(judged, kinds, strict=True)],
        "hovertemplate": "%{y:.1f} % ± %{customdata[0]} · %{customdata[1]}<extra>Efficiency</extra>",
    }  # fmt: skip


def _unjudged(other: Sequence[tuple[datetime, Summary]], bin_s: int, axis: Axis, colours: dict[str, str], floor: float) -> Trace:
    """Bins without enough evidence stand on the floor of the chart: shown as such, not as a number."""
    kinds = [kind_of(s.verdict, s.severity) for _, s in other]
    return {
        "type": "scatter", "mode": "markers", "name": "No efficiency", "yaxis": "y", "cliponaxis": False,
        "x": [middle(at, bin_s, axis) for at, _ in other], "y": [floor + 1.6] * len(other),
        "marker": {"size": [4 if k == "not_charging" else 7 for k in kinds], "color": [colours[k] for k in kinds], "symbol": [strip.SYMBOLS[KINDS[k].shape] for k in kinds], "opacity": 0.75},
        "customdata": [KINDS[k].label for k in kinds], "hovertemplate": "%{customdata}<extra>No efficiency</extra>",
    }  # fmt: skip


def _energy(data: Timeline, axis: Axis, colours: dict[str, str]) -> list[Trace]:
    moved = [(at, s) for at, s in data.bins if s.ac_kwh > 0 or s.dc_kwh > 0]
    bars = Bars("y2", [middle(at, data.bin_s, axis) for at, _ in moved], data.bin_s * 1000)
    return paired(
        [s.ac_kwh for _, s in moved], [s.dc_kwh for _, s in moved], [max(0.0, s.ac_kwh - s.dc_kwh) for _, s in moved], bars, colours
    )


@dataclass(frozen=True, slots=True)
class Bars:
    """Where bars of a row stand: on which axis, at which middles, in bins of which width (ms)."""

    yaxis: str
    x: Sequence[float]
    width_ms: float

    def drawn(self, name: str, kwh: Sequence[float], offset: float, marker: Trace, base: Sequence[float] | None = None) -> Trace:
        """Bars that begin `offset` of a bin beside its middle."""
        return {"type": "bar", "name": name, "yaxis": self.yaxis, "x": self.x, "y": kwh, "base": base, "offset": offset * self.width_ms, "width": 0.38 * self.width_ms,
                "marker": marker, "hovertemplate": f"%{{customdata:.2f}} kWh<extra>{name}</extra>", "customdata": kwh}  # fmt: skip


def hatched(colour: str, shape: str = "/") -> Trace:
    """A bar of lines instead of a colour: energy that is missing somewhere."""
    return {
        "color": "rgba(0,0,0,0)",
        "line": {"width": 1, "color": colour},
        "pattern": {"shape": shape, "fgcolor": colour, "size": 5, "solidity": 0.35},
    }


def paired(ac: Sequence[float], dc: Sequence[float], lost: Sequence[float], bars: Bars, colours: dict[str, str]) -> list[Trace]:
    """AC and DC (kWh) side by side, the loss hatched on top of DC."""
    return [
        bars.drawn("AC from the grid", ac, -0.4, {"color": colours["ac"]}),
        bars.drawn("DC into the battery", dc, 0.0, {"color": colours["dc"]}),
        bars.drawn("Lost", lost, 0.0, hatched(colours["loss"]), base=dc),
    ]


def steps(
    name: str, yaxis: str, points: Sequence[tuple[float, float | None]], width_ms: float, colour: str, unit: str, shape: str
) -> Trace:
    """A line over (place, value) that breaks where values are missing; a value that stands alone is a dot."""
    xs, ys = _gapped(points, width_ms)
    known = [False, *(y is not None for y in ys), False]
    alone = [4 if there and not (before or after) else 0 for before, there, after in zip(known, known[1:], known[2:], strict=False)]
    return {"type": "scatter", "mode": "lines+markers", "name": name, "yaxis": yaxis, "x": xs, "y": ys, "connectgaps": False, "marker": {"size": alone, "color": colour},
            "line": {"color": colour, "width": 1.6, "shape": shape}, "hovertemplate": f"%{{y:.1f}} {unit}<extra>{name}</extra>"}  # fmt: skip


# Readings further apart than so many of the usual distance have a gap between them: clocks of devices are not exact.
_RAW_GAP = 2.5


@dataclass(frozen=True, slots=True)
class Curve:
    """Places and values of one side's points, with the energy's mean power; `width_ms`: how far apart two may be without a gap, in two thirds."""

    x: Sequence[float]
    kw: Sequence[float | None]
    width_ms: float

    def drawn(self, name: str, yaxis: str, values: Sequence[float | None], colour: str, unit: str, shape: str = "linear") -> Trace:
        """One of the side's values over time."""
        return steps(name, yaxis, list(zip(self.x, values, strict=True)), self.width_ms, colour, unit, shape)


def curve(data: Timeline, points: Sequence[tuple[datetime, float]], axis: Axis) -> Curve:
    """Of points (time, kWh): buckets stand in their middle; a reading at its own time, and its energy over the time since the one before."""
    if data.bucket != "raw":
        kw: list[float | None] = [kwh / _hours(at, data) for at, kwh in points]
        return Curve([middle(at, data.point_s, axis) for at, _ in points], kw, data.point_s * 1000)
    apart = [(b[0] - a[0]).total_seconds() for a, b in pairwise(points)]
    usual_s = max(1.0, median(apart) if apart else data.point_s)
    since = [None, *apart]
    kw = [kwh * 3600 / s if s and s <= _RAW_GAP * usual_s else None if kwh else 0.0 for (_, kwh), s in zip(points, since, strict=False)]
    inside = [n for n, (at, _) in enumerate(points) if at > data.start]
    return Curve([axis.ms(points[n][0]) for n in inside], [kw[n] for n in inside], usual_s * 1000 * _RAW_GAP / 1.5)


def _power(data: Timeline, axis: Axis, colours: dict[str, str]) -> list[Trace]:
    dc = curve(data, [(p.at, p.kwh_delivered_dc) for p in data.vehicle], axis)
    return [ac_power(data, axis, colours, "y3"), dc.drawn("DC power", "y3", dc.kw, colours["dc"], "kW", _shape(data))]


def _shape(data: Timeline) -> str:
    """Of power: a bucket's holds around its middle, a reading's up to its time."""
    return "vh" if data.bucket == "raw" else "hvh"


def ac_power(data: Timeline, axis: Axis, colours: dict[str, str], yaxis: str) -> Trace:
    """The meter's mean power in each of its points."""
    ac = curve(data, [(p.at, p.kwh_consumed_ac) for p in data.meter], axis)
    return ac.drawn("AC power", yaxis, ac.kw, colours["ac"], "kW", _shape(data))


def voltage(data: Timeline, axis: Axis, colours: dict[str, str], yaxis: str) -> Trace:
    """The meter's."""
    there = curve(data, [(p.at, p.kwh_consumed_ac) for p in data.meter], axis)
    return there.drawn("Voltage", yaxis, _inside(data, [(p.at, p.voltage_v) for p in data.meter]), colours["soc"], "V")


def _inside(data: Timeline, values: Sequence[tuple[datetime, float | None]]) -> list[float | None]:
    """Without readings that lie before the window."""
    return [value for at, value in values if data.bucket != "raw" or at > data.start]


def _hours(at: datetime, data: Timeline) -> float:
    """How much of a point lies in the window: the first and the last are cut by its edges. A minute at least, so that no spike appears."""
    inside = min(at + timedelta(seconds=data.point_s), data.end) - max(at, data.start)
    return max(inside.total_seconds(), 60.0) / 3600


def _state(data: Timeline, axis: Axis, colours: dict[str, str]) -> list[Trace]:
    of = curve(data, [(p.at, p.kwh_delivered_dc) for p in data.vehicle], axis)
    soc, temp = [(p.at, p.soc_pct) for p in data.vehicle], [(p.at, p.battery_temp_c) for p in data.vehicle]
    return [
        of.drawn("State of charge", "y4", _inside(data, soc), colours["soc"], "%"),
        of.drawn("Battery", "y5", _inside(data, temp), colours["temp"], "°C"),
        voltage(data, axis, colours, "y6"),
    ]


def _domains(rows: Rows) -> list[tuple[float, float]]:
    """Bottom and top of each row, from the top row down, with room for a title above each."""
    free = 1 - _FIRST_GAP - _GAP * (len(rows) - 1)
    domains: list[tuple[float, float]] = []
    top = 1.0
    for _, _, share in rows:
        top -= _GAP if domains else _FIRST_GAP
        domains.append((max(0.0, top - share * free), top))
        top -= share * free
    return domains


def _titles(rows: Rows, colours: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"text": f"<b>{name}</b> <span style='font-size:11px;color:{colours['muted']}'>{unit}</span>", "xref": "paper", "yref": "paper", "x": 0, "y": top, "xanchor": "left",
         "yanchor": "bottom", "showarrow": False, "font": {"size": 12.5, "color": colours["text"]}}
        for (name, unit, _), (_, top) in zip(rows, _domains(rows), strict=True)
    ]  # fmt: skip


def _axis_title(zone_name: str, end: datetime, tz: tzinfo) -> str:
    return zone_name if zone_name == "UTC" else f"{zone_name} ({fmt.offset_name(end, tz)})"


def y_axis(row: int) -> str:
    """What the layout calls the value axis of a row, counted from 0."""
    return "yaxis" if not row else f"yaxis{row + 1}"


def frame(rows: Rows, from_zero: Sequence[int], colours: dict[str, str], revision: str, height_px: int) -> dict[str, Any]:
    """The layout of rows under each other, without the time axis; the values of the rows `from_zero` (counted from 0) begin there."""
    y_axes = {
        y_axis(i): {
            "domain": [bottom, top], "anchor": "x", "gridcolor": colours["grid"], "zeroline": False, "nticks": 4, "fixedrange": True, "rangemode": "tozero" if i in from_zero else "normal",
            "tickfont": {"color": colours["muted"]},
        }
        for i, (bottom, top) in enumerate(_domains(rows))
    }  # fmt: skip
    return {
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": colours["paper"], "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": colours["muted"], "activecolor": colours["text"]}, "barmode": "overlay", "uirevision": revision, "showlegend": False,
        "hovermode": "x unified", "height": height_px, "hoversubplots": "axis", "dragmode": "zoom", "margin": {"l": 40, "r": 12, "t": 0, "b": 46},
        "hoverlabel": {"bgcolor": colours["paper"], "bordercolor": colours["grid"], "font": {"color": colours["text"], "size": 12}},
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', sans-serif", "size": 11.5, "color": colours["muted"]}, "annotations": _titles(rows, colours),
        **y_axes,
    }  # fmt: skip


def _layout(data: Timeline, colours: dict[str, str], revision: str) -> dict[str, Any]:
    layout = frame(_ROWS, (1, 2), colours, revision, _HEIGHT_PX)
    layout["yaxis"] |= {"range": [_floor_pct(data.bins), 104], "nticks": 5}
    layout["yaxis2"] |= {"autorangeoptions": {"include": 0.5}}  # what stands by is not as tall as a charge
    layout["yaxis3"] |= {"autorangeoptions": {"include": 1}}
    layout["yaxis4"] |= {"range": [0, 102], "tickvals": [0, 50, 100]}
    strip.lay_out(layout, data, _STRIP)
    return layout


def times(start: datetime, axis: Axis, zone_name: str, rows: Rows, colours: dict[str, str]) -> dict[str, Any]:
    """The time axis of all rows: the whole window, whatever lies in it. What the viewer zooms into is a window of its own."""
    # Numbers here are places on the axis as they are: plotly takes them over unconverted, and a text for nothing.
    shown = {
        "autorange": True, "type": "date", "autorangeoptions": {"minallowed": axis.ms(start), "maxallowed": axis.ms(axis.end)}, "anchor": f"y{len(rows)}",
        "gridcolor": colours["grid"], "showline": False, "title": {"text": _axis_title(zone_name, axis.end, axis.tz), "font": {"size": 11}, "standoff": 8},
        "hoverformat": "%a %-d %b %H:%M", "tickangle": 0,
        "tickformatstops": [{"dtickrange": [None, 60_000], "value": "%H:%M:%S\n%-d %b %Y"}, {"dtickrange": [60_000, 86_400_000 - 1], "value": "%H:%M\n%-d %b %Y"}, {"dtickrange": [86_400_000, None], "value": "%-d %b\n%Y"}], "showspikes": True, "spikemode": "across", "spikethickness": 1, "spikedash": "solid", "spikecolor": colours["muted"], "spikesnap": "cursor",
    }  # fmt: skip
    return {"xaxis": shown, "meta": {"offsetMs": axis.offset_ms}}


CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "doubleClick": "autosize",
    "responsive": True,
    "scrollZoom": False,
    # sendChartToCloud would upload the data to a company's server
    "modeBarButtonsToRemove": ["sendChartToCloud", "select2d", "lasso2d", "autoScale2d", "resetScale2d", "pan2d"],
    "toImageButtonOptions": {"format": "png", "scale": 2, "filename": "voltledger"},
}
