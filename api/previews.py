"""What a report will look like: its first rows and how many there are, without reading the whole fleet, and what its columns mean."""

from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import as_json
from api.exporting.charges import SESSION_COLUMNS, session_facts
from api.exporting.columns import Column
from api.exporting.json_rows import as_object
from api.exporting.sites import SITE_COLUMNS
from api.exporting.summaries import SUMMARY_COLUMNS, summary_facts
from api.exporting.window import Window, window
from api.params import ReportQuery, SummariesReportQuery
from api.reports import head, known_vehicles, named_vehicles, style
from api.services import Services

_TAG = Tag(name="Reports", description="Summaries and sessions of the whole fleet, as CSV, Parquet or JSON")
# Enough to see what the columns hold.
ROWS = 20
# Where only some verdicts are wanted, so many vehicles are looked at: what one statement reads over a day.
VEHICLES = 250
_FRESH = {"Cache-Control": "no-store"}

Objects = list[dict[str, object]]


def register(app: OpenAPI, services: Services) -> None:
    """GET /v1/reports/columns, /v1/reports/summaries/preview, /v1/reports/sessions/preview"""

    @app.get("/v1/reports/columns", tags=[_TAG], summary="What the columns of the reports mean")
    def get_columns() -> Response:
        named = {"summaries": SUMMARY_COLUMNS, "sessions": SESSION_COLUMNS, "sites": SITE_COLUMNS}
        return as_json({name: [_explained(column) for column in columns] for name, columns in named.items()})

    @app.get("/v1/reports/summaries/preview", tags=[_TAG], summary="The first rows of the summaries, and how many there are")
    def get_summaries_preview(query: SummariesReportQuery) -> Response:
        asked = _asked(services, query)
        return as_json({**head("summaries", asked), **_summaries(services, asked, query)}, headers=_FRESH)

    @app.get("/v1/reports/sessions/preview", tags=[_TAG], summary="Some rows of the sessions, and how many there are where they are few")
    def get_sessions_preview(query: ReportQuery) -> Response:
        asked = _asked(services, query)
        return as_json({**head("sessions", asked), **_sessions(services, asked, query)}, headers=_FRESH)


def _explained(column: Column) -> dict[str, str]:
    return {"name": column.name, "key": column.key, "kind": column.kind, "unit": column.unit, "meaning": column.meaning}


def _asked(services: Services, query: ReportQuery) -> Window:
    """The report's window. Raises Problem 422 wherever the report itself does."""
    style(query)
    return window(query.start, query.end, query.day, query.zone, services.now())


def _first(columns: Sequence[Column], facts: Generator[Any, None, None], most: int) -> Objects:
    """So many rows; what is behind them is not read."""
    with closing(facts):
        return [as_object(columns, [column.of(one) for column in columns]) for one in islice(facts, most)]


def _summaries(services: Services, asked: Window, query: SummariesReportQuery) -> dict[str, object]:
    vehicle_ids = known_vehicles(services, query)
    looked_at = vehicle_ids[: VEHICLES if query.verdict else ROWS]
    rows = _first(SUMMARY_COLUMNS, summary_facts(services, asked, looked_at, query.verdict), ROWS)
    if not query.verdict:
        return _counted(rows, len(vehicle_ids), "exact")
    if len(rows) == ROWS:  # broken off behind the last of them
        looked_at = looked_at[: looked_at.index(str(rows[-1]["vehicleId"])) + 1]
    if len(looked_at) == len(vehicle_ids):
        return _counted(rows, len(rows), "exact")
    return {**_counted(rows, round(len(rows) / len(looked_at) * len(vehicle_ids)), "estimated"), "lookedAt": len(looked_at)}


def _sessions(services: Services, asked: Window, query: ReportQuery) -> dict[str, object]:
    rows = _first(SESSION_COLUMNS, session_facts(services, asked, named_vehicles(services, query)), ROWS + 1)
    return _counted(rows[:ROWS], None if len(rows) > ROWS else len(rows), "unknown" if len(rows) > ROWS else "exact")


def _counted(rows: Objects, count: int | None, how: str) -> dict[str, object]:
    return {"rows": rows, "rowCount": count, "rowCountIs": how}
