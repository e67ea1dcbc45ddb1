"""Readings a minute over 24 hours as they happen, by side, and under them what came late, twice or was not taken."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from dashboard import format as fmt
from dashboard.figures import COLOURS, Axis, Figure, Scheme, written
from dashboard.pages.ingestion.loading import STEP, Step, first_mean_at, first_whole_step
from db.intake_log import MinuteCounts

_MINUTES = STEP / timedelta(minutes=1)
# Four in the chart, and on a phone there is room for the day under each.
_TICK_MS = 6 * 3600 * 1000
_SIDES = (("vehicle", "Vehicles", "dc", "solid"), ("meter", "Meters", "ac", "dash"))
_OTHERS = (
    ("late", "Older than 15 min", "soc", "."),
    ("duplicates", "Sent twice", "muted", ""),
    ("rejected", "Rejected or in conflict", "loss", "/"),
)


def readings_a_minute(
    steps: Sequence[Step], since: datetime | None, start: datetime, end: datetime, zone_name: str, scheme: Scheme
) -> Figure:
    """Means of five minutes. A step in which nothing came is 0; before `since` nothing is known, and nothing is drawn."""
    tz, colours = fmt.zone(zone_name), COLOURS[scheme]
    known = {(at, side): counts for at, side, counts in steps}
    times = [] if since is None else _times(max(start, first_whole_step(since)), end)
    x = [_place(at + STEP / 2, Axis(tz, end)) for at in times]
    lines = [_line(name, x, [_accepted(known, at, side) for at in times], colours[colour], dash) for side, name, colour, dash in _SIDES]
    bars = [_bars(name, x, [_other(known, at, field) for at in times], colours[colour], shape) for field, name, colour, shape in _OTHERS]
    layout = _layout(colours, zone_name, start, end, tz)
    if not times:
        layout["annotations"] = [_waiting(since, tz, colours)]
    return {"data": [*lines, *bars], "layout": layout}


def _waiting(since: datetime | None, tz: tzinfo, colours: dict[str, str]) -> dict[str, Any]:
    """In the middle of a chart that has nothing to show yet: why, and what to do or when it will. Short lines, for phones."""
    lines = [
        "<b>No reading was counted yet</b>",
        "Point devices at /v1/telemetry/… :",
        "their first five minutes are drawn",
        "some 10 minutes later.",
    ]
    if since is not None:
        lines = [
            f"<b>Counted since {since.astimezone(tz):%H:%M}</b>",
            "Nothing to do: the first five minutes",
            f"are drawn at {first_mean_at(since).astimezone(tz):%H:%M}.",
        ]
    return {"text": "<br>".join(lines), "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.7, "showarrow": False, "font": {"size": 13, "color": colours["text"]}}  # fmt: skip


def _times(start: datetime, end: datetime) -> list[datetime]:
    return [start + n * STEP for n in range(max(0, (end - start) // STEP))]


def _place(at: datetime, axis: Axis) -> str:
    """Drawn with the one offset that holds at the end, which the axis names."""
    return written(axis.ms(at))


def _accepted(known: dict[tuple[datetime, str], MinuteCounts], at: datetime, side: str) -> float:
    """Without those kept for long: an afternoon's backfill would flatten the day."""
    counts = known.get((at, side))
    return (counts.accepted - counts.late) / _MINUTES if counts else 0.0


def _other(known: dict[tuple[datetime, str], MinuteCounts], at: datetime, field: str) -> float:
    found = [counts for side, *_ in _SIDES if (counts := known.get((at, side)))]
    return sum(c.rejected + c.conflicts if field == "rejected" else getattr(c, field) for c in found) / _MINUTES


def _line(name: str, x: list[str], y: list[float], colour: str, dash: str) -> dict[str, Any]:
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": {"color": colour, "width": 1.8, "dash": dash},
            "hovertemplate": f"%{{y:,.1f}} a minute<extra>{name}</extra>"}  # fmt: skip


def _bars(name: str, x: list[str], y: list[float], colour: str, shape: str) -> dict[str, Any]:
    marker = {
        "color": "rgba(0,0,0,0)" if shape else colour,
        "line": {"width": 0.5, "color": colour},
        "pattern": {"shape": shape, "fgcolor": colour, "size": 4},
    }
    return {"type": "bar", "name": name, "x": x, "y": y, "yaxis": "y2", "marker": marker, "hovertemplate": f"%{{y:,.1f}} a minute<extra>{name}</extra>"}  # fmt: skip


def _layout(colours: dict[str, str], zone_name: str, start: datetime, end: datetime, tz: tzinfo) -> dict[str, Any]:
    named = zone_name if zone_name == "UTC" else f"{zone_name} ({fmt.offset_name(end, tz)})"
    y_axis = {"gridcolor": colours["grid"], "zeroline": False, "nticks": 4, "rangemode": "tozero", "fixedrange": True, "tickformat": "~s"}
    return {
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "barmode": "stack", "bargap": 0, "showlegend": False, "hovermode": "x unified", "height": 300, "uirevision": "intake",
        "hoversubplots": "axis", "margin": {"l": 44, "r": 12, "t": 8, "b": 42}, "font": {"family": "system-ui, -apple-system, 'Segoe UI', sans-serif", "size": 11.5, "color": colours["muted"]},
        "hoverlabel": {"bgcolor": colours["paper"], "bordercolor": colours["grid"], "font": {"color": colours["text"], "size": 12}},
        "xaxis": {"type": "date", "range": [_place(start, Axis(tz, end)), _place(end, Axis(tz, end))], "anchor": "y2", "tickangle": 0, "tick0": "2000-01-01", "dtick": _TICK_MS, "tickformat": "%H:%M\n%-d %b", "gridcolor": colours["grid"], "title": {"text": named, "font": {"size": 11}, "standoff": 8}, "hoverformat": "%a %-d %b %H:%M"},
        "yaxis": {**y_axis, "domain": [0.36, 1], "anchor": "x"}, "yaxis2": {**y_axis, "domain": [0, 0.24], "anchor": "x", "nticks": 3},
    }  # fmt: skip
