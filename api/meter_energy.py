"""What a meter gave over time, and who received it."""

from datetime import datetime, timedelta
from typing import Any

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import Problem, as_json
from api.exporting.cells import csv_lines
from api.params import MeterEnergyQuery, MeterPath, sane
from api.services import Services
from api.words import z
from charging.units import to_kwh
from db.queries import meter_energy
from db.queries.meter_energy import MeterEnergy

_TAG = Tag(name="Fleet", description="Vehicles, meters and their history")
DEFAULT_SPAN = timedelta(hours=24)
# As for sessions; what is longer is the reports' business.
LONGEST_SPAN = timedelta(days=400)
COLUMNS = "from_utc,to_utc,ac_kwh,dc_kwh,ac_received_kwh,ac_nobody_kwh,ac_not_received_kwh,ac_unknown_kwh".split(",")
BIN_S = {"15m": 900, "1h": 3600, "6h": 6 * 3600, "1d": 24 * 3600}
_NAMES = ("acKwh", "dcKwh", "acReceivedKwh", "acNobodyKwh", "acNotReceivedKwh", "acUnknownKwh")


def register(app: OpenAPI, services: Services) -> None:
    """GET /v1/meters/{meterId}/energy"""

    @app.get("/v1/meters/<meterId>/energy", tags=[_TAG], summary="What a meter gave, what its vehicles received, and what nobody did")
    def get_meter_energy(path: MeterPath, query: MeterEnergyQuery) -> Response:
        end = query.end or services.now()
        start = query.start or (end - DEFAULT_SPAN if sane(end) else end)
        if not (sane(start) and sane(end)) or not start < end <= start + LONGEST_SPAN:
            detail = f"from lies before to, both in the years 2000 to 2199 and at most {LONGEST_SPAN.days} days apart"
            raise Problem(422, "invalid_parameter", "Unprocessable Content", detail)
        with services.connection() as conn:
            found = meter_energy.bins(conn, path.meterId, start, end, BIN_S[query.bin])
        rows = [(*_edges(at, start, end, BIN_S[query.bin]), *_kwh(one)) for at, one in found]
        if query.format == "csv":
            headers = {"Content-Disposition": f"attachment; filename=voltledger-energy-{path.meterId.replace(':', '-')}.csv"}
            return Response(csv_lines([COLUMNS, *rows]), content_type="text/csv; charset=utf-8", headers=headers)
        return as_json({"meterId": path.meterId, "from": z(start), "to": z(end), "bin": query.bin, "bins": [_as_bin(row) for row in rows]})


def _edges(at: datetime, start: datetime, end: datetime, bin_s: int) -> tuple[str, str]:
    """The bin's part of the window, (from, to]."""
    return z(max(at, start)), z(min(at + timedelta(seconds=bin_s), end))


def _kwh(one: MeterEnergy) -> tuple[float, ...]:
    parts = (one.ac, one.dc, one.ac_received, one.ac_nobody, one.ac_not_received, one.ac_unknown)
    return tuple(to_kwh(milliwh) for milliwh in parts)


def _as_bin(row: tuple[Any, ...]) -> dict[str, Any]:
    return {"from": row[0], "to": row[1], **dict(zip(_NAMES, row[2:], strict=True))}
