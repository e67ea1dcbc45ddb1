"""Alerts and silences as the wire words them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from api.words import z, z_or_none
from db.alert_people import Silence
from db.queries.alert_story import Action, Evaluation, Notice, Step, Story
from db.queries.alerts import Episode, Pending

# Rules whose evidence is a window of energies: these also carry the numbers in the names of /v1/analytics/performance.
_OF_ENERGY = ("low_efficiency", "suspect_measurement")


def as_episode(one: Episode) -> dict[str, Any]:
    """The wire's form of an alert."""
    return {
        "episodeId": one.episode_id,
        "rule": one.rule,
        "state": one.state,
        **(_performance(one) if one.rule in _OF_ENERGY and one.subject_kind == "vehicle" else {}),
        "severity": one.severity,
        "subject": {"kind": one.subject_kind, "id": one.subject_id, "name": one.name},
        "site": _site(one.site_id, one.site_name),
        "firedAt": z(one.fired_at),
        "resolvedAt": z_or_none(one.resolved_at),
        "because": one.resolved_because,
        "reason": one.reason,
        "evidence": one.evidence,
        "acknowledged": _acknowledged(one),
        "silenced": _silenced(one),
        "heldBackBy": one.held_back_by,
        "flapping": one.flapping,
        "notified": one.notified_severity and {"severity": one.notified_severity, "at": z_or_none(one.notified_at)},
        "path": f"/alerts/{one.episode_id}",
    }


def _site(site_id: str | None, name: str | None) -> dict[str, Any] | None:
    return {"id": site_id, "name": name} if site_id else None


def _acknowledged(one: Episode) -> dict[str, Any] | None:
    if one.acknowledged_at is None:
        return None
    return {"at": z(one.acknowledged_at), "by": one.acknowledged_by, "note": one.acknowledged_note}


def _silenced(one: Episode) -> dict[str, Any] | None:
    if one.silenced_until is None:
        return None
    return {"silenceId": one.silence_id, "until": z(one.silenced_until), "reason": one.silenced_because}


def _performance(one: Episode) -> dict[str, Any]:
    """The evidence in the names of /v1/analytics/performance; the window is the alert's own."""
    evidence = one.evidence
    ratio = number(evidence, "efficiencyRatio")
    return {
        "totalAc": evidence.get("acKwh"),
        "totalDc": evidence.get("dcKwh"),
        "efficiency": None if ratio is None else round(ratio, 2),
        "vehicleId": one.subject_id,
        "meterIds": evidence.get("meterIds") or [],
        "from": evidence.get("windowFrom"),
        "to": evidence.get("windowTo"),
        **{
            name: evidence.get(name)
            for name in ("efficiencyRatio", "uncertainty", "lossKwh", "expected", "coverage", "readings", "verdict")
        },
    }


def number(evidence: Mapping[str, Any], *path: str) -> float | None:
    """A number of the evidence, however deep; None where there is none."""
    found: Any = evidence
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def as_pending(one: Pending) -> dict[str, Any]:
    """The wire's form of what is no alert yet."""
    return {
        "rule": one.rule,
        "state": "pending",
        "severity": one.severity,
        "subject": {"kind": one.subject_kind, "id": one.subject_id, "name": one.name},
        "site": _site(one.site_id, one.site_name),
        "since": z(one.since),
        "heldS": round(one.held_s),
        "reason": one.reason,
    }


def as_story(found: Story) -> dict[str, Any]:
    """An alert with everything that happened to it."""
    return {
        **as_episode(found.episode),
        "transitions": [_step(one) for one in found.steps],
        "actions": [_action(one) for one in found.actions],
        "notices": [_notice(one) for one in found.notices],
    }


def _step(one: Step) -> dict[str, Any]:
    return {
        "at": z(one.at),
        "from": one.from_state,
        "to": one.to_state,
        "severity": one.severity,
        "reason": one.reason,
        "evidence": one.evidence,
    }


def _action(one: Action) -> dict[str, Any]:
    return {"at": z(one.at), "by": one.by, "action": one.action, "silenceId": one.silence_id, "note": one.note}


def _notice(one: Notice) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "channel": {"name": one.channel, "kind": one.channel_kind},
        "createdAt": z(one.created_at),
        "tries": one.tries,
        "sentAt": z_or_none(one.sent_at),
        "gaveUpAt": z_or_none(one.gave_up_at),
        "lastError": one.last_error,
    }


def as_evaluation(one: Evaluation) -> dict[str, Any]:
    """How the newest evaluation went: nothing is resolved by one that is late or failed."""
    return {"state": one.state, "since": z_or_none(one.since), "evaluatedTo": z_or_none(one.evaluated_to), "error": one.error}


def as_silence(one: Silence, now: datetime) -> dict[str, Any]:
    """The wire's form of a silence."""
    return {
        "silenceId": one.silence_id,
        "active": one.active(now),
        "rule": one.rule,
        "subject": one.subject_id and {"kind": one.subject_kind, "id": one.subject_id},
        "siteId": one.site_id,
        "startsAt": z(one.starts_at),
        "endsAt": z(one.ends_at),
        "reason": one.reason,
        "createdAt": z(one.created_at),
        "by": one.created_by,
        "endedAt": z_or_none(one.ended_at),
        "endedBy": one.ended_by,
    }


CSV_COLUMNS = (
    "episode_id,rule,subject_kind,subject_id,subject_name,site_id,site_name,severity,state,fired_at_utc,resolved_at_utc,resolved_because,reason,"
    "window_from_utc,window_to_utc,ac_kwh,dc_kwh,loss_kwh,efficiency,uncertainty,expected_low,expected_high,threshold,margin,coverage_vehicle,"
    "coverage_meter,acknowledged_at_utc,acknowledged_by,acknowledged_note,held_back_by,flapping"
).split(",")
_NUMBERS = [
    ("acKwh",), ("dcKwh",), ("lossKwh",), ("efficiencyRatio",), ("uncertainty",), ("expected", "low"), ("expected", "high"), ("threshold",),
    ("margin",), ("coverage", "vehicle"), ("coverage", "meter"),
]  # fmt: skip


def episode_cells(one: Episode) -> list[object]:
    """An alert's row under CSV_COLUMNS, numbers unrounded; empty where its rule knows no such number."""
    return [
        *(one.episode_id, one.rule, one.subject_kind, one.subject_id, one.name, one.site_id, one.site_name, one.severity, one.state),
        *(z(one.fired_at), z_or_none(one.resolved_at), one.resolved_because, one.reason),
        *(one.evidence.get(name) for name in ("windowFrom", "windowTo")),
        *(number(one.evidence, *path) for path in _NUMBERS),
        *(z_or_none(one.acknowledged_at), one.acknowledged_by, one.acknowledged_note),
        *(one.held_back_by, "true" if one.flapping else "false"),
    ]
