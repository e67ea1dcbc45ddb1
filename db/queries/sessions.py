"""Charging sessions, worked out from the quarters at every question: late data and corrected assignments are in them at once, and nothing has to be rebuilt.

Boundaries are exact to the reading, because a quarter knows when its first and its last charging reading were.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charging.evidence import STANDBY_W, Evidence, together
from charging.feeds import Feed, feeds
from charging.learning import Plain
from charging.policy import Policy
from charging.sessions import LONGEST_SILENCE_S, PAUSE_S, PEAK_AT_LEAST_S, Session, begins_anew, charged
from charging.units import to_kwh
from charging.verdict import Summary, nobodys
from db.engine import Conn
from db.gathered import Ints, instant, instant_us
from db.queries.assigned import assigned
from db.queries.policies import Policies
from db.queries.spans import Happened, Span, happened, in_portions
from db.queries.weighing import (
    CHARGING,
    FIRST,
    LAST,
    MILLIWH,
    NO_SOC,
    QUARTER_S,
    QUARTER_US,
    READINGS,
    SOC_MAX,
    SOC_MIN,
    Quarters,
    plain,
    weigh,
)
from db.queries.weighing import evidence as in_words

# How far before a window is looked for the beginning of a session that ends in it, the first time and at last.
_LEAD, _MOST_LEAD = timedelta(hours=30), timedelta(days=16)
# How far after it is looked for whether a session goes on.
_TAIL = timedelta(seconds=LONGEST_SILENCE_S + PAUSE_S)
_TAIL_US = int(_TAIL / timedelta(microseconds=1))
# No reading is taken whose clock is further ahead than a few minutes.
_CLOCK_AHEAD = timedelta(hours=1)
_FAR_US = 1 << 60
_STRIDE = 1 << 32  # more quarters than there will ever be

Mask = NDArray[np.bool_]


def of_vehicles(
    conn: Conn, vehicle_ids: Sequence[str], start: datetime, end: datetime, now: datetime, policies: Policies | None = None
) -> list[Session]:
    """Sessions of these vehicles that ended in (start, end], ordered by end; those of a shared meter are its group's.

    What a clock that is ahead dates after `now` ended now: a charge that is going on is told whichever clock its devices have.
    """
    return sorted((session for session, _ in _chunked(conn, vehicle_ids, (), start, end, now, policies)), key=_order)


def of_meters(
    conn: Conn, meter_ids: Sequence[str], start: datetime, end: datetime, now: datetime, policies: Policies | None = None
) -> list[Session]:
    """Sessions at these meters that ended in (start, end], ordered by end, also those of no assigned vehicle."""
    return sorted((session for session, _ in _chunked(conn, (), meter_ids, start, end, now, policies)), key=_order)


def of_everyone(conn: Conn, start: datetime, end: datetime, now: datetime, policies: Policies | None = None) -> Iterator[Session]:
    """Every session that ended in (start, end], each once, a chunk of meters and vehicles at a time."""
    vehicle_ids = _ids(conn, "SELECT vehicle_id FROM live_vehicle UNION SELECT vehicle_id FROM assignment ORDER BY 1")
    meter_ids = _ids(conn, "SELECT meter_id FROM live_meter UNION SELECT meter_id FROM assignment WHERE meter_id IS NOT NULL ORDER BY 1")
    yield from (session for session, _ in _chunked(conn, vehicle_ids, meter_ids, start, end, now, policies))


def with_quarters(
    conn: Conn, vehicle_ids: Sequence[str], start: datetime, end: datetime, now: datetime, policies: Policies | None = None
) -> Iterator[tuple[Session, list[Plain]]]:
    """Sessions that ended in (start, end] of these vehicles, each alone on a meter, with their quarters that were not set aside, in order."""
    yield from _chunked(conn, vehicle_ids, (), start, end, now, policies, alone=True)


def _ids(conn: Conn, statement: str) -> list[str]:
    return [str(row[0]) for row in conn.execute(statement).fetchall()]


def _order(session: Session) -> tuple[datetime, str]:
    return session.end, session.meter_id or ""


def _chunked(
    conn: Conn,
    vehicle_ids: Sequence[str],
    meter_ids: Sequence[str],
    start: datetime,
    end: datetime,
    now: datetime,
    policies: Policies | None,
    *,
    alone: bool = False,
) -> Iterator[tuple[Session, list[Plain]]]:
    """Each session once; with `alone` only those of one vehicle on a meter, and their plain quarters."""
    policy = policies.current(conn) if policies else Policy()
    who = assigned(conn, vehicle_ids, meter_ids)
    lead = _LEAD
    # Whole quarters, so that a quarter is the same whatever window it is read for.
    since_us, until_us = _quarter_before(start - lead), _quarter_before(end + _TAIL) + QUARTER_US
    wanted = feeds(who, vehicle_ids, meter_ids, since_us, until_us)
    if alone:
        wanted = [feed for feed in wanted if feed.meter_id and len(feed.vehicle_ids) == 1]
    while wanted:
        longest = lead >= _MOST_LEAD
        cut: set[_Place] = set()
        for chunk in in_portions(wanted):
            found = _of_feeds(conn, chunk, since_us, instant_us(now), policy, with_quarters=alone)
            again = set() if longest else {_place(one.feed) for one in found if one.begun_before and one.end > start}
            kept = (one for one in found if start < _told_at(one.end, now) <= end and _place(one.feed) not in again)
            yield from ((one.session, one.quarters) for one in kept if one.session)
            cut |= again
        lead = min(_MOST_LEAD, lead * 4)
        since_us = _quarter_before(start - lead)
        earlier = feeds(who, vehicle_ids, meter_ids, since_us, until_us) if cut else []
        wanted = [feed for feed in earlier if _place(feed) in cut]


def _told_at(end: datetime, now: datetime) -> datetime:
    return now if now < end <= now + _CLOCK_AHEAD else end


def _quarter_before(at: datetime) -> int:
    return instant_us(at) // QUARTER_US * QUARTER_US


_Place = tuple[tuple[str, ...], str, int]


def _place(feed: Feed) -> _Place:
    """What a feed is known by, however early it is cut."""
    return feed.vehicle_ids, feed.meter_id, feed.until_us


class _Found(NamedTuple):
    """A session of a feed, None for what is too little to be one; `begun_before`: it may have begun before what was read.

    `quarters` are its plain ones, where they were asked for.
    """

    feed: Feed
    end: datetime
    session: Session | None
    begun_before: bool
    quarters: list[Plain]


@dataclass(frozen=True, slots=True)
class _Flow:
    """One side of marks: the energy, how long it flowed, and the readings that charged."""

    milliwh: Ints
    us: Ints
    readings: Ints


@dataclass(frozen=True, slots=True)
class _Marks:
    """Quarters of a feed in which something charged, ordered by feed and quarter; instants in µs since 2000, charge in hundredths of a percent.

    `rank` counts the feed's quarters in which anything was reported.
    """

    feed: Ints
    number: Ints
    rank: Ints
    quarter_us: Ints
    start_us: Ints
    end_us: Ints
    soc_min: Ints
    soc_max: Ints
    dc: _Flow
    ac: _Flow


def _of_feeds(conn: Conn, chunk: list[Feed], read_from_us: int, now_us: int, policy: Policy, *, with_quarters: bool) -> list[_Found]:
    """What charged in these feeds, session by session."""
    cases = [(n, vehicle_id) for n, feed in enumerate(chunk) for vehicle_id in (feed.vehicle_ids or ("",))]
    spans = [Span(case, vehicle, chunk[n].meter_id, chunk[n].since_us, chunk[n].until_us) for case, (n, vehicle) in enumerate(cases)]
    what = happened(conn, spans, len(cases))
    feed_of_case = np.array([n for n, _ in cases])
    marks = _marks(what, feed_of_case, chunk)
    if marks is None:
        return []
    starts = _starts(marks)
    weighed = _weighed(what, feed_of_case, marks, starts)
    quarters = _plain(what, feed_of_case, marks, starts) if with_quarters else [[]] * len(starts)
    found = []
    for n, (begin, end) in enumerate(pairwise([*starts.tolist(), len(marks.feed)])):
        feed, these = chunk[int(marks.feed[begin])], slice(begin, end)
        summary = _judged(feed, weighed[n], int(marks.dc.readings[these].sum()), int(marks.ac.readings[these].sum()), policy)
        begun_before = feed.since_us <= read_from_us and int(marks.start_us[begin]) - read_from_us < _TAIL_US
        session = _session(feed, summary, marks, these, now_us) if summary else None
        found.append(_Found(feed, instant(int(marks.end_us[these].max())), session, begun_before, quarters[n]))
    return found


def _marks(what: Happened, feed_of_case: Ints, chunk: Sequence[Feed]) -> _Marks | None:
    """None where nothing charged."""
    q, rhythms = what.quarters, what.rhythms
    feed = feed_of_case[q.vehicle]
    key = feed * _STRIDE + q.number
    reported = np.unique(key)
    since_us = np.array([feed.since_us for feed in chunk])[feed_of_case]
    dc_from, dc_to = _flowed(what, q.dc, rhythms.dc_s, since_us)
    ac_from, ac_to = _flowed(what, q.ac, rhythms.ac_s, since_us)
    rows = np.flatnonzero((dc_to > dc_from) | (ac_to > ac_from))
    if not len(rows):
        return None
    rows = rows[np.argsort(key[rows], kind="stable")]
    at = np.flatnonzero(np.append(True, key[rows][1:] != key[rows][:-1]))
    several = np.array([len(feed.vehicle_ids) > 1 for feed in chunk])[feed[rows][at]]  # nobody's charge is theirs together
    start_us = np.minimum.reduceat(np.minimum(dc_from, ac_from)[rows], at)
    end_us = np.maximum.reduceat(np.maximum(dc_to, ac_to)[rows], at)
    # Of two devices with unlike rhythms the slower one's first reading may reach back further than the other's last.
    start_us[1:] = np.maximum(start_us[1:], np.where(feed[rows][at][1:] == feed[rows][at][:-1], end_us[:-1], -_FAR_US))
    return _Marks(
        feed=feed[rows][at],
        number=q.number[rows][at],
        rank=np.searchsorted(reported, key[rows][at]),
        quarter_us=(q.number[rows][at] + what.first_quarter) * QUARTER_US,
        start_us=start_us,
        end_us=end_us,
        soc_min=np.where(several, NO_SOC, q.dc[SOC_MIN][rows][at]),
        soc_max=np.where(several, NO_SOC, q.dc[SOC_MAX][rows][at]),
        dc=_Flow(
            np.add.reduceat(q.dc[MILLIWH][rows], at),
            np.maximum.reduceat(np.maximum(0, dc_to - dc_from)[rows], at),
            np.add.reduceat(q.dc[CHARGING][rows], at),
        ),
        # The meter's, which stands there for each of its vehicles.
        ac=_Flow(
            np.maximum.reduceat(q.ac[MILLIWH][rows], at),
            np.maximum.reduceat(np.maximum(0, ac_to - ac_from)[rows], at),
            np.maximum.reduceat(q.ac[CHARGING][rows], at),
        ),
    )


def _flowed(what: Happened, did: Ints, rhythm_s: Ints, since_us: Ints) -> tuple[Ints, Ints]:
    """From when to when energy flowed on a side, by quarter, in µs since 2000; (far, before everything) where no more than standby did.

    A slow device's energy came in before the quarter that it was told in: from a rhythm before its first charging reading, but not from
    before the case's beginning or what flowed in an earlier quarter. `since_us` by case.
    """
    q = what.quarters
    rhythm, quarter_us = rhythm_s[q.vehicle], (q.number + what.first_quarter) * QUARTER_US
    flowed = (did[CHARGING] > 0) & (did[MILLIWH] * 3600 > STANDBY_W * 1000 * did[READINGS] * rhythm)
    begin = np.maximum(quarter_us + did[FIRST] - rhythm * 1_000_000, since_us[q.vehicle])
    end = np.where(flowed, quarter_us + did[LAST], -_FAR_US)
    rows = np.flatnonzero(flowed)
    before, after = rows[:-1], rows[1:]
    begin[after] = np.maximum(begin[after], np.where(q.vehicle[before] == q.vehicle[after], end[before], -_FAR_US))
    return np.where(flowed, begin, _FAR_US), end


def _starts(marks: _Marks) -> Ints:
    """Where a session begins among the marks."""
    silent_s = ((np.diff(marks.number) - 1) - (np.diff(marks.rank) - 1)) * QUARTER_S
    apart_s = (np.maximum(marks.start_us, marks.quarter_us)[1:] - marks.end_us[:-1]) // 1_000_000
    known = (marks.soc_max[:-1] != NO_SOC) & (marks.soc_min[1:] != NO_SOC)
    emptier = np.where(known, marks.soc_max[:-1] - marks.soc_min[1:], 0)
    anew = begins_anew(apart_s - silent_s, silent_s, emptier) | (marks.feed[1:] != marks.feed[:-1])
    return np.flatnonzero(np.append(True, anew))


def _weighed(what: Happened, feed_of_case: Ints, marks: _Marks, starts: Ints) -> list[list[list[int]]]:
    """By session: what `weigh` says of each of its vehicles, in their order. Quarters between sessions belong to none."""
    q, many = what.quarters, len(starts)
    session, within = _sessions(q, feed_of_case, marks, starts)
    group, member = np.unique(q.vehicle[within] * many + session[within], return_inverse=True)
    rows = weigh(_only(q, within), what.rhythms, member, group // many).tolist()
    found: list[list[list[int]]] = [[] for _ in range(many)]
    of_session: dict[tuple[int, int], list[int]] = dict(
        zip(zip((group % many).tolist(), (group // many).tolist(), strict=True), rows, strict=True)
    )
    members: dict[int, list[int]] = {}
    for case, feed in enumerate(feed_of_case.tolist()):
        members.setdefault(feed, []).append(case)
    for n, feed in enumerate(marks.feed[starts].tolist()):
        found[n] = [of_session.get((n, case), []) for case in members[feed]]
    return found


def _sessions(q: Quarters, feed_of_case: Ints, marks: _Marks, starts: Ints) -> tuple[Ints, Mask]:
    """Each quarter's session (an index), and whether it lies within it."""
    ends = np.append(starts[1:], len(marks.feed)) - 1
    first, last = marks.feed[starts] * _STRIDE + marks.number[starts], marks.feed[starts] * _STRIDE + marks.number[ends]
    key = feed_of_case[q.vehicle] * _STRIDE + q.number
    session = np.searchsorted(first, key, "right") - 1
    return session, (session >= 0) & (key <= last[session])


def _plain(what: Happened, feed_of_case: Ints, marks: _Marks, starts: Ints) -> list[list[Plain]]:
    """By session: its quarters that were not set aside, in order. For feeds of one vehicle."""
    session, within = _sessions(what.quarters, feed_of_case, marks, starts)
    of, q = session[within], _only(what.quarters, within)
    counts, flowed_us = plain(q, what.rhythms)
    found: list[list[Plain]] = [[] for _ in starts]
    columns = (of[counts], q.ac[MILLIWH][counts], q.dc[MILLIWH][counts], flowed_us[counts])
    for n, *did in zip(*(column.tolist() for column in columns), strict=True):
        found[n].append(Plain(*did))
    return found


def _only(q: Quarters, which: Mask) -> Quarters:
    return Quarters(q.vehicle[which], q.number[which], q.cut_us[which], q.dc[:, which], q.ac[:, which])


def _judged(feed: Feed, weighed: list[list[int]], dc_readings: int, ac_readings: int, policy: Policy) -> Summary | None:
    """None where no side charged: a counter's step or standby."""
    meters = (feed.meter_id,) if feed.meter_id else ()
    shared = feed.vehicle_ids if len(feed.vehicle_ids) > 1 else ()
    members = [in_words(row, meters, shared) if row else Evidence(meter_ids=meters, group=shared) for row in weighed]
    whole = together(members)
    if not (charged(whole.dc, dc_readings) or charged(whole.ac, ac_readings)):
        return None
    if not feed.vehicle_ids:
        return nobodys(whole)
    own = feed.vehicle_ids[0]
    if shared:
        found = policy.judge(own, whole, members)
        loss = to_kwh(whole.ac.energy_milliwh - whole.dc_here_milliwh)
        return found if found.ratio is None else replace(found, loss_kwh=loss)  # the group's, whose session it is
    return policy.judge(own, whole)


def _session(feed: Feed, summary: Summary, marks: _Marks, these: slice, now_us: int) -> Session:
    mean_kw, peak_kw = _power(marks.ac if summary.evidence.ac.moved else marks.dc, these)
    end_us = int(marks.end_us[these].max())
    return Session(
        vehicle_ids=feed.vehicle_ids,
        meter_id=feed.meter_id or None,
        start=instant(int(marks.start_us[these].min())),
        end=instant(end_us),
        running=end_us > now_us - PAUSE_S * 1_000_000 and feed.until_us >= now_us,
        mean_kw=mean_kw,
        peak_kw=peak_kw,
        soc_from_pct=_percent(int(marks.soc_min[these][0])),
        soc_to_pct=_percent(int(marks.soc_max[these][-1])),
        summary=summary,
    )


def _power(side: _Flow, these: slice) -> tuple[float | None, float | None]:
    """Mean and peak in kW. A single reading does not say how long its energy took."""
    milliwh, us = side.milliwh[these], side.us[these]
    flowed_us = int(us.sum())
    if not flowed_us or side.readings[these].sum() < 2:
        return None, None
    mean = _kw(int(milliwh.sum()), flowed_us)
    whole = us >= PEAK_AT_LEAST_S * 1_000_000
    return mean, max([mean, *(_kw(energy, time) for energy, time in zip(milliwh[whole].tolist(), us[whole].tolist(), strict=True))])


def _kw(milliwh: int, us: int) -> float:
    return to_kwh(milliwh) * 3600 / (us / 1_000_000)


def _percent(centi: int) -> float | None:
    return None if centi == NO_SOC else centi / 100
