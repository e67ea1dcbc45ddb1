"""What this process took in, counted in memory: a few additions a commit, no work for a reading, no statement in its transaction."""

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from db.ingest import Outcome
from db.intake_log import MinuteCounts, Minutes, RejectCounts, Rejects, Sample, What, minute_of

# A reading that is older than this was kept by its device, or comes from a file: how late it is says nothing about the way here.
LATE_MS = 15 * 60 * 1000
# While the database is away nothing can be written: two days of minutes are kept, then the oldest are let go.
MOST_MINUTES = 2 * 24 * 60

Key = TypeVar("Key")
Counts = TypeVar("Counts", MinuteCounts, RejectCounts)


class Tally:
    """Counts by minute until they are taken, and `totals` since the start. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minutes: Minutes = {}
        self._rejects: Rejects = {}
        self.totals: Counter[str] = Counter()

    def committed(self, now: datetime, sides: Sequence[tuple[str, Sequence[Outcome], Sequence[int]]]) -> None:
        """A commit at `now`: for each side its name, the outcomes, and the instants of its readings in µs since 1970."""
        counted = [(side, *_counted(outcomes, instants, now)) for side, outcomes, instants in sides if outcomes]
        with self._lock:
            self.totals["commits"] += 1
            for side, counts, closed in counted:
                _add(self._minutes, (minute_of(now), side), counts)
                self._total(side, counts, closed)

    def failed(self, reason: str) -> None:
        """A commit did not come to its end."""
        with self._lock:
            self.totals[f"failed:{reason}"] += 1

    def _total(self, side: str, counts: MinuteCounts, closed: int) -> None:
        more = {"ACCEPTED": counts.accepted, "DUPLICATE": counts.duplicates, "CONFLICT": counts.conflicts, "CLOSED": closed}
        more |= {f"lag_ms:{side}": counts.lag_ms, f"lagged:{side}": counts.lagged, f"late:{side}": counts.late}
        for name, value in more.items():
            self.totals[name] += value

    def rejected(self, now: datetime, by_side: dict[str, int], codes: Counter[str], samples: dict[str, Sample]) -> None:
        """Faulty readings of one request by side, faults by code, and a case for each code."""
        with self._lock:
            for side, count in by_side.items():
                if count:
                    _add(self._minutes, (minute_of(now), side), MinuteCounts(rejected=count))
            for code, count in codes.items():
                sample = samples.get(code)
                self._reject(now, "reading", code, RejectCounts(count, [sample] if sample else []))

    def refused(self, now: datetime, code: str) -> None:
        """A request that was not taken at all."""
        with self._lock:
            self._reject(now, "request", code, RejectCounts(1, []))

    def _reject(self, now: datetime, what: What, code: str, counts: RejectCounts) -> None:
        self.totals[f"{'rejected' if what == 'reading' else 'refused'}:{code}"] += counts.count
        _add(self._rejects, (minute_of(now), what, code), counts)

    def take(self) -> tuple[Minutes, Rejects]:
        """All that was counted since the last time."""
        with self._lock:
            taken = self._minutes, self._rejects
            self._minutes, self._rejects = {}, {}
        return taken

    def put_back(self, minutes: Minutes, rejects: Rejects) -> None:
        """What could not be written after all; of very long outages only the newest minutes."""
        with self._lock:
            for key, counts in minutes.items():
                _add(self._minutes, key, counts)
            for case, faults in rejects.items():
                _add(self._rejects, case, faults)
            _bound(self._minutes)
            _bound(self._rejects)


def _counted(outcomes: Sequence[Outcome], instants: Sequence[int], now: datetime) -> tuple[MinuteCounts, int]:
    """The counts, and how many were of closed days, which the counts have among the rejected."""
    accepted, all_of_them = outcomes.count(Outcome.ACCEPTED), len(outcomes)
    counts = MinuteCounts(accepted=accepted)
    if accepted < all_of_them:
        counts.duplicates, counts.conflicts = outcomes.count(Outcome.DUPLICATE), outcomes.count(Outcome.CONFLICT)
        counts.rejected = all_of_them - accepted - counts.duplicates - counts.conflicts
    now_us = round(now.timestamp() * 1_000_000)
    if min(instants) < now_us - LATE_MS * 1000:
        limit_us = now_us - LATE_MS * 1000
        counts.late = sum(at < limit_us and outcome is Outcome.ACCEPTED for at, outcome in zip(instants, outcomes, strict=True))
        instants = [at for at in instants if at >= limit_us]
    counts.lagged = len(instants)
    if instants and max(instants) > now_us:  # a clock ahead of ours, or ours was set back: nothing takes less than no time
        instants = [min(at, now_us) for at in instants]
    counts.lag_ms = (now_us * len(instants) - sum(instants)) // 1000
    return counts, counts.rejected


def _add(to: dict[Key, Counts], key: Key, counts: Counts) -> None:
    if (before := to.get(key)) is None:
        to[key] = counts
    else:
        before.add(counts)


def _bound(kept: dict[Any, Any]) -> None:
    """Let the oldest minutes go where there are more than MOST_MINUTES between them and the newest."""
    newest = max((key[0] for key in kept), default=0)
    for key in [key for key in kept if key[0] <= newest - MOST_MINUTES]:
        del kept[key]
