"""The channels by which people are told of alerts, and the outbox of what was and is to be sent. Addresses and secrets are never shown whole."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time
from typing import Any, cast
from zoneinfo import available_timezones

import psycopg
from flask import Response
from flask_openapi3 import OpenAPI, Tag

from alerting import addresses, guard, words
from api.errors import Problem, as_json, wrong_field
from api.params import ByQuery, ChannelBody, ChannelChangeBody, ChannelPath, NoticesQuery
from api.people.door import who
from api.services import Services
from api.words import z, z_or_none
from db import alert_actions, notice_channels, outbox
from db.engine import Conn
from db.notice_channels import Channel, Wanted
from db.outbox import Notice

_TAG = Tag(name="Notices", description="How people are told of alerts")
SECRET_BYTES = 32  # of a secret made here: nobody guesses it


def register(app: OpenAPI, services: Services) -> None:
    """/v1/notice-channels…, /v1/notices"""
    _register_reading(app, services)
    _register_changing(app, services)


def _register_reading(app: OpenAPI, services: Services) -> None:
    @app.get("/v1/notice-channels", tags=[_TAG], summary="Every channel, with how it fared")
    def get_notice_channels() -> Response:
        with services.connection() as conn:
            found = notice_channels.channels(conn)
        return as_json({"channels": [_channel(one) for one in found]})

    @app.get("/v1/notices", tags=[_TAG], summary="The outbox, newest first: what was sent, what waits and why")
    def get_notices(query: NoticesQuery) -> Response:
        state: outbox.State | None = "given_up" if query.state == "givenUp" else cast("outbox.State | None", query.state)
        with services.connection() as conn:
            found = outbox.notices(conn, query.channel, state, query.limit, query.after, query.id)
        return as_json({"notices": [_notice(one) for one in found], "next": found[-1].notice_id if len(found) == query.limit else None})


def _register_changing(app: OpenAPI, services: Services) -> None:
    @app.post("/v1/notice-channels", tags=[_TAG], summary="A new channel; a secret that is made for it is shown this once")
    def post_notice_channel(body: ChannelBody) -> Response:
        made = secrets.token_urlsafe(SECRET_BYTES) if body.kind == "webhook" and not body.secret else None
        wanted = _wanted(body, body.address, made or body.secret)
        _check_address(services, wanted)
        now, by = services.now(), who(body.by)
        with _named_once(), services.connection() as conn:
            channel_id = notice_channels.add(conn, wanted, by, now)
            found = _found(conn, channel_id)
            _record(conn, now, by, "channel added", found, after=_set(found))
        return as_json({**_channel(found), **({"secret": made} if made else {})}, 201)

    @app.put("/v1/notice-channels/<int:channelId>", tags=[_TAG], summary="Set a channel anew; an absent address or secret stays as it is")
    def put_notice_channel(path: ChannelPath, body: ChannelChangeBody) -> Response:
        made = secrets.token_urlsafe(SECRET_BYTES) if body.newSecret else None
        now, by = services.now(), who(body.by)
        if body.address is not None:
            _check_address(services, _wanted(body, body.address, None))  # before a connection is held: a name may be slow to resolve
        with _named_once(), services.connection() as conn:
            before = _found(conn, path.channelId)
            if body.kind != before.kind and body.address is None:
                raise wrong_field("address", "missing_field", "another kind of channel needs an address")
            wanted = _wanted(body, body.address or before.address, made or body.secret or before.secret)
            notice_channels.change(conn, path.channelId, wanted)
            outbox.give_up_switched_off(conn, now)
            found = _found(conn, path.channelId)
            after = {**_set(found), "addressChanged": wanted.address != before.address, "secretChanged": wanted.secret != before.secret}
            _record(conn, now, by, "channel changed", found, before=_set(before), after=after)
        return as_json({**_channel(found), **({"secret": made} if made else {})})

    @app.delete("/v1/notice-channels/<int:channelId>", tags=[_TAG], summary="Take a channel away; what waits for it is given up")
    def delete_notice_channel(path: ChannelPath, query: ByQuery) -> Response:
        now, by = services.now(), who(query.by)
        with services.connection() as conn:
            before = _found(conn, path.channelId)
            notice_channels.delete(conn, path.channelId, now)
            outbox.give_up_switched_off(conn, now)
            _record(conn, now, by, "channel deleted", before, before=_set(before))
        return as_json({"deleted": path.channelId})

    @app.post("/v1/notice-channels/<int:channelId>/test", tags=[_TAG], summary="Send a test; GET /v1/notices?id= tells what became of it")
    def post_notice_channel_test(path: ChannelPath, query: ByQuery) -> Response:
        now, by = services.now(), who(query.by)
        with services.connection() as conn:
            found = _found(conn, path.channelId)
            if not found.enabled:
                raise Problem(409, "channel_off", "Conflict", "The channel is switched off: switch it on to test it")
            said = {"kind": "test", "channel": found.name, "by": by, "at": z(now), "path": "/alerts"}
            notice_id = outbox.put(conn, path.channelId, "test", f"test:{secrets.token_hex(8)}", said, now)
            _record(conn, now, by, "channel tested", found)
        return as_json({"noticeId": notice_id}, 202)


def _wanted(body: ChannelBody | ChannelChangeBody, address: str, secret: str | None) -> Wanted:
    if body.digestZone not in available_timezones():
        raise wrong_field("digestZone", "unknown_zone", f"{words.line(body.digestZone, 64)} is not a time zone; one is Europe/Berlin")
    return Wanted(
        body.name,
        body.kind,
        address,
        secret if body.kind == "webhook" else None,
        body.enabled,
        body.leastSeverity,
        time.fromisoformat(body.digestAt) if body.digestAt else None,
        body.digestZone,
    )


def _check_address(services: Services, wanted: Wanted) -> None:
    """Raises Problem 422 where the address cannot be one, or leads to where notices may not go. A name that is not known yet may be later."""
    kind = cast("addresses.Kind", wanted.kind)
    fault = addresses.faulty(kind, wanted.address)
    if fault:
        raise wrong_field("address", "invalid_address", fault)
    if kind == "email" and not services.can_mail:
        raise wrong_field("kind", "no_mail_server", "no mail server is set: set VOLTLEDGER_SMTP_HOST and start the program anew")
    place = addresses.host_and_port(kind, wanted.address)
    if place is None:
        return
    try:
        guard.allowed(*place, to_private=services.notices_to_private)
    except guard.Refused as error:
        raise wrong_field("address", "private_address", str(error)) from None
    except guard.Unknown:
        return


@contextmanager
def _named_once() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation:
        raise wrong_field("name", "taken", "another channel has this name") from None


def _found(conn: Conn, channel_id: int) -> Channel:
    found = notice_channels.channel(conn, channel_id)
    if found is None:
        raise Problem(404, "channel_not_found", "Not Found", "Notice channel not found")
    return found


def _record(
    conn: Conn,
    now: datetime,
    by: str,
    action: str,
    channel: Channel,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    alert_actions.record(conn, now, by, action, subject=f"notice channel {channel.channel_id}", before=before, after=after)


def _set(one: Channel) -> dict[str, Any]:
    """What people set, as it may be shown."""
    return {
        "name": one.name,
        "kind": one.kind,
        "address": addresses.shown(cast("addresses.Kind", one.kind), one.address),
        "secretSet": one.secret is not None,
        "enabled": one.enabled,
        "leastSeverity": one.least_severity,
        "digestAt": one.digest_at and f"{one.digest_at:%H:%M}",
        "digestZone": one.digest_zone,
    }


def _channel(one: Channel) -> dict[str, Any]:
    return {
        "channelId": one.channel_id,
        **_set(one),
        "createdAt": z(one.created_at),
        "createdBy": one.created_by,
        "lastSentAt": z_or_none(one.last_sent_at),
        "lastFailedAt": z_or_none(one.last_failed_at),
        "lastError": one.last_error,
        "waiting": one.waiting,
    }


def _notice(one: Notice) -> dict[str, Any]:
    return {
        "noticeId": one.notice_id,
        "channelId": one.channel_id,
        "channel": one.channel,
        "kind": one.kind,
        "title": words.subject(one.body),
        "episodeId": one.episode_id,
        "createdAt": z(one.created_at),
        "state": "givenUp" if one.state == "given_up" else one.state,
        "tries": one.tries,
        "triedAt": z_or_none(one.tried_at),
        "nextTryAt": z(one.next_try_at) if one.state == "waiting" else None,
        "sentAt": z_or_none(one.sent_at),
        "gaveUpAt": z_or_none(one.gave_up_at),
        "lastError": one.last_error,
    }
