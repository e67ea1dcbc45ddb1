"""The last 24 hours of one vehicle, small: per hour the expected band and where its efficiency stood."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from dash import html

from charging.verdict import Summary
from dashboard import format as fmt
from dashboard.components.verdict import KINDS, kind_of

LOW, HIGH = 0.6, 1.05
JUDGED = ("ok", "low")


def _up(ratio: float) -> float:
    return round(min(100.0, max(0.0, (ratio - LOW) / (HIGH - LOW) * 100)), 1)


def bar(at: datetime, summary: Summary | None, most_kwh: float) -> html.Span:
    """A stretch of time that begins at `at`, in the zone it is read in; None is a gap."""
    if summary is None:
        return html.Span(
            [html.Span(className="hour-efficiency"), html.Span(className="hour-energy")],
            className="hour is-gap",
            title=f"{at:%H:%M}: no readings",
        )
    label = KINDS[kind_of(summary.verdict, summary.severity)].label
    bar = html.Span(html.Span(style={"height": f"{summary.ac_kwh / most_kwh * 100:.1f}%"}), className="hour-energy")
    words = f"{at:%H:%M}: {label}, {fmt.percent(summary.ratio)}, {fmt.amount(summary.ac_kwh)} kWh from the grid"
    return html.Span([html.Span(_marks(summary), className="hour-efficiency"), bar], className="hour", title=words)


def _marks(summary: Summary) -> list[Any]:
    """The expected band, and where the hour stood in it if that is known."""
    kind, parts = kind_of(summary.verdict, summary.severity), []
    if summary.expected_low is not None and summary.expected_high is not None and summary.verdict in JUDGED:
        parts.append(
            html.Span(
                className="hour-band", style={"bottom": f"{_up(summary.expected_low)}%", "top": f"{100 - _up(summary.expected_high):.1f}%"}
            )
        )
    if summary.verdict in JUDGED and summary.ratio is not None:
        parts.append(
            html.Span(className=f"hour-mark glyph glyph-{KINDS[kind].shape} kind-{kind}", style={"bottom": f"{_up(summary.ratio)}%"})
        )
    return parts


def day_bars(bins: Sequence[tuple[datetime, Summary]], end: datetime, tz: tzinfo) -> html.Div:
    """`bins` of one hour as db.queries.performance gives them; hours without one are gaps."""
    known = dict(bins)
    newest = end - timedelta(microseconds=1)  # an hour holds its end
    hours = [newest.replace(minute=0, second=0, microsecond=0) - timedelta(hours=back) for back in range(23, -1, -1)]
    most_kwh = max([1.0, *(summary.ac_kwh for summary in known.values())])
    columns = [bar(at.astimezone(tz), known.get(at), most_kwh) for at in hours]
    judged = sum(1 for summary in known.values() if summary.verdict in JUDGED)
    words = f"Efficiency by hour over the last 24 hours: {judged} of 24 hours with enough evidence."
    axis = html.Div(
        [html.Span(f"{hours[i].astimezone(tz):%H:%M}") for i in (0, 8, 16, 23)], className="day-axis", **{"aria-hidden": "true"}
    )
    return html.Div([key(most_kwh, "an hour"), html.Div(columns, className="day-bars", role="img", **{"aria-label": words}), axis])


def key(most_kwh: float, bar_words: str) -> html.Div:
    """What band and bars mean; `bar_words`: how long a bar is."""
    marks = [("is-band", "expected efficiency, 60–105 %"), ("is-ac", f"from the grid, up to {fmt.amount(most_kwh)} kWh {bar_words}")]
    return html.Div([html.Span([html.Span(className=f"key {name}"), text]) for name, text in marks], className="day-key")
