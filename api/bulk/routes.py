"""POST /v1/mappings and /v1/sites: a CSV file, carried out whole or not at all, or only tried."""

from typing import Any

from flask import Response, request
from flask_openapi3 import OpenAPI, Tag
from werkzeug.wsgi import get_input_stream

from api.body import plain, refuse_by_head
from api.bulk import mappings, sites
from api.bulk.table import BODY_BYTES, INFLATED_BYTES, MOST_ROWS, Columns, WrongRows
from api.errors import as_json
from api.fast_lane import head
from api.mappings import author
from api.params import BulkMappingsQuery, BulkQuery
from api.services import Services

_MAPPINGS = Tag(name="Mappings")
_FLEET = Tag(name="Fleet")


def register(app: OpenAPI, services: Services) -> None:
    """POST /v1/mappings, POST /v1/sites"""

    @app.post(
        "/v1/mappings",
        tags=[_MAPPINGS],
        summary=f"Assign many meters, from CSV of up to {MOST_ROWS:,} rows",
        description="All rows or none. meter_id is an id, or the word none, which ends the mapping. What is wrong is named with its line.",
        openapi_extensions=_takes(mappings.COLUMNS, "van-7,depot-1,2026-02-04T10:00:00Z,"),
    )
    def post_mappings(query: BulkMappingsQuery) -> Response:
        raw, now, who = _body(), services.now(), author(query.by, query.note, "bulk")
        try:
            with services.connection() as conn:
                done = mappings.assign_file(conn, raw, now, who, dry_run=query.dryRun, accept_unknown=query.unknown == "accept")
        except WrongRows as wrong:
            raise wrong.problem() from None
        return as_json(mappings.words(done, now, dry_run=query.dryRun))

    @app.post(
        "/v1/sites",
        tags=[_FLEET],
        summary=f"Describe many sites, from CSV of up to {MOST_ROWS:,} rows",
        description="All rows or none. A column that the file does not have stays as it is; an empty cell empties it.",
        openapi_extensions=_takes(sites.COLUMNS, "ber,Berlin,52.5,13.4,Europe/Berlin,0.29,0.38"),
    )
    def post_sites(query: BulkQuery) -> Response:
        raw = _body()
        try:
            with services.connection() as conn:
                done = sites.put_file(conn, raw, dry_run=query.dryRun)
        except WrongRows as wrong:
            raise wrong.problem() from None
        return as_json(sites.words(done, dry_run=query.dryRun))


def _body() -> bytes:
    """The request's CSV. Raises Problem 400, 413 or 415."""
    said = head(request.environ)
    refuse_by_head(said, BODY_BYTES, "text/csv")
    return plain(said, get_input_stream(request.environ).read(BODY_BYTES + 1), BODY_BYTES, INFLATED_BYTES)


def _takes(columns: Columns, row: str) -> dict[str, Any]:
    """The specification of a CSV body."""
    header = ",".join((*columns.required, *columns.optional))
    schema = {
        "type": "string",
        "description": f"UTF-8; commas or semicolons; columns in any order, of which {', '.join(columns.required)} must be there; others are ignored",
    }
    return {"requestBody": {"required": True, "content": {"text/csv": {"schema": schema, "example": f"{header}\n{row}\n"}}}}
