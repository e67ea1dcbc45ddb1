"""What happens to readings on their way: late, twice, never, or with a stamp that is not the time of the measurement.

Drawn from (seed, stream, device, minute) alone, a UTC day at a time. What a reading says of energy is not touched here.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.faults import LATE_AT_LEAST_MIN, LATE_UP_TO_MIN, Faults
from simulator.fleet import METERS, Fleet
from simulator.noise import Floats, between, uniform
from simulator.trips import DAY_MIN

# A unit needs a moment from its measurement to the wire; it also keeps a reading from being stamped in the server's future.
SENDING_S = 0.5
DUPLICATE_AFTER_S = 90.0
# Seven a day. The half minute keeps the stamp from being exactly that of tomorrow's reading: a device reads at its own second.
FUTURE_SHARE = 0.005
FUTURE_BY_S = 86_430


class Journey(NamedTuple):
    """How a day's readings of one stream travel, a row per minute and a column per device.

    Seconds of delay, seconds until the second copy (0: none), seconds by which the stamp is off, and which readings nobody ever gets.
    """

    delay_s: Floats
    copy_after_s: Floats
    stamp_off_s: NDArray[np.int64]
    lost: NDArray[np.bool_]


def of_day(fleet: Fleet, faults: Faults, stream: str, day: int) -> Journey:
    """The journeys of what is measured on this UTC day (days since 1970)."""
    minutes = day * DAY_MIN + np.arange(DAY_MIN)[:, None]
    drawn, how_long, twice = (uniform(fleet.seed, f"{what}{stream[:3]}", fleet.index, minutes) for what in ("late", "long", "copy"))
    late_s = between(60.0 * LATE_AT_LEAST_MIN, 60.0 * LATE_UP_TO_MIN, how_long)
    begun = minutes >= faults.wire_since_min
    return Journey(
        np.where(begun & (drawn < faults.late), late_s, 0.0),
        np.where(begun & (twice < faults.duplicates), 1.0 + DUPLICATE_AFTER_S * how_long, 0.0),
        _stamps_off_s(fleet, faults, stream, minutes),
        _lost(fleet, faults, stream, minutes),
    )


def _stamps_off_s(fleet: Fleet, faults: Faults, stream: str, minutes: NDArray[np.int64]) -> NDArray[np.int64]:
    off_s = np.zeros((DAY_MIN, len(fleet)), dtype=np.int64)
    for i in (i for i, bad in faults.streams.items() if bad == stream):
        begun = minutes[:, 0] >= faults.since_min.get(i, 0)
        if i in faults.of("clock_skew"):
            off_s[:, i] = np.where(begun, faults.skew_s[i], 0)
        else:
            drawn = uniform(fleet.seed, "future" + stream[:2], i, minutes[:, 0])
            off_s[:, i] = np.where(begun & (drawn < FUTURE_SHARE), FUTURE_BY_S, 0)
    return off_s


def _lost(fleet: Fleet, faults: Faults, stream: str, minutes: NDArray[np.int64]) -> NDArray[np.bool_]:
    lost = np.zeros((DAY_MIN, len(fleet)), dtype=bool)
    if stream == METERS:
        sites = np.array([v.site.site_id for v in fleet.vehicles])
        for outage in faults.outages:
            lost |= (minutes >= outage.since_min) & (minutes < outage.until_min) & (sites == outage.site_id)
    return lost
