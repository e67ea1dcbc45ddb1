"""The alerts of a believable fleet without a database: one for each of its vehicles that is low, and what went before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from dashboard.over import RANGES
from dashboard.pages.alerts import loading, of_subject
from dashboard.pages.alerts.loading import Bins, Card, History, Inbox, Silences
from db.alert_people import Silence
from db.queries.alert_story import Action, Evaluation, Notice, Step, Story
from db.queries.alerts import Counts, Episode, Pending, Wanted
from tests import browser_support
from tests.alert_support import evidence


def episode(episode_id: int, now: datetime, **changes: Any) -> Episode:
    """An open one of low efficiency, an hour old."""
    found: dict[str, Any] = dict.fromkeys(Episode.__dataclass_fields__)
    found |= {
        "episode_id": episode_id, "rule": "low_efficiency", "subject_kind": "vehicle", "subject_id": "van-7", "severity": "warning", "state": "firing",
        "fired_at": now - timedelta(hours=1), "reason": "80.8 % is below the expected 87.2 %", "evidence": evidence(now), "flapping": False,
    }  # fmt: skip
    return Episode(**(found | changes))


def of_row(row: dict[str, Any], now: datetime) -> Episode:
    """The alert of a vehicle that is low."""
    told = evidence(now, row["efficiency"], meterIds=[row["meterId"]])
    who = {"subject_id": row["id"], "name": row["name"], "site_name": row["site"], "site_id": row["site"].replace(" ", "-")}
    return episode(int(row["id"][4:]) + 1, now, severity=row["severity"], evidence=told, **who)


def story(one: Episode, now: datetime) -> Story:
    """It fired, was taken on, and people were told."""
    begun = one.fired_at - timedelta(minutes=16)
    steps = [
        Step(begun, "ok", "pending", one.severity, one.reason, one.evidence),
        Step(one.fired_at, "pending", "firing", one.severity, one.reason, one.evidence),
    ]
    actions = [Action(now - timedelta(minutes=9), "Ada", "acknowledged", None, "fetching another cable")]
    notices = [Notice("firing", "ops", "webhook", one.fired_at, 1, one.fired_at, None, None)]
    return Story(one, steps, actions, notices)


def silence(silence_id: int, now: datetime, **changes: Any) -> Silence:
    """One that holds for another three hours."""
    made = now - timedelta(hours=1)
    whole = Silence(
        silence_id, "low_efficiency", "vehicle", "van-7", None, made, now + timedelta(hours=3), "in the workshop", made, "Ada", None, None
    )
    return replace(whole, **changes)


def fine(now: datetime) -> Evaluation:
    """The newest evaluation went well."""
    return Evaluation("fine", now, now, 200, 1000, None)


def counts(open_: int, critical: int, held: int = 0, **changes: int) -> Counts:
    """So many of which nobody did anything."""
    return replace(Counts(open_ + held, open_, critical, 0, 0, 0, open_, 0), **changes)


class FakeAlerts:
    """Like dashboard.pages.alerts.loading, over a fleet without a database."""

    def __init__(self, fleet: "browser_support.FakeFleet") -> None:
        self._fleet = fleet

    def _open(self, now: datetime) -> list[Episode]:
        self._fleet.row("")  # fails while the database is away
        found = [of_row(row, now) for row in self._fleet.rows if row["severity"]]
        return sorted(found, key=lambda one: one.severity != "critical")

    def load_inbox(self, _: Any, wanted: Wanted, pending: bool, now: datetime) -> Inbox:
        """Every vehicle that is low."""
        found = self._open(now)
        shown = [one for one in found if not wanted.q or wanted.q in (one.subject_id, one.name)]
        held = {found[0].episode_id: (3, [episode(90_000 + n, now, held_back_by=found[0].episode_id) for n in range(2)])} if found else {}
        critical = sum(one.severity == "critical" for one in found)
        waiting = [Pending("battery_hot", "vehicle", "van-9", None, None, None, now, 240, "warning", None)] if pending else []
        return Inbox(now, wanted, counts(len(found), critical, 3 if found else 0), [] if pending else shown, held, waiting, fine(now), [])

    def load_history(self, _: Any, wanted: Wanted, before_id: int | None, now: datetime) -> History:
        """As many as a page holds."""
        over = {"state": "resolved", "resolved_at": now - timedelta(minutes=5), "resolved_because": "recovered"}
        found = self._open(now)
        page = [*found, *(episode(70_000 + n, now, fired_at=now - timedelta(days=n), **over) for n in range(20))]
        return History(now, wanted, before_id, page if found else [], 70_000 if found else None, fine(now), [])

    def load_silences(self, _: Any, now: datetime) -> Silences:
        """One that holds and one that is over."""
        self._fleet.row("")
        return Silences(now, [silence(2, now)], [silence(1, now, ended_at=now, ended_by="Bob", rule=None, subject_kind=None, subject_id=None)], fine(now))  # fmt: skip

    def load_card(self, _: Any, episode_id: int, now: datetime, __: Any) -> Card | None:
        """One of the open ones."""
        one = next((one for one in self._open(now) if one.episode_id == episode_id), None)
        if one is None:
            return None
        end = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        row = browser_support.fleet_row(self._fleet, one.subject_id)
        bins = browser_support.timeline(row, RANGES["24h"], end).bins
        return Card(now, story(one, now), (0, []), Bins(bins, 3600, end), 1, fine(now))

    def load_of_subject(self, _: Any, kind: str, subject_id: str, now: datetime) -> list[Episode]:
        """Its own."""
        return [one for one in self._open(now) if one.subject_id == subject_id]


@contextmanager
def fake_alerts(fleet: "browser_support.FakeFleet") -> Iterator[None]:
    """The alerts pages over this fleet."""
    fake = FakeAlerts(fleet)
    loads = {name: getattr(fake, name) for name in ("load_inbox", "load_history", "load_silences", "load_card")}
    with patch.multiple(loading, **loads), patch.object(of_subject, "load", fake.load_of_subject):
        yield
