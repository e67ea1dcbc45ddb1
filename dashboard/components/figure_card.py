"""The strip of figures above the fleet. The browser fills what carries `data-figure`, all from one picture."""

from dash import html


def live(name: str, class_name: str = "") -> html.Span:
    """A place for a figure of the live picture."""
    return html.Span("–", className=class_name, **{"data-figure": name})


def note(name: str) -> html.Span:
    """A line under the value, from the live picture."""
    return live(name, "figure-note")


def figure_card(
    label: str, figure: str, unit: str, notes: list[html.Span], as_of: str, href: str, attention: str | None = None, extra: object = None
) -> html.A:
    """A figure that leads to the list behind it. `attention` names the figure above 0 of which the card stands out."""
    flag = {"data-attention": attention} if attention else {}
    return html.A(
        [
            html.Span([label, live(as_of, "figure-as-of")], className="figure-label"),
            html.Span([live(figure), html.Span(f" {unit}", className="unit")], className="figure-value quantity"),
            extra,
            *notes,
        ],
        href=href,
        className="card figure",
        **{"data-filter": "", **flag},
    )
