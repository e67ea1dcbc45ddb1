"""The rules of the alerting: what is set for whom, changing it, and what a change would have made of the last seven days."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Annotated, Any, Literal

from flask import Response
from flask_openapi3 import OpenAPI, Tag
from pydantic import BaseModel, Field

from api.errors import Problem, as_json, unavailable, wrong_field
from api.params import _TEXT, By, Note, Query
from api.people.door import who
from api.services import Services
from api.words import z, z_or_none
from charging.alert_replay import Episode
from charging.alert_settings import RULES, SETTINGS, Choice, Number, Rule
from charging.alert_words import NAMES, SETTING_WORDS, in_words
from charging.verdict import Thresholds
from db import alert_preview, alert_rules
from db.alert_preview import Count, Preview
from db.alert_rules import ALL, SCOPES_OF, Scope, Setting, UnknownScope
from db.engine import Conn

_TAG = Tag(name="Alert rules", description="Thresholds for all, a site or a device, and what a change would mean")
# A preview keeps a processor busy for seconds: one at a time in a process, so that readings are not kept waiting; others wait so long.
_PREVIEW_WAIT_S = 20.0


class RulePath(BaseModel):
    """/{rule}"""

    rule: str = Field(max_length=64, pattern=_TEXT, description=f"One of {', '.join(RULES)}")


class ScopeBody(BaseModel):
    """For whom; the narrower one holds: a device's own, else its site's, else that of all."""

    kind: Literal["all", "site", "vehicle", "meter"] = "all"
    id: str = Field("", max_length=64, pattern=_TEXT, description="Of the site or device; empty for all")


_Word = Annotated[str, Field(pattern=_TEXT)]
_Settings = dict[_Word, bool | int | float | _Word | None]


class RuleBody(BaseModel):
    """What holds for this scope from now on; what is absent or null there is as the wider scope says."""

    scope: ScopeBody = ScopeBody()
    settings: _Settings = Field(description="See GET /v1/alert-rules for names, bounds and units")
    by: By | None = None
    note: Note | None = None


class PreviewBody(BaseModel):
    """What to try."""

    rule: str = Field(max_length=64, pattern=_TEXT)
    scope: ScopeBody = ScopeBody()
    settings: _Settings


class ClearQuery(Query):
    """Whose setting goes, by whom and why."""

    kind: Literal["all", "site", "vehicle", "meter"] = "all"
    id: str = Field("", max_length=64, pattern=_TEXT)
    by: By | None = None
    note: Note | None = None


def register(app: OpenAPI, services: Services) -> None:
    """/v1/alert-rules…"""

    @app.get("/v1/alert-rules", tags=[_TAG], summary="Every rule with its settings, their defaults and bounds, and what is set for whom")
    def get_alert_rules() -> Response:
        with services.connection() as conn:
            return as_json(all_rules(conn, services.policies.common))

    @app.put("/v1/alert-rules/<rule>", tags=[_TAG], summary="Set a rule for all, a site, a vehicle or a meter")
    def put_alert_rule(path: RulePath, body: RuleBody) -> Response:
        return as_json(_changed(services, path.rule, body.scope, body.settings, body.by, body.note))

    @app.delete("/v1/alert-rules/<rule>", tags=[_TAG], summary="Take a setting back: the wider scope's, or the default, holds again")
    def delete_alert_rule(path: RulePath, query: ClearQuery) -> Response:
        return as_json(_changed(services, path.rule, ScopeBody(kind=query.kind, id=query.id), {}, query.by, query.note))

    _register_preview(app, services)


def _register_preview(app: OpenAPI, services: Services) -> None:
    busy = Lock()

    @app.post(
        "/v1/alert-rules/preview", tags=[_TAG], summary="How many alerts the last 7 days would have had: as it is, and with this setting"
    )
    def post_alert_rule_preview(body: PreviewBody) -> Response:
        rule, scope = _rule(body.rule), _scope(body.scope)
        if not busy.acquire(timeout=_PREVIEW_WAIT_S):
            raise unavailable("preview_busy", "other previews are being worked out")
        try:
            with _refusals(rule, scope), services.connection() as conn:
                found = alert_preview.preview(conn, rule, scope, body.settings, services.policies, services.now())
        finally:
            busy.release()
        return as_json({"rule": rule, "scope": scope._asdict(), "settings": body.settings, **_preview(found)})


def _changed(services: Services, name: str, of: ScopeBody, given: Mapping[str, Any], by: str | None, note: str | None) -> dict[str, Any]:
    rule, scope = _rule(name), _scope(of)
    with _refusals(rule, scope), services.connection() as conn:
        alert_rules.change(conn, rule, scope, given, services.now(), who(by), note)
        found = all_rules(conn, services.policies.common)["rules"]
    return next(one for one in found if one["rule"] == rule)


def _rule(name: str) -> Rule:
    if name not in RULES:
        raise Problem(404, "rule_not_found", "Not Found", f"There is no such rule; the rules are {', '.join(RULES)}")
    return name


def _scope(body: ScopeBody) -> Scope:
    if (body.kind == "all") != (body.id == ""):
        said = "scope/id is empty where kind is all" if body.kind == "all" else f"scope/id: name the {body.kind}"
        raise wrong_field("scope/id", "out_of_range" if body.id else "missing_field", said)
    return Scope(body.kind, body.id)


@contextmanager
def _refusals(rule: Rule, scope: Scope) -> Iterator[None]:
    try:
        yield
    except UnknownScope:
        what = scope.kind.capitalize()
        raise Problem(
            404, f"{scope.kind}_not_found", "Not Found", f"{what} not found: GET /v1/{scope.kind}s lists those there are"
        ) from None
    except ValueError as error:
        raise wrong_field(_pointer(rule, str(error)), "out_of_range", str(error)) from None


def _pointer(rule: Rule, said: str) -> str:
    """Which part of the request the refusal is about."""
    first = said.partition(" ")[0]
    if first in SETTINGS[rule]:
        return f"settings/{first}"
    return "settings" if "setting" in said else "scope/kind"


# ------------------------------------------------------------------------------------------------------------------------- words


def all_rules(conn: Conn, common: Thresholds) -> dict[str, Any]:
    """The body of GET /v1/alert-rules. `common`: what low efficiency means where nobody has set it."""
    found = alert_rules.settings(conn)
    return {"rules": [_rule_words(rule, common, [one for one in found if one.rule == rule]) for rule in RULES]}


def _rule_words(rule: Rule, common: Thresholds, found: list[Setting]) -> dict[str, Any]:
    defaults = {"use": common.use, "plainLow": common.plain_low, "plainCritical": common.plain_critical}
    kinds = {name: _kind(name, kind, defaults.get(name, kind.default)) for name, kind in SETTINGS[rule].items()}
    of_all = {name: kind["default"] for name, kind in kinds.items()} | next((one.settings for one in found if one.scope == ALL), {})
    if rule == "low_efficiency":  # set apart, one of the two may be another scope's
        of_all["plainCritical"] = min(of_all["plainLow"], of_all["plainCritical"])
    return {
        "rule": rule,
        "name": NAMES[rule],
        "says": in_words(rule, of_all),
        "scopes": SCOPES_OF[rule],
        "previewable": rule not in alert_preview.WHY_NOT,
        "settings": list(kinds.values()),
        "values": of_all,
        "set": [_set_words(one) for one in found],
    }


def _kind(name: str, kind: Number | Choice, default: object) -> dict[str, Any]:
    label, hint = SETTING_WORDS[name]
    head = {"name": name, "label": label, "hint": hint, "default": default}
    if isinstance(kind, Choice):
        return {**head, "values": kind.values}
    return {**head, "least": kind.least, "most": kind.most, "unit": kind.unit, "whole": kind.whole}


def _set_words(one: Setting) -> dict[str, Any]:
    return {
        "scope": {**one.scope._asdict(), "name": one.name},
        "settings": one.settings,
        "changedAt": z_or_none(one.changed_at),
        "by": one.changed_by,
        "note": one.note,
    }


def _preview(found: Preview) -> dict[str, Any]:
    days = round((found.end - found.start).total_seconds() / 86_400)
    is_estimate = found.looked_at < found.of and not found.why_not
    return {
        "from": z(found.start),
        "to": z(found.end),
        "stepS": round(found.every.total_seconds()),
        "previewable": found.why_not is None,
        "whyNot": found.why_not,
        "now": None if found.why_not else _count(found.now, found),
        "new": None if found.why_not else _count(found.new, found),
        "lookedAt": found.looked_at,
        "of": found.of,
        "deviceDays": found.looked_at * days,
        "estimated": is_estimate,
        "examples": [
            {"kind": one.kind, "id": one.id, "now": _episode(one.now), "new": _episode(one.new)} for one in found.examples
        ],
        "says": _says(found, days, is_estimate),
    }  # fmt: skip


def _count(count: Count, found: Preview) -> dict[str, int]:
    """Of all in scope: what was counted, or what so many of them would have had."""

    def scaled(number: int) -> int:
        return round(number * found.of / found.looked_at) if found.looked_at else 0

    warning, critical = scaled(count.warning), scaled(count.critical)
    return {"alerts": warning + critical, "warning": warning, "critical": critical, "devices": scaled(count.devices)}


def _says(found: Preview, days: int, is_estimate: bool) -> str:
    if found.why_not:
        return f"This rule cannot be previewed: {found.why_not}."
    if not found.of:
        return "Nothing in this scope has reported yet, so there is nothing to look back at."
    now, new = _count(found.now, found)["alerts"], _count(found.new, found)["alerts"]
    whole = f"In the last {days} days: {now:,} {'alert' if now == 1 else 'alerts'} now, {new:,} with the new value"
    return f"{whole} (estimated from {found.looked_at:,} of {found.of:,} devices)." if is_estimate else f"{whole}."


def _episode(one: Episode | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {"firedAt": z(one.fired_at), "resolvedAt": z_or_none(one.resolved_at), "severity": one.severity, "margin": round(one.margin, 4)}
