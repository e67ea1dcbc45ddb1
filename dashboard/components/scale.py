"""A small ruler from 60 to 100 %: the expected band, and where the value stands."""

from typing import Any

from dash import html

FROM, TO = 0.6, 1.0


def _along(ratio: float) -> float:
    return round(min(100.0, max(0.0, (ratio - FROM) / (TO - FROM) * 100)), 2)


def scale(ratio: float | None, low: float | None, high: float | None, **attributes: Any) -> html.Span:
    """Ratios; what is None is hidden, to be filled by the browser where the page is live."""
    known = low is not None and high is not None
    band = {"left": f"{_along(low)}%", "right": f"{100 - _along(high)}%"} if low is not None and high is not None else {}
    return html.Span(
        [
            html.Span(className="scale-band", hidden=not known, style=band),
            html.Span(className="scale-mark", hidden=ratio is None, style={"left": f"{_along(ratio)}%"} if ratio is not None else {}),
        ],
        className="scale",
        **{"aria-hidden": "true", **attributes},
    )
