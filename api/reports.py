"""Summaries and sessions of the whole fleet over any window, as files: streamed, and never cut short silently."""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from itertools import chain, islice

from flask import Response, request
from flask_openapi3 import OpenAPI, Tag

from api.errors import Problem
from api.exporting import csv_lines, json_rows, parquet_groups
from api.exporting.charges import SESSION_COLUMNS, session_facts
from api.exporting.columns import Block, Column, blocks
from api.exporting.csv_lines import Style
from api.exporting.slots import Slots
from api.exporting.summaries import SUMMARY_COLUMNS, summary_facts
from api.exporting.window import Window, refused, window
from api.params import ReportQuery, SummariesReportQuery
from api.services import Services
from api.words import z
from db.queries import performance, reporting

_TAG = Tag(name="Reports", description="Summaries and sessions of the whole fleet, as CSV, Parquet or JSON")
TOTAL_VEHICLES = "X-Total-Vehicles"
# Of the connections for reading, reports hold no more than every second one while they are written: pages and analytics have the rest.
_SHARE_OF_CONNECTIONS = 2


def register(app: OpenAPI, services: Services) -> None:
    """GET /v1/reports/…"""
    slots = Slots(max(1, services.pool.max_size // _SHARE_OF_CONNECTIONS))

    @app.get("/v1/reports/summaries", tags=[_TAG], summary="A row per vehicle: energy, efficiency, loss and verdict over any window")
    def get_summaries(query: SummariesReportQuery) -> Response:
        def begin(asked: Window) -> tuple[Generator[object, None, None], dict[str, str]]:
            vehicle_ids = known_vehicles(services, query)
            return summary_facts(services, asked, vehicle_ids, query.verdict), {TOTAL_VEHICLES: str(len(vehicle_ids))}

        return _report("summaries", slots, query, services.now(), SUMMARY_COLUMNS, begin)

    @app.get("/v1/reports/sessions", tags=[_TAG], summary="A row per charging session that ended in any window")
    def get_sessions(query: ReportQuery) -> Response:
        def begin(asked: Window) -> tuple[Generator[object, None, None], dict[str, str]]:
            return session_facts(services, asked, named_vehicles(services, query)), {}

        return _report("sessions", slots, query, services.now(), SESSION_COLUMNS, begin)


def known_vehicles(services: Services, query: ReportQuery) -> list[str]:
    """The vehicles a report is about, in order: every one there is, or those that are named and at the sites that are.

    Raises Problem 422 where one of these is unknown.
    """
    with services.reading() as conn:
        known = performance.known_vehicles(conn)
        of_sites = reporting.vehicles_of_sites(conn, query.site) if query.site else {}
    _refuse_unknown("vehicleId", "vehicle", set(query.vehicleId).difference(known))
    _refuse_unknown("site", "site", set(query.site).difference(of_sites))
    chosen = sorted(set(query.vehicleId)) or known
    there = {one for vehicle_ids in of_sites.values() for one in vehicle_ids}
    return [one for one in chosen if one in there] if query.site else chosen


def named_vehicles(services: Services, query: ReportQuery) -> list[str] | None:
    """The same, but None where nothing narrows the report: it then has what belongs to no vehicle, too."""
    return known_vehicles(services, query) if query.vehicleId or query.site else None


def _refuse_unknown(parameter: str, what: str, unknown: Collection[str]) -> None:
    if unknown:
        raise refused(parameter, f"unknown_{what}", f"nobody ever heard of {', '.join(sorted(unknown))}")


def _report(
    name: str,
    slots: Slots,
    query: ReportQuery,
    now: datetime,
    columns: Sequence[Column],
    begin: Callable[[Window], tuple[Generator[object, None, None], dict[str, str]]],
) -> Response:
    _refuse_endless(query.format)
    asked, look = window(query.start, query.end, query.day, query.zone, now), style(query)
    with ExitStack() as held:
        held.callback(slots.take())
        facts, headers = begin(asked)
        held.callback(facts.close)
        rows = blocks(columns, facts)
        # Read before anything is answered, so that a database that is away is a 503 and not a broken file.
        first = list(islice(rows, 1))
        mimetype, body = _body(query.format, columns, chain(first, rows), head(name, asked), look)
        headers["Content-Disposition"] = f"attachment; filename=voltledger-{name}-{asked.name}.{query.format}"
        headers["Cache-Control"] = "no-store"
        return _streamed(body, held.pop_all(), mimetype, headers)


def _refuse_endless(form: str) -> None:
    """JSON and Parquet show by themselves whether they are whole; CSV needs a transfer that does, which HTTP/1.0's is not."""
    if form == "csv" and request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        words = "over HTTP/1.0 nobody can tell a whole CSV file from one that was cut short: let the proxy use HTTP/1.1, or ask for another format"
        raise Problem(505, "http_version", "HTTP Version Not Supported", words)


def _body(
    form: str, columns: Sequence[Column], rows: Iterable[Block], head: Mapping[str, object], style: Style
) -> tuple[str, Iterator[bytes]]:
    if form == "parquet":
        return parquet_groups.MIMETYPE, parquet_groups.parquet_bytes(columns, rows, head)
    if form == "json":
        return json_rows.MIMETYPE, json_rows.json_bytes(columns, rows, head)
    return csv_lines.MIMETYPE, csv_lines.csv_bytes(columns, rows, style)


def _streamed(body: Iterator[bytes], held: ExitStack, mimetype: str, headers: Mapping[str, str]) -> Response:
    """What fails on the way is raised into the server, which then breaks the connection off without the last chunk. `held` is let go after it."""

    def through() -> Iterator[bytes]:
        with held:
            yield from body

    response = Response(through(), content_type=mimetype, headers=dict(headers))
    response.call_on_close(held.close)  # where the client is gone before the first byte
    return response


def style(query: ReportQuery) -> Style:
    """How the CSV is written. Raises Problem 422 where nobody could read it."""
    if query.decimal == "comma" and query.separator == "comma":
        raise refused("decimal", "conflict", "comma needs separator=semicolon: with commas for both nobody could tell them apart")
    return Style("," if query.separator == "comma" else ";", query.decimal == "comma", query.bom)


def head(name: str, asked: Window) -> dict[str, object]:
    """The window, as it stands before the rows."""
    return {
        "report": name,
        "from": z(asked.start),
        "to": z(asked.end),
        "windowHours": asked.hours,
        "zone": asked.zone.key,
        "fromLocal": asked.local(asked.start),
        "toLocal": asked.local(asked.end),
    }
