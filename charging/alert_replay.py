"""What a rule would have done over a stretch of the past: the same steps as `charging.alerting`, taken from one new piece of evidence to the next."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from charging.alerting import NOTHING_S, Observation, Standing, Timing, severity, step
from charging.verdict import Severity


@dataclass(frozen=True, slots=True)
class Look:
    """What the evaluation at `at` saw anew; `known_to`: the last one for which that remained the newest evidence (itself at least).

    `margin` None: there was none; `sure`, `decides`: as of an observation; `begins`: from when on the evidence is. No look, no change: what was judged before is not judged again.
    """

    at: datetime
    known_to: datetime
    margin: float | None
    severity: Severity = "warning"
    sure: float | None = None
    begins: datetime | None = None
    decides: bool = True


@dataclass(frozen=True, slots=True)
class Episode:
    """An alert there would have been; `resolved_at` None: it would still be open. `margin` is the worst seen, the one it fired with included."""

    fired_at: datetime
    resolved_at: datetime | None
    severity: Severity
    margin: float


def episodes(looks: Iterable[Look], timing: Timing, every: timedelta, until: datetime) -> list[Episode]:
    """Of one subject, in order. `looks` are in order; there is an evaluation `every` so long, the last one at `until`."""
    replay = _Replay(timing, every)
    for look in looks:
        replay.see(look)
    replay.end(until)
    return replay.found


class _Replay:
    def __init__(self, timing: Timing, every: timedelta) -> None:
        self.found: list[Episode] = []
        self._timing, self._every = timing, every
        self._standing: Standing | None = None
        self._known_to: datetime | None = None

    def see(self, look: Look) -> None:
        if self._standing is None and (look.margin is None or look.margin >= 0 or not look.decides):
            return  # nearly all of them: it is fine, and was
        if self._standing:
            self._nothing_until(look.at - self._every)
        running = self._standing is not None and self._standing.state != "pending"
        # What was before the alert does not end it, however well it was.
        older = running and look.begins is not None and look.begins < self.found[-1].fired_at
        seen = Observation(look.margin, look.severity, sure=-math.inf if older else look.sure, decides=look.decides)
        self._step(seen, look.at, self._every)
        self._known_to = look.known_to

    def end(self, until: datetime) -> None:
        """Nothing more was seen."""
        if self._standing:
            self._nothing_until(until)

    def _nothing_until(self, at: datetime) -> None:
        """The evaluations after the newest evidence was too old, and before there was another."""
        assert self._standing
        assert self._known_to
        if at > self._known_to:
            left = timedelta(seconds=NOTHING_S - self._standing.nothing_s)
            ends = min(at, self._known_to + -(-left // self._every) * self._every)
            self._step(Observation(None), ends, ends - self._known_to)

    def _step(self, seen: Observation, at: datetime, passed: timedelta) -> None:
        self._standing, taken = step(self._standing, seen, passed.total_seconds(), at, self._timing)
        if taken and (taken.source, taken.target) == ("pending", "firing"):
            self.found.append(Episode(at, None, seen.severity, seen.margin or 0.0))
        elif taken and taken.target == "ok" and taken.source != "pending":
            self.found[-1] = replace(self.found[-1], resolved_at=at)
        elif self._standing and self._standing.state != "pending" and seen.margin is not None and seen.margin < 0:
            self._worsen(seen.margin, severity(self._standing, seen, self._timing))

    def _worsen(self, margin: float, called: Severity) -> None:
        """A severity only rises."""
        one = self.found[-1]
        worst: Severity = "critical" if "critical" in (called, one.severity) else "warning"
        self.found[-1] = replace(one, margin=min(margin, one.margin), severity=worst)
