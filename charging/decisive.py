"""Whether a judgement is one to act on, or a longer window has to be looked at."""

from collections.abc import Callable
from typing import NamedTuple

from charging.evidence import Evidence
from charging.margin import Margin

# Clocks of a vehicle and its meter that differ by so much are not told from a lower efficiency where the power falls or a charge begins.
CLOCKS_APART_S = 10 * 60
QUARTER_S = 15 * 60


def falling_milliwh(first_milliwh: int, last_milliwh: int, last_s: float) -> int:
    """By how much less the meter gave in a window's last quarter of an hour, of which so much has passed, than in its first; were it a whole one."""
    return first_milliwh - round(last_milliwh * QUARTER_S / last_s)


class Course(NamedTuple):
    """What a window's sums do not tell. `falling_milliwh`: how much less the meter gave in its last quarter of an hour than in its first.

    `ac_charging` and `dc_charging`: readings of either side in which energy flowed.
    """

    falling_milliwh: int
    ac_charging: int
    dc_charging: int


def decides(evidence: Evidence, judged: Margin | None, course: Callable[[], Course]) -> bool:
    """Of a judged window: low in spite of all doubt, or within the band without the benefit of it; a suspect measurement always. `course` is
    asked for where it is low, which few are.
    """
    if judged is None:
        return True
    if judged.margin >= 0:
        # What is missing is held against it here: readings of the meter that are hours late make a sick charger look well meanwhile.
        return judged.least - judged.line >= judged.slack
    return at_best(evidence, judged, course()) < judged.line


def at_best(evidence: Evidence, judged: Margin, course: Course) -> float:
    """The ratio with the benefit of every doubt: clocks minutes apart, readings of the vehicle that are still on their way, and energy that
    met an unmoved counter.
    """
    ac_milliwh = evidence.plain_ac_milliwh - evidence.apart.idle_ac
    left_milliwh = ac_milliwh - evidence.stuck_ac_milliwh
    if left_milliwh <= 0:
        return 1.0 if evidence.stuck_ac_milliwh else judged.judged
    reported = evidence.plain_dc_milliwh - evidence.apart.idle_dc - evidence.elsewhere_milliwh
    more = max(0, course.falling_milliwh) * judged.judged * CLOCKS_APART_S / QUARTER_S
    if charging_s := evidence.plain_charging_s:
        each_s = judged.judged * ac_milliwh / charging_s
        # What was judged may have been filled in already.
        reported += round(each_s * _unmatched_s(evidence, judged, course))
        more += min(evidence.elsewhere_milliwh, each_s * CLOCKS_APART_S)
    return (max(judged.judged * ac_milliwh, reported) + more) / left_milliwh


def _unmatched_s(evidence: Evidence, judged: Margin, course: Course) -> float:
    """For how long energy flowed that no reading of the vehicle accounts for. A coarse counter does not tell: one reading."""
    dc, ac = evidence.dc, evidence.ac
    each_milliwh = judged.judged * ac.energy_milliwh / max(1, course.ac_charging) * dc.rhythm_s / ac.rhythm_s
    if dc.step_milliwh > each_milliwh:
        return dc.rhythm_s
    return max(0.0, course.ac_charging * ac.rhythm_s - course.dc_charging * dc.rhythm_s)
