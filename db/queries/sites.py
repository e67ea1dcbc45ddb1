"""Where each site's energy went over a window: every meter's AC once, what reached which verdict, what nobody received, and the losses."""

from dataclasses import dataclass, field
from datetime import datetime

from charging.feeds import Feed, feeds
from charging.fleet import COUNTED
from charging.losses import Losses, Price, losses
from charging.policy import Policy
from charging.verdict import Verdict
from db.engine import Conn
from db.gathered import instant_us
from db.queries.assigned import assigned
from db.queries.performance import judged
from db.queries.policies import Policies
from db.queries.spans import Span, in_portions
from db.queries.spans import evidence as evidence_of


@dataclass(slots=True)
class SiteEnergy:
    """A site's window, energies in thousandths of a watt-hour; site_id None: meters of no site.

    ac = ac_counted + ac_nobody + the sum of ac_left_out, by verdict. `ac_nobody` flowed while no vehicle was assigned, `ac_not_received`
    (a part of what was left out) while the assigned vehicle reported that nothing arrived. `losses` are those of what is counted.
    """

    site_id: str | None
    name: str | None
    price: Price
    meters: int = 0
    ac: int = 0
    ac_counted: int = 0
    ac_nobody: int = 0
    ac_not_received: int = 0
    dc_counted: int = 0
    ac_left_out: dict[str, int] = field(default_factory=dict)
    losses: Losses = field(default_factory=Losses)
    ac_unexplained: int = 0  # counted, but no hours of charging are known, so the loss cannot be taken apart


def energies(conn: Conn, start: datetime, end: datetime, price: Price, policies: Policies | None = None) -> list[SiteEnergy]:
    """Every site, ordered by id, those without one last. `price` holds where a site has none of its own."""
    policy = policies.current(conn) if policies else Policy()
    known = _sites(conn, price)
    site_of = {str(row[0]): row[1] for row in conn.execute(_METERS).fetchall()}
    since_us, until_us = instant_us(start), instant_us(end)
    for meter_site in site_of.values():
        known[meter_site].meters += 1
    everything = [feed for feed in feeds(assigned(conn, None), [], list(site_of), since_us, until_us) if feed.meter_id]
    for chunk in in_portions(everything):
        _add(conn, chunk, site_of, known, policy)
    return [site for site in known.values() if site.meters]


_METERS = """SELECT meter_id, m.site_id FROM (SELECT meter_id FROM live_meter UNION SELECT meter_id FROM assignment WHERE meter_id IS NOT NULL
             UNION SELECT meter_id FROM meter) known LEFT JOIN meter m USING (meter_id)"""


def _sites(conn: Conn, price: Price) -> dict[object, SiteEnergy]:
    rows = conn.execute("SELECT site_id, name, tariff_per_kwh::float8, co2_kg_per_kwh::float8 FROM site ORDER BY site_id").fetchall()
    own = (price.tariff_per_kwh, price.co2_kg_per_kwh)
    found: dict[object, SiteEnergy] = {}
    for site_id, name, *prices in rows:
        tariff, co2 = (common if value is None else float(str(value)) for value, common in zip(prices, own, strict=True))
        found[site_id] = SiteEnergy(str(site_id), str(name), Price(tariff, co2))
    found[None] = SiteEnergy(None, None, price)
    return found


def _add(conn: Conn, chunk: list[Feed], site_of: dict[str, object], known: dict[object, SiteEnergy], policy: Policy) -> None:
    """One case for each stretch: the vehicle's where it was alone, the meter's where nobody or several were there."""
    spans = [
        Span(n, feed.vehicle_ids[0] if len(feed.vehicle_ids) == 1 else "", feed.meter_id, feed.since_us, feed.until_us)
        for n, feed in enumerate(chunk)
    ]
    for feed, one in zip(chunk, evidence_of(conn, spans, len(chunk)), strict=True):
        site, ac = known[site_of[feed.meter_id]], one.ac.energy_milliwh
        site.ac += ac
        if not feed.vehicle_ids:
            site.ac_nobody += ac
            continue
        if len(feed.vehicle_ids) > 1:
            _leave_out(site, Verdict.SHARED_METER, ac)
            continue
        summary = judged(feed.vehicle_ids[0], one, policy)
        if summary.verdict not in COUNTED:
            _leave_out(site, summary.verdict, ac)
            if one.ac.moved and one.dc.received and not one.dc.energy_milliwh:
                site.ac_not_received += ac
            continue
        site.ac_counted += ac
        site.dc_counted += one.dc_here_milliwh
        parts = losses(summary)
        if parts is None:
            site.ac_unexplained += ac
        else:
            site.losses += parts


def _leave_out(site: SiteEnergy, verdict: Verdict, ac: int) -> None:
    site.ac_left_out[verdict.value] = site.ac_left_out.get(verdict.value, 0) + ac
