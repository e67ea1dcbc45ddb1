"""One evaluation of every rule: what is seen, what that makes of where each rule stood, and what people are told, in one transaction."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from alerting.telling import BEHIND, FLAPPING_CYCLES, FLAPPING_WITHIN, Telling
from charging.alert_rules import ALL_DARK_SHARE, INGESTION, Device, Sighting, Subject, dark, efficiency, hot, silent
from charging.alert_settings import AlertSettings
from charging.alerting import Observation, Standing, Timing, elapsed_s, severity, step, switched_off
from charging.policy import Policy
from db import alert_state
from db.alert_state import Episode, Kept, Key, Transition
from db.engine import Conn
from db.queries.lookback import Lookback
from db.queries.policies import Policies


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
        devices = alert_state.devices(conn, now)
        sites = {d.subject: d.site_id for d in devices}
        sightings = _sightings(conn, lookback, policy, settings, known, devices, now)
        report = _Evaluation(conn, now, elapsed_s(before, now), known, settings, sites).run(sightings, len(devices))
        alert_state.done(conn, now, now - BEHIND, round((time.monotonic() - started) * 1000), len(devices))
    return report


def _sightings(
    conn: Conn,
    lookback: Lookback,
    policy: Policy,
    settings: AlertSettings,
    known: Mapping[Key, Kept],
    devices: Sequence[Device],
    now: datetime,
) -> dict[Key, Sighting]:
    """What there is to say of every subject that a rule is wanted for."""
    sites = {d.subject.id: d.site_id for d in devices if d.subject.kind == "vehicle"}
    found: dict[Key, Sighting] = {}
    for sighting in _of_efficiency(lookback, conn, policy, sites, now):
        found[Key(sighting.rule, *sighting.subject)] = sighting
    for sighting in (*_of_devices(devices, settings, known, now), *_of_sites(devices, settings, now)):
        found[Key(sighting.rule, *sighting.subject)] = sighting
    return {key: one for key, one in found.items() if settings.is_on(key.rule, key.kind, key.id, one.site_id)}


def _of_efficiency(lookback: Lookback, conn: Conn, policy: Policy, sites: Mapping[str, str | None], now: datetime) -> Iterator[Sighting]:
    for vehicle_id, seen in lookback.evidence(conn, now - BEHIND, policy).items():
        site_id, to = sites.get(vehicle_id), now - BEHIND
        yield from efficiency(vehicle_id, site_id, seen.since, seen.until, seen.summary, seen.judged, to, seen.decides)


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

    def __init__(
        self,
        conn: Conn,
        now: datetime,
        passed_s: float,
        known: Mapping[Key, Kept],
        settings: AlertSettings,
        sites: Mapping[Subject, str | None],
    ) -> None:
        self._conn, self._now, self._passed_s, self._known, self._settings, self._sites = conn, now, passed_s, known, settings, sites
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
        notices = Telling(self._conn, self._now, sightings).tell([episode_id for episode_id, _ in self._over])
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
        # What is pending has no episode that would say at which site it is.
        site_id = episode.site_id if episode else key.id if key.kind == "site" else self._sites.get(key.subject)
        if self._settings.is_on(key.rule, key.kind, key.id, site_id):
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
