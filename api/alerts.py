"""Alerts: which there are, each with everything that happened to it, and somebody takes one on."""

from collections.abc import Iterator
from datetime import datetime

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api import silences
from api.alert_params import AcknowledgeBody, AlertPath, AlertsQuery
from api.alert_words import CSV_COLUMNS, as_episode, as_evaluation, as_pending, as_story, episode_cells
from api.errors import Problem, as_json
from api.exporting.cells import csv_line
from api.people.door import who
from api.services import Services
from db.alert_people import Resolved, UnknownEpisode, acknowledge
from db.engine import Conn
from db.queries import alert_story, alerts
from db.queries.alerts import Wanted

TAG = Tag(name="Alerts", description="What needs somebody")
_CSV_PAGE = 1000  # read at a time


def register(app: OpenAPI, services: Services) -> None:
    """/v1/alerts…, /v1/silences…"""
    silences.register(app, services, TAG)

    @app.get("/v1/alerts", tags=[TAG], summary="Open alerts, or those of any state, newest first")
    def get_alerts(query: AlertsQuery) -> Response:
        with services.connection() as conn:
            if query.format == "csv":
                return _csv(conn, query, services.now())
            return _listed(conn, query, services.now())

    @app.get("/v1/alerts/<int:episodeId>", tags=[TAG], summary="One alert with its evidence, steps, what people did and notices")
    def get_alert(path: AlertPath) -> Response:
        with services.connection() as conn:
            return as_json(_story(conn, path.episodeId, services.now()))

    @app.post("/v1/alerts/<int:episodeId>/acknowledge", tags=[TAG], summary="Take it on; saying so again changes nothing")
    def post_acknowledge(path: AlertPath, body: AcknowledgeBody) -> Response:
        now = services.now()
        with services.connection() as conn:
            try:
                acknowledge(conn, path.episodeId, who(body.by), (body.note or "").strip() or None, now)
            except UnknownEpisode:
                raise _not_found() from None
            except Resolved:
                raise Problem(409, "alert_resolved", "Conflict", "This alert is resolved: nothing is left to acknowledge") from None
            return as_json(_story(conn, path.episodeId, now))


def _not_found() -> Problem:
    return Problem(404, "alert_not_found", "Not Found", "Alert not found: /v1/alerts?state=any lists those there are")


def _story(conn: Conn, episode_id: int, now: datetime) -> dict[str, object]:
    found = alert_story.story(conn, episode_id, now)
    if found is None:
        raise _not_found()
    return as_story(found)


def _listed(conn: Conn, query: AlertsQuery, now: datetime) -> Response:
    evaluation = as_evaluation(alert_story.evaluation(conn, now))
    if query.state == "pending":
        found = [as_pending(one) for one in alerts.pending(conn, _wanted(query), query.limit)]
        return as_json({"alerts": found, "next": None, "evaluation": evaluation})
    episodes = alerts.episodes(conn, _wanted(query), now, query.limit, query.after)
    after = episodes[-1].episode_id if len(episodes) == query.limit else None
    return as_json({"alerts": [as_episode(one) for one in episodes], "next": after, "evaluation": evaluation})


def _wanted(query: AlertsQuery) -> Wanted:
    return Wanted(
        "open" if query.state == "pending" else query.state,
        query.rule,
        query.severity,
        query.site,
        query.vehicle,
        query.meter,
        query.acknowledged,
        query.silenced,
        query.heldBack,
        query.q or None,
    )


def _csv(conn: Conn, query: AlertsQuery, now: datetime) -> Response:
    if query.state == "pending":
        raise Problem(
            422, "invalid_parameter", "Unprocessable Content", "format: what is pending is no alert yet and has no file; ask for json"
        )
    name = f"voltledger-alerts-{now:%Y%m%dT%H%M%SZ}.csv"
    lines = "".join([csv_line(CSV_COLUMNS), *_csv_lines(conn, query, now)])
    return Response(lines, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f"attachment; filename={name}"})


def _csv_lines(conn: Conn, query: AlertsQuery, now: datetime) -> Iterator[str]:
    """Every one, page by page: a file is never cut short."""
    after = query.after
    while True:
        page = alerts.episodes(conn, _wanted(query), now, _CSV_PAGE, after)
        yield from (csv_line(episode_cells(one)) for one in page)
        if len(page) < _CSV_PAGE:
            return
        after = page[-1].episode_id
