"""What the fleet's loss costs and emits: each vehicle's at the prices of the site where it charged."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from charging.fleet import COUNTED
from charging.losses import Price
from charging.verdict import Summary
from db.sites import Site


@dataclass(frozen=True, slots=True)
class Bill:
    """Money, kilograms of CO₂, and how many sites had a price of their own among those it was made of."""

    cost: float
    co2_kg: float
    own_sites: int


def own_prices(sites: Iterable[Site], common: Price) -> dict[str, Price]:
    """By site id: the prices of those sites that have any of their own; what such a site does not say is as in `common`."""
    return {
        site.site_id: Price(
            common.tariff_per_kwh if site.tariff_per_kwh is None else site.tariff_per_kwh,
            common.co2_kg_per_kwh if site.co2_kg_per_kwh is None else site.co2_kg_per_kwh,
        )
        for site in sites
        if site.tariff_per_kwh is not None or site.co2_kg_per_kwh is not None
    }


def bill(
    vehicle_sites: Iterable[tuple[str, str | None]],
    meter_sites: Mapping[str, str | None],
    evidence: Mapping[str, Summary],
    own: Mapping[str, Price],
    common: Price,
) -> Bill:
    """The loss of the vehicles that count, of all that are given as (vehicle, its site). The place is found as in db.queries.prices: the site of the meters, else the vehicle's."""
    lost: dict[str | None, int] = {}
    for vehicle_id, vehicle_site in vehicle_sites:
        summary = evidence.get(vehicle_id)
        if summary is None or summary.verdict not in COUNTED:
            continue
        site = _site(vehicle_site, summary, meter_sites) if own else None
        site = site if site in own else None
        lost[site] = lost.get(site, 0) + summary.evidence.ac.energy_milliwh - summary.evidence.dc.energy_milliwh
    priced = [(own[site] if site else common, milliwh) for site, milliwh in lost.items()]
    return Bill(
        sum(price.cost(milliwh) for price, milliwh in priced),
        sum(price.co2_kg(milliwh) for price, milliwh in priced),
        sum(1 for site in lost if site),
    )


def _site(vehicle_site: str | None, summary: Summary, meter_sites: Mapping[str, str | None]) -> str | None:
    there = {meter_sites.get(meter_id) for meter_id in summary.meter_ids} - {None}
    return there.pop() if len(there) == 1 else vehicle_site
