"""What is wrong in this fleet, and with whom. Drawn from the seed, so the truth can be written beside the run.

Every fault here is something a dashboard must tell apart: a sick charger is not a silent meter, and neither is charging elsewhere.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet import Fleet
from simulator.noise import Floats, uniform

# Points of efficiency that a sick on-board charger costs, in the order in which sick vehicles are picked.
SICK_POINTS = (18.0, 6.0, 9.0, 12.0)
DUPLICATES = 0.01
LATE = 0.02
LATE_UP_TO_MIN = 360
LATE_AT_LEAST_MIN = 3

# How many of two hundred have it; in this order they are handed out, so that a tiny fleet still shows a sick vehicle first.
ROLES_OF_200 = {
    "sick_charger": 4,
    "silent_meter": 1,
    "charges_elsewhere": 1,
    "vehicle_silent": 1,
    "no_meter": 2,
    "no_position": 2,
    "no_position_at_all": 1,
}
LARGEST_SHARE = 0.25


@dataclass(frozen=True)
class Faults:
    """Which vehicles (by index) have which fault; `points` holds the efficiency points that a sick charger loses."""

    members: dict[str, tuple[int, ...]] = field(default_factory=dict)
    points: dict[int, float] = field(default_factory=dict)
    duplicates: float = 0.0
    late: float = 0.0

    def of(self, kind: str) -> tuple[int, ...]:
        return self.members.get(kind, ())

    def mask(self, kind: str, vehicles: int) -> NDArray[np.bool_]:
        """True for the vehicles that have this fault."""
        chosen = np.zeros(vehicles, dtype=bool)
        chosen[list(self.of(kind))] = True
        return chosen

    def anybody(self, vehicles: int) -> NDArray[np.bool_]:
        """True for the vehicles that have any fault. They never rest, or there would be nothing to see on a Monday."""
        chosen = np.zeros(vehicles, dtype=bool)
        for kind in self.members:
            chosen |= self.mask(kind, vehicles)
        return chosen

    def extra_loss_share(self, vehicles: int) -> Floats:
        """How much more of the AC energy each charger loses, as a share."""
        extra = np.zeros(vehicles)
        for i, points in self.points.items():
            extra[i] = points / 100.0
        return extra


def none() -> Faults:
    """A fleet in which everything works and every reading arrives once and at once."""
    return Faults()


def assign(fleet: Fleet) -> Faults:
    """The faults of this fleet's seed: about six in a hundred vehicles, never more than a quarter of a small fleet."""
    seed, n = fleet.seed, len(fleet)
    free = [int(i) for i in np.argsort(uniform(seed, "faults", fleet.index))][: int(n * LARGEST_SHARE)]
    members: dict[str, tuple[int, ...]] = {}
    for kind, of_200 in ROLES_OF_200.items():
        wanted = max(1, round(of_200 * n / 200))
        chosen = _pick(fleet, free, wanted, plainly_visible=kind == "sick_charger")
        free = [i for i in free if i not in chosen]
        members[kind] = tuple(chosen)
    points = {i: SICK_POINTS[k % len(SICK_POINTS)] for k, i in enumerate(members["sick_charger"])}
    return Faults(members, points, DUPLICATES, LATE)


def _pick(fleet: Fleet, free: list[int], wanted: int, plainly_visible: bool) -> list[int]:
    """The next free vehicles; for sick chargers those at 11 kW, where six points stand out of the expected band."""
    at_11_kw = [i for i in free if fleet.vehicles[i].rated_kw == 11.0]
    return (at_11_kw or free)[:wanted] if plainly_visible else free[:wanted]


def truth(fleet: Fleet, faults: Faults, silent_since: dict[str, str]) -> dict[str, Any]:
    """Who is sick and how, and what every vehicle's charger is like, for comparing with what a dashboard claims.

    `fleet` is the healthy one. `silent_since` maps ids of devices that stopped to the time of their last reading.
    """
    return {
        "seed": fleet.seed,
        "duplicates": faults.duplicates,
        "late": faults.late,
        "lateUpToMinutes": LATE_UP_TO_MIN if faults.late else 0,
        "faults": [_fault(fleet, faults, kind, i, silent_since) for kind, chosen in faults.members.items() for i in chosen],
        "vehicles": [_vehicle(fleet, faults, i) for i in range(len(fleet))],
    }


def _fault(fleet: Fleet, faults: Faults, kind: str, i: int, silent_since: dict[str, str]) -> dict[str, Any]:
    vehicle = fleet.vehicles[i]
    entry: dict[str, Any] = {"kind": kind, "vehicleId": vehicle.vehicle_id, "meterId": vehicle.meter_id}
    if i in faults.points:
        entry["lostPoints"] = faults.points[i]
    stopped = {"silent_meter": vehicle.meter_id, "vehicle_silent": vehicle.vehicle_id}.get(kind)
    if stopped in silent_since:
        entry["silentSince"] = silent_since[stopped]
    return entry


def _vehicle(fleet: Fleet, faults: Faults, i: int) -> dict[str, Any]:
    vehicle, chargers = fleet.vehicles[i], fleet.chargers
    a = float(chargers.loss_share[i]) + faults.points.get(i, 0.0) / 100.0
    b = float(chargers.loss_kw[i])
    return {
        "vehicleId": vehicle.vehicle_id,
        "meterId": vehicle.meter_id,
        "model": vehicle.model.name,
        "ratedKw": vehicle.rated_kw,
        "lossShare": round(a, 5),
        "lossKw": round(b, 5),
        "efficiencyAtFullPower": round(1.0 - a - b / vehicle.rated_kw, 5),
    }
