"""Values with their units."""

from typing import Any

from dash import html

from dashboard import format as fmt


def quantity(value: str, unit: str) -> html.Span:
    """A value with its unit, smaller; a missing value stands without one."""
    return html.Span([value, html.Span(f" {unit}", className="unit")] if value != fmt.NONE else value, className="quantity")


def facts(*pairs: tuple[str, Any]) -> html.Dl:
    """Names and values, as a list for eyes and screen readers."""
    return html.Dl([part for name, value in pairs for part in (html.Dt(name), html.Dd(value))], className="facts")


def now_card(label: str, value: str, unit: str, note: Any) -> html.Div:
    """One live value with its age or origin below."""
    return html.Div(
        [
            html.Div(label, className="figure-label"),
            html.Div(quantity(value, unit), className="figure-value"),
            html.Div(note, className="figure-note"),
        ],
        className="card figure",
    )
