"""The report with a row per vehicle."""

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime

from api.exporting.columns import Column, loss_columns
from api.exporting.window import Window
from api.services import Services
from charging.losses import Losses, losses
from charging.units import to_kwh
from charging.verdict import Summary, Verdict
from db.queries import performance
from db.queries.counted import counted_ac
from db.queries.described import Described, described


@dataclass(frozen=True, slots=True)
class SummaryFacts:
    """What a row is made of; `counted_milliwh` is the vehicle's part of the meters' energy, each counted once."""

    vehicle_id: str
    summary: Summary
    counted_milliwh: int
    parts: Losses | None
    described: Described
    window: Window
    computed_at: datetime


SUMMARY_COLUMNS = [
    Column("vehicle_id", "text", "", "the vehicle", lambda f: f.vehicle_id),
    Column("vehicle_name", "text", "", "as somebody described it; empty where nobody did", lambda f: f.described.name),
    Column("vehicle_model", "text", "", "likewise", lambda f: f.described.model),
    Column("site_id", "text", "", "the site it belongs to", lambda f: f.described.site_id),
    Column("site_name", "text", "", "the site's name", lambda f: f.described.site_name),
    Column("meter_ids", "texts", "", "the meters it was assigned to within the window", lambda f: f.summary.meter_ids),
    Column(
        "shared_with",
        "texts",
        "",
        "the vehicles that were on one of its meters at the same time as it",
        lambda f: f.summary.evidence.group[1:],
    ),
    Column("from_utc", "instant", "", "where the window begins, exclusive", lambda f: f.window.start),
    Column("to_utc", "instant", "", "where the window ends, inclusive", lambda f: f.window.end),
    Column("window_hours", "number", "h", "its length; a local day with a change of the clocks has 23 or 25", lambda f: f.window.hours),
    Column("zone", "text", "", "the IANA name of the zone of the local columns", lambda f: f.window.zone.key),
    Column(
        "from_local", "text", "", "from_utc on that zone's clocks, RFC 3339 with their offset", lambda f: f.window.local(f.window.start)
    ),
    Column("to_local", "text", "", "to_utc likewise", lambda f: f.window.local(f.window.end)),
    Column(
        "total_ac_kwh",
        "number",
        "kWh",
        "what its meters took from the grid while it was assigned to them; not to be added where shared_with is filled",
        lambda f: f.summary.ac_kwh,
    ),
    Column("total_dc_kwh", "number", "kWh", "what reached its battery", lambda f: f.summary.dc_kwh),
    Column(
        "ac_counted_kwh",
        "number",
        "kWh",
        "the same energy to be added: over every vehicle, each meter's while assigned exactly once. Shared energy is the first vehicle's by id",
        lambda f: to_kwh(f.counted_milliwh),
    ),
    Column("efficiency", "number", "ratio", "DC ÷ AC; of the group on a shared meter", lambda f: f.summary.ratio),
    Column("loss_kwh", "number", "kWh", "AC − DC; empty where no efficiency is known and on a shared meter", lambda f: f.summary.loss_kwh),
    *loss_columns(),
    Column("avg_battery_temp_c", "number", "°C", "mean of the measured battery temperatures", lambda f: f.summary.avg_battery_temp_c),
    Column(
        "coverage_vehicle",
        "number",
        "0…1",
        "readings received ÷ due from the vehicle while charging",
        lambda f: f.summary.coverage_vehicle,
    ),
    Column("coverage_meter", "number", "0…1", "likewise from its meters", lambda f: f.summary.coverage_meter),
    Column(
        "uncertainty",
        "number",
        "ratio",
        "of the efficiency, from the counters' steps and the meters' class",
        lambda f: f.summary.uncertainty,
    ),
    Column("expected_low", "number", "ratio", "lower edge of the expected band", lambda f: f.summary.expected_low),
    Column("expected_high", "number", "ratio", "its upper edge", lambda f: f.summary.expected_high),
    Column(
        "expected_from",
        "text",
        "",
        "what the band rests on: default, peers (its model) or learned (this vehicle)",
        lambda f: f.summary.band.source if f.summary.band else None,
    ),
    Column(
        "expected_observations",
        "count",
        "",
        "hours of charging that a learned band rests on",
        lambda f: f.summary.band.observations if f.summary.band else None,
    ),
    Column("readings_vehicle", "count", "", "readings of the vehicle in the window", lambda f: f.summary.vehicle_readings),
    Column("readings_meter", "count", "", "readings of its meters while assigned", lambda f: f.summary.meter_readings),
    Column("verdict", "text", "", "what may be said about the efficiency", lambda f: f.summary.verdict.value),
    Column("severity", "text", "", "warning or critical where the verdict is low", lambda f: f.summary.severity),
    Column("reason", "text", "", "why, in words", lambda f: f.summary.reason),
    Column("computed_at_utc", "instant", "", "when the row was worked out", lambda f: f.computed_at),
]


def summary_facts(
    services: Services, window: Window, vehicle_ids: Sequence[str], verdicts: Collection[Verdict]
) -> Generator[SummaryFacts, None, None]:
    """These vehicles' in the order of their ids, those with one of the verdicts if any is named. Raises Problem 503."""
    with services.reading() as conn:
        for some in performance.stream(conn, window.start, window.end, services.policies, vehicle_ids):
            at = services.now()
            counted = counted_ac(conn, window.start, window.end, some)
            known = described(conn, list(some))
            for vehicle_id, s in some.items():
                if not verdicts or s.verdict in verdicts:
                    parts = losses(s) if s.loss_kwh is not None else None
                    yield SummaryFacts(vehicle_id, s, counted[vehicle_id], parts, known.get(vehicle_id, Described()), window, at)
