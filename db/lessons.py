"""What a day taught: the sessions that ended on it, judged as their vehicles are judged now, as hours that can be learned from.

Taken some vehicles at a time, each chunk in a transaction of its own, and the same when taken again. Only rollups and assignments are
read, and none of their rows is locked: readings come in meanwhile.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

from charging.learning import Plain, bins, teaches
from charging.sessions import Session
from charging.verdict import Verdict
from db import learning_sql as tables
from db.engine import Conn
from db.learning_sql import Taken
from db.queries import sessions
from db.queries.policies import Policies

# The days of 500 vehicles are read in a second; as many vehicles' two months take some tens of megabytes.
VEHICLES_AT_ONCE = 500
ONE_DAY = timedelta(days=1)
_SETTINGS = {
    # A chunk takes a second or two; a server that is busy may take longer, one that hangs is not waited for.
    "statement_timeout": "2min",
    "lock_timeout": "10s",
    "jit": "off",
    # A chunk's quarters are sorted in memory.
    "work_mem": "32MB",
}
# Devices' commits come first: after each chunk others have the machine for so long, as a share of the chunk's time.
_REST_SHARE = 0.25


def begins(day: date) -> datetime:
    """A UTC day's first instant."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@contextmanager
def chunk(conn: Conn) -> Iterator[None]:
    """A transaction of its own (a part of one where the caller has begun it), and a rest after it."""
    began = time.monotonic()
    with conn.transaction():
        for name, value in _SETTINGS.items():
            conn.execute(f"SET LOCAL {name} = '{value}'")
        yield
    time.sleep(_REST_SHARE * (time.monotonic() - began))


def take_lessons(
    conn: Conn, day: date, now: datetime, policies: Policies, *, days: int = 1, vehicles_at_once: int = VEHICLES_AT_ONCE
) -> int:
    """Derive the sessions that ended on the `days` UTC days up to this one and keep what they teach; of how many on the day itself.

    Taken again, a day has the same lessons. Two days at once cost little more than one, for sessions are looked for from the day before.
    """
    taught, everyone = 0, tables.assigned_vehicles(conn)
    wanted = [day - n * ONE_DAY for n in range(days)]
    for first in range(0, len(everyone), vehicles_at_once):
        with chunk(conn):
            some = everyone[first : first + vehicles_at_once]
            taken = _taken(sessions.with_quarters(conn, some, begins(wanted[-1]), begins(day + ONE_DAY), now, policies))
            tables.replace_lessons(conn, wanted, some, taken)
            taught += sum(one.sessions for one in taken if one.day == day)
    return taught


_Judged = tuple[Session, list[Plain]]


def _taken(found: Iterable[_Judged]) -> list[Taken]:
    of: dict[tuple[str, date, str], list[_Judged]] = {}
    for session, quarters in found:
        if session.summary.verdict in (Verdict.OK, Verdict.LOW):
            # A session that ended on the stroke of midnight ended on the day before.
            day = (session.end - timedelta(microseconds=1)).date()
            of.setdefault((session.vehicle_ids[0], day, session.meter_id or ""), []).append((session, quarters))
    return [_of_meter(*key, sorted(of[key], key=_end)) for key in sorted(of)]


def _end(judged: _Judged) -> datetime:
    return judged[0].end


def _of_meter(vehicle_id: str, day: date, meter_id: str, judged: Sequence[_Judged]) -> Taken:
    newest = judged[-1][0]
    ok = [(session, quarters) for session, quarters in judged if teaches(session.summary)]
    hours = [one for session, quarters in ok for one in bins(quarters, _step_milliwh(session))]
    return Taken(
        vehicle_id=vehicle_id,
        day=day,
        meter_id=meter_id,
        sessions=len(ok),
        ac_milliwh=[one.ac_milliwh for one in hours],
        dc_milliwh=[one.dc_milliwh for one in hours],
        charging_s=[round(one.charging_us / 1_000_000) for one in hours],
        peaks_w=[round(1000 * session.peak_kw) for session, _ in judged if session.peak_kw],
        newest_at=newest.end,
        newest_is_low=newest.summary.verdict is Verdict.LOW,
    )


def _step_milliwh(session: Session) -> int:
    return session.summary.evidence.dc.step_milliwh + session.summary.evidence.ac.step_milliwh
