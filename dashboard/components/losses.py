"""Where the loss goes: a bar of its parts and the same as a table, in kWh, money and kg CO₂."""

from typing import Any

from dash import html

from charging.losses import KNOWN, Losses, Price, losses
from charging.units import to_kwh
from charging.verdict import Summary
from dashboard import format as fmt
from dashboard.components.card import empty, scrolling
from dashboard.components.quantity import quantity

# Field of charging.losses.Losses: name, and what it is.
PARTS = {
    "overhead": ("Electronics", "what the charger's electronics draw while it charges"),
    "conversion": ("Conversion", "what grows with the energy"),
    "conditioning": ("Conditioning", "warming up a cold battery"),
    "standby": ("Standby", "battery full, or charger idle"),
    "unexplained": ("Unexplained", "what none of these explains"),
}
_BETTER = "better than expected, so it counts against the others"


def loss_parts(summary: Summary | None, price: Price, currency: str) -> Any:
    """The loss taken apart, or why it is not known. Parts that are negative are shown as such."""
    if summary is None:
        return empty("Not known: no meter was assigned and no reading came in this window")
    parts = losses(summary)
    if parts is None:
        return empty(f"Not known: {_why_not(summary)}")
    return html.Div(
        [_total(parts, price, currency, summary), _bar(parts), scrolling("Where the loss goes", _table(parts, price, currency, summary), class_name="is-whole")],
        className="losses",
    )  # fmt: skip


def _why_not(summary: Summary) -> str:
    if summary.verdict not in KNOWN:
        return summary.reason
    if summary.evidence.charging_s is None or summary.evidence.plain_charging_s is None:
        return "single readings do not say for how many hours it charged"
    return "the meter reported no hours of charging"


def _total(parts: Losses, price: Price, currency: str, summary: Summary) -> html.Div:
    of_ac = f"of {fmt.amount(summary.ac_kwh)} kWh from the grid, at {_plain(price.tariff_per_kwh)} {currency} and {_plain(price.co2_kg_per_kwh)} kg CO₂ a kWh"
    value = html.Span(quantity(_signed(to_kwh(parts.total)), "kWh lost"), className="figure-value")
    return html.Div([value, html.Span(of_ac, className="is-muted")], className="loss-total")


def _plain(value: float) -> str:
    """A price: two decimals at least, and as many as it has."""
    return max(f"{value:,.2f}", f"{value:,.6f}".rstrip("0"), key=len)


def _signed(value: float) -> str:
    """A typographic minus, so that a negative part cannot be overlooked; what rounds to nothing has no sign."""
    words = fmt.number(value, 2)
    return words.lstrip("-") if not float(words.replace(",", "")) else words.replace("-", "−")


def _bar(parts: Losses) -> html.Div:
    """As long as what was to be expected or was lost; what was not lost after all is the striped end."""
    values = {name: getattr(parts, name) for name in PARTS}
    whole = sum(value for value in values.values() if value > 0)
    if not whole:
        return html.Div()
    saved = min(whole, whole - parts.total)
    segments = [
        html.Span(className=f"part part-{name}", style={"width": f"{value / whole * 100:.2f}%"}, title=_words(name, value))
        for name, value in values.items()
        if value > 0
    ]
    spared = [
        html.Span(className="part-saved", style={"width": f"{saved / whole * 100:.2f}%"}, title=f"Not lost: {_signed(to_kwh(saved))} kWh")
    ]
    words = "; ".join(_words(name, value) for name, value in values.items() if value)
    return html.Div(
        [*segments, *(spared if saved > 0 else [])], className="loss-bar", role="img", **{"aria-label": f"Parts of the loss: {words}"}
    )


def _words(name: str, milliwh: int) -> str:
    return f"{PARTS[name][0]} {_signed(to_kwh(milliwh))} kWh"


def _table(parts: Losses, price: Price, currency: str, summary: Summary) -> html.Table:
    head = html.Tr(
        [html.Th("Part", scope="col"), *(html.Th(unit, scope="col", className="is-number") for unit in ("kWh", currency, "kg CO₂"))]
    )
    rows = [_part(name, getattr(parts, name), price) for name in PARTS]
    edge = f"not lost at the upper edge of the expected band, {fmt.percent(summary.expected_high)}"
    foot = [
        _row("Lost in all", None, "", parts.total, price, "is-total"),
        _row("Avoidable", None, edge, parts.avoidable, price, "is-avoidable"),
    ]
    return html.Table([html.Thead(head), html.Tbody(rows), html.Tfoot(foot)], className="readings loss-table")


def _part(name: str, milliwh: int, price: Price) -> html.Tr:
    label, meaning = PARTS[name]
    key = html.Span(className=f"part-key part-{name}", **{"aria-hidden": "true"})
    return _row(label, key, _BETTER if milliwh < 0 else meaning, milliwh, price)


def _row(label: str, key: Any, meaning: str, milliwh: int, price: Price, class_name: str = "") -> html.Tr:
    values = (to_kwh(milliwh), price.cost(milliwh), price.co2_kg(milliwh))
    name = html.Th(html.Div([key, html.Span([label, html.Small(meaning) if meaning else None])], className="part-name"), scope="row")
    return html.Tr([name, *(html.Td(_signed(value), className="is-number") for value in values)], className=class_name)
