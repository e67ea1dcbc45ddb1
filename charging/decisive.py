"""Whether a judgement is one to act on, or a longer window has to be looked at."""

from charging.evidence import Evidence
from charging.verdict import Margin, Summary, Verdict

# Clocks of a vehicle and its meter that differ by so much are not told from a lower efficiency while the power falls.
CLOCKS_APART_S = 10 * 60
QUARTER_S = 15 * 60


def decides(summary: Summary, judged: Margin | None, falling_milliwh: int) -> bool:
    """Of a judged window: low in spite of all doubt, or within the band without the benefit of it; a suspect measurement always.

    `falling_milliwh`: how much less the meter gave in the window's last quarter of an hour than in its first.
    """
    if judged is None:
        return True
    if summary.verdict is Verdict.OK:
        return judged.margin >= judged.slack
    return doubtless(summary.evidence, judged, falling_milliwh) < judged.line


def doubtless(evidence: Evidence, judged: Margin, falling_milliwh: int) -> float:
    """The ratio at its best: the two clocks minutes apart while the power falls, and energy that met an unmoved counter left out."""
    ac_milliwh = evidence.plain_ac_milliwh - evidence.apart.idle_ac
    left_milliwh = ac_milliwh - evidence.stuck_ac_milliwh
    if left_milliwh <= 0:
        return judged.judged if not evidence.stuck_ac_milliwh else 1.0
    return (judged.judged * ac_milliwh + max(0, falling_milliwh) * CLOCKS_APART_S / QUARTER_S) / left_milliwh
