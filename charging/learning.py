"""What is normal for one vehicle, learned from charging that was judged ok: a robust fit of loss = a · AC + b · hours.

Without enough data the default stands. What the past cannot tell apart (a vehicle that always charged at one power shows a + b / power
only) is left to the default's middle, with the uncertainty that this has.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import NamedTuple

from charging.band import BEST_DEFAULT, MIDDLE_DEFAULT, WORST_DEFAULT, Learned, LossLine, Source
from charging.verdict import Verdict

LEAST_DAYS = 7
LEAST_SESSIONS = 10
# What is too old says little about the vehicle as it is.
LEARNED_FROM_DAYS = 60
# A model's band rests on several vehicles: one alone would be judged by itself.
LEAST_PEERS = 3
# An hour's bin with less than this is mostly its own edges.
LEAST_BIN_KWH = 0.5
# Hourly bins scatter by more than this whatever the fit says: readings of the two sides do not end at the same second.
LEAST_ERROR = 0.004
_HUBER = 1.345
_MAD_TO_SIGMA = 1.4826
_ROUNDS = 6
# The default's edges are two standard deviations from its middle: what is believed before anything was seen.
_PRIOR_SHARE = (WORST_DEFAULT.share - BEST_DEFAULT.share) / 4
_PRIOR_OVERHEAD_KW = (WORST_DEFAULT.overhead_kw - BEST_DEFAULT.overhead_kw) / 4


class Hour(NamedTuple):
    """An hour's charging within a session that was judged ok: energies in kWh and hours of charging."""

    ac_kwh: float
    dc_kwh: float
    hours: float


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one day taught about one vehicle at one class of charger: the hours of its sessions that were judged ok."""

    day: int
    sessions: int
    hours: tuple[Hour, ...]


def learn(lessons: Sequence[Lesson], source: Source = "learned") -> Learned | None:
    """What these lessons show, newest or oldest first; None where they are too few."""
    days, sessions = len({lesson.day for lesson in lessons}), sum(lesson.sessions for lesson in lessons)
    seen = [hour for lesson in lessons for hour in lesson.hours if hour.ac_kwh >= LEAST_BIN_KWH]
    if days < LEAST_DAYS or sessions < LEAST_SESSIONS or len(seen) < LEAST_SESSIONS:
        return None
    fit = _fitted(seen)
    return Learned(fit.line, fit.error, fit.variance_share, fit.covariance, fit.variance_overhead, len(seen), sessions, days, source)


def learn_peers(by_vehicle: Iterable[Sequence[Lesson]]) -> Learned | None:
    """What all vehicles of a model show together; None where they are too few."""
    known = [lessons for lessons in by_vehicle if any(lesson.sessions for lesson in lessons)]
    return learn([lesson for lessons in known for lesson in lessons], "peers") if len(known) >= LEAST_PEERS else None


def is_frozen(newest: Sequence[Verdict]) -> bool:
    """Whether learning rests, so that a fault does not become normal: the newest session (given newest first) that could be judged is low."""
    return next((verdict for verdict in newest if verdict in (Verdict.OK, Verdict.LOW)), Verdict.OK) is Verdict.LOW


@dataclass(frozen=True, slots=True)
class _Fit:
    line: LossLine
    error: float
    variance_share: float
    covariance: float
    variance_overhead: float


def _fitted(seen: Sequence[Hour]) -> _Fit:
    """Iterated weighted least squares with Huber's weights, drawn towards the default's middle by what is believed before."""
    points = [(hour.hours / hour.ac_kwh, 1 - hour.dc_kwh / hour.ac_kwh, hour.ac_kwh) for hour in seen]
    most_kwh = max(kwh for _, _, kwh in points)
    line, error, variances = MIDDLE_DEFAULT, 0.02, (0.0, 0.0, 0.0)
    for _ in range(_ROUNDS):
        line, variances = _weighted(points, most_kwh, line, error)
        left = [lost - line.share - line.overhead_kw * x for x, lost, _ in points]
        middle = median(left)
        error = max(LEAST_ERROR, _MAD_TO_SIGMA * median([abs(one - middle) for one in left]))
    return _Fit(line, error, *variances)


def _weighted(
    points: Sequence[tuple[float, float, float]], most_kwh: float, line: LossLine, error: float
) -> tuple[LossLine, tuple[float, float, float]]:
    """One round: the line, and its variances (share, covariance, overhead)."""
    a11, a12, a22 = 1 / _PRIOR_SHARE**2, 0.0, 1 / _PRIOR_OVERHEAD_KW**2
    b1, b2 = MIDDLE_DEFAULT.share * a11, MIDDLE_DEFAULT.overhead_kw * a22
    far = _HUBER * error
    for x, lost, kwh in points:
        # An hour with little energy scatters more: its steps and edges are the same.
        sigma = error * sqrt(most_kwh / kwh)
        off = abs(lost - line.share - line.overhead_kw * x) * error / sigma
        weight = (far / off if off > far else 1.0) / sigma**2
        a11 += weight
        a12 += weight * x
        a22 += weight * x * x
        b1 += weight * lost
        b2 += weight * x * lost
    inverse = 1 / (a11 * a22 - a12 * a12)
    share, overhead = (a22 * b1 - a12 * b2) * inverse, (a11 * b2 - a12 * b1) * inverse
    return LossLine(share, overhead), (a22 * inverse, -a12 * inverse, a11 * inverse)
