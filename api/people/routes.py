"""People: listed, made, changed, given another one-time password, logged out everywhere. A password is in one answer, and nowhere else."""

from datetime import datetime, timedelta
from typing import Any

import psycopg
from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import Problem, as_json, wrong_field
from api.people import me, passwords
from api.people.door import Door, who
from api.people.params import ByQuery, PeopleQuery, PersonBody, PersonChangeBody, PersonPath
from api.services import Services
from api.words import z, z_or_none
from db import log_ins, people
from db.engine import Conn
from db.people import Person, Wanted

_TAG = Tag(name="People", description="Who may log in, and as what")
ONE_TIME_HOLDS = timedelta(days=3)  # over a weekend


def register(app: OpenAPI, services: Services) -> None:
    """/v1/me, /v1/people…"""
    me.register(app, services)
    _changes(app, services)

    @app.get("/v1/people", tags=[_TAG], summary="Everybody who may or might log in; never their passwords")
    def get_people(query: PeopleQuery) -> Response:
        with services.connection() as conn:
            found = people.people(conn, query.after, query.limit)
        after = found[-1].person_id if len(found) == query.limit else None
        return as_json({"people": [_person(one, services.now()) for one in found], "next": after})

    @app.get("/v1/people/<int:personId>", tags=[_TAG], summary="One person, and where they are logged in")
    def get_person(path: PersonPath) -> Response:
        with services.connection() as conn:
            found = _found(conn, path.personId)
            at = log_ins.of_person(conn, path.personId)
        places = [{**one, "madeAt": z(one["madeAt"]), "seenAt": z(one["seenAt"])} for one in at]
        return as_json({**_person(found, services.now()), "logIns": places})


def _changes(app: OpenAPI, services: Services) -> None:
    @app.post("/v1/people", tags=[_TAG], summary="Somebody new; their one-time password is shown this once")
    def post_person(body: PersonBody) -> Response:
        now, password = services.now(), passwords.one_time()
        wanted = Wanted(body.email.lower(), body.name, body.role)
        hashed = _door(services).hashes.hash(password)
        try:
            with services.connection() as conn:
                person_id = people.create(conn, wanted, hashed, who(body.by), now, now + ONE_TIME_HOLDS)
                found = _found(conn, person_id)
        except psycopg.errors.UniqueViolation:
            raise wrong_field("email", "taken", "somebody with this address is there already") from None
        return _once(found, password, now, 201)

    @app.put("/v1/people/<int:personId>", tags=[_TAG], summary="Name, role, whether they may log in; ends their log-ins where that matters")
    def put_person(path: PersonPath, body: PersonChangeBody) -> Response:
        now, by = services.now(), who(body.by)
        with services.connection() as conn:
            people.hold_still(conn)
            before = _found(conn, path.personId)
            wanted = Wanted(before.email, body.name, body.role, body.active)
            people.change(conn, before, wanted, by, now)
            if not people.administrators(conn):
                raise Problem(409, "last_administrator", "Conflict", "This is the last administrator: make another one first")
            if before.active and not wanted.active:
                log_ins.end_all(conn, path.personId, "disabled", by, now)
            elif before.role != wanted.role:
                log_ins.end_all(conn, path.personId, "role changed", by, now)
            found = _found(conn, path.personId)
        _at_once(services)
        return as_json(_person(found, now))

    @app.post("/v1/people/<int:personId>/password", tags=[_TAG], summary="A one-time password, shown this once; ends their log-ins")
    def post_person_password(path: PersonPath, body: ByQuery) -> Response:
        now, password, by = services.now(), passwords.one_time(), who(body.by)
        hashed = _door(services).hashes.hash(password)
        with services.connection() as conn:
            _found(conn, path.personId)
            people.set_password(conn, path.personId, hashed, by, now, now + ONE_TIME_HOLDS)
            log_ins.end_all(conn, path.personId, "one-time password made", by, now)
            found = _found(conn, path.personId)
        _at_once(services)
        return _once(found, password, now, 200)

    @app.delete("/v1/people/<int:personId>/log-ins", tags=[_TAG], summary="Log somebody out everywhere; they may log in again")
    def delete_log_ins(path: PersonPath, query: ByQuery) -> Response:
        now = services.now()
        with services.connection() as conn:
            _found(conn, path.personId)
            log_ins.end_all(conn, path.personId, "ended by an administrator", who(query.by), now)
            found = _found(conn, path.personId)
        _at_once(services)
        return as_json(_person(found, now))


def _door(services: Services) -> Door:
    if services.door is None:
        raise Problem(409, "no_log_in", "Conflict", "Nobody is asked to log in here: set VOLTLEDGER_REQUIRE_LOGIN=1 first")
    return services.door


def _at_once(services: Services) -> None:
    """What is ended is over here when that is answered; elsewhere within five seconds."""
    if services.door:
        services.door.logged_in.renew()


def _found(conn: Conn, person_id: int) -> Person:
    found = people.person(conn, person_id)
    if found is None:
        raise Problem(404, "person_not_found", "Not Found", "Person not found")
    return found


def _once(one: Person, password: str, now: datetime, status: int) -> Response:
    """With the password: nothing on the way may keep it."""
    return as_json({**_person(one, now), "oneTimePassword": password}, status, {"Cache-Control": "no-store"})


def _person(one: Person, now: datetime) -> dict[str, Any]:
    lapsed = one.one_time_until is not None and one.one_time_until <= now
    state = "disabled" if not one.active else "lapsed" if lapsed else "invited" if one.one_time_until else "active"
    return {
        "personId": one.person_id,
        **people.told(one),
        "state": state,
        "oneTimeUntil": z_or_none(one.one_time_until),
        "createdAt": z_or_none(one.created_at),
        "createdBy": one.created_by,
        "passwordAt": z_or_none(one.password_at),
        "lastLogInAt": z_or_none(one.last_log_in_at),
        "failed": one.failed,
        "lastFailedAt": z_or_none(one.last_failed_at),
        "openLogIns": one.open_log_ins,
    }
