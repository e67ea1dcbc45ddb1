"""Links to devices' pages."""

from urllib.parse import quote

from dash import html


def vehicle_link(vehicle_id: str, name: str | None = None) -> html.A:
    """To `/vehicles/<id>`; named by its id unless there is a better name."""
    return _link("vehicles", vehicle_id, name)


def charger_link(meter_id: str, name: str | None = None) -> html.A:
    """To `/chargers/<meterId>`."""
    return _link("chargers", meter_id, name)


def _link(kind: str, device_id: str, name: str | None) -> html.A:
    return html.A(name or device_id, href=f"/{kind}/{quote(device_id, safe='')}", **{"data-nav": ""})


def listed(links: list[html.A]) -> list[html.A | str]:
    """Links with commas between them."""
    return [part for n, link in enumerate(links) for part in ((", ", link) if n else (link,))]
