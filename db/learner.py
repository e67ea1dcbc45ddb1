"""What a night's lessons change, heard vehicle by vehicle: bands of vehicles, which of them rest, and those of models."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from heapq import heappush, heappushpop
from itertools import takewhile
from zlib import crc32

from charging.band import Learned
from charging.charger import DC_CLASS
from charging.learning import MOST_HOURS, MOST_PEER_HOURS, MOST_PEERS, Lesson, is_frozen, learn, learn_peers, spread
from charging.verdict import Verdict
from db.learning_sql import Key, Known, Taken

# A band that stays as it is says so once a week, or it would be forgotten as too old.
_SAID_AGAIN = timedelta(days=7)


class Learner:
    """Hears every vehicle once. `classes` by meter, `models` by vehicle, `known` bands by vehicle and class; `ends`: the last day's end.

    `alerted`: since when vehicles have had an alert of low efficiency that is open. Until it is over they teach nothing. `learned` and `frozen_since` are what changes for vehicles; `frozen` counts those whose learning rests.
    """

    def __init__(
        self,
        ends: datetime,
        touched: Iterable[object],
        classes: dict[str, str],
        models: dict[str, str],
        known: dict[Key, Known],
        alerted: Mapping[str, datetime],
    ) -> None:
        self.learned: dict[Key, Learned] = {}
        self.frozen_since: dict[Key, datetime | None] = {}
        self.frozen = 0
        self._ends, self._touched, self._classes, self._models, self._known = ends, frozenset(touched), classes, models, known
        # What fired later is not yet known on the day that is learned from.
        self._alerted = {vehicle_id: at for vehicle_id, at in alerted.items() if at <= ends}
        self._classes_of: dict[str, list[str]] = {}
        for vehicle_id, kind in known:
            self._classes_of.setdefault(vehicle_id, []).append(kind)
        self._pools: dict[Key, _Pool] = {}

    def hear(self, vehicle_id: str, taken: Sequence[Taken]) -> None:
        """All lessons of this vehicle, in whatever order."""
        since = self._rests_since(vehicle_id, taken)
        self.frozen += since is not None
        for kind in self._classes_of.get(vehicle_id, ()):
            self._rest((vehicle_id, kind), since)
        by_class: dict[str, list[Taken]] = {}
        for one in taken:
            if one.meter_id in self._classes:
                by_class.setdefault(self._classes[one.meter_id], []).append(one)
        for kind, at_class in by_class.items():
            if not since and any(one.day in self._touched for one in at_class):
                self._learn((vehicle_id, kind), at_class)
            if model := self._models.get(vehicle_id):
                healthy = [one for one in at_class if since is None or one.day < _day_of(since)]
                self._pools.setdefault((model, kind), _Pool()).hear(vehicle_id, healthy)

    def _rests_since(self, vehicle_id: str, taken: Iterable[Taken]) -> datetime | None:
        """Since its newest sessions have been low, or it has had an alert for that, whichever came first."""
        low, alerted = low_since(taken), self._alerted.get(vehicle_id)
        return min((at for at in (low and low.newest_at, alerted) if at), default=None)

    def _rest(self, key: Key, since: datetime | None) -> None:
        before = self._known[key].frozen_since
        if (since is None) != (before is None):
            self.frozen_since[key] = since

    def _learn(self, key: Key, taken: Sequence[Taken]) -> None:
        learned = learn(lessons(taken, MOST_HOURS), is_dc=key[1] == DC_CLASS)
        if learned and _is_news(learned, self._known.get(key), self._ends):
            self.learned[key] = learned

    def peers(self, known: dict[Key, Known]) -> dict[Key, Learned]:
        """The models' bands that change, once every vehicle was heard."""
        found = {key: learn_peers(pool.lessons(), is_dc=key[1] == DC_CLASS) for key, pool in sorted(self._pools.items())}
        return {key: learned for key, learned in found.items() if learned and _is_news(learned, known.get(key), self._ends)}


def _day_of(at: datetime) -> date:
    """The UTC day of a session that ended then; on the stroke of midnight, the day before."""
    return (at - timedelta(microseconds=1)).astimezone(UTC).date()


def _is_news(learned: Learned, known: Known | None, ends: datetime) -> bool:
    return known is None or known.learned != learned or known.learned_at < ends - _SAID_AGAIN


def low_since(taken: Iterable[Taken]) -> Taken | None:
    """The lesson with which learning came to rest: the first of those, up to the newest, whose newest session was low. None: it goes on."""
    newest = sorted(taken, key=_newest_at, reverse=True)
    if not is_frozen([Verdict.LOW if one.newest_is_low else Verdict.OK for one in newest]):
        return None
    return list(takewhile(_is_low, newest))[-1]


def _newest_at(one: Taken) -> datetime:
    return one.newest_at


def _is_low(one: Taken) -> bool:
    return one.newest_is_low


def lessons(taken: Sequence[Taken], most: int) -> list[Lesson]:
    """In the words of the rule, with `most` hours together at most: making more only to leave them out took half the night."""
    known = sorted((one for one in taken if one.sessions), key=_newest_at)
    kept, found, passed = deque(spread(sum(len(one.charging_s) for one in known), most)), list[Lesson](), 0
    for one in known:
        after = passed + len(one.charging_s)
        hours = []
        while kept and kept[0] < after:
            hours.append(one.hour(kept.popleft() - passed))
        found.append(Lesson(one.day.toordinal(), one.sessions, tuple(hours)))
        passed = after
    return found


class _Pool:
    """Lessons of at most MOST_PEERS vehicles: those whose names have the least checksums, every night the same and from all over the fleet."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, list[Lesson]]] = []

    def hear(self, vehicle_id: str, taken: Sequence[Taken]) -> None:
        """Another vehicle's."""
        if not any(one.sessions for one in taken):
            return
        place = -crc32(vehicle_id.encode())
        if len(self._heap) < MOST_PEERS:
            heappush(self._heap, (place, vehicle_id, lessons(taken, MOST_PEER_HOURS)))
        elif place > self._heap[0][0]:
            heappushpop(self._heap, (place, vehicle_id, lessons(taken, MOST_PEER_HOURS)))

    def lessons(self) -> list[list[Lesson]]:
        """By vehicle."""
        return [heard for _, _, heard in self._heap]
