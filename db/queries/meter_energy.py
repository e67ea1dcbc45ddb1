"""What a meter gave over a window, bin by bin: what its vehicles received of it, and what nobody did."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from charging.evidence import Evidence
from charging.feeds import Feed, feeds
from db.engine import Conn
from db.gathered import Ints, instant, instant_us
from db.queries.assigned import assigned
from db.queries.spans import Span, happened, in_portions
from db.queries.weighing import QUARTER_US, weigh
from db.queries.weighing import evidence as in_words


@dataclass(slots=True)
class MeterEnergy:
    """Energies in thousandths of a watt-hour. Parts of `ac`: `ac_nobody` flowed while no vehicle was assigned, `ac_not_received` while the
    assigned ones reported that nothing arrived, `ac_unknown` while none of them reported. `dc` is what the assigned vehicles received.
    """

    ac: int = 0
    dc: int = 0
    ac_nobody: int = 0
    ac_not_received: int = 0
    ac_unknown: int = 0

    @property
    def ac_received(self) -> int:
        """What flowed while a vehicle received something: the only part whose loss is known."""
        return self.ac - self.ac_nobody - self.ac_not_received - self.ac_unknown

    def add(self, other: "MeterEnergy") -> None:
        """Take in another stretch or bin."""
        self.ac += other.ac
        self.dc += other.dc
        self.ac_nobody += other.ac_nobody
        self.ac_not_received += other.ac_not_received
        self.ac_unknown += other.ac_unknown


def bins(conn: Conn, meter_id: str, start: datetime, end: datetime, bin_s: int) -> list[tuple[datetime, MeterEnergy]]:
    """Bins of `bin_s` seconds (whole quarters) of (start, end], each named by its beginning; those in which nothing was reported are absent."""
    stretches = feeds(assigned(conn, [], [meter_id]), [], [meter_id], instant_us(start), instant_us(end))
    found: dict[int, MeterEnergy] = {}
    for chunk in in_portions([feed for feed in stretches if feed.meter_id == meter_id]):
        _add(conn, chunk, bin_s * 1_000_000, found)
    return [(instant(at), found[at]) for at in sorted(found)]


def total(parts: Sequence[tuple[datetime, MeterEnergy]]) -> MeterEnergy:
    """All bins together."""
    whole = MeterEnergy()
    for _, one in parts:
        whole.add(one)
    return whole


def _add(conn: Conn, chunk: Sequence[Feed], bin_us: int, found: dict[int, MeterEnergy]) -> None:
    """One case for each vehicle of a stretch, or for the stretch where nobody was there."""
    cases = [(n, vehicle_id) for n, feed in enumerate(chunk) for vehicle_id in (feed.vehicle_ids or ("",))]
    spans = [Span(case, vehicle, chunk[n].meter_id, chunk[n].since_us, chunk[n].until_us) for case, (n, vehicle) in enumerate(cases)]
    by_stretch: dict[tuple[int, int], list[Evidence]] = {}
    for case, at, one in _weighed(conn, spans, bin_us):
        by_stretch.setdefault((cases[case][0], at), []).append(one)
    for (n, at), members in by_stretch.items():
        found.setdefault(at, MeterEnergy()).add(_energy(chunk[n], members))


def _weighed(conn: Conn, spans: Sequence[Span], bin_us: int) -> Iterator[tuple[int, int, Evidence]]:
    """(case, its bin's beginning in µs since 2000, what happened in it)."""
    what = happened(conn, spans, len(spans))
    q = what.quarters
    begins, bin_of = np.unique((q.number + what.first_quarter) * QUARTER_US // bin_us * bin_us, return_inverse=True)
    many = max(1, len(begins))
    groups, group = np.unique(q.vehicle * many + bin_of, return_inverse=True)
    rows: Ints = weigh(q, what.rhythms, group, groups // many)
    for place, row in zip(groups.tolist(), rows.tolist(), strict=True):
        yield place // many, int(begins[place % many]), in_words(row, (), ())


def _energy(feed: Feed, members: Sequence[Evidence]) -> MeterEnergy:
    """What the stretch gave in a bin: the meter's AC stands there for each vehicle, and counts once."""
    ac = max(one.ac.energy_milliwh for one in members)
    if not feed.vehicle_ids:
        return MeterEnergy(ac=ac, ac_nobody=ac)
    dc = sum(one.dc_here_milliwh for one in members)
    if dc or not any(one.ac.moved for one in members):
        return MeterEnergy(ac=ac, dc=dc)
    if any(one.dc.received for one in members):
        return MeterEnergy(ac=ac, ac_not_received=ac)
    return MeterEnergy(ac=ac, ac_unknown=ac)
