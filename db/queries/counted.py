"""Each meter's energy counted once: what it delivered to several vehicles at a time belongs, for sums, to the first of them."""

from collections.abc import Mapping
from datetime import datetime

from charging.feeds import feeds
from charging.verdict import Summary
from db.engine import Conn
from db.gathered import instant_us
from db.queries.assigned import assigned
from db.queries.spans import Span, evidence_of_many


def counted_ac(conn: Conn, start: datetime, end: datetime, summaries: Mapping[str, Summary]) -> dict[str, int]:
    """AC in thousandths of a watt-hour by vehicle, for summaries over (start, end]: added over every vehicle there is, each meter's while any
    vehicle was assigned to it, exactly once.

    A vehicle that never shared a meter has all of its own. Of a stretch in which several were on a meter, the first of them by id has all,
    the others nothing, whatever part of the window it is and whichever vehicles are asked for.
    """
    counted = {vehicle_id: s.evidence.ac.energy_milliwh for vehicle_id, s in summaries.items()}
    shared = [vehicle_id for vehicle_id, s in summaries.items() if s.evidence.group]
    if not shared:
        return counted
    counted |= dict.fromkeys(shared, 0)
    among = set(shared)
    known = feeds(assigned(conn, shared), shared, (), instant_us(start), instant_us(end))
    own = [feed for feed in known if feed.meter_id and feed.vehicle_ids[0] in among]
    spans = [Span(case, "", feed.meter_id, feed.since_us, feed.until_us) for case, feed in enumerate(own)]
    for feed, found in zip(own, evidence_of_many(conn, spans, len(spans)), strict=True):
        counted[feed.vehicle_ids[0]] += found.ac.energy_milliwh
    return counted
