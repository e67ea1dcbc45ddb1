"""The nightly learning: from what two months of days taught, what is normal for each vehicle, its model and its charger.

Worked out in memory and written at once, with the number that tells readers to look again. See `db.lessons` for how days are taken.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import attrgetter

from charging.charger import charger_class
from charging.learning import LEARNED_FROM_DAYS, seen_to_give_w
from db import learning_sql as tables
from db.engine import Conn
from db.learner import Learner
from db.learning_sql import Changes, Taken
from db.lessons import ONE_DAY, VEHICLES_AT_ONCE, begins, chunk, take_lessons
from db.queries.policies import Policies

_LEARNING_LOCK = 4_096_115_005
# Where the server was off for long, so many days are caught up before somebody looks whether to go on.
DAYS_AT_ONCE = 7
# While lessons are read nothing is written: after each chunk others have the machine for so long, as a share of the chunk's time.
_REST_SHARE = 0.25


class Busy(Exception):
    """Another process learns."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a day brought: sessions that taught, bands of vehicles and models that changed, vehicles frozen now, chargers newly known."""

    day: date
    sessions: int
    vehicles: int
    frozen: int
    models: int
    chargers: int
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.day}: {self.sessions:,} sessions to learn from, {self.vehicles:,} vehicles learned, {self.frozen:,} frozen, "
            f"{self.models:,} models, {self.chargers:,} chargers, {self.seconds:.1f} s"
        )


Done = Callable[[Learnt], None]


def due(conn: Conn, now: datetime, after: timedelta) -> list[date]:
    """Days that have been over for `after`, are not too old to teach, and nothing was learned from yet; oldest first."""
    newest = (now - after).astimezone(UTC).date() - ONE_DAY
    return tables.days_not_taken(conn, newest - timedelta(days=LEARNED_FROM_DAYS - 1), newest)


def is_running(conn: Conn) -> bool:
    """Whether a process learns now."""
    row = conn.execute("SELECT pg_try_advisory_xact_lock_shared(%s)", (_LEARNING_LOCK,)).fetchone()
    return not (row and row[0])


def learn_due(
    conn: Conn, now: datetime, after: timedelta, policies: Policies, *, most: int = DAYS_AT_ONCE, done: Done | None = None
) -> list[Learnt]:
    """Learn from days that are due, oldest first, `most` at most. The connection must be in autocommit. Raises Busy."""
    with _alone(conn):
        return [_told(learn_day(conn, day, now, policies), done) for day in due(conn, now, after)[:most]]


def learn_days(conn: Conn, first: date, last: date, now: datetime, policies: Policies, *, done: Done | None = None) -> list[Learnt]:
    """Learn from [first, last] in order, each day judged by what the days before it taught. Connection and errors as for `learn_due`.

    Until it is through, vehicles are judged as of the day it has come to; days after `last` that were taken before count again then.
    """
    with _alone(conn):
        with conn.transaction():
            tables.rewind(conn, begins(first))
        found = [_told(_learn_day(conn, day, now, policies, day), done) for day in _days(first, last)]
        newest = tables.newest_taken(conn)
        if newest and newest > last:
            learn_bands(conn, newest, tables.days_taken(conn, first, newest), now)
        return found


def learn_day(conn: Conn, day: date, now: datetime, policies: Policies) -> Learnt:
    """Take the day's lessons, those of the day before once more where that was taken too early for late readings, and learn."""
    newest = tables.newest_taken(conn)
    return _learn_day(conn, day, now, policies, max(day, newest) if newest else day)


def _learn_day(conn: Conn, day: date, now: datetime, policies: Policies, as_of: date) -> Learnt:
    began = time.monotonic()
    before = tables.taken_at(conn, day - ONE_DAY)
    days = 2 if before and before < begins(day + ONE_DAY) else 1
    taught = take_lessons(conn, day, now, policies, days=days)
    found = learn_bands(conn, as_of, {day - n * ONE_DAY for n in range(days)}, now)
    return Learnt(day, taught, found.vehicles, found.frozen, found.models, found.chargers, time.monotonic() - began)


def learn_bands(conn: Conn, day: date, touched: set[date], now: datetime) -> Learnt:
    """What the lessons up to this day show, of vehicles that have one of `touched` days; written at once, with the day as taken."""
    chargers = _seen_chargers(conn, day)
    classes = {meter_id: charger_class(w / 1000) for meter_id, w in {**chargers, **tables.rated_w(conn)}.items()}
    ends, seen_before = begins(day + ONE_DAY), tables.chargers(conn)
    learner = Learner(ends, touched, classes, tables.models(conn), tables.bands(conn), tables.alerted_since(conn))
    for some in _some_vehicles(conn, day):
        for vehicle_id, taken in groupby(some, attrgetter("vehicle_id")):
            learner.hear(vehicle_id, list(taken))
    newly_seen = {meter_id: w for meter_id, w in chargers.items() if seen_before.get(meter_id) != w}
    changes = Changes(learner.learned, learner.frozen_since, learner.peers(tables.peer_bands(conn)), newly_seen)
    with chunk(conn):
        tables.write(conn, changes, ends)
        if tables.forget(conn, day, ends) or changes:
            tables.renew(conn)
        for one in touched:
            tables.mark_taken(conn, one, now)
    return Learnt(day, 0, len(changes.bands), learner.frozen, len(changes.peers), len(changes.chargers))


def _seen_chargers(conn: Conn, day: date) -> dict[str, int]:
    """What chargers without a described rating give, in W: what they were seen to give before, or now."""
    now_w = {meter_id: seen_to_give_w(peaks) for meter_id, peaks in tables.peaks_w(conn, day).items()}
    return {**tables.chargers(conn), **{meter_id: w for meter_id, w in now_w.items() if w}}


def _some_vehicles(conn: Conn, day: date) -> Iterator[list[Taken]]:
    began = time.monotonic()
    for some in tables.lessons(conn, day, VEHICLES_AT_ONCE):
        yield some
        time.sleep(_REST_SHARE * (time.monotonic() - began))
        began = time.monotonic()


@contextmanager
def _alone(conn: Conn) -> Iterator[None]:
    row = conn.execute("SELECT pg_try_advisory_lock(%s)", (_LEARNING_LOCK,)).fetchone()
    if not row or not row[0]:
        raise Busy("another process learns")
    try:
        yield
    finally:
        if not conn.broken:
            conn.execute("SELECT pg_advisory_unlock(%s)", (_LEARNING_LOCK,))


def _told(learnt: Learnt, done: Done | None) -> Learnt:
    if done:
        done(learnt)
    return learnt


def _days(first: date, last: date) -> list[date]:
    return [first + n * ONE_DAY for n in range((last - first).days + 1)]
