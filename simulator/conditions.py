"""What the faults do to the physics in a given minute: who loses more, who charges where, whose counter stands still."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.faults import ALWAYS, FOREVER, Faults
from simulator.fleet import Fleet
from simulator.noise import Floats
from simulator.physics import Chargers
from simulator.trips import DAY_MIN, KM_PER_DEGREE

ELSEWHERE_KM = 4.0
# Whoever charges at another place from a departure on drives there in this time. No trip is shorter than two and a half hours.
MOVES_WITHIN_MIN = 60

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Condition:
    """One element per vehicle; holds until the next of `changes`.

    `elsewhere`: charges at a plug which is not ours, so that no meter sees it. `plug`: the index of the meter at which it charges (and of
    the vehicle that charges at its own, since places are only ever exchanged). `frozen`: its counter reports 0 whatever flows.
    """

    chargers: Chargers
    elsewhere: Bools
    plug: Ints
    frozen: Bools


def at(fleet: Fleet, faults: Faults, minute: int) -> Condition:
    """The condition in this minute (since 1970 UTC)."""
    n = len(fleet)
    plug = fleet.index
    for i, other in faults.partners.items():
        plug[i] = other if faults.has(i, minute) else i
    return Condition(
        chargers=_chargers(fleet, faults, minute, plug),
        elsewhere=faults.mask("charges_elsewhere", n, minute),
        plug=plug,
        frozen=faults.mask("frozen_counter", n, minute),
    )


def _chargers(fleet: Fleet, faults: Faults, minute: int, plug: Ints) -> Chargers:
    """Where two exchange their places, both charge with what the weaker of vehicle and charger can do."""
    healthy, n = fleet.chargers, len(fleet)
    points = np.array([faults.points.get(i, 0.0) for i in range(n)])
    sick = np.where(faults.mask("sick_charger", n, minute), points / 100.0, 0.0)
    contact = np.where(faults.mask("resistance", n, minute), points / 100.0 / healthy.rated_kw, 0.0)
    rated_kw = np.minimum(healthy.rated_kw, healthy.rated_kw[plug])
    return replace(healthy, rated_kw=rated_kw, loss_share=healthy.loss_share + sick, loss_per_kw=healthy.loss_per_kw + contact)


def changes(faults: Faults) -> frozenset[int]:
    """The minutes in which a condition begins that differs from the one before."""
    return frozenset(faults.since_min.values()) | frozenset(faults.until_min.values())


def homes(fleet: Fleet, faults: Faults, day: int) -> tuple[Floats, Floats]:
    """(latitude, longitude) where each vehicle stands when it does not drive: a row per minute of this UTC day, a column per vehicle."""
    n = len(fleet)
    latitude, longitude = _places(fleet)
    moves = faults.mask("charges_elsewhere", n) | faults.mask("swapped_mapping", n)
    since = np.array([faults.since_min.get(i, ALWAYS) for i in range(n)])
    minutes = day * DAY_MIN + np.arange(DAY_MIN)[:, None]
    moved = np.where(moves, np.clip((minutes - since) / MOVES_WITHIN_MIN, 0.0, 1.0), 0.0)
    new_latitude, new_longitude = _new_places(fleet, faults)
    return latitude + moved * (new_latitude - latitude), longitude + moved * (new_longitude - longitude)


def _places(fleet: Fleet) -> tuple[Floats, Floats]:
    return np.array([v.latitude for v in fleet.vehicles]), np.array([v.longitude for v in fleet.vehicles])


def _new_places(fleet: Fleet, faults: Faults) -> tuple[Floats, Floats]:
    """Where the moving ones end up: at their partner's charger, or a few km inland if they charge elsewhere."""
    plug = at(fleet, faults, FOREVER - 1).plug
    latitude, longitude = (place[plug] for place in _places(fleet))
    bearing = np.radians([(v.site.bearing_from + v.site.bearing_to) / 2.0 for v in fleet.vehicles])
    away_deg = np.where(faults.mask("charges_elsewhere", len(fleet)), ELSEWHERE_KM / KM_PER_DEGREE, 0.0)
    return latitude + away_deg * np.cos(bearing), longitude + away_deg * np.sin(bearing) / np.cos(np.radians(latitude))
