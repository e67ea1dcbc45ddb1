"""How each vehicle is judged: by plain thresholds or a band, its own learned one, its model's, or the default."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from charging.band import Learned
from charging.verdict import Thresholds


@dataclass(frozen=True, slots=True)
class Policy:
    """`vehicles`: thresholds of vehicles for which they differ from the common ones. `charger_classes` by meter; `learned` by vehicle
    and class of charger; `models` by vehicle; `peers` by model and class of charger.
    """

    thresholds: Thresholds = Thresholds()
    vehicles: Mapping[str, Thresholds] = field(default_factory=dict)
    charger_classes: Mapping[str, str] = field(default_factory=dict)
    learned: Mapping[tuple[str, str], Learned] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    peers: Mapping[tuple[str, str], Learned] = field(default_factory=dict)

    def thresholds_of(self, vehicle_id: str) -> Thresholds:
        """What low means for this vehicle."""
        return self.vehicles.get(vehicle_id, self.thresholds)

    def learned_of(self, vehicle_id: str, meter_ids: tuple[str, ...]) -> Learned | None:
        """What is known about the vehicle at these meters; None where they are of several classes or nothing was learned."""
        if not meter_ids or not (self.learned or self.peers):
            return None
        kind = self.charger_classes.get(meter_ids[0])
        if kind is None or any(self.charger_classes.get(meter_id) != kind for meter_id in meter_ids[1:]):
            return None
        own = self.learned.get((vehicle_id, kind))
        return own or self.peers.get((self.models.get(vehicle_id, ""), kind))
