"""One evaluation of every rule: what is seen, what that makes of where each rule stood, and what people are told, in one transaction."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from charging.alert_rules import ALL_DARK_SHARE, INGESTION, Device, Sighting, Subject, dark, efficiency, hot, silent
from charging.alert_settings import AlertSettings
from charging.alerting import Observation, Standing, Timing, elapsed_s, severity, step, switched_off
from charging.policy import Policy
from db import alert_state, outbox
from db.alert_state import Episode, Kept, Key, Transition
from db.engine import Conn
from db.queries.lookback import Lookback
from db.queries.policies import Policies

# Readings may be this late and still be in the evaluation that concerns them.
BEHIND = timedelta(seconds=120)
# An alert that recovered so often within so long and comes again is flapping: one notice, then quiet.
FLAPPING_CYCLES, FLAPPING_WITHIN = 2, timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation did; `subjects`: vehicles with evidence and devices looked at."""

    subjects: int
    transitions: int
    fired: int
    resolved: int
    notices: int


def evaluate(conn: Conn, lookback: Lookback, policies: Policies, now: datetime) -> Report | None:
    """All rules as of `now`, committed or not done at all. None where somebody else is at it."""
    started = time.monotonic()
    with conn.transaction():
        free, before = alert_state.begin(conn)
        if not free:
            return None
        policy = policies.current(conn)
        known = alert_state.standings(conn)
        settings = alert_state.settings(conn)
        sightings, subjects = _sightings(conn, lookback, policy, settings, known, now)
        report = _Evaluation(conn, now, elapsed_s(before, now), known, settings).run(sightings, subjects)
        alert_state.done(conn, now, now - BEHIND, round((time.monotonic() - started) * 1000), subjects)
    return report


def _sightings(
    conn: Conn, lookback: Lookback, policy: Policy, settings: AlertSettings, known: Mapping[Key, Kept], now: datetime
) -> tuple[dict[Key, Sighting], int]:
    """What there is to say of every subject that a rule is wanted for; and how many subjects were looked at."""
    devices = alert_state.devices(conn, now)
    sites = {d.subject.id: d.site_id for d in devices if d.subject.kind == "vehicle"}
    found: dict[Key, Sighting] = {}
    for sighting in _of_efficiency(lookback, conn, policy, sites, now):
        found[Key(sighting.rule, *sighting.subject)] = sighting
    for sighting in (*_of_devices(devices, settings, known, now), *_of_sites(devices, settings, now)):
        found[Key(sighting.rule, *sighting.subject)] = sighting
    wanted = {key: one for key, one in found.items() if settings.is_on(key.rule, key.kind, key.id, one.site_id)}
    return wanted, len(devices)


def _of_efficiency(lookback: Lookback, conn: Conn, policy: Policy, sites: Mapping[str, str | None], now: datetime) -> Iterator[Sighting]:
    for vehicle_id, seen in lookback.evidence(conn, now - BEHIND, policy).items():
        yield from efficiency(vehicle_id, sites.get(vehicle_id), seen.since, seen.until, seen.summary, seen.judged, now - BEHIND)


def _of_devices(devices: Sequence[Device], settings: AlertSettings, known: Mapping[Key, Kept], now: datetime) -> Iterator[Sighting]:
    for device in devices:
        sighting = silent(device, settings, now, Key("device_silent", *device.subject) in known)
        if sighting:
            yield sighting
        if device.battery_temp_centi_c is not None:
            yield hot(device, settings, now)


def _of_sites(devices: Sequence[Device], settings: AlertSettings, now: datetime) -> Iterator[Sighting]:
    by_site: dict[str, list[Device]] = {}
    for device in devices:
        if device.site_id:
            by_site.setdefault(device.site_id, []).append(device)
    for site_id, some in by_site.items():
        if found := dark(Subject("site", site_id), some, settings.of("site_dark", "share", "site", site_id, site_id), now):
            yield found
    if found := dark(INGESTION, devices, ALL_DARK_SHARE, now):
        yield found


class _Evaluation:
    """Writes what follows from what was seen."""

    def __init__(self, conn: Conn, now: datetime, passed_s: float, known: Mapping[Key, Kept], settings: AlertSettings) -> None:
        self._conn, self._now, self._passed_s, self._known, self._settings = conn, now, passed_s, known, settings
        self._kept: dict[Key, Kept] = {}
        self._gone: list[Key] = []
        self._steps: list[tuple[Transition, int | None]] = []
        self._evidence: list[tuple[int, str, str, dict[str, Any]]] = []
        self._over: list[tuple[int, str]] = []
        self._fired = 0

    def run(self, sightings: Mapping[Key, Sighting], subjects: int) -> Report:
        running = {one.episode_id: one for one in alert_state.open_episodes(self._conn)} if self._known else {}
        for key, sighting in sightings.items():
            kept = self._known.get(key)
            margin = sighting.observation.margin
            # Of nearly all there is nothing to say: they are fine, and were.
            if kept or (margin is not None and margin < 0):
                self._advance(key, kept, sighting, running.get(kept.episode_id or 0) if kept else None)
        for key in self._known.keys() - sightings.keys():
            self._unseen(key, self._known[key], running)
        alert_state.keep(self._conn, self._kept)
        alert_state.drop(self._conn, self._gone)
        alert_state.record(self._conn, self._now, self._steps)
        alert_state.update(self._conn, self._evidence)
        for episode_id, because in self._over:
            alert_state.resolve(self._conn, self._now, episode_id, because)
        notices = _Telling(self._conn, self._now, sightings).tell([episode_id for episode_id, _ in self._over])
        return Report(subjects, len(self._steps), self._fired, len(self._over), notices)

    def _advance(self, key: Key, kept: Kept | None, sighting: Sighting, episode: Episode | None) -> None:
        observation = sighting.observation
        if episode and sighting.begins and sighting.begins < episode.fired_at:
            # What was before the alert does not end it, however well it was.
            observation = replace(observation, sure=-math.inf)
        if kept and kept.seen and sighting.seen:
            observation = replace(observation, is_new=sighting.seen > kept.seen or sighting.goes_on)
        after, taken = step(kept.standing if kept else None, observation, self._passed_s, self._now, sighting.timing)
        episode_id = kept.episode_id if kept else None
        seen = sighting.seen if observation.is_new or not kept else kept.seen
        if taken:
            transition = Transition(key, taken, observation.severity, sighting.reason, sighting.evidence())
            if (taken.source, taken.target) == ("pending", "firing"):
                episode_id = alert_state.fire(self._conn, self._now, transition, sighting.site_id, FLAPPING_WITHIN, FLAPPING_CYCLES)
                self._fired += 1
            self._steps.append((transition, episode_id))
        if after is None:
            self._end(key, episode_id, taken.because if taken else "")
            return
        now_kept = Kept(after, seen, episode_id)
        if now_kept != kept:
            self._kept[key] = now_kept
        self._show(kept, after, sighting, observation)

    def _show(self, kept: Kept | None, after: Standing, sighting: Sighting, observation: Observation) -> None:
        """A running episode shows the newest evidence of what is wrong, not of how it becomes better."""
        if kept and kept.episode_id and observation.is_new and observation.is_below:
            called = severity(after, observation, sighting.timing)
            self._evidence.append((kept.episode_id, called, sighting.reason, sighting.evidence()))

    def _unseen(self, key: Key, kept: Kept, running: Mapping[int, Episode]) -> None:
        """Nothing is known of this one: it has no evidence, is no more, or people do not want its rule."""
        episode = running.get(kept.episode_id or 0)
        after: Standing | None
        if self._settings.is_on(key.rule, key.kind, key.id, episode.site_id if episode else None):
            after, taken = step(kept.standing, Observation(None), self._passed_s, self._now, Timing())
        else:
            after, taken = None, switched_off(kept.standing)
        if taken:
            known = episode.evidence if episode else {}
            transition = Transition(key, taken, episode.severity if episode else "warning", "nothing new is known", known)
            self._steps.append((transition, kept.episode_id))
        if after is None:
            self._end(key, kept.episode_id, taken.because if taken else "")
        else:
            self._kept[key] = replace(kept, standing=after)

    def _end(self, key: Key, episode_id: int | None, because: str) -> None:
        self._gone.append(key)
        if episode_id:
            self._over.append((episode_id, because))


class _Telling:
    """Who is told what: once for each episode, again when it becomes critical, and when it is over."""

    def __init__(self, conn: Conn, now: datetime, sightings: Mapping[Key, Sighting]) -> None:
        self._conn, self._now, self._sightings = conn, now, sightings
        self._silences = alert_state.silences(conn, now)

    def tell(self, over: Sequence[int]) -> int:
        """How many notices were put into the outbox."""
        running = alert_state.open_episodes(self._conn)
        self._hold_back(running)
        ended = [
            one
            for one in alert_state.episodes(self._conn, over)
            if one.notified_severity and not one.flapping and not self._is_silenced(one)
        ]
        due = [one for one in alert_state.open_episodes(self._conn) if self._is_due(one)]
        names = alert_state.names(
            self._conn, [one.key.subject for one in (*ended, *due)], [one.site_id for one in (*ended, *due) if one.site_id]
        )
        return sum(self._tell_of(one, names) for one in due) + sum(self._tell_end(one, names) for one in ended)

    def _is_silenced(self, one: Episode) -> bool:
        return any(silence.matches(one.key, one.site_id) for silence in self._silences)

    def _is_due(self, one: Episode) -> bool:
        """One of which people do not know enough, and nothing speaks against telling them."""
        knows = one.notified_severity in ("critical", one.severity)
        return not knows and one.state == "firing" and not one.held_back_by and not self._waits(one) and not self._is_silenced(one)

    def _hold_back(self, running: Sequence[Episode]) -> None:
        """A silent device or a dark site behind something larger that is dark."""
        holders = {one.key.subject: one for one in running if one.key.rule == "site_dark"}
        changed = []
        for one in running:
            holder = next((h for s in _behind(one) if (h := holders.get(s)) and _is_consequence(one, h)), None)
            held_by = holder.episode_id if holder else None
            if held_by != one.held_back_by:
                changed.append((held_by, one.episode_id))
        alert_state.hold_back(self._conn, changed)

    def _waits(self, one: Episode) -> bool:
        """Whether the site, or everything, may be about to be found dark: then that is what people want to hear."""
        for subject in _behind(one):
            sighting = self._sightings.get(Key("site_dark", *subject))
            if sighting and sighting.since and _began(one) >= sighting.since - BEHIND:
                return True
        return False

    def _tell_of(self, one: Episode, names: Mapping[Subject, str]) -> int:
        first = one.notified_severity is None
        kind: outbox.Kind = "flapping" if one.flapping else "firing" if first else "escalated"
        told = 0
        quiet = one.flapping and (
            not first or alert_state.was_called_flapping(self._conn, one.key, self._now - FLAPPING_WITHIN, one.episode_id)
        )
        if not quiet:
            told = self._announce(kind, _key(one, kind), one, names)
        alert_state.notified(self._conn, self._now, one.episode_id, one.severity)
        return told

    def _tell_end(self, one: Episode, names: Mapping[Subject, str]) -> int:
        return self._announce("resolved", _key(one, "resolved"), one, names)

    def _announce(self, kind: outbox.Kind, key: str, one: Episode, names: Mapping[Subject, str]) -> int:
        row = self._conn.execute(
            "SELECT resolved_at, resolved_because FROM alert_episode WHERE episode_id = %s", (one.episode_id,)
        ).fetchone()
        assert row
        resolved_at: Any
        resolved_at, because = row
        body = {
            "kind": kind,
            "rule": one.key.rule,
            "subject": {"kind": one.key.kind, "id": one.key.id, "name": names.get(one.key.subject)},
            "site": {"id": one.site_id, "name": names.get(Subject("site", one.site_id))} if one.site_id else None,
            "severity": one.severity,
            "state": "resolved" if resolved_at else one.state,
            "firedAt": _z(one.fired_at),
            "resolvedAt": _z(resolved_at) if resolved_at else None,
            "because": because,
            "reason": one.reason,
            "evidence": one.evidence,
            "episodeId": one.episode_id,
            "path": f"/alerts/{one.episode_id}",
        }
        return outbox.announce(self._conn, kind, key, body, one.severity, one.episode_id, self._now)


def _key(one: Episode, kind: str) -> str:
    """Also another one after a backup was restored, which counts episodes on from an older number."""
    return f"episode:{one.episode_id}:{one.fired_at.timestamp():.0f}:{kind}"


def _behind(one: Episode) -> Iterator[Subject]:
    """What might be the reason of this one, the largest first."""
    if one.key.rule == "site_dark" and one.key.subject != INGESTION:
        yield INGESTION
    if one.key.rule == "device_silent":
        yield INGESTION
        if one.site_id:
            yield Subject("site", one.site_id)


def _began(one: Episode) -> datetime:
    """When the silence of a device, or of a site, began."""
    said = one.evidence.get("lastReceivedAt") or one.evidence.get("since")
    return datetime.fromisoformat(said) if said else one.fired_at


def _is_consequence(one: Episode, holder: Episode) -> bool:
    """What fell silent before the darkness is a matter of its own."""
    return _began(one) >= _began(holder) - BEHIND


def _z(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
