"""The controls that narrow a list down; the browser applies them and keeps them in the address."""

from typing import Any

import dash_mantine_components as dmc
from dash import html

from dashboard.components.verdict import KINDS


def search(element_id: str, value: str, words: str) -> dmc.TextInput:
    """A text to look for; `words` say in what."""
    icon = html.Span(className="icon icon-search")
    return dmc.TextInput(
        id=element_id, value=value, placeholder=words, size="sm", debounce=150, leftSection=icon, className="filter-q",
        **{"aria-label": "Search"},
    )  # fmt: skip


def many(element_id: str, label: str, data: Any, value: list[str]) -> dmc.MultiSelect:
    """Any of several."""
    return dmc.MultiSelect(
        id=element_id,
        data=data,
        value=value,
        placeholder=label,
        clearable=True,
        searchable=True,
        size="sm",
        className="filter-many",
        hidePickedOptions=True,
        **{"aria-label": label},
    )


def verdicts(element_id: str, value: str) -> dmc.MultiSelect:
    """Verdicts; `value` as the address has them, with commas."""
    kinds = [{"value": name, "label": kind.label} for name, kind in KINDS.items()]
    return many(element_id, "Verdict", kinds, [name for name in value.split(",") if name in KINDS])


def one(element_id: str, label: str, words: dict[str, str], value: str | None) -> dmc.Select:
    """One of these, or none: value → what it is called."""
    data = [{"value": name, "label": text} for name, text in words.items()]
    return dmc.Select(
        id=element_id, value=value if value in words else None, data=data, placeholder=label, clearable=True, size="sm", className="filter-state",
        **{"aria-label": label},
    )  # fmt: skip
