"""What a page with charts is asked to show: the usual ranges, and any other by two times."""

from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from dashboard.over import CHOSEN, RANGES


def choice(page: str, value: str) -> html.Div:
    """The control `<page>-range`, with the address's own window as one more choice, and two fields for any window; the browser reads them."""
    own = [{"value": CHOSEN, "label": "Chosen"}] if value == CHOSEN else []
    usual = dmc.SegmentedControl(
        id=f"{page}-range",
        value=value,
        data=[*own, *({"value": name, "label": r.label} for name, r in RANGES.items())],
        size="xs",
        **{"aria-label": "Range"},
    )
    return html.Div([usual, _any(page)], className="range-choice")


def _any(page: str) -> html.Details:
    fields = [_field(page, "from", "From"), _field(page, "to", "To"), html.Button("Show", type="submit", className="button is-primary")]
    said = html.P(id=f"{page}-any-said", className="range-said", role="alert")
    form = html.Form([*fields, said], id=f"{page}-any", className="range-any-form", **{"data-any-range": ""})
    return html.Details([html.Summary("Other range…", className="button is-plain"), form], className="range-any")


def _field(page: str, name: str, label: str) -> html.Label:
    given: Any = {"type": "datetime-local"}
    return html.Label([html.Span(label), dcc.Input(id=f"{page}-any-{name}", **given)], className="field")
