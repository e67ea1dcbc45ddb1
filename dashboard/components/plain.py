"""Components as plain data that the browser makes elements of by itself (assets/55-paint.js).

A table of a month costs the framework seconds of the main thread, since every cell is a component with a state of its own; as plain
elements it costs milliseconds. What never changes by itself needs no component.
"""

from typing import Any

from dash.development.base_component import Component

# What an element may have, and its name in HTML. `style` stays an object; data-* and aria-* keep their names.
_ATTRIBUTES = {
    "className": "class", "tabIndex": "tabindex", "key": "data-key", "href": "href", "title": "title", "role": "role", "scope": "scope",
    "download": "download", "id": "id", "style": "style", "hidden": "hidden", "type": "type",
}  # fmt: skip

Plain = str | list[Any] | None


def plain(part: Any) -> Plain:
    """[tag, attributes, children] of an element of dash.html, text as text, and None for nothing. Raises KeyError for what is not foreseen."""
    if part is None or isinstance(part, str):
        return part
    if isinstance(part, int | float):
        return str(part)
    if isinstance(part, list | tuple):
        return ["", {}, [plain(one) for one in part if one is not None]]
    return _element(part)


def _element(part: Component) -> list[Any]:
    props = dict(part.to_plotly_json()["props"])
    children = props.pop("children", None)
    attributes = {_name(name): "" if value is True else value for name, value in props.items() if value is not None and value is not False}
    inside = children if isinstance(children, list | tuple) else [children]
    return [part._type.lower(), attributes, [plain(one) for one in inside if one is not None]]  # noqa: SLF001 -- its only name


def _name(prop: str) -> str:
    return prop if prop.startswith(("data-", "aria-")) else _ATTRIBUTES[prop]
