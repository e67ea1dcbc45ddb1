"""The tab that says how this installation is set: every setting with its value, default, unit and reason. Secrets are never in it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from dash import html

from dashboard.components.card import card, scrolling
from dashboard.pages.admin.parts import button

# By the end of a setting's name, longest first: its unit as people write it.
_UNITS = {
    "_kg_per_kwh": "kg CO₂ a kWh", "tariff_per_kwh": "{currency} a kWh", "_days_per_hour": "days an hour", "_hours": "h", "_days": "days", "_mb": "MB",
    "_bytes": "bytes", "_readings": "readings", "_requests": "requests", "_threads": "threads", "_connections": "connections",
    "_processes": "processes", "_after_s": "s", "_s": "s", "plain_low": "ratio", "plain_critical": "ratio",
}  # fmt: skip
_SECRET_WORDS = ("password", "secret", "token", "private")
HIDDEN = "set, not shown"


@dataclass(frozen=True, slots=True)
class Line:
    """A setting as the table shows it; `changed`: it is not the default."""

    variable: str
    value: str
    default: str
    unit: str
    reason: str
    changed: bool


def lines(settings: Any) -> list[Line]:
    """Every setting in the order of the README's table. `settings` is config.Settings."""
    return [_line(name, field, getattr(settings, name), settings.currency) for name, field in type(settings).model_fields.items()]


def _line(name: str, field: Any, value: Any, currency: str) -> Line:
    variable = field.validation_alias if isinstance(field.validation_alias, str) else f"VOLTLEDGER_{name.upper()}"
    return Line(
        variable, shown(name, value), shown(name, field.default), unit(name, currency), str(field.description), value != field.default
    )


def unit(name: str, currency: str) -> str:
    """The unit of a setting, by its name; empty for what has none."""
    return next((words.format(currency=currency) for end, words in _UNITS.items() if name.endswith(end)), "")


def shown(name: str, value: Any) -> str:
    """A value as text, without what must not be told: passwords, keys in an address, settings that are a secret as a whole."""
    if value is None or value == "":
        return "empty"
    if hasattr(value, "get_secret_value") or any(word in name for word in _SECRET_WORDS):
        return HIDDEN
    if name.endswith("_url"):
        return _address(str(value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) and name != "port" else str(value)


def _address(url: str) -> str:
    """scheme://user@host:port/path. The query may hold a password or a key, and a text that is no URL anything: both are left out."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    if not parts.scheme or not parts.netloc:
        return HIDDEN
    login, _, host = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    plain = urlunsplit((parts.scheme, f"{user}@{host}" if user else host, parts.path, "", ""))
    return f"{plain}?…" if parts.query else plain


def layout(settings: Any = None) -> list[Any]:
    """The table; nothing of it can be changed here."""
    if settings is None:  # Dash draws the page once at the start to check it
        return []
    words = html.P(
        [
            "Settings are read from the environment, or from a file ",
            html.Code(".env"),
            ", when the program starts. To change one, set its variable there and start the program anew. Passwords are not shown.",
            " What low efficiency means may be set otherwise under ",
            html.A("Alerts, Rules", href="/alerts/rules", **{"data-nav": ""}),
            ", which comes before the thresholds here.",
        ],
        className="admin-words",
    )
    return [card("Settings", "of the process that made this page", words, _table(lines(settings)), links=button("Export rows", "settings"))]


def _table(found: list[Line]) -> html.Div:
    heads = ("Variable", "Value", "Default", "Unit", "What for")
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in heads]))
    return scrolling(
        "Settings", html.Table([head, html.Tbody([_row(line) for line in found])], className="readings settings"), class_name="is-whole"
    )


def _row(line: Line) -> html.Tr:
    value = html.Td(
        [html.Span(line.value), html.Span("changed", className="tag is-changed") if line.changed else None], **{"data-label": "Value"}
    )
    return html.Tr(
        [
            html.Th(html.Code(line.variable), scope="row"),
            value,
            html.Td(line.default, className="is-muted", **{"data-label": "Default"}),
            html.Td(line.unit, className="is-muted", **{"data-label": "Unit"}),
            html.Td(line.reason, className="is-reason"),
        ]
    )
