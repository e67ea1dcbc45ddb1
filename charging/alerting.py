"""The state machine of an alert: what an observation makes of where a rule stood. Pure: time and evidence are handed in.

    ok ─ margin < 0 ─▶ pending ─ held ─▶ firing ─ margin ≥ clear ─▶ recovering ─ held ─▶ ok
                          └ margin ≥ 0 ─▶ ok, silently        └ margin < 0 ─▶ firing again

A margin within doubt neither leads to pending nor away from it.

What is held is counted in seconds of evaluations that had evidence, never by subtracting instants: a clock that is set forward by an hour,
an hour without evidence or without this program fires nothing and resolves nothing.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from charging.verdict import Severity

State = Literal["ok", "pending", "firing", "recovering"]

# An evaluation stands for the time since the one before it, but never for more than this: then there was none, or the clock was set.
MOST_ELAPSED_S = 90.0
# Without evidence for so long nobody knows any more: a firing alert is closed, and not as recovered.
NOTHING_S = 24 * 3600.0
RECOVERED = "recovered"
NOTHING = "no evidence for 24 hours"
SWITCHED_OFF = "the rule was switched off"


@dataclass(frozen=True, slots=True)
class Timing:
    """Of a rule: seconds for which it has to hold before it fires and before it is over; `clear` is the margin from which it recovers."""

    hold_s: float = 15 * 60.0
    recover_s: float = 15 * 60.0
    clear: float = 0.02


@dataclass(frozen=True, slots=True)
class Observation:
    """What an evaluation saw of one subject.

    `margin` is the distance to where the rule begins to be broken, negative where it is; None or NaN where there is no evidence.
    `is_new` says whether anything came since the evidence that counted last: what was judged before is not judged again.
    `sure` is the margin by which it is known to be well again, where that is less than `margin`. `decides`: whether the margin is more
    than doubt could explain; where not, what is pending waits.
    """

    margin: float | None
    severity: Severity = "warning"
    is_new: bool = True
    sure: float | None = None
    decides: bool = True

    @property
    def says_nothing(self) -> bool:
        return self.margin is None or math.isnan(self.margin)

    @property
    def is_below(self) -> bool:
        """Whether the rule is broken."""
        return self.margin is not None and self.margin < 0

    @property
    def clearance(self) -> float:
        """What recovering is judged by; of an observation that says something."""
        assert self.margin is not None
        return self.margin if self.sure is None else min(self.margin, self.sure)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rule stands for a subject. `held_s`: for how long evaluations have agreed, of a firing one that it is critical; `nothing_s`: for
    how long there was no evidence.
    """

    state: State
    since: datetime
    held_s: float = 0.0
    nothing_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """A change of state, and why."""

    source: State
    target: State
    because: str


def elapsed_s(before: datetime | None, now: datetime) -> float:
    """What the evaluation at `now` stands for: the time since the one before, within 0 … MOST_ELAPSED_S."""
    return 0.0 if before is None else min(max((now - before).total_seconds(), 0.0), MOST_ELAPSED_S)


def step(
    standing: Standing | None, seen: Observation, passed_s: float, at: datetime, timing: Timing
) -> tuple[Standing | None, Step | None]:
    """Where the rule stands now (None: ok), and the step that led there if there was one. `passed_s`: see `elapsed_s`."""
    if seen.says_nothing:
        return _nothing(standing, passed_s)
    if not seen.is_new:
        return (standing and replace(standing, nothing_s=0.0)), None
    assert seen.margin is not None
    if standing is None:
        return _from_ok(seen, at)
    standing = replace(standing, nothing_s=0.0)
    return _FROM[standing.state](standing, seen, passed_s, at, timing)


def severity(standing: Standing | None, seen: Observation, timing: Timing) -> Severity:
    """What a running alert may be called now: one that fired as a warning is critical when that held for as long as it takes to fire."""
    is_critical = standing is not None and standing.state == "firing" and standing.held_s >= timing.hold_s
    return "critical" if seen.severity == "critical" and is_critical else "warning"


def switched_off(standing: Standing) -> Step:
    """What ends a rule's standing when people no longer want the rule."""
    return Step(standing.state, "ok", SWITCHED_OFF)


_Result = tuple[Standing | None, Step | None]


def _nothing(standing: Standing | None, passed_s: float) -> _Result:
    if standing is None:
        return None, None
    lasted_s = standing.nothing_s + passed_s
    if lasted_s < NOTHING_S:
        return replace(standing, nothing_s=lasted_s), None
    return None, Step(standing.state, "ok", NOTHING)


def _from_ok(seen: Observation, at: datetime) -> _Result:
    if not (seen.is_below and seen.decides):
        return None, None
    return Standing("pending", at), Step("ok", "pending", "below the line")


def _from_pending(standing: Standing, seen: Observation, passed_s: float, at: datetime, timing: Timing) -> _Result:
    if not seen.decides:
        return standing, None
    if not seen.is_below:
        return None, Step("pending", "ok", "above the line again")
    held_s = standing.held_s + passed_s
    if held_s < timing.hold_s:
        return replace(standing, held_s=held_s), None
    return Standing("firing", at), Step("pending", "firing", f"below the line for {_minutes(held_s)}")


def _from_firing(standing: Standing, seen: Observation, passed_s: float, at: datetime, timing: Timing) -> _Result:
    if seen.clearance < timing.clear:
        held_s = min(standing.held_s + passed_s, timing.hold_s) if seen.is_below and seen.severity == "critical" else 0.0
        return replace(standing, held_s=held_s), None
    return Standing("recovering", at), Step("firing", "recovering", "well above the line")


def _from_recovering(standing: Standing, seen: Observation, passed_s: float, at: datetime, timing: Timing) -> _Result:
    if seen.is_below:
        return Standing("firing", at), Step("recovering", "firing", "below the line again")
    if seen.clearance < timing.clear:
        return replace(standing, held_s=0.0), None
    held_s = standing.held_s + passed_s
    if held_s < timing.recover_s:
        return replace(standing, held_s=held_s), None
    return None, Step("recovering", "ok", RECOVERED)


_FROM = {"pending": _from_pending, "firing": _from_firing, "recovering": _from_recovering}


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min"
