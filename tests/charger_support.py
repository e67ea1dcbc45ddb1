"""The chargers of a believable fleet without a database: one for each of its vehicles, drawn from the same seed."""

import gzip
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from charging.matrix import Cell
from charging.timeline import ALWAYS, FOREVER, Occupied
from dashboard.charger_figure import ChargerTimeline
from dashboard.charger_list import COLUMNS
from dashboard.figures import Timeline
from dashboard.over import Over, Range, detail
from dashboard.pages.charger import loading
from dashboard.pages.charger.loading import Judged, Live, Occupant, Window
from dashboard.pictures import Picture
from db.assignment_changes import AssignmentChange
from db.queries.chargers import MeterReading, Place, Rating
from db.queries.meter_energy import MeterEnergy
from tests import browser_support
from tests.browser_support import FakeFleet, session, summary, timeline

KWH = 1_000_000
NOBODYS_HOUR, SILENT_HOUR = 19, 20  # of the day, UTC


def live(row: dict[str, Any], now: datetime) -> Live:
    """The charger with its vehicle as it is."""
    vehicle = browser_support.live(row, now).vehicle
    assert vehicle.meter
    meter = replace(vehicle.meter, name=f"Bay {row['id'][4:]}")
    recorded = meter.recorded_at
    assert recorded
    readings = [
        MeterReading(
            recorded - timedelta(minutes=n), recorded - timedelta(minutes=n) + timedelta(seconds=2 if n % 9 else 3900), 0.18, 231.0
        )
        for n in range(50)
    ]
    judged = summary(row["acKwh"], row["efficiency"], 6.0) if row["efficiency"] else summary(0.0, 1.0, 0.0)
    return Live(meter, Rating(11.0, None), Place("description", None), readings, [Occupant(vehicle, judged)], 1, now)


def window(row: dict[str, Any], over: Over) -> Window:
    """A charge every night; in one hour of it nobody was assigned, in another the vehicle was silent."""
    drawn = timeline(row, replace(over.like, span=over.end - over.start), over.end)
    energy = []
    for at, one in drawn.bins:
        ac = round(one.ac_kwh * KWH)
        part = {NOBODYS_HOUR: {"ac_nobody": ac}, SILENT_HOUR: {"ac_unknown": ac}}.get(at.hour, {"dc": round(one.dc_kwh * KWH)})
        energy.append((at, MeterEnergy(ac=ac, **part)))
    nights = [over.end - timedelta(days=n, hours=8) for n in range(max(1, (over.end - over.start).days))]
    efficient = {**row, "efficiency": row["efficiency"] or 0.9}
    charged = [session(efficient, at, at + timedelta(hours=5, minutes=17)) for at in reversed(nights)]
    nobodys = replace(charged[-1], vehicle_ids=(), end=charged[-1].end + timedelta(hours=1))
    found = [*charged, nobodys]
    points = Timeline(drawn.start, drawn.end, [], drawn.bin_s, [], drawn.meter, drawn.point_s, over.like.bucket, found)
    return Window(row["meterId"], over, ChargerTimeline(points, energy), found)


def judged(row: dict[str, Any], now: datetime) -> Judged:
    """Two vehicles low here, one of them fine elsewhere: it is the charger; they shared it for a day."""
    meter = row["meterId"]
    ratios = {(row["id"], meter): 0.72, ("VAN-A", meter): 0.73, ("VAN-A", "CP-90001"): 0.92, ("VAN-B", "CP-90001"): 0.92}
    cells = [Cell(*pair, summary(61.4, ratio, 6.0)) for pair, ratio in ratios.items()]
    shared = now - timedelta(days=9)
    stretches = [
        Occupied(ALWAYS, shared, ("VAN-A",)),
        Occupied(shared, shared + timedelta(days=1), tuple(sorted(("VAN-A", row["id"])))),
        Occupied(shared + timedelta(days=1), FOREVER, (row["id"],)),
    ]
    changes = [
        AssignmentChange(1, now - timedelta(days=2), "anna", "api", row["id"], shared, None, None, meter, True, "plugged in earlier")
    ]
    return Judged(meter, now, now, cells, "", stretches, changes)


@dataclass
class FakeList:
    """Like dashboard.charger_list.ChargerList."""

    fleet: FakeFleet

    def get(self) -> Picture:
        rows = [_row(row, self.fleet.now) for row in self.fleet.rows if row["meterId"]]
        columns = {name: [row[name] for row in rows] for name in COLUMNS}
        as_of = self.fleet.now.isoformat().replace("+00:00", "Z")
        raw = orjson.dumps({"asOf": as_of, "stale": self.fleet.away, "chargers": columns})
        return Picture(gzip.compress(raw, 5), hashlib.sha256(raw).hexdigest()[:24], 0.0)


def _row(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    n = int(row["id"][4:])
    alone = n % 7 != 6
    return {
        "id": row["meterId"], "name": f"Bay {row['id'][4:]}", "site": row["site"], "ratedKw": None if n % 5 == 4 else 11.0, "class": "11 kW",
        "classFrom": "learned" if n % 5 == 4 else "described", "powerKw": round(row["powerKw"] * 1.09, 1), "voltage": 231, "recordedAt": row["recordedAt"],
        "silent": now.timestamp() - row["recordedAt"] > 900, "vehicles": [row["id"]] if alone else [], "more": 0, "acKwh": row["acKwh"],
        "verdict": row["verdict"] if alone else None, "severity": row["severity"] if alone else None,
    }  # fmt: skip


@contextmanager
def fake_chargers(fleet: FakeFleet) -> Iterator[None]:
    """The charger's page reads this fleet instead of a database."""

    def row(meter_id: str) -> dict[str, Any] | None:
        if fleet.away:
            raise ConnectionError("the database is away")
        return next((one for one in fleet.rows if one["meterId"] == meter_id), None)

    def load_live(_: Any, meter_id: str, now: datetime, *__: Any) -> Live | None:
        found = row(meter_id)
        return live(found, now) if found else None

    def load_window(_: Any, meter_id: str, over: Over, *__: Any) -> Window:
        found = row(meter_id)
        nothing = ChargerTimeline(Timeline(over.start, over.end, [], 3600, [], [], 900), [])
        return window(found, over) if found else Window(meter_id, over, nothing, [])

    def load_judged(_: Any, meter_id: str, end: datetime, now: datetime, *__: Any) -> Judged:
        found = row(meter_id)
        return judged(found, now) if found else Judged(meter_id, end, now, [], "", [], [])

    def load_chart(_: Any, meter_id: str, start: datetime, end: datetime, *__: Any) -> ChargerTimeline:
        fine = detail(end - start)
        like = Range("", "", end - start, max(3600, fine.bin_s), fine.bucket, fine.point_s)
        return load_window(None, meter_id, Over(start, end, like)).timeline

    fakes = {"load_live": load_live, "load_chart": load_chart, "load_window": load_window, "load_judged": load_judged}
    real = {name: getattr(loading, name) for name in fakes}
    for name, fake in fakes.items():
        setattr(loading, name, fake)
    try:
        yield
    finally:
        for name, was in real.items():
            setattr(loading, name, was)
