"""A card with a title, the window its numbers are of, and links."""

from typing import Any

from dash import html


def card(title: str, of: str, *body: Any, links: Any = None, class_name: str = "") -> html.Section:
    """`of`: the window or the moment the card shows, so that nobody takes old numbers for new ones."""
    head = [html.Div([html.H2(title), html.Div(of, className="card-of")], className="grow"), links]
    return html.Section([html.Div(head, className="card-head"), *body], className=f"card {class_name}".strip())


def empty(*words: Any) -> html.P:
    """Why a card has nothing to show, and what would change it."""
    return html.P(list(words), className="card-empty")


def csv_link(words: str, href: str) -> html.A:
    """Exactly what is on the screen, as a file."""
    return html.A([html.Span(className="icon icon-download"), words], href=href, className="button", download="")


def scrolling(label: str, *body: Any, class_name: str = "") -> html.Div:
    """A long or wide part that scrolls within its card, by keyboard too."""
    return html.Div(list(body), className=f"scroll-x {class_name}".strip(), tabIndex=0, role="region", **{"aria-label": label})
