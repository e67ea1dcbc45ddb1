"""How many alerts the last days would have had, with the rules as they are and with one setting changed, before anybody saves it."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from charging.alert_replay import Episode, Look, episodes
from charging.alert_rules import PLAIN, surely
from charging.alert_settings import AlertSettings, Rule
from charging.policy import Policy
from charging.verdict import Verdict
from db import alert_rules, alert_state
from db.alert_rules import Scope
from db.engine import Conn
from db.queries import replay, replay_devices
from db.queries.policies import Policies
from db.queries.replay import Sight, quarters_of

LOOK_BACK = timedelta(days=7)
# Readings may be this late and still be in the evaluation that concerns them: what ended later is not looked at. As in alerting.telling.
BEHIND = timedelta(seconds=120)
# More are not looked at: a sample of them, the same every time, says what the others do, within the time that somebody waits.
MOST_VEHICLES = 500
MOST_EXAMPLES = 20
_SEED = 7
WHY_NOT = {
    "site_dark": "whether devices fell silent together is known only while it happens: readings that came in late have filled the gaps since",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """By what is judged: what people have set of the rules, and how efficiency is."""

    settings: AlertSettings
    policy: Policy


@dataclass(frozen=True, slots=True)
class Example:
    """A vehicle or meter with its newest alert there would have been, now or with the new setting."""

    kind: str
    id: str
    now: Episode | None
    new: Episode | None


@dataclass(frozen=True, slots=True)
class Count:
    """Alerts there would have been, by severity, and the devices they concern; of those looked at."""

    warning: int
    critical: int
    devices: int

    @property
    def alerts(self) -> int:
        """All of them."""
        return self.warning + self.critical


@dataclass(frozen=True, slots=True)
class Preview:
    """`looked_at` devices of `of` in scope; where they are fewer, the others are expected to do as these. `why_not`: it cannot be said."""

    start: datetime
    end: datetime
    every: timedelta
    now: Count
    new: Count
    looked_at: int
    of: int
    examples: list[Example]
    why_not: str | None = None


Device = tuple[str, str]
_Episodes = tuple[list[Episode], list[Episode]]


def preview(
    conn: Conn, rule: Rule, scope: Scope, given: Mapping[str, Any], policies: Policies, now: datetime, most: int = MOST_VEHICLES
) -> Preview:
    """What the setting would make of the last seven days. Nothing is changed. Errors as of `db.alert_rules.change`."""
    before = Rules(alert_state.settings(conn), policies.current(conn))
    after = _tried(conn, rule, scope, given, policies, now)
    end = replay.ends(quarters_of(now - LOOK_BACK, now - BEHIND)[-1])
    looked = quarters_of(end - LOOK_BACK, end)
    sites = {tuple(d.subject): d.site_id for d in alert_state.devices(conn, now)}
    concerned = _concerned(conn, rule, scope, sites)
    if rule in WHY_NOT:
        return Preview(end - LOOK_BACK, end, replay.QUARTER, Count(0, 0, 0), Count(0, 0, 0), 0, len(concerned), [], WHY_NOT[rule])
    some = _sample(concerned, most)
    found = dict(_WITH[rule](conn, some, sites, looked, before, after))
    return Preview(
        end - LOOK_BACK,
        end,
        replay.QUARTER,
        _count(was for was, _ in found.values()),
        _count(would for _, would in found.values()),
        len(some),
        len(concerned),
        _examples(found),
    )


def _tried(conn: Conn, rule: Rule, scope: Scope, given: Mapping[str, Any], policies: Policies, now: datetime) -> Rules:
    """The rules as they would be: saved, read and undone."""
    with conn.transaction(force_rollback=True):
        alert_rules.change(conn, rule, scope, given, now, "preview")
        return Rules(alert_state.settings(conn), policies.as_seen(conn))


def _concerned(conn: Conn, rule: Rule, scope: Scope, sites: Mapping[Any, str | None]) -> list[Device]:
    kinds = ("vehicle", "meter") if rule == "device_silent" else ("vehicle",)
    known: list[Device] = sorted(device for device in sites if device[0] in kinds)
    if scope.kind == "site":
        described = _described(conn, scope.id) if rule == "low_efficiency" else set()
        return [device for device in known if sites[device] == scope.id or device[1] in described]
    return known if scope.kind == "all" else [device for device in known if device == tuple(scope)]


def _described(conn: Conn, site_id: str) -> set[str]:
    return {str(row[0]) for row in conn.execute("SELECT vehicle_id FROM vehicle WHERE site_id = %s", (site_id,)).fetchall()}


def _sample(devices: list[Device], most: int) -> list[Device]:
    if len(devices) <= most:
        return devices
    return sorted(random.Random(_SEED).sample(devices, most))  # noqa: S311 -- a sample, not a secret


def _count(found: Iterable[list[Episode]]) -> Count:
    some = [of for of in found if of]
    critical = sum(one.severity == "critical" for of in some for one in of)
    return Count(sum(map(len, some)) - critical, critical, len(some))


def _examples(found: Mapping[Device, _Episodes]) -> list[Example]:
    """Those for whom it makes a difference first, then the newest."""
    some = [Example(*device, was[-1] if was else None, would[-1] if would else None) for device, (was, would) in found.items()]
    differs = {device for device, (was, would) in found.items() if len(was) != len(would)}

    def order(one: Example) -> tuple[bool, float]:
        newest = max(episode.fired_at.timestamp() for episode in (one.now, one.new) if episode)
        return (one.kind, one.id) not in differs, -newest

    return sorted((one for one in some if one.now or one.new), key=order)[:MOST_EXAMPLES]


# ----------------------------------------------------------------------------------------------------------------------- by rule

_Found = Iterator[tuple[Device, _Episodes]]
_Sites = Mapping[Any, str | None]


def _of_efficiency(conn: Conn, some: Sequence[Device], sites: _Sites, looked: range, before: Rules, after: Rules) -> _Found:
    ids = [vehicle_id for _, vehicle_id in some]
    # Where the same is expected of all, they would have been found low as often.
    same = all(before.policy.thresholds_of(one) == after.policy.thresholds_of(one) for one in ids)
    policies = (before.policy,) if same else (before.policy, after.policy)
    for vehicle_id, seen in replay.sights(conn, ids, looked, *policies):
        device = ("vehicle", vehicle_id)
        was, would = (rules.settings.is_on("low_efficiency", *device, sites.get(device)) for rules in (before, after))
        found = [episodes(_low(one), PLAIN, replay.QUARTER, replay.ends(looked[-1])) for one in seen]
        yield device, (found[0] if was else [], found[-1] if would else [])


def _low(seen: Iterable[Sight]) -> Iterator[Look]:
    for one in seen:
        at, known_to, begins = replay.ends(one.number), replay.ends(one.known_to), replay.ends(one.begins - 1)
        if one.margin and one.evidence:
            sure = surely(one.evidence, one.margin)
            yield Look(at, known_to, one.margin.margin, one.margin.severity or "warning", sure, begins, one.decides)
        else:
            yield Look(at, known_to, None)


def _of_suspect(conn: Conn, some: Sequence[Device], sites: _Sites, looked: range, before: Rules, after: Rules) -> _Found:
    for vehicle_id, (seen,) in replay.sights(conn, [vehicle_id for _, vehicle_id in some], looked, before.policy):
        found = episodes(_suspect(seen), PLAIN, replay.QUARTER, replay.ends(looked[-1]))
        device = ("vehicle", vehicle_id)
        was, would = (rules.settings.is_on("suspect_measurement", *device, sites.get(device)) for rules in (before, after))
        yield device, (found if was else [], found if would else [])


def _suspect(seen: Iterable[Sight]) -> Iterator[Look]:
    for one in seen:
        margin = None if one.evidence is None else -1.0 if one.verdict is Verdict.SUSPECT_MEASUREMENT else 1.0
        yield Look(replay.ends(one.number), replay.ends(one.known_to), margin)


def _of_hot(conn: Conn, some: Sequence[Device], sites: _Sites, looked: range, before: Rules, after: Rules) -> _Found:
    """A rule that is not wanted has a limit that nothing reaches."""

    def limits(rules: Rules) -> list[float]:
        on, of = rules.settings.is_on, rules.settings.of
        return [
            of("battery_hot", "limitC", *one, sites.get(one)) if on("battery_hot", *one, sites.get(one)) else replay_devices.NEVER_C
            for one in some
        ]

    found = replay_devices.hot(conn, [vehicle_id for _, vehicle_id in some], (limits(before), limits(after)), looked)
    return ((("vehicle", vehicle_id), both) for vehicle_id, both in found)


def _of_silent(conn: Conn, some: Sequence[Device], sites: _Sites, looked: range, before: Rules, after: Rules) -> _Found:
    def patience(rules: Rules, kind: str) -> dict[str, replay_devices.Patience]:
        on, of = rules.settings.is_on, rules.settings.of
        return {
            one[1]: replay_devices.Patience(
                of("device_silent", "afterRhythms", *one, sites.get(one)), of("device_silent", "onlyWhileCharging", *one, sites.get(one))
            )
            for one in some
            if one[0] == kind and on("device_silent", *one, sites.get(one))
        }

    for kind in ("vehicle", "meter"):
        ids = [device_id for of_kind, device_id in some if of_kind == kind]
        for device_id, both in replay_devices.silent(conn, kind, ids, (patience(before, kind), patience(after, kind)), looked):
            yield (kind, device_id), both


_WITH: Mapping[str, Callable[[Conn, Sequence[Device], _Sites, range, Rules, Rules], _Found]] = {
    "low_efficiency": _of_efficiency,
    "suspect_measurement": _of_suspect,
    "battery_hot": _of_hot,
    "device_silent": _of_silent,
}
