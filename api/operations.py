"""For those who run it: is the process alive, may it be sent traffic, what does it count."""

from functools import partial

from flask import Response
from flask_openapi3 import OpenAPI, Tag
from prometheus_client import CONTENT_TYPE_LATEST

from api.committer import Committer, NotStored
from api.errors import Problem, as_json
from api.services import Services
from api.watching.exposition import EXPOSITION, Exposition
from api.watching.ingestion import Ingestion, Keys
from api.watching.installation import Installation
from api.watching.look import Look
from api.watching.requests import RequestTimes
from db.engine import Conn
from db.queries import watching

_TAG = Tag(name="Operations", description="Health and metrics")
_FEWEST_DAYS_AHEAD = 3
# Who asks wants to send traffic elsewhere soon, and mostly gives up after a second or two himself.
_READY_WITHIN_S = 1.0


def register(app: OpenAPI, services: Services, times: RequestTimes) -> None:
    """/healthz, /readyz, /metrics"""
    ready = Look(services.connection, lambda conn: watching.readiness(conn, services.now()))
    exposition = _exposition(app, services, times)
    app.extensions[EXPOSITION] = exposition

    @app.get("/healthz", tags=[_TAG], summary="The process is alive")
    def get_healthz() -> Response:
        return as_json({"status": "ok"})

    @app.get("/readyz", tags=[_TAG], summary="Traffic is welcome")
    def get_readyz() -> Response:
        if problem := _refusal(services):
            raise problem
        seen = _ready(ready.now(_READY_WITHIN_S))
        return as_json({"status": "ready", "daysAhead": seen.days_ahead, "warnings": _warnings(seen, services.intake.committer)})

    @app.get("/metrics", tags=[_TAG], summary="For Prometheus")
    def get_metrics() -> Response:
        return Response(exposition.text(), content_type=CONTENT_TYPE_LATEST)


def _exposition(app: OpenAPI, services: Services, times: RequestTimes) -> Exposition:
    def facts(conn: Conn) -> watching.Facts:
        return watching.facts(conn, services.now())

    made = Exposition(app.info.version)
    made.add(Ingestion(services.intake.committer))
    made.add(times)
    made.add(Keys(services.intake.gate))
    made.add(Installation(Look(services.connection, facts).now, lambda seen: _is_ready(services, seen)))
    made.add_figures([("voltledger_clock_seconds", "This process's clock, seconds since 1970", partial(_clock_s, services))])
    return made


def _clock_s(services: Services) -> float:
    return services.now().timestamp()


def _refusal(services: Services) -> Problem | None:
    """Why traffic is not welcome, as far as is known without asking the database."""
    try:
        services.intake.committer.refuse_early()
    except NotStored as refusal:
        return _not_ready(refusal.kind, str(refusal))
    if services.intake.gate.blind():
        return _not_ready("keys_unknown", "the keys cannot be read from the database")
    return None


def _ready(seen: watching.Readiness | None) -> watching.Readiness:
    """What was seen, where the database is as it must be. Raises Problem 503."""
    if seen is None:
        raise _not_ready("database_unavailable", "the database does not answer within a second")
    if not seen.writable:
        raise _not_ready("database_unavailable", "the database takes nothing that is written")
    if seen.days_ahead == 0:
        raise _not_ready("partition_missing", "tomorrow has no table yet")
    return seen


def _is_ready(services: Services, seen: watching.Readiness | None) -> bool:
    try:
        _ready(seen)
    except Problem:
        return False
    return _refusal(services) is None


def _warnings(seen: watching.Readiness, committer: Committer) -> list[str]:
    """What will be a reason not to be ready if nobody does anything."""
    found = {
        "few days ahead have tables": seen.days_ahead < _FEWEST_DAYS_AHEAD,
        "the queue is more than half full": 2 * committer.waiting_readings > committer.most_readings
        or 2 * committer.waiting_requests > committer.most_requests,
    }
    return [words for words, holds in found.items() if holds]


def _not_ready(kind: str, detail: str) -> Problem:
    return Problem(503, kind, "Not Ready", detail, retry=True)
