"""What people are told of the alerts after an evaluation: once for each episode, again when it becomes critical, and when it is over."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from charging.alert_rules import INGESTION, Sighting, Subject
from db import alert_state, outbox
from db.alert_state import Episode, Key
from db.engine import Conn

# Readings may be this late and still be in the evaluation that concerns them.
BEHIND = timedelta(seconds=120)
# An alert that recovered so often within so long and comes again is flapping: one notice, then quiet.
FLAPPING_CYCLES, FLAPPING_WITHIN = 2, timedelta(hours=6)
# One that then stays firing for as long as a cycle of a flapping one takes at most does not come and go any more: it is told as ever.
FLAPPING_NO_MORE = FLAPPING_WITHIN / (FLAPPING_CYCLES + 1)


class Telling:
    """Who is told what: once for each episode, again when it becomes critical, and when it is over."""

    def __init__(self, conn: Conn, now: datetime, sightings: Mapping[Key, Sighting]) -> None:
        self._conn, self._now, self._sightings = conn, now, sightings
        self._silences = alert_state.silences(conn, now)

    def tell(self, over: Sequence[int]) -> int:
        """How many notices were put into the outbox."""
        running = alert_state.open_episodes(self._conn)
        self._hold_back(running)
        alert_state.settle(self._conn, [one.episode_id for one in running if self._stays(one)])
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

    def _stays(self, one: Episode) -> bool:
        """Whether one that was flapping has been firing for so long that it is no longer."""
        return one.flapping and one.state == "firing" and one.since is not None and one.since <= self._now - FLAPPING_NO_MORE

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
