"""Who exists: depots in real cities, van models, and the vehicles and meters built from them.

Model names are made up; what is real are the ranges of their losses (see the ADAC figures in the efficiency notes).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator import physics
from simulator.noise import Floats, between, uniform
from simulator.physics import Chargers

# The two devices of a pair, by the names of their lists in a batch.
VEHICLES = "vehicles"
METERS = "meters"

LOSS_SHARE_AC = (0.046, 0.078)
LOSS_KW_AC = (0.134, 0.422)
LOSS_SHARE_DC = (0.05, 0.09)
LOSS_KW_DC = (0.2, 0.6)
CAR_SPREAD = 0.005
DC_RATINGS_KW = (50.0, 75.0, 100.0, 150.0)


@dataclass(frozen=True)
class Site:
    """A depot. Routes leave within the bearings (degrees, clockwise) and the reach, which keeps vans out of the sea."""

    site_id: str
    name: str
    latitude: float
    longitude: float
    time_zone: str
    bearing_from: float
    bearing_to: float
    reach_km: float
    mean_c: float
    swing_c: float


SITES = (
    Site("ber", "Berlin Westhafen", 52.5366, 13.3440, "Europe/Berlin", 0, 360, 22, 10.0, 10.0),
    Site("ham", "Hamburg Billbrook", 53.5310, 10.0830, "Europe/Berlin", 0, 360, 20, 9.5, 8.8),
    Site("rtm", "Rotterdam Spaanse Polder", 51.9330, 4.4210, "Europe/Amsterdam", 40, 120, 20, 10.6, 7.6),
    Site("lyo", "Lyon Corbas", 45.6670, 4.9080, "Europe/Paris", 0, 360, 22, 13.0, 9.8),
    Site("mad", "Madrid Vallecas", 40.3660, -3.6500, "Europe/Madrid", 0, 360, 22, 15.0, 10.3),
    Site("mil", "Milano Segrate", 45.4930, 9.2760, "Europe/Rome", 0, 360, 22, 13.6, 11.3),
    Site("osl", "Oslo Alnabru", 59.9310, 10.8500, "Europe/Oslo", 15, 110, 20, 6.7, 11.2),
    Site("waw", "Warszawa Ursus", 52.1950, 20.8800, "Europe/Warsaw", 0, 360, 22, 9.0, 11.2),
    Site("lon", "London Park Royal", 51.5270, -0.2760, "Europe/London", 0, 360, 22, 11.2, 6.8),
    Site("dub", "Dublin Ballymount", 53.3130, -6.3540, "Europe/Dublin", 220, 320, 20, 9.8, 5.4),
    Site("hel", "Helsinki Vantaa", 60.2960, 25.0330, "Europe/Helsinki", 300, 420, 20, 6.0, 11.6),
    Site("lis", "Lisboa Prior Velho", 38.7890, -9.1200, "Europe/Lisbon", 315, 365, 16, 17.2, 6.0),
)


@dataclass(frozen=True)
class Model:
    """A kind of van. `counter_wh` is the resolution of the energy counter it reports: real cars are as coarse as 100 Wh."""

    name: str
    rated_kw: float
    battery_kwh: float
    counter_wh: float
    is_dc: bool = False


MODELS = (
    Model("Heron Cargo 68", 11.0, 68.0, 1.0),
    Model("Heron Cargo 52", 11.0, 52.0, 1.0),
    Model("Badger Box 75", 11.0, 75.0, 10.0),
    Model("Marten City 45", 11.0, 45.0, 100.0),
    Model("Marten Compact 40", 7.4, 40.0, 1.0),
    Model("Dormouse Panel 50", 7.4, 50.0, 10.0),
    Model("Wren Delivery 33", 3.7, 33.0, 1.0),
    Model("Wren Quad 22", 2.3, 22.0, 1.0),
    Model("Bison Truck 140", 0.0, 140.0, 1.0, is_dc=True),
    Model("Bison Truck 110", 0.0, 110.0, 10.0, is_dc=True),
)

# Of every twenty vehicles: 60 % at 11 kW, 20 % at 7.4, 10 % at 3.7, 5 % at 2.3 and 5 % at a DC charger.
CLASSES_OF_TWENTY = (11.0,) * 12 + (7.4,) * 4 + (3.7,) * 2 + (2.3,) + (0.0,)


@dataclass(frozen=True)
class Vehicle:
    """A vehicle and the meter of its own charger."""

    vehicle_id: str
    meter_id: str
    site: Site
    model: Model
    rated_kw: float
    latitude: float
    longitude: float


@dataclass(frozen=True)
class Fleet:
    """Vehicles, and the same in columns for the physics (element i belongs to vehicle i and to meter i)."""

    seed: int
    vehicles: tuple[Vehicle, ...]
    chargers: Chargers
    is_dc: NDArray[np.bool_]
    counter_wh: Floats

    def __len__(self) -> int:
        return len(self.vehicles)

    @property
    def index(self) -> NDArray[np.int64]:
        return np.arange(len(self.vehicles))


def build(vehicles: int, seed: int) -> Fleet:
    """The fleet of this seed. Vehicle i is the same in a fleet of any size. Raises ValueError for an empty fleet."""
    if vehicles < 1:
        raise ValueError("a fleet needs at least one vehicle")
    members = tuple(_vehicle(i, class_kw, seed) for i, class_kw in enumerate(_classes(vehicles, seed)))
    is_dc = np.array([v.model.is_dc for v in members])
    return Fleet(seed, members, _chargers(members, is_dc, seed), is_dc, np.array([v.model.counter_wh for v in members]))


def _classes(vehicles: int, seed: int) -> list[float]:
    """Each vehicle's class in kW (0 = DC), exact in every block of twenty and shuffled within it."""
    blocks = -(-vehicles // 20)
    order = np.argsort(uniform(seed, "class", np.arange(blocks)[:, None], np.arange(20)[None, :]), axis=1)
    return [CLASSES_OF_TWENTY[k] for k in order.ravel()[:vehicles]]


def _vehicle(i: int, class_kw: float, seed: int) -> Vehicle:
    site = SITES[i % len(SITES)]
    number = i // len(SITES) + 1
    u = uniform(seed, "vehicle", i, np.arange(4))
    models = [m for m in MODELS if m.rated_kw == class_kw]
    model = models[int(u[0] * len(models))]
    rated_kw = DC_RATINGS_KW[int(u[1] * len(DC_RATINGS_KW))] if model.is_dc else class_kw
    return Vehicle(
        f"{site.site_id}-van-{number:03d}",
        f"{site.site_id}-depot-{number:03d}",
        site,
        model,
        rated_kw,
        round(site.latitude + 0.004 * (float(u[2]) - 0.5), 5),
        round(site.longitude + 0.006 * (float(u[3]) - 0.5), 5),
    )


def _model_losses(seed: int) -> dict[str, tuple[float, float]]:
    """(a, b) of each model, drawn from the measured ranges."""
    losses = {}
    for k, model in enumerate(MODELS):
        u = uniform(seed, "model", k, np.arange(2))
        share, kw = (LOSS_SHARE_DC, LOSS_KW_DC) if model.is_dc else (LOSS_SHARE_AC, LOSS_KW_AC)
        losses[model.name] = (float(between(*share, u[:1])[0]), float(between(*kw, u[1:])[0]))
    return losses


def _chargers(members: tuple[Vehicle, ...], is_dc: NDArray[np.bool_], seed: int) -> Chargers:
    index = np.arange(len(members))
    losses = _model_losses(seed)
    rated_kw = np.array([v.rated_kw for v in members])
    car = between(-CAR_SPREAD, CAR_SPREAD, uniform(seed, "car", index))
    fills_up = (uniform(seed, "stop", index) < 0.7) & ~is_dc
    return Chargers(
        rated_kw=rated_kw,
        loss_share=np.array([losses[v.model.name][0] for v in members]) + car,
        loss_kw=np.array([losses[v.model.name][1] for v in members]),
        battery_kwh=np.array([v.model.battery_kwh for v in members]),
        taper_kw_per_pct=physics.taper_kw_per_pct(rated_kw, is_dc),
        heater_kw=between(1.0, 3.0, uniform(seed, "heater", index)),
        standby_kw=between(0.003, 0.010, uniform(seed, "standby", index)),
        stop_at_soc_pct=np.where(fills_up, 100.0, between(80.0, 90.0, uniform(seed, "target", index))),
        loss_per_kw=np.zeros(len(members)),
    )
