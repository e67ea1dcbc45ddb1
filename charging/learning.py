"""What is normal for one vehicle, learned from charging that was judged ok: a robust fit of loss = a · AC + b · hours.

Without enough data the default stands. What the past cannot tell apart (a vehicle that always charged at one power shows a + b / power
only) is left to the default's middle, with the uncertainty that this has.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import NamedTuple

from charging.band import BEST_DC, BEST_DEFAULT, MIDDLE_DC, MIDDLE_DEFAULT, WORST_DC, WORST_DEFAULT, Learned, LossLine, Source, default_band
from charging.units import to_kwh
from charging.verdict import Summary, Verdict

LEAST_DAYS = 7
LEAST_SESSIONS = 10
# What is too old says little about the vehicle as it is.
LEARNED_FROM_DAYS = 60
# A model's band rests on several vehicles: one alone would be judged by itself.
LEAST_PEERS = 3
# An hour's bin with less than this is mostly its own edges.
LEAST_BIN_KWH = 0.5
# Work is bounded: hours that scatter by a point give the centre to 0.1 points when there are 120 of them; more only take time.
MOST_HOURS = 120
# As many vehicles of a model say what it is like, each with so many of its hours: enough for its scatter from car to car.
MOST_PEERS = 150
MOST_PEER_HOURS = 16
# A counter's steps may be this share of a bin at most, or it is made longer than an hour: up to four.
_FINEST_SHARE = 100
_BIN_S = (3600, 4 * 3600)
# Hourly bins scatter by more than this whatever the fit says: readings of the two sides do not end at the same second.
LEAST_ERROR = 0.004
# No bin counts for more than so many typical ones, however much energy it claims.
_MOST_WEIGHT = 4.0
_HUBER, _BISQUARE = 1.345, 4.685
_MAD_TO_SIGMA = 1.4826
# Rounds at most with each of the two weights; a line that moves by less than 0.005 points at the usual power stays.
_ROUNDS, _STILL = 12, 5e-5
_FIRST_ERROR = 0.02
# A charger has given what it was seen to give in all but a twentieth of its sessions, and in two at least: one odd reading proves nothing.
_SEEN_IN = 0.95
LEAST_PEAKS = 2


class Plain(NamedTuple):
    """A stretch of a session without conditioning and standby: energies in thousandths of a watt-hour, µs in which the meter's flowed."""

    ac_milliwh: int
    dc_milliwh: int
    charging_us: int


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


def teaches(summary: Summary) -> bool:
    """Whether a session may be learned from: ok, its charging hours known, and no less than the default calls ok.

    The last also where a learned band or plain thresholds judged: what is ok by a band would else lower it, each night a little more.
    """
    evidence = summary.evidence
    if summary.verdict is not Verdict.OK or not evidence.plain_charging_s or evidence.plain_ac_milliwh <= 0:
        return False
    usual = default_band(to_kwh(evidence.plain_ac_milliwh), evidence.plain_charging_s / 3600)
    return evidence.plain_dc_milliwh / evidence.plain_ac_milliwh >= usual.low - (summary.uncertainty or 0.0)


def bins(quarters: Iterable[Plain], step_milliwh: int) -> list[Plain]:
    """A session's plain quarters, in order, as bins of an hour; longer where one step of both counters is more than 1 % of it.

    What remains at the end joins the last one: a few minutes are mostly the distance between the readings of the two sides.
    """
    found: list[Plain] = []
    ac = dc = us = 0
    for quarter in quarters:
        ac, dc, us = ac + quarter.ac_milliwh, dc + quarter.dc_milliwh, us + quarter.charging_us
        least_s, most_s = _BIN_S
        if us >= most_s * 1_000_000 or (us >= least_s * 1_000_000 and ac >= _FINEST_SHARE * step_milliwh):
            found.append(Plain(ac, dc, us))
            ac = dc = us = 0
    if found and (ac or dc or us):
        last = found.pop()
        return [*found, Plain(last.ac_milliwh + ac, last.dc_milliwh + dc, last.charging_us + us)]
    return found or ([Plain(ac, dc, us)] if ac > 0 and us > 0 else [])


def learn(lessons: Iterable[Lesson], source: Source = "learned", *, is_dc: bool = False) -> Learned | None:
    """What these lessons show, in whatever order; None where they are too few. `is_dc`: at DC chargers."""
    known = sorted((lesson for lesson in lessons if lesson.sessions), key=_in_time)
    days, sessions = len({lesson.day for lesson in known}), sum(lesson.sessions for lesson in known)
    seen = [hour for lesson in known for hour in lesson.hours if hour.ac_kwh >= LEAST_BIN_KWH and hour.hours > 0]
    if days < LEAST_DAYS or sessions < LEAST_SESSIONS or len(seen) < LEAST_SESSIONS:
        return None
    kept = spread(len(seen), MOST_HOURS if source == "learned" else MOST_PEERS * MOST_PEER_HOURS)
    fit = _fitted([seen[n] for n in kept], _Prior.of(is_dc))
    return Learned(fit.line, fit.error, fit.variance_share, fit.covariance, fit.variance_overhead, len(seen), sessions, days, source, is_dc)


def _in_time(lesson: Lesson) -> tuple[int, tuple[Hour, ...]]:
    return lesson.day, lesson.hours


def spread(count: int, most: int) -> Sequence[int]:
    """Which of `count` hours are kept where there may be `most`: evenly over the whole time, for the newest alone take a slow decline for normal."""
    return range(count) if count <= most else [n * count // most for n in range(most)]


def learn_peers(by_vehicle: Iterable[Sequence[Lesson]], *, is_dc: bool = False) -> Learned | None:
    """What all vehicles of a model show together; None where they are too few."""
    known = [lessons for lessons in by_vehicle if any(lesson.sessions for lesson in lessons)]
    return learn((lesson for lessons in known for lesson in lessons), "peers", is_dc=is_dc) if len(known) >= LEAST_PEERS else None


def is_frozen(newest: Sequence[Verdict]) -> bool:
    """Whether learning rests, so that a fault does not become normal: the newest session (given newest first) that could be judged is low."""
    return next((verdict for verdict in newest if verdict in (Verdict.OK, Verdict.LOW)), Verdict.OK) is Verdict.LOW


def seen_to_give_w(peaks_w: Iterable[int]) -> int | None:
    """The most a charger was seen to give, in W, out of its sessions' peaks; None where they are too few."""
    known = sorted(peaks_w)
    if len(known) < LEAST_PEAKS:
        return None
    return known[min(int(_SEEN_IN * len(known)), len(known) - LEAST_PEAKS)]


@dataclass(frozen=True, slots=True)
class _Prior:
    """What is believed before anything was seen: the default's edges are two standard deviations from its middle."""

    middle: LossLine
    sigma_share: float
    sigma_overhead_kw: float

    @staticmethod
    def of(is_dc: bool) -> "_Prior":
        best, middle, worst = (BEST_DC, MIDDLE_DC, WORST_DC) if is_dc else (BEST_DEFAULT, MIDDLE_DEFAULT, WORST_DEFAULT)
        return _Prior(middle, (worst.share - best.share) / 4, (worst.overhead_kw - best.overhead_kw) / 4)


@dataclass(frozen=True, slots=True)
class _Fit:
    line: LossLine
    error: float
    variance_share: float
    covariance: float
    variance_overhead: float


class _Point(NamedTuple):
    """Of an hour: hours per kWh, the share lost, how much it counts beside a typical one, and the root of that."""

    x: float
    lost: float
    weight: float
    root: float


def _points(seen: Sequence[Hour]) -> list[_Point]:
    typical_kwh = median([hour.ac_kwh for hour in seen])
    found = []
    for ac_kwh, dc_kwh, hours in sorted(seen):
        # An hour with little energy scatters more: its steps and edges are the same.
        weight = min(_MOST_WEIGHT, ac_kwh / typical_kwh)
        found.append(_Point(hours / ac_kwh, 1 - dc_kwh / ac_kwh, weight, sqrt(weight)))
    return found


def _fitted(seen: Sequence[Hour], prior: _Prior) -> _Fit:
    """Iterated weighted least squares, drawn towards the default's middle by what is believed before.

    First with Huber's weights, which find the line from wherever one begins, then with Tukey's: an hour far off counts for nothing.
    """
    points = _points(seen)
    usual_x = median([point.x for point in points])
    line, error, variances = prior.middle, _FIRST_ERROR, (0.0, 0.0, 0.0)
    for weight in (_huber, _bisquare):
        for _ in range(_ROUNDS):
            before = line
            line, variances = _weighted(points, prior, line, error, weight)
            error = _scatter(points, line)
            if abs(line.share - before.share + (line.overhead_kw - before.overhead_kw) * usual_x) < _STILL:
                break
    return _Fit(line, error, *variances)


def _scatter(points: Sequence[_Point], line: LossLine) -> float:
    """Robust σ of a typical hour around the line."""
    share, overhead = line.share, line.overhead_kw
    left = [lost - share - overhead * x for x, lost, _, _ in points]
    middle = median(left)
    return max(LEAST_ERROR, _MAD_TO_SIGMA * median([abs(one - middle) * point.root for one, point in zip(left, points, strict=True)]))


def _huber(sigmas: float) -> float:
    return _HUBER / sigmas if sigmas > _HUBER else 1.0


def _bisquare(sigmas: float) -> float:
    return (1 - (sigmas / _BISQUARE) ** 2) ** 2 if sigmas < _BISQUARE else 0.0


def _weighted(
    points: Sequence[_Point], prior: _Prior, line: LossLine, error: float, weight_of: Callable[[float], float]
) -> tuple[LossLine, tuple[float, float, float]]:
    """One round: the line, and its variances (share, covariance, overhead)."""
    a11, a12, a22 = 1 / prior.sigma_share**2, 0.0, 1 / prior.sigma_overhead_kw**2
    b1, b2 = prior.middle.share * a11, prior.middle.overhead_kw * a22
    share, overhead, precision = line.share, line.overhead_kw, 1 / error**2
    for x, lost, weight, root in points:
        counts = weight_of(abs(lost - share - overhead * x) * root / error) * weight * precision
        a11 += counts
        a12 += counts * x
        a22 += counts * x * x
        b1 += counts * lost
        b2 += counts * x * lost
    inverse = 1 / (a11 * a22 - a12 * a12)
    found = LossLine((a22 * b1 - a12 * b2) * inverse, (a11 * b2 - a12 * b1) * inverse)
    return found, (a22 * inverse, -a12 * inverse, a11 * inverse)
