"""Keys of devices and programs: made, listed, rotated, revoked. A secret is in the answer to whoever made it, and nowhere else."""

from datetime import datetime, timedelta
from typing import Any

from flask import Response
from flask_openapi3 import OpenAPI, Tag

from api.errors import Problem, as_json, wrong_field
from api.keys.secret import made
from api.params import KeyBody, KeyPath, PageQuery, RevokeQuery, RotateBody, sane
from api.people.door import who
from api.services import Services
from api.words import z, z_or_none
from db import device_keys, sites
from db.device_keys import Key, Wanted
from db.engine import Conn

_TAG = Tag(name="Keys", description="Who may send readings, read and administer by program")
# Time to change a device over that is visited once a day.
BOTH_HOLD = timedelta(hours=24)


def register(app: OpenAPI, services: Services) -> None:
    """/v1/keys…"""

    @app.get("/v1/keys", tags=[_TAG], summary="Every key, with what it is for and how it fared; never its secret")
    def get_keys(query: PageQuery) -> Response:
        with services.connection() as conn:
            found = device_keys.keys(conn, query.after, query.limit)
        return as_json(
            {"keys": [_key(one, services.now()) for one in found], "next": found[-1].key_id if len(found) == query.limit else None}
        )

    @app.post("/v1/keys", tags=[_TAG], summary="A new key; it is shown this once")
    def post_key(body: KeyBody) -> Response:
        now, new = services.now(), made()
        wanted = checked(_wanted(body), now)
        with services.connection() as conn:
            refuse_unknown_site(conn, wanted)
            device_keys.create(conn, new.key_id, wanted, new.secret_hash, who(body.by), now, body.note)
            found = _found(conn, new.key_id)
        return _once(found, new.shown, now, 201)

    @app.post("/v1/keys/<keyId>/rotate", tags=[_TAG], summary="Another secret, shown this once; the one before holds for a while too")
    def post_key_rotate(path: KeyPath, body: RotateBody) -> Response:
        now, new = services.now(), made(path.keyId)
        until = body.previousUntil or now + BOTH_HOLD
        _within_reason("previousUntil", until)
        with services.connection() as conn:
            before = _found(conn, path.keyId)
            if before.ended(now):
                raise Problem(409, "key_ended", "Conflict", "The key is revoked or expired: make a new one")
            device_keys.rotate(conn, before, new.secret_hash, until, who(body.by), now, body.note)
            found = _found(conn, path.keyId)
        return _once(found, new.shown, now, 200)

    @app.delete("/v1/keys/<keyId>", tags=[_TAG], summary="Revoke a key for good; it opens nothing any more within 5 s")
    def delete_key(path: KeyPath, query: RevokeQuery) -> Response:
        now = services.now()
        with services.connection() as conn:
            before = _found(conn, path.keyId)
            if before.revoked_at is None:
                device_keys.revoke(conn, before, who(query.by), now, query.note)
            found = _found(conn, path.keyId)
        return as_json(_key(found, now))


def checked(wanted: Wanted, now: datetime) -> Wanted:
    """The key as it can be kept. Raises Problem 422 where its parts do not fit together."""
    bound = len(wanted.vehicle_ids) + len(wanted.meter_ids)
    if ("write" in wanted.rights) == (wanted.binding == "none"):
        raise wrong_field(
            "binding", "missing_field", "say whose readings a key with the right write may write; without that right it is none"
        )
    if wanted.binding == "device" and bound != 1:
        raise wrong_field("vehicleIds", "out_of_range", "a key of one device names exactly one vehicle or meter")
    if wanted.binding == "list" and not bound:
        raise wrong_field("vehicleIds", "missing_field", "name the vehicles and meters it may write")
    if wanted.binding not in ("device", "list") and bound:
        raise wrong_field("vehicleIds", "out_of_range", f"vehicles and meters are not named for the binding {wanted.binding}")
    if (wanted.binding == "site") != (wanted.site_id is not None):
        raise wrong_field("siteId", "missing_field", "the binding site names a site, the others do not")
    if wanted.expires_at is not None:
        _within_reason("expiresAt", wanted.expires_at)
        if wanted.expires_at <= now:
            raise wrong_field("expiresAt", "out_of_range", "it has expired before it is made")
    return wanted


def refuse_unknown_site(conn: Conn, wanted: Wanted) -> None:
    """Raises Problem 422 where nobody described the site: a mistyped one would silently let nobody in."""
    if wanted.site_id and not sites.known(conn, [wanted.site_id]):
        raise wrong_field("siteId", "unknown_site", f"there is no site {wanted.site_id}")


def _wanted(body: KeyBody) -> Wanted:
    vehicles, meters = sorted(set(body.vehicleIds)), sorted(set(body.meterIds))
    return Wanted(body.name, sorted(set(body.rights)), body.binding, vehicles, meters, body.siteId, body.expiresAt)


def _within_reason(name: str, at: datetime) -> None:
    if not sane(at):
        raise wrong_field(name, "out_of_range", f"{name} lies outside the years 2000 to 2199")


def _found(conn: Conn, key_id: str) -> Key:
    found = device_keys.lock_key(conn, key_id)
    if found is None:
        raise Problem(404, "key_not_found", "Not Found", "Key not found")
    return found


def _once(one: Key, shown: str, now: datetime, status: int) -> Response:
    """With the secret: nothing on the way may keep it."""
    return as_json({**_key(one, now), "key": shown}, status, {"Cache-Control": "no-store"})


def _key(one: Key, now: datetime) -> dict[str, Any]:
    state = "revoked" if one.revoked_at else "expired" if one.ended(now) else "valid"
    return {
        "keyId": one.key_id,
        **device_keys.told(one),
        "expiresAt": z_or_none(one.expires_at),
        "state": state,
        "previousUntil": z_or_none(one.previous_until),
        "createdAt": z(one.created_at) if one.created_at else None,
        "createdBy": one.created_by,
        "rotatedAt": z_or_none(one.rotated_at),
        "revokedAt": z_or_none(one.revoked_at),
        "lastUsedAt": z_or_none(one.last_used_at),
        "refused": one.refused,
        "lastRefusedAt": z_or_none(one.last_refused_at),
        "lastRefusedCode": one.last_refused_code,
    }
