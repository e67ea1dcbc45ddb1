"""The tabs where people write down what no device reports: names, models, sites, rated power, positions, prices, thresholds."""

from typing import Any

import dash_leaflet as dl
from dash import html

from dashboard.pages.admin import parts

_NAME = "AdminNameCell"
_VEHICLES = [
    parts.column("vehicle", "Vehicle", 210, _NAME, sort="asc"),
    parts.column("model", "Model", 130),
    parts.column("site", "Site", 130),
    parts.column("judged", "Judged by", 130),
    parts.column("missing", "Not described", 150),
    parts.column("seenMs", "Last reading", 175, "AdminMomentCell"),
]
_CHARGERS = [
    parts.column("vehicle", "Charger", 220, _NAME, sort="asc"),
    parts.column("site", "Site", 130),
    parts.number("ratedKw", "Rated, kW", 96),
    parts.column("position", "Position", 150),
    parts.column("missing", "Not described", 150),
    parts.column("seenMs", "Last reading", 175, "AdminMomentCell"),
]
_SITES = [
    parts.column("vehicle", "Site", 210, _NAME, sort="asc"),
    parts.column("timeZone", "Time zone", 130),
    parts.number("tariffPerKwh", "Tariff, a kWh", 100),
    parts.number("co2KgPerKwh", "CO₂, kg a kWh", 110),
    parts.column("position", "Position", 150),
    parts.column("judged", "Judged by", 130),
]


def vehicles(_: Any = None) -> list[Any]:
    """Name, model, site and thresholds of each vehicle. Where it stands it says itself, or its charger does."""
    table = parts.grid("admin-vehicles", _VEHICLES, "No vehicle is known yet. It appears here with its first reading.")
    return [parts.picked(parts.listed("Vehicles", table, parts.button("Describe another", "new")), "Pick a vehicle to describe it.")]


def chargers(settings: Any = None) -> list[Any]:
    """Name, site, rated power and position of each charger."""
    table = parts.grid("admin-chargers", _CHARGERS, "No charger is known yet. It appears here with its meter's first reading.")
    body = parts.listed("Chargers", table, parts.button("Describe another", "new"))
    return [_with_map(parts.picked(body, "Pick a charger to describe it, or to say where it stands."), settings)]


def sites(settings: Any = None) -> list[Any]:
    """Name, place, zone, prices and thresholds of each site; many at once from a file."""
    table = parts.grid("admin-sites", _SITES, "No site is described yet. Describe the first one, or bring a file.")
    body = parts.listed("Sites", table, parts.button("New site", "new"))
    words = html.P(
        [
            "A header with ", html.Code("site_id"), " and any of ", html.Code("name,latitude,longitude,time_zone,tariff_per_kwh,co2_kg_per_kwh"),
            ". Numbers have a point. A column that the file does not have stays as it is; an empty cell empties it. All rows are carried out or none.",
        ]
    )  # fmt: skip
    return [
        _with_map(parts.picked(body, "Pick a site to change it, or make a new one."), settings),
        parts.from_file("Many at once, from a CSV file", words),
    ]


def _with_map(section: html.Section, settings: Any) -> html.Section:
    """The map stands under the form and appears with it: a click there fills in latitude and longitude."""
    tiles_url = getattr(settings, "map_tiles_url", None)
    tiles = {"data-tiles": ""} if tiles_url else {}
    picker = html.Div(
        [
            html.Div(
                [
                    html.Span("A click on the map sets the position.", className="is-muted"),
                    parts.button("Take the middle of the map", "middle"),
                ],
                className="place-words",
            ),
            dl.Map(
                dl.TileLayer(url=tiles_url) if tiles_url else [],
                id="place-map",
                center=[50.2, 9.5],
                zoom=4,
                minZoom=2,
                maxZoom=17,
                className="map",
            ),
        ],
        id="place-frame",
        className="place-frame",
        hidden=True,
        role="group",
        **{"aria-label": "Position on the map", **tiles},
    )
    section.children[1].children.append(picker)
    return section
