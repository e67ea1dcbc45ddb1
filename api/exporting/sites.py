"""The report with a row per site."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from api.exporting.columns import Block, Column
from charging.units import to_kwh
from db.queries.sites import SiteEnergy


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What a row is made of: a site's energy over (start, end], and the currency of its money."""

    site: SiteEnergy
    start: datetime
    end: datetime
    currency: str

    @property
    def loss(self) -> int:
        """In thousandths of a watt-hour."""
        return self.site.ac_counted - self.site.dc_counted


def parts_of(site: SiteEnergy) -> dict[str, int]:
    """What cannot be taken apart is unexplained, so that the parts add up to the loss."""
    found = site.losses
    whole = site.ac_counted - site.dc_counted
    return {
        "overhead": found.overhead,
        "conversion": found.conversion,
        "conditioning": found.conditioning,
        "standby": found.standby,
        "unexplained": found.unexplained + whole - found.total,
    }


def _energy(name: str, meaning: str, of: str) -> Column:
    return Column(name, "number", "kWh", meaning, lambda f: to_kwh(getattr(f.site, of)))


def _part(name: str, meaning: str) -> Column:
    return Column(f"{name}_kwh", "number", "kWh", meaning, lambda f: to_kwh(parts_of(f.site)[name]))


SITE_COLUMNS = [
    Column("site_id", "text", "", "the site; empty for meters of no site", lambda f: f.site.site_id),
    Column("site_name", "text", "", "the site's name", lambda f: f.site.name),
    Column("from_utc", "instant", "", "where the window begins, exclusive", lambda f: f.start),
    Column("to_utc", "instant", "", "where the window ends, inclusive", lambda f: f.end),
    Column("meters", "count", "", "meters at the site", lambda f: f.site.meters),
    _energy("ac_kwh", "what its meters took from the grid, each once", "ac"),
    _energy("ac_judged_kwh", "of it: what charging took whose efficiency is known and counts", "ac_counted"),
    _energy("ac_nobody_kwh", "of it: what flowed while no vehicle was assigned", "ac_nobody"),
    Column(
        "ac_left_out_kwh",
        "number",
        "kWh",
        "of it: what went into charging that could not be judged. Judged, nobody's and left out add up to ac_kwh",
        lambda f: to_kwh(sum(f.site.ac_left_out.values())),
    ),
    _energy("ac_not_received_kwh", "of what was left out: while the assigned vehicle reported that nothing arrived", "ac_not_received"),
    _energy("dc_judged_kwh", "what reached the batteries of what was judged", "dc_counted"),
    Column("loss_kwh", "number", "kWh", "ac_judged_kwh − dc_judged_kwh", lambda f: to_kwh(f.loss)),
    _part("overhead", "of the loss: what the electronics draw while they charge"),
    _part("conversion", "of the loss: what grows with the energy"),
    _part("conditioning", "of the loss: what warming cold batteries took beyond these"),
    _part("standby", "of the loss: what flowed to full batteries or idle chargers"),
    _part("unexplained", "the rest; the five parts add up to loss_kwh"),
    Column(
        "avoidable_kwh",
        "number",
        "kWh",
        "of loss_kwh: what would not have been lost at the upper edge of the expected band",
        lambda f: to_kwh(f.site.losses.avoidable),
    ),
    Column("tariff_per_kwh", "number", "currency/kWh", "the site's price, or that of the settings", lambda f: f.site.price.tariff_per_kwh),
    Column("co2_kg_per_kwh", "number", "kg/kWh", "likewise the grid's CO₂", lambda f: f.site.price.co2_kg_per_kwh),
    Column("loss_cost", "number", "currency", "loss_kwh at that price", lambda f: f.site.price.cost(f.loss)),
    Column("avoidable_cost", "number", "currency", "avoidable_kwh at that price", lambda f: f.site.price.cost(f.site.losses.avoidable)),
    Column("currency", "text", "", "what the money is in", lambda f: f.currency),
    Column("loss_co2_kg", "number", "kg", "CO₂ of loss_kwh", lambda f: f.site.price.co2_kg(f.loss)),
    Column("avoidable_co2_kg", "number", "kg", "CO₂ of avoidable_kwh", lambda f: f.site.price.co2_kg(f.site.losses.avoidable)),
]


def site_rows(sites: Sequence[SiteEnergy], start: datetime, end: datetime, currency: str) -> Block:
    """A row per site, in their order."""
    return [[column.of(SiteFacts(site, start, end, currency)) for column in SITE_COLUMNS] for site in sites]
