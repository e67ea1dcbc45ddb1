"""What the sums of a window do not tell: how the power went, and which energy the vehicle's readings account for."""

import numpy as np
from numpy.typing import NDArray

from charging.decisive import Course, falling_milliwh
from charging.evidence import Evidence
from db.queries.weighing import CHARGING, LAST, MILLIWH, READINGS

_Did = NDArray[np.signedinteger]


def course(dc: _Did, ac: _Did, evidence: Evidence) -> Course:
    """Of a window's quarters in their order: (DC_FIELDS, n) and (AC_FIELDS, n), which `evidence` adds up."""
    # The first reading of a quarter stands for a rhythm, however soon it came.
    lasted_us = max(int(ac[LAST, -1]), int(dc[LAST, -1]), evidence.ac.rhythm_s * 1_000_000)
    falling = falling_milliwh(int(ac[MILLIWH, 0]), int(ac[MILLIWH, -1]), lasted_us / 1_000_000)
    return Course(falling, int(ac[CHARGING].sum()), int(_accounting(dc, ac, evidence).sum()))


def _accounting(dc: _Did, ac: _Did, evidence: Evidence) -> _Did:
    """Readings of the vehicle, by quarter, that account for what flowed: those with energy; where the power was so low that its counter's step
    is more than a reading's energy, those without as well, for the counter shows it later.
    """
    each_rhythm = evidence.ac.rhythm_s / evidence.dc.rhythm_s
    is_coarse = ac[MILLIWH].astype(np.int64) < evidence.dc.step_milliwh * ac[CHARGING].astype(np.int64) * each_rhythm
    some = np.minimum(dc[READINGS], np.ceil(ac[CHARGING] * each_rhythm))
    return np.asarray(np.where(is_coarse & (dc[MILLIWH] > 0), np.maximum(dc[CHARGING], some), dc[CHARGING]).astype(np.int64))
