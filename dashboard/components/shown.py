"""What the charts of a page show, in words: which part, how fine, and the way back to the whole."""

from datetime import tzinfo

from dash import html

from dashboard import format as fmt
from dashboard.figures import Timeline
from dashboard.view import View

_FINE = {"raw": "every reading", "15m": "15 min", "1h": "1 h", "1d": "1 day"}
_BINS = {900: "15 min", 3600: "1 h", 6 * 3600: "6 h", 86_400: "1 day"}


def shown(drawn: Timeline, bars: str, view: View, tz: tzinfo) -> html.Div:
    """`bars`: what stands in bins; the rest are curves."""
    fine = html.Span(f"{bars}: {_BINS[drawn.bin_s]} · curves: {_FINE[drawn.bucket]}", className="is-muted")
    if not view.zoomed:
        return html.Div([html.Span("Drag over a chart to zoom"), fine], className="chart-shown")
    span = f"{fmt.moment(drawn.start, tz)} to {fmt.moment(drawn.end, tz)}"
    back = html.A(f"Whole range, {view.whole.words}", href="?", className="button", **{"data-zoom": ""})
    return html.Div([html.Span(["Zoomed to ", html.B(span)]), fine, back], className="chart-shown")
