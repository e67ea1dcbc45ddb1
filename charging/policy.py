"""How each vehicle is judged: by plain thresholds or a band, its own learned one, its model's, or the default."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from charging.band import Learned
from charging.charger import DC_CLASS
from charging.evidence import Evidence
from charging.margin import Margin, margin, verdict_and_margin
from charging.verdict import Summary, Thresholds, Verdict, summarise


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

    def class_of(self, meter_ids: tuple[str, ...]) -> str | None:
        """The class of these chargers; None where nobody knows it or they are of several."""
        kind = self.charger_classes.get(meter_ids[0]) if meter_ids else None
        return kind if all(self.charger_classes.get(meter_id) == kind for meter_id in meter_ids[1:]) else None

    def learned_of(self, vehicle_id: str, kind: str | None) -> Learned | None:
        """What is known about the vehicle at this class of charger; its own past before its model's."""
        if kind is None:
            return None
        own = self.learned.get((vehicle_id, kind))
        return own or self.peers.get((self.models.get(vehicle_id, ""), kind))

    def judge(self, vehicle_id: str, evidence: Evidence, group: list[Evidence] | None = None) -> Summary:
        """The summary of a vehicle's evidence; `group`: that of everyone on its shared meter, its own first."""
        kind = self.class_of(evidence.meter_ids)
        is_dc = None if kind is None else kind == DC_CLASS
        return summarise(evidence, self.thresholds_of(vehicle_id), group, self.learned_of(vehicle_id, kind), is_dc)

    def margin(self, vehicle_id: str, evidence: Evidence) -> Margin:
        """How far from low it is judged to be; of evidence judged ok or low."""
        kind = self.class_of(evidence.meter_ids)
        return margin(
            evidence, self.thresholds_of(vehicle_id), self.learned_of(vehicle_id, kind), None if kind is None else kind == DC_CLASS
        )

    def verdict_and_margin(self, vehicle_id: str, evidence: Evidence) -> tuple[Verdict, Margin | None]:
        """Both without words, of a vehicle that has its meter to itself; the margin where it is judged ok or low."""
        kind = self.class_of(evidence.meter_ids)
        is_dc = None if kind is None else kind == DC_CLASS
        return verdict_and_margin(evidence, self.thresholds_of(vehicle_id), self.learned_of(vehicle_id, kind), is_dc)
