"""The strip above the times of a chart: charging sessions, and under them what was the matter. Told apart by shape as well as by colour."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from charging.sessions import Session
from charging.verdict import Verdict
from dashboard import format as fmt
from dashboard.components.verdict import KINDS, kind_of

if TYPE_CHECKING:  # figures draws the strip
    from dashboard.figures import Axis, Timeline, Trace

# Plotly's names of the verdicts' shapes.
SYMBOLS = {"circle": "circle", "triangle": "triangle-up", "diamond": "diamond", "square": "square", "plus": "cross", "ring": "circle-open", "hexagon": "hexagon",
            "pentagon": "pentagon", "cross": "x", "dot": "circle"}  # fmt: skip
# More shapes than these in a window would lie upon each other: then only those stay that are not as expected.
_MOST_SHAPES = 60
_SEVERITIES = {"critical": "diamond", "warning": "triangle-up", "info": "circle"}
_COLOURS = {"critical": "critical", "warning": "low", "info": "soc"}


def drawn(data: "Timeline", axis: "Axis", colours: dict[str, str], yaxis: str) -> "list[Trace]":
    """Bars from start to end, and a shape upon each. `customdata` of a bar: words, its instants, and the page it leads to."""
    return [*_sessions(data, axis, colours, yaxis), *_marks(data, axis, colours, yaxis)]


def lay_out(layout: dict[str, Any], data: "Timeline", row: int) -> None:
    """The strip's row (counted from 1, the last): a lane for the sessions, and one below for marks where there are any."""
    layout[f"yaxis{row}"] |= {"range": [-1.1 if data.marks else 0, 1], "showticklabels": False, "showgrid": False, "ticks": "", "nticks": 0}
    if data.marks:
        title = layout["annotations"][-1]
        title["text"] = title["text"].replace("Charging sessions", "Charging sessions and alerts")


def _sessions(data: "Timeline", axis: "Axis", colours: dict[str, str], yaxis: str) -> "list[Trace]":
    shown = [s for s in data.sessions if s.start < data.end and s.end > data.start]
    kinds = [kind_of(s.summary.verdict, s.summary.severity) for s in shown]
    bars = _bars("Charging", data, axis, [(s.start, s.end) for s in shown], yaxis)
    custom = [[_words(s, axis), key(s), ""] for s in shown]
    shapes = [n for n, kind in enumerate(kinds) if len(shown) <= _MOST_SHAPES or kind != "ok"]
    return [
        bars | {"base": [0.0] * len(shown), "y": [1.0] * len(shown), "customdata": custom, "marker": {"color": [colours[kind] for kind in kinds], "opacity": 0.4}},
        _shapes([bars["x"][n] for n in shapes], 0.5, [SYMBOLS[KINDS[kinds[n]].shape] for n in shapes], [colours[kinds[n]] for n in shapes], colours, yaxis),
    ]  # fmt: skip


def _marks(data: "Timeline", axis: "Axis", colours: dict[str, str], yaxis: str) -> "list[Trace]":
    """What is still the matter goes on to the window's end."""
    shown = [one for one in data.marks if one.start < data.end and (one.end or data.end) > data.start]
    if not shown:
        return []
    bars = _bars("Alert", data, axis, [(one.start, one.end or data.end) for one in shown], yaxis)
    tints = [colours[_COLOURS.get(one.severity, "soc")] for one in shown]
    return [
        bars | {"base": [-1.0] * len(shown), "y": [0.8] * len(shown), "customdata": [[one.words, "", one.href] for one in shown],
                "marker": {"color": "rgba(0,0,0,0)", "line": {"color": tints, "width": 1.5}, "pattern": {"shape": "/", "fgcolor": tints, "size": 5, "solidity": 0.3}}},
        _shapes(bars["x"], -0.6, [_SEVERITIES.get(one.severity, "circle") for one in shown], tints, colours, yaxis),
    ]  # fmt: skip


def _bars(name: str, data: "Timeline", axis: "Axis", spans: Sequence[tuple[datetime, datetime]], yaxis: str) -> "Trace":
    """Only the part that lies in the window is drawn."""
    inside = [(axis.ms(max(start, data.start)), axis.ms(min(end, data.end))) for start, end in spans]
    return {"type": "bar", "name": name, "yaxis": yaxis, "x": [(a + b) / 2 for a, b in inside], "width": [b - a for a, b in inside],
            "hovertemplate": f"%{{customdata[0]}}<extra>{name}</extra>", "meta": "strip"}  # fmt: skip


def _shapes(xs: Sequence[float], y: float, symbols: Sequence[str], tints: Sequence[str], colours: dict[str, str], yaxis: str) -> "Trace":
    return {"type": "scatter", "mode": "markers", "yaxis": yaxis, "x": xs, "y": [y] * len(xs), "hoverinfo": "skip", "cliponaxis": False,
            "marker": {"size": 8, "symbol": symbols, "color": tints, "line": {"width": 1, "color": colours["paper"]}}}  # fmt: skip


def key(session: Session) -> str:
    """A session's instants as the browser knows it by."""
    return f"{session.start:%Y-%m-%dT%H:%M:%SZ}/{session.end:%Y-%m-%dT%H:%M:%SZ}"


def _words(session: Session, axis: "Axis") -> str:
    s = session.summary
    until = "still running" if session.running else f"to {session.end.astimezone(axis.tz):%H:%M}"
    efficiency = (
        f"{fmt.percent(s.ratio)} ± {fmt.percent(s.uncertainty)}"
        if s.ratio is not None and s.verdict is not Verdict.INSUFFICIENT_DATA
        else ""
    )
    energy = f"{fmt.number(s.ac_kwh, 2)} kWh from the grid, {fmt.number(s.dc_kwh, 2)} kWh into the battery"
    label = KINDS[kind_of(s.verdict, s.severity)].label
    return "<br>".join(
        part for part in (f"{session.start.astimezone(axis.tz):%H:%M} {until}", energy, f"{efficiency} {label}".strip()) if part
    )
