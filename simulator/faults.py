"""What is wrong in this fleet, with whom and since when. Drawn from the seed, so the truth can be written beside the run.

Every fault here is something a dashboard must tell apart: a sick charger is not a silent meter, and neither is charging elsewhere.
A running fleet has its faults from always (`assign`); in a recording they begin after healthy days (`simulator.scenario`).
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet import VEHICLES, Fleet
from simulator.noise import uniform

# Points of efficiency that a sick on-board charger costs, in the order in which sick vehicles are picked.
SICK_POINTS = (18.0, 6.0, 9.0, 12.0)
ALWAYS = 0
FOREVER = 2**62
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
class Outage:
    """All meters of a site are silent from one minute until before another (since 1970 UTC); those readings are lost."""

    site_id: str
    since_min: int
    until_min: int


@dataclass(frozen=True)
class Faults:
    """Which vehicles (by index) have which fault, no vehicle more than one.

    `points` holds the efficiency points lost: by a sick charger always, by a bad contact (resistance) at its rated power.
    `since_min` and `until_min` hold minutes since 1970 UTC: a fault lasts from the one until before the other, where none is given
    from always and for ever. `wire_since_min` is the same for duplicates and late readings, which are nobody's in particular.
    `partners` are those who charge at each other's charger, `streams` which device of a pair has the bad clock, `skew_s` by how much.
    """

    members: dict[str, tuple[int, ...]] = field(default_factory=dict)
    points: dict[int, float] = field(default_factory=dict)
    duplicates: float = 0.0
    late: float = 0.0
    since_min: dict[int, int] = field(default_factory=dict)
    until_min: dict[int, int] = field(default_factory=dict)
    wire_since_min: int = ALWAYS
    partners: dict[int, int] = field(default_factory=dict)
    streams: dict[int, str] = field(default_factory=dict)
    skew_s: dict[int, int] = field(default_factory=dict)
    outages: tuple[Outage, ...] = ()

    def of(self, kind: str) -> tuple[int, ...]:
        return self.members.get(kind, ())

    def has(self, i: int, minute: int) -> bool:
        """Whether the fault of vehicle i is there in this minute."""
        return self.since_min.get(i, ALWAYS) <= minute < self.until_min.get(i, FOREVER)

    def mask(self, kind: str, vehicles: int, minute: int | None = None) -> NDArray[np.bool_]:
        """True for the vehicles that have this fault, at any time or in this minute."""
        chosen = np.zeros(vehicles, dtype=bool)
        chosen[[i for i in self.of(kind) if minute is None or self.has(i, minute)]] = True
        return chosen

    def never_rest(self, vehicles: int) -> NDArray[np.bool_]:
        """True for the vehicles that work on Sundays too: those with a fault from always, or there would be nothing to see on a Monday.

        A fault that begins later changes nothing about the days before.
        """
        chosen = np.zeros(vehicles, dtype=bool)
        chosen[[i for members in self.members.values() for i in members if i not in self.since_min]] = True
        return chosen


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
    own = [_fault(fleet, faults, kind, i, silent_since) for kind, chosen in faults.members.items() for i in chosen]
    return {
        "seed": fleet.seed,
        "duplicates": faults.duplicates,
        "late": faults.late,
        "lateUpToMinutes": LATE_UP_TO_MIN if faults.late else 0,
        "faults": own + [_outage(fleet, outage) for outage in faults.outages],
        "vehicles": [_vehicle(fleet, faults, i) for i in range(len(fleet))],
    }


def _fault(fleet: Fleet, faults: Faults, kind: str, i: int, silent_since: dict[str, str]) -> dict[str, Any]:
    vehicle = fleet.vehicles[i]
    entry: dict[str, Any] = {"kind": kind, "vehicleId": vehicle.vehicle_id, "meterId": vehicle.meter_id}
    if i in faults.points:
        entry["lostPoints"] = faults.points[i]
    if i in faults.since_min:
        entry["onset"] = iso(faults.since_min[i])
    if i in faults.until_min:
        entry["end"] = iso(faults.until_min[i])
    if i in faults.partners:
        entry["chargesAtMeterId"] = fleet.vehicles[faults.partners[i]].meter_id
    if i in faults.streams:
        entry["deviceId"] = vehicle.vehicle_id if faults.streams[i] == VEHICLES else vehicle.meter_id
    if i in faults.skew_s:
        entry["skewSeconds"] = faults.skew_s[i]
    stopped = {"silent_meter": vehicle.meter_id, "vehicle_silent": vehicle.vehicle_id}.get(kind)
    if stopped in silent_since:
        entry["silentSince"] = silent_since[stopped]
    return entry


def _outage(fleet: Fleet, outage: Outage) -> dict[str, Any]:
    meters = [v.meter_id for v in fleet.vehicles if v.site.site_id == outage.site_id]
    span = {"onset": iso(outage.since_min), "end": iso(outage.until_min)}
    return {"kind": "site_outage", "siteId": outage.site_id, "meterIds": meters, **span}


def iso(minute: int) -> str:
    """A minute since 1970 as an instant, UTC."""
    return datetime.fromtimestamp(60 * minute, UTC).isoformat(timespec="seconds")


def _vehicle(fleet: Fleet, faults: Faults, i: int) -> dict[str, Any]:
    """What its charger is like, a sick one from its onset on. A bad contact's loss is no share: it counts at full power alone."""
    vehicle, chargers = fleet.vehicles[i], fleet.chargers
    lost = faults.points.get(i, 0.0) / 100.0
    at_contact = lost if i in faults.of("resistance") else 0.0
    a = float(chargers.loss_share[i]) + lost - at_contact
    b = float(chargers.loss_kw[i])
    return {
        "vehicleId": vehicle.vehicle_id,
        "meterId": vehicle.meter_id,
        "model": vehicle.model.name,
        "ratedKw": vehicle.rated_kw,
        "lossShare": round(a, 5),
        "lossKw": round(b, 5),
        "efficiencyAtFullPower": round(1.0 - a - b / vehicle.rated_kw - at_contact, 5),
    }
