"""Randomness that depends on nothing but its keys.

A generator with a state would make minute 500 depend on where the run began. A hash of (seed, what for, device, minute) does not,
so a restarted simulator draws the very same world and a resent reading is a duplicate, never a conflict.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit."""
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


def purpose(name: str) -> int:
    """A stable number for what a draw is used for, so that two uses of the same keys do not move together."""
    return int.from_bytes(name.encode()[:8].ljust(8, b"\0"), "little") ^ len(name)


def uniform(seed: int, name: str, *keys: ArrayLike) -> Floats:
    """Uniform numbers in [0, 1), one for each combination of the keys (integers, broadcast against each other)."""
    with np.errstate(over="ignore"):  # wrapping around is what a hash does
        z = _mix(np.asarray([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64) + _GOLDEN)
        for key in (purpose(name), *keys):
            z = _mix((z ^ _mix(np.asarray(key).astype(np.uint64) + _GOLDEN)) + _GOLDEN)
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def between(low: ArrayLike, high: ArrayLike, u: Floats) -> Floats:
    """Stretch uniform numbers to [low, high)."""
    low = np.asarray(low, dtype=np.float64)
    return np.asarray(low + (np.asarray(high, dtype=np.float64) - low) * u)
