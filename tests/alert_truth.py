"""A simulated fleet minute by minute on its way into the tables, as it is delivered, with an evaluation of every rule as often.

The days before the faults are stored at once and learned from; from there on each minute's readings are committed and everything is judged,
with an injected clock. So nothing is judged by what only arrived later.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg

from alerting.evaluate import evaluate
from alerting.telling import BEHIND
from charging.policy import Policy
from db import ingest, learning, partitions, rollups
from db.columns import Columns
from db.queries.lookback import Lookback
from db.queries.policies import Policies
from db.sides import METER, VEHICLE
from simulator import faults as faults_of
from simulator import record, scenario
from simulator.faults import Faults
from simulator.fleet import METERS, VEHICLES, Fleet, build
from simulator.record import Rows, Stream
from simulator.trips import DAY_MIN
from tests import truth
from tests.alert_physics import Flows, Watched

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
# A stamp that is further ahead of our clock is refused, like by the API.
AHEAD_S = 300
SIDES_OF = {VEHICLES: VEHICLE, METERS: METER}
# A reading's values in the tables' units: a row of the wire's units, as `Rows.values` has them, times this.
_UNITS = {VEHICLES: {1: 1000, 0: 10, 2: 10, 3: 100, 4: 100}, METERS: {0: 1000, 1: 10}}
_NOTHING = -(2**31)


@dataclass(frozen=True)
class Recorded:
    """A fleet whose faults begin on day `faults_from`, counted from 1; `first` is the first day's midnight, UTC. From the faults on it is
    judged for `judged_min`; `flows`: what really flowed meanwhile.
    """

    fleet: Fleet
    faults: Faults
    first: datetime
    days: int
    faults_from: int
    judged_min: int
    flows: Flows = field(default_factory=Flows)

    @classmethod
    def of(cls, vehicles: int, days: int, first: date, seed: int, faults_from: int, judged_min: int) -> "Recorded":
        """The same as `simulator.record.write` records."""
        fleet, day = build(vehicles, seed), (first - date(1970, 1, 1)).days
        faults = scenario.draw(fleet, (day + faults_from - 1) * DAY_MIN, (day + days) * DAY_MIN)
        return cls(fleet, faults, datetime(first.year, first.month, first.day, tzinfo=UTC), days, faults_from, judged_min)

    def delivered(self) -> Iterator[tuple[datetime, list[tuple[Stream, Rows]]]]:
        """What arrives on each day, in the order in which it does."""
        day = (self.first - datetime(1970, 1, 1, tzinfo=UTC)) // DAY
        seen_until = (day + self.faults_from - 1) * DAY_MIN + self.judged_min - BEHIND // MINUTE
        world = Watched(self.fleet, day * DAY_MIN, self.faults, self.flows, seen_until)
        streams = [Stream(self.fleet, self.faults, VEHICLES), Stream(self.fleet, self.faults, METERS)]
        for n in range(self.days):
            minutes = [world.next() for _ in range(DAY_MIN)]
            yield self.first + n * DAY, [(stream, stream.deliver(day + n, minutes)) for stream in streams]

    def describe(self, conn: psycopg.Connection, folder: Path) -> truth.Truth:
        """Sites, devices and assignments; and the truth about them. Commits."""
        record._describe(folder, self.fleet, self.faults)
        truth.describe(conn, folder, self.first)
        told = faults_of.truth(self.fleet, self.faults, {}) | {"end": (self.first + self.days * DAY).isoformat()}
        (folder / "truth.json").write_text(json.dumps(told))
        return truth.read_truth(folder)


def columns(stream: Stream, rows: Rows, chosen: slice) -> Columns:
    """Readings as they are stored."""
    units, some = _UNITS[stream.name], rows.values[:, chosen]
    values = [some[n] * unit for n, unit in units.items()]
    while len(values) < len(SIDES_OF[stream.name].nullable) + 1:
        values.append(np.full(some.shape[1], _NOTHING))
    vehicles = stream.fleet.vehicles
    ids = [vehicles[i].vehicle_id if stream.name == VEHICLES else vehicles[i].meter_id for i in rows.device[chosen].tolist()]
    return Columns(ids, rows.stamp_s[chosen] * 1_000_000, np.array(values, np.int32))


def accepted(rows: Rows) -> Rows:
    """Without those whose stamp is too far ahead."""
    return rows.where(rows.stamp_s <= rows.at_s + AHEAD_S)


def follow(conn: psycopg.Connection, recorded: Recorded) -> Policy:
    """Everything that is delivered, as long as it is judged; how everybody was judged when the faults began. Commits."""
    policies, lookback, left, before = Policies(), Lookback(), recorded.judged_min, Policy()
    partitions.ensure(conn, [(recorded.first + n * DAY).date() for n in range(-1, recorded.days + 1)], recorded.first)
    conn.commit()
    for number, (midnight, streams) in enumerate(recorded.delivered(), 1):
        parts = [(stream, accepted(rows)) for stream, rows in streams]
        if number < recorded.faults_from:
            _store_day(conn, parts, midnight)
        else:
            before = policies.current(conn) if number == recorded.faults_from else before
            _minutes(conn, parts, midnight, min(left, DAY_MIN), lookback, policies)
            left -= DAY_MIN
            if left <= 0:
                break
        for side in (VEHICLE, METER):
            rollups.learn_rhythms(conn, side, midnight + DAY)
        learning.learn_day(conn, midnight.date(), midnight + DAY, policies)
        conn.commit()
    return before


def _store_day(conn: psycopg.Connection, parts: Sequence[tuple[Stream, Rows]], midnight: datetime) -> None:
    for stream, rows in parts:
        for n in range(0, len(rows.at_s), 20_000):
            ingest.store_columns(conn, SIDES_OF[stream.name], columns(stream, rows, slice(n, n + 20_000)), midnight + DAY)
    conn.commit()


def _minutes(
    conn: psycopg.Connection, parts: Sequence[tuple[Stream, Rows]], midnight: datetime, minutes: int, lookback: Lookback, policies: Policies
) -> None:
    since_s = midnight.timestamp() + 60 * np.arange(DAY_MIN + 1)
    bounds = [np.searchsorted(rows.at_s, since_s) for _, rows in parts]
    for minute in range(minutes):
        now = midnight + (minute + 1) * MINUTE
        for (stream, rows), bound in zip(parts, bounds, strict=True):
            ingest.store_columns(conn, SIDES_OF[stream.name], columns(stream, rows, slice(bound[minute], bound[minute + 1])), now)
        conn.commit()
        evaluate(conn, lookback, policies, now)
        conn.commit()
