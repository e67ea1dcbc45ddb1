"""Vehicles × chargers over a window: what each pair did together, shared stretches left out."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from charging.feeds import Assigned, Feed, feeds
from charging.matrix import Cell
from charging.policy import Policy
from db.engine import Conn
from db.gathered import instant_us
from db.queries.assigned import assigned
from db.queries.performance import judged
from db.queries.policies import Policies
from db.queries.spans import Span, evidence_of_many

# More pairs than a person can read, and than can be read from the database within seconds.
MOST_CELLS = 2_000


class TooManyCells(ValueError):
    """The window and the fleet make more pairs than MOST_CELLS."""


def around_vehicle(conn: Conn, vehicle_id: str, start: datetime, end: datetime, policies: Policies | None = None) -> list[Cell]:
    """The vehicle at each of its chargers, everyone else there, and these at their other chargers. Raises TooManyCells."""
    return _cells(conn, [vehicle_id], [], start, end, policies)


def around_meter(conn: Conn, meter_id: str, start: datetime, end: datetime, policies: Policies | None = None) -> list[Cell]:
    """Everyone at the charger, and these at their other chargers. Raises TooManyCells."""
    return _cells(conn, [], [meter_id], start, end, policies)


def of_site(conn: Conn, site_id: str, start: datetime, end: datetime, policies: Policies | None = None) -> list[Cell]:
    """Every vehicle and every charger of the site. Raises TooManyCells."""
    vehicles = [str(row[0]) for row in conn.execute("SELECT vehicle_id FROM vehicle WHERE site_id = %s ORDER BY 1", (site_id,))]
    meters = [str(row[0]) for row in conn.execute("SELECT meter_id FROM meter WHERE site_id = %s ORDER BY 1", (site_id,))]
    return _cells(conn, vehicles, meters, start, end, policies)


def _cells(
    conn: Conn, vehicle_ids: Sequence[str], meter_ids: Sequence[str], start: datetime, end: datetime, policies: Policies | None
) -> list[Cell]:
    policy = policies.current(conn) if policies else Policy()
    since_us, until_us = instant_us(start), instant_us(end)
    near = _within(assigned(conn, vehicle_ids, meter_ids), since_us, until_us)
    meters = {a.meter_id for a in near if a.meter_id and (a.vehicle_id in vehicle_ids or a.meter_id in meter_ids)}
    vehicles = sorted({*vehicle_ids, *(a.vehicle_id for a in near if a.meter_id in meters)})
    # A second step: where else these vehicles charged, and with whom, so that a shared stretch is known as such.
    wider = _within(assigned(conn, vehicles, sorted(meters)), since_us, until_us)
    pairs = _pairs(feeds(wider, vehicles, sorted(meters), since_us, until_us), set(vehicles))
    if len(pairs) > MOST_CELLS:
        raise TooManyCells(f"{len(pairs)} pairs of vehicle and charger: at most {MOST_CELLS:,}")
    spans = [Span(n, *pair, feed.since_us, feed.until_us) for n, (pair, stretches) in enumerate(pairs.items()) for feed in stretches]
    found = evidence_of_many(conn, spans, len(pairs))
    cells = [Cell(*pair, judged(pair[0], one, policy)) for pair, one in zip(pairs, found, strict=True)]
    return [cell for cell in cells if cell.summary.vehicle_readings or cell.summary.meter_readings]


def _within(known: Iterable[Assigned], since_us: int, until_us: int) -> list[Assigned]:
    return [a for a in known if a.since_us < until_us and a.until_us > since_us]


def _pairs(stretches: Iterable[Feed], vehicles: set[str]) -> dict[tuple[str, str], list[Feed]]:
    """By vehicle and meter: the stretches in which it was there alone."""
    found: dict[tuple[str, str], list[Feed]] = {}
    for feed in stretches:
        if feed.meter_id and len(feed.vehicle_ids) == 1 and feed.vehicle_ids[0] in vehicles:
            found.setdefault((feed.vehicle_ids[0], feed.meter_id), []).append(feed)
    return dict(sorted(found.items()))
