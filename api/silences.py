"""Silences: no notices for what matches, for a while and for a reason."""

from datetime import datetime, timedelta

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.alert_params import EndQuery, SilenceBody, SilencePath, SilencesQuery
from api.alert_words import as_silence
from api.errors import Problem, as_json, wrong_field
from api.people.door import who
from api.services import Services
from db import alert_people
from db.alert_people import Matcher, Silence, UnknownSilence, WrongEnd
from db.engine import Conn
from db.queries import alerts


def register(app: OpenAPI, services: Services, tag: Tag) -> None:
    """/v1/silences…"""

    @app.get("/v1/silences", tags=[tag], summary="Silences that hold now, or all there ever were, newest first")
    def get_silences(query: SilencesQuery) -> Response:
        now = services.now()
        with services.connection() as conn:
            active = now if query.state == "active" else None
            found = alert_people.silences(conn, active, before_id=query.after, limit=query.limit)
        after = found[-1].silence_id if len(found) == query.limit else None
        return as_json({"silences": [as_silence(one, now) for one in found], "next": after})

    @app.post("/v1/silences", tags=[tag], summary="Send no notices for what matches; the alerts go on being recorded")
    def post_silence(body: SilenceBody) -> Response:
        now = services.now()
        with services.connection() as conn:
            return as_json(as_silence(_made(conn, body, now), now), 201)

    @app.delete("/v1/silences/<int:silenceId>", tags=[tag], summary="End a silence now; one that is over stays as it is")
    def delete_silence(path: SilencePath, query: EndQuery) -> Response:
        now = services.now()
        with services.connection() as conn:
            try:
                return as_json(as_silence(alert_people.end_silence(conn, path.silenceId, who(query.by), now), now))
            except UnknownSilence:
                raise Problem(
                    404, "silence_not_found", "Not Found", "Silence not found: /v1/silences?state=any lists those there are"
                ) from None


def _made(conn: Conn, body: SilenceBody, now: datetime) -> Silence:
    reason = body.reason.strip()
    if not reason:
        raise wrong_field("reason", "missing_field", "reason: say why, for those who wonder why nobody was told")
    if body.episodeId is not None and alerts.episode(conn, body.episodeId, now) is None:
        raise wrong_field("episodeId", "unknown_alert", "episodeId: no alert has this id")
    subject = body.subject
    matcher = Matcher(body.rule, subject.kind if subject else None, subject.id if subject else None, body.siteId)
    try:
        return alert_people.silence(conn, matcher, _end(body, now), reason, who(body.by), now, body.episodeId)
    except WrongEnd:
        raise wrong_field(
            "endsAt", "out_of_range", "endsAt: later than now and at most a year ahead; for longer, switch the rule off"
        ) from None


def _end(body: SilenceBody, now: datetime) -> datetime:
    if (body.endsAt is None) == (body.durationS is None):
        raise wrong_field("endsAt", "missing_field", "endsAt or durationS: say until when, by one of the two")
    return body.endsAt or now + timedelta(seconds=body.durationS or 0)
