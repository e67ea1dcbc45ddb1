"""What the alerts pages show, read from the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from charging.verdict import Summary
from db import alert_people, sites
from db.alert_people import Silence
from db.engine import Conn
from db.queries import alert_story, alerts, performance
from db.queries.alert_story import Evaluation, Story
from db.queries.alerts import Counts, Episode, Pending, Wanted
from db.queries.policies import Policies

# What a list can carry and a person can read; the counts and the file know them all.
MOST_SHOWN, MOST_HELD, HISTORY_PAGE, MOST_PAST = 200, 50, 50, 100
# The chart has 24 bars: of a quarter of an hour where the window fits well into six hours, else of an hour.
BARS, FINE_S, COARSE_S = 24, 900, 3600
FINE_UP_TO = timedelta(hours=3)

Sites = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Inbox:
    """Open alerts that are wanted, those that another explains left out but where they were asked for; `held` are those, by the one that does."""

    now: datetime
    wanted: Wanted
    counts: Counts
    shown: Sequence[Episode]
    held: Mapping[int, tuple[int, Sequence[Episode]]]
    pending: Sequence[Pending]
    evaluation: Evaluation
    sites: Sites


@dataclass(frozen=True, slots=True)
class History:
    """A page of alerts of any state, newest first; `older`: the id after which the next page goes on, None on the last."""

    now: datetime
    wanted: Wanted
    before_id: int | None
    page: Sequence[Episode]
    older: int | None
    evaluation: Evaluation
    sites: Sites


@dataclass(frozen=True, slots=True)
class Silences:
    """Those that hold at `now`, and the newest of those that do not any more."""

    now: datetime
    active: Sequence[Silence]
    past: Sequence[Silence]
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class Bins:
    """Judged evidence around the alert's window: BARS bins of `bin_s` seconds up to `end`."""

    bins: Sequence[tuple[datetime, Summary]]
    bin_s: int
    end: datetime


@dataclass(frozen=True, slots=True)
class Card:
    """One alert with all that belongs to it."""

    now: datetime
    story: Story
    held: tuple[int, Sequence[Episode]]
    bins: Bins | None
    channels: int
    evaluation: Evaluation


def load_inbox(conn: Conn, wanted: Wanted, pending: bool, now: datetime) -> Inbox:
    """`pending`: what may become an alert instead of those that are."""
    shown = [] if pending else alerts.episodes(conn, wanted, now, MOST_SHOWN, worst_first=True)
    waiting = alerts.pending(conn, wanted, MOST_SHOWN) if pending else []
    held = alerts.held_back(conn, [one.episode_id for one in shown], now, MOST_HELD)
    return Inbox(now, wanted, alerts.counts(conn, now), shown, held, waiting, alert_story.evaluation(conn, now), _sites(conn))


def load_history(conn: Conn, wanted: Wanted, before_id: int | None, now: datetime) -> History:
    """One more than a page is read, to know whether there is another."""
    found = alerts.episodes(conn, wanted, now, HISTORY_PAGE + 1, before_id)
    page = found[:HISTORY_PAGE]
    older = page[-1].episode_id if len(found) > HISTORY_PAGE else None
    return History(now, wanted, before_id, page, older, alert_story.evaluation(conn, now), _sites(conn))


def load_silences(conn: Conn, now: datetime) -> Silences:
    """All that hold, however many."""
    active = alert_people.silences(conn, active_at=now)
    holding = {one.silence_id for one in active}
    past = [one for one in alert_people.silences(conn, limit=MOST_PAST + len(active)) if one.silence_id not in holding]
    return Silences(now, active, past[:MOST_PAST], alert_story.evaluation(conn, now))


def load_card(conn: Conn, episode_id: int, now: datetime, policies: Policies) -> Card | None:
    """None if there is none with this id."""
    story = alert_story.story(conn, episode_id, now)
    if story is None:
        return None
    held = alerts.held_back(conn, [episode_id], now, MOST_HELD).get(episode_id, (0, []))
    return Card(now, story, held, _bins(conn, story.episode, policies), alert_story.channels(conn), alert_story.evaluation(conn, now))


def _bins(conn: Conn, one: Episode, policies: Policies) -> Bins | None:
    """Of a vehicle whose evidence is a window; None of anything else."""
    window = evidence_window(one)
    if one.subject_kind != "vehicle" or window is None:
        return None
    start, end = window
    bin_s = FINE_S if end - start <= FINE_UP_TO else COARSE_S
    # Whole bins: the last one holds the window's end.
    last = end + timedelta(seconds=-end.timestamp() % bin_s)
    return Bins(performance.bins(conn, one.subject_id, last - BARS * timedelta(seconds=bin_s), last, bin_s, policies), bin_s, last)


def evidence_window(one: Episode) -> tuple[datetime, datetime] | None:
    """The window that the newest evidence is of."""
    found = [one.evidence.get(name) for name in ("windowFrom", "windowTo")]
    try:
        start, end = (datetime.fromisoformat(str(at)) for at in found)
    except ValueError:
        return None
    return (start, end) if start.tzinfo and end.tzinfo and start < end else None


def _sites(conn: Conn) -> Sites:
    return [(one.site_id, one.name) for one in sites.sites(conn)]
