"""The evidence of an alert, small: efficiency by quarter or hour against its band, the alert's own window set off."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from dash import html

from charging.verdict import Summary
from dashboard.components.day_bars import JUDGED, bar, key


def window_bars(
    bins: Sequence[tuple[datetime, Summary]], bin_s: int, count: int, end: datetime, window: tuple[datetime, datetime], tz: tzinfo
) -> html.Div:
    """`count` bars of `bin_s` seconds up to `end`; those that touch `window` stand out. Bins that are absent are gaps."""
    known, step = dict(bins), timedelta(seconds=bin_s)
    starts = [end - (count - n) * step for n in range(count)]
    most_kwh = max([0.25, *(one.ac_kwh for one in known.values())])
    within = [at < window[1] and at + step > window[0] for at in starts]
    bars = [
        html.Span(bar(at.astimezone(tz), known.get(at), most_kwh), className="evidence-bar is-window" if inside else "evidence-bar")
        for at, inside in zip(starts, within, strict=True)
    ]
    long = "an hour" if bin_s == 3600 else f"in {bin_s // 60} minutes"
    judged = sum(1 for one in known.values() if one.verdict in JUDGED)
    words = f"Efficiency against its band, {count} bars of {bin_s // 60} minutes: {judged} with enough evidence, {sum(within)} belong to the alert's window."
    shown = [starts[n] for n in (0, count // 3, 2 * count // 3, count - 1)]
    axis = html.Div([html.Span(f"{at.astimezone(tz):%H:%M}") for at in shown], className="day-axis", **{"aria-hidden": "true"})
    return html.Div([key(most_kwh, long), html.Div(bars, className="day-bars evidence-bars", role="img", **{"aria-label": words}), axis])
