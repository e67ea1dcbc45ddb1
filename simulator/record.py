"""A simulated fleet's telemetry in files, as it would have been delivered: no server, no waiting.

`vehicles-01.csv`, `meters-01.csv` and so on, a pair for each UTC day *of delivery*, in the wire's column names and in the order in which
the readings arrive. A late reading stands in the file of the day on which it arrives, and one sent twice stands there twice. What is
still on its way when the last day ends is left out.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from simulator import describe, scenario, travel
from simulator import faults as faults_of
from simulator.faults import Faults
from simulator.feed import stamps
from simulator.fleet import METERS, VEHICLES, Fleet, build
from simulator.noise import Floats
from simulator.trips import DAY_MIN
from simulator.world import Minute, World

HEADERS = {
    VEHICLES: "vehicleId,soc,kwhDeliveredDc,batteryTemp,timestamp,latitude,longitude",
    METERS: "meterId,kwhConsumedAc,voltage,timestamp",
}
DAY_S = 86_400.0
DEGREE_DECIMALS = 5

Ints = NDArray[np.int64]
Counts = dict[str, dict[str, int]]


class NotEmpty(Exception):
    """The folder holds something already: files of another recording would be taken for part of this one."""


def write(out_dir: Path, vehicles: int, days: int, start: date, seed: int, faults_from_day: int, healthy: bool = False) -> Path:
    """Record a fleet from 0:00 UTC of `start` on for so many days into `out_dir`, and return the path of the truth about it.

    Day `faults_from_day` (counted from 1) is the one on which the faults begin; without them, `healthy`, the fleet and all days before
    are the same to the byte. Beside the readings there are `assignments.csv`, the descriptions of sites, vehicles and meters
    (`*.jsonl`, the bodies of the PUT requests with the id) and `truth.json`. Raises NotEmpty, and ValueError for a day that does not
    exist in this recording.
    """
    if days < 1 or (not 1 <= faults_from_day <= days and not healthy):
        raise ValueError(f"a recording of {days} days has no day {faults_from_day} on which faults could begin")
    fleet = build(vehicles, seed)
    first_day = (start - date(1970, 1, 1)).days
    begin, end = (first_day + faults_from_day - 1) * DAY_MIN, (first_day + days) * DAY_MIN
    faults = faults_of.none() if healthy else scenario.draw(fleet, begin, end)
    _claim(out_dir)
    _describe(out_dir, fleet, faults)
    counts = _readings(out_dir, fleet, faults, first_day, days)
    return _truth(out_dir, fleet, faults, counts, {"start": _midnight(first_day), "end": _midnight(first_day + days)})


def _claim(out_dir: Path) -> None:
    out_dir.mkdir(parents=True, exist_ok=True)
    if any(out_dir.iterdir()):
        raise NotEmpty(f"{out_dir} is not empty")


def _midnight(day: int) -> str:
    return faults_of.iso(day * DAY_MIN)


def _describe(out_dir: Path, fleet: Fleet, faults: Faults) -> None:
    for collection, id_key, puts in (
        ("sites", "siteId", describe.sites(fleet)),
        ("vehicles", "vehicleId", describe.vehicles(fleet, faults)),
        ("meters", "meterId", describe.meters(fleet, faults)),
    ):
        lines = [orjson.dumps({id_key: put.name, **put.body}, option=orjson.OPT_APPEND_NEWLINE) for put in puts]
        (out_dir / f"{collection}.jsonl").write_bytes(b"".join(lines))
    mapped = [f"{put.name},{put.body['meterId']}," for put in describe.mappings(fleet, faults)]
    _save(out_dir / "assignments.csv", "vehicle_id,meter_id,from", mapped)


def _truth(out_dir: Path, fleet: Fleet, faults: Faults, counts: Counts, when: dict[str, str]) -> Path:
    wire_since = {"wireFaultsSince": faults_of.iso(faults.wire_since_min)} if faults.wire_since_min else {}
    told = faults_of.truth(fleet, faults, {}) | when | wire_since | {"readings": counts}
    file = out_dir / "truth.json"
    file.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return file


def _save(file: Path, header: str, lines: list[str]) -> None:
    file.write_text("\n".join((header, *lines, "")), encoding="utf-8", newline="\n")


# ------------------------------------------------------------------------------------------------------------------- the readings


class Rows(NamedTuple):
    """Readings of one stream, one element each: second of delivery, device, stamped second, whether a second copy, and the values.

    `values` has a row per column of the wire, in units of its last decimal.
    """

    at_s: Floats
    device: Ints
    stamp_s: Ints
    is_copy: NDArray[np.bool_]
    values: Ints

    def where(self, chosen: NDArray[Any]) -> "Rows":
        """Those at these places, or for which this mask is true. A mask may be of more dimensions, like the rows themselves."""
        return Rows._make(column[..., chosen] for column in self)

    def and_then(self, others: "Rows") -> "Rows":
        """These and others behind them."""
        return Rows._make(np.concatenate(pair, axis=-1) for pair in zip(self, others, strict=True))


def _readings(out_dir: Path, fleet: Fleet, faults: Faults, first_day: int, days: int) -> Counts:
    """Write all days. Counts the rows of each stream, and among them the second copies."""
    world = World(fleet, first_day * DAY_MIN, faults)
    streams = [Stream(fleet, faults, VEHICLES), Stream(fleet, faults, METERS)]
    counts = {stream.name: Counter[str]() for stream in streams}
    for day in range(first_day, first_day + days):
        minutes = [world.next() for _ in range(DAY_MIN)]
        for stream in streams:
            rows = stream.deliver(day, minutes)
            _save(out_dir / f"{stream.name}-{day - first_day + 1:02d}.csv", HEADERS[stream.name], list(stream.lines(rows)))
            counts[stream.name].update(rows=len(rows.at_s), duplicates=int(rows.is_copy.sum()))
    return {name: dict(count) for name, count in counts.items()}


@dataclass
class Stream:
    """The readings of all vehicles or of all meters, a day of delivery after another."""

    fleet: Fleet
    faults: Faults
    name: str
    travelling: Rows | None = field(default=None)

    def deliver(self, day: int, minutes: list[Minute]) -> Rows:
        """What arrives on this day, in order; what is measured on it and arrives later is put aside."""
        rows = self._measured(day, minutes)
        rows = self.travelling.and_then(rows) if self.travelling else rows
        arrives = rows.at_s < (day + 1) * DAY_S
        self.travelling = rows.where(~arrives)
        rows = rows.where(arrives)
        return rows.where(np.argsort(rows.at_s, kind="stable"))

    def _measured(self, day: int, minutes: list[Minute]) -> Rows:
        journey = travel.of_day(self.fleet, self.faults, self.name, day)
        second = np.array([m.vehicle_second if self.name == VEHICLES else m.meter_second for m in minutes])
        measured_s = (day * DAY_MIN + np.arange(DAY_MIN)[:, None]) * 60.0 + second
        at_s = measured_s + travel.SENDING_S + journey.delay_s
        columns = (_vehicle_values if self.name == VEHICLES else _meter_values)(minutes)
        device = np.broadcast_to(self.fleet.index, at_s.shape)
        table = Rows(at_s, device, measured_s.astype(np.int64) + journey.stamp_off_s, np.zeros(at_s.shape, dtype=bool), columns)
        first = table.where(~journey.lost)
        copy_after_s = journey.copy_after_s[~journey.lost]
        again = first.where(copy_after_s > 0.0)
        copied = again._replace(at_s=again.at_s + copy_after_s[copy_after_s > 0.0], is_copy=np.ones_like(again.is_copy))
        return first.and_then(copied)

    def lines(self, rows: Rows) -> Iterator[str]:
        """The rows as lines of a file."""
        vehicles = self.fleet.vehicles
        ids = np.array([v.vehicle_id if self.name == VEHICLES else v.meter_id for v in vehicles], dtype=object)[rows.device].tolist()
        return (_vehicle_lines if self.name == VEHICLES else _meter_lines)(ids, stamps(rows.stamp_s), rows.values)


def _vehicle_values(minutes: list[Minute]) -> Ints:
    """Charge and temperature in tenths, energy in Wh, position in 0.00001°: (5, minutes, vehicles)."""
    columns = (
        np.rint(np.array([m.soc_pct for m in minutes]) * 10.0),
        np.array([m.dc_wh for m in minutes]),
        np.rint(np.array([m.battery_temp_c for m in minutes]) * 10.0),
        np.rint(np.array([m.latitude for m in minutes]) * 10.0**DEGREE_DECIMALS),
        np.rint(np.array([m.longitude for m in minutes]) * 10.0**DEGREE_DECIMALS),
    )
    return np.array(columns).astype(np.int64)


def _meter_values(minutes: list[Minute]) -> Ints:
    """Energy in Wh, voltage in tenths: (2, minutes, meters)."""
    return np.array([[m.ac_wh for m in minutes], np.rint([m.voltage_v * 10.0 for m in minutes])]).astype(np.int64)


def _vehicle_lines(ids: list[str], at: list[str], values: Ints) -> Iterator[str]:
    soc, kwh, temp, latitude, longitude = (_texts(column, decimals) for column, decimals in zip(values, (1, 3, 1, 5, 5), strict=True))
    return map(",".join, zip(ids, soc, kwh, temp, at, latitude, longitude, strict=True))


def _meter_lines(ids: list[str], at: list[str], values: Ints) -> Iterator[str]:
    kwh, volts = (_texts(column, decimals) for column, decimals in zip(values, (3, 1), strict=True))
    return map(",".join, zip(ids, kwh, volts, at, strict=True))


def _texts(column: Ints, decimals: int) -> list[str]:
    """The numbers in decimal notation. Few of them are different, and each different one is written out once."""
    different, which = np.unique(column, return_inverse=True)
    texts = [repr(value) for value in (different / 10**decimals).tolist()]
    chosen: list[str] = np.array(texts, dtype=object)[which].tolist()
    return chosen
