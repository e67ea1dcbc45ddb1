"""Where the loss goes, of a vehicle and of each site; and whether it is the vehicle or the charger."""

from datetime import datetime
from typing import Any

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import Problem, as_json
from api.exporting.csv_lines import MIMETYPE, Style, csv_bytes
from api.exporting.sites import SITE_COLUMNS, parts_of, site_rows
from api.params import MatrixQuery, RangeQuery, SitesEnergyQuery, VehiclePath
from api.ranges import bounds
from api.services import Services
from api.words import as_band, as_cell, as_losses, z
from charging.losses import losses
from charging.matrix import Cell, read_charger, read_vehicle
from charging.units import to_kwh
from db.queries import bands, matrix, performance, prices, sites
from db.queries.matrix import TooManyCells
from db.queries.sites import SiteEnergy

_TAG = Tag(name="Losses", description="Where the loss goes, and whether it is the vehicle or the charger")


def register(app: OpenAPI, services: Services) -> None:
    """/v1/vehicles/{id}/losses, /v1/vehicles/{id}/bands, /v1/analytics/sites, /v1/analytics/matrix"""

    @app.get("/v1/vehicles/<vehicleId>/losses", tags=[_TAG], summary="Where a vehicle's loss goes")
    def get_vehicle_losses(path: VehiclePath, query: RangeQuery) -> Response:
        start, end = bounds(query, services.now())
        with services.connection() as conn:
            found = performance.summaries(conn, start, end, [path.vehicleId], services.policies).get(path.vehicleId)
            if found is None or not found.meter_ids:
                raise Problem(404, "mapping_not_found", "Not Found", "Mapping not found")
            price = prices.price_of(conn, path.vehicleId, found.meter_ids, services.price)
        return as_json({"vehicleId": path.vehicleId, **as_losses(found, losses(found), price, services.currency, start, end)})

    @app.get("/v1/vehicles/<vehicleId>/bands", tags=[_TAG], summary="What was learned to be normal for a vehicle")
    def get_vehicle_bands(path: VehiclePath) -> Response:
        with services.connection() as conn:
            found = bands.of_vehicle(conn, path.vehicleId)
            low = services.policies.current(conn).thresholds_of(path.vehicleId)
        thresholds = {"use": low.use, "plainLow": low.plain_low, "plainCritical": low.plain_critical}
        return as_json({"vehicleId": path.vehicleId, "thresholds": thresholds, "bands": [as_band(band) for band in found]})

    @app.get("/v1/analytics/sites", tags=[_TAG], summary="Where each site's energy went")
    def get_sites_energy(query: SitesEnergyQuery) -> Response:
        start, end = bounds(query, services.now())
        with services.reading() as conn:
            found = sites.energies(conn, start, end, services.price, services.policies)
        if query.format == "csv":
            lines = csv_bytes(SITE_COLUMNS, [site_rows(found, start, end, services.currency)], Style())
            return Response(b"".join(lines), content_type=MIMETYPE, headers=_ATTACHED)
        return as_json({"from": z(start), "to": z(end), "sites": [_site(site, services.currency) for site in found]})

    @app.get("/v1/analytics/matrix", tags=[_TAG], summary="Vehicles × chargers: which of the two is it?")
    def get_matrix(query: MatrixQuery) -> Response:
        start, end = bounds(query, services.now())
        cells = _matrix(services, query, start, end)
        vehicles, meters = sorted({c.vehicle_id for c in cells}), sorted({c.meter_id for c in cells})
        body: dict[str, Any] = {
            "from": z(start),
            "to": z(end),
            "vehicles": [
                {"vehicleId": r.subject, "blame": r.blame, "reading": r.words} for r in (read_vehicle(v, cells) for v in vehicles)
            ],
            "chargers": [{"meterId": r.subject, "blame": r.blame, "reading": r.words} for r in (read_charger(m, cells) for m in meters)],
            "cells": [as_cell(cell) for cell in cells],
        }
        return as_json(body)


_ATTACHED = {"Content-Disposition": "attachment; filename=voltledger-sites.csv"}


def _matrix(services: Services, query: MatrixQuery, start: datetime, end: datetime) -> list[Cell]:
    asked = [value for value in (query.vehicleId, query.meterId, query.siteId) if value]
    if len(asked) != 1:
        raise Problem(422, "invalid_parameter", "Unprocessable Content", "name one of vehicleId, meterId and siteId")
    read = matrix.around_vehicle if query.vehicleId else matrix.around_meter if query.meterId else matrix.of_site
    try:
        with services.reading() as conn:
            return read(conn, asked[0], start, end, services.policies)
    except TooManyCells as error:
        raise Problem(422, "invalid_parameter", "Unprocessable Content", f"{error}: ask for a shorter time, or for one vehicle") from None


def _site(site: SiteEnergy, currency: str) -> dict[str, Any]:
    parts = {name: to_kwh(value) for name, value in parts_of(site).items()}
    return {
        "siteId": site.site_id,
        "name": site.name,
        "meters": site.meters,
        "acKwh": to_kwh(site.ac),
        "acJudgedKwh": to_kwh(site.ac_counted),
        "acNobodyKwh": to_kwh(site.ac_nobody),
        "acLeftOutKwh": {verdict: to_kwh(value) for verdict, value in sorted(site.ac_left_out.items())},
        "acNotReceivedKwh": to_kwh(site.ac_not_received),
        "dcJudgedKwh": to_kwh(site.dc_counted),
        "lossKwh": to_kwh(site.ac_counted - site.dc_counted),
        "lossPartsKwh": parts,
        "avoidableKwh": to_kwh(site.losses.avoidable),
        "tariffPerKwh": site.price.tariff_per_kwh,
        "co2KgPerKwh": site.price.co2_kg_per_kwh,
        "currency": currency,
        "lossCost": site.price.cost(site.ac_counted - site.dc_counted),
        "avoidableCost": site.price.cost(site.losses.avoidable),
        "nobodyCost": site.price.cost(site.ac_nobody),
        "lossCo2Kg": site.price.co2_kg(site.ac_counted - site.dc_counted),
        "avoidableCo2Kg": site.price.co2_kg(site.losses.avoidable),
    }
