"""A recorded fleet with known faults on its way through the product, a day at a time, and what the product says held against the truth.

Each simulated day is imported in the order of its delivery; then its sessions are judged as they are known that night, and the day is learned
from. So nothing is judged by what only became known later.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from api.importing import run
from api.importing.csv_files import CsvFile
from api.importing.writers import Writers
from api.schemas import Clock
from charging.sessions import Session
from charging.verdict import Summary, Verdict
from db import rollups
from db.queries import devices, performance, sessions
from db.queries.policies import Policies
from db.sides import SIDES

DAY = timedelta(days=1)
# What a technician should be sent to; of these nothing but the charger or its cable is at fault.
SICK = ("sick_charger", "resistance")
HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said of a vehicle: of a session that ended, or of the 24 hours that ended at `at`."""

    vehicle_id: str
    at: datetime
    began: datetime
    verdict: Verdict
    ac_kwh: float
    source: str | None
    reason: str


@dataclass(slots=True)
class Truth:
    """Faults by vehicle: kind and from when to when; the site outage belongs to every vehicle of the site."""

    faults: dict[str, list[tuple[str, datetime, datetime]]] = field(default_factory=lambda: defaultdict(list))
    vehicles: list[str] = field(default_factory=list)
    rated_kw: dict[str, float] = field(default_factory=dict)

    def kind(self, vehicle_id: str, began: datetime, ended: datetime) -> str:
        """The fault under which this stretch stands, `healthy` where none."""
        return next((kind for kind, since, until in self.faults[vehicle_id] if ended > since and began < until), HEALTHY)

    def onset(self, vehicle_id: str, kinds: Iterable[str]) -> datetime | None:
        """When the first of these faults began."""
        return min((since for kind, since, _ in self.faults[vehicle_id] if kind in kinds), default=None)


@dataclass(slots=True)
class Findings:
    """Everything that was said, night by night."""

    sessions: list[Judged] = field(default_factory=list)
    days: list[Judged] = field(default_factory=list)


def read_truth(folder: Path) -> Truth:
    """The truth beside a recording."""
    told = json.loads((folder / "truth.json").read_text())
    truth = Truth(vehicles=[vehicle["vehicleId"] for vehicle in told["vehicles"]])
    truth.rated_kw = {vehicle["vehicleId"]: vehicle["ratedKw"] for vehicle in told["vehicles"]}
    meter_of = {vehicle["meterId"]: vehicle["vehicleId"] for vehicle in told["vehicles"]}
    end = datetime.fromisoformat(told["end"])
    for fault in told["faults"]:
        span = (datetime.fromisoformat(fault["onset"]), datetime.fromisoformat(fault.get("end") or told["end"]))
        whose = [meter_of[meter] for meter in fault["meterIds"]] if fault["kind"] == "site_outage" else [fault["vehicleId"]]
        for vehicle_id in whose:
            truth.faults[vehicle_id].append((fault["kind"], span[0], min(span[1], end)))
    return truth


def describe(conn: psycopg.Connection, folder: Path, now: datetime) -> None:
    """Sites, devices and assignments of a recording. Commits."""
    for site in _objects(folder / "sites.jsonl"):
        devices.describe_site(conn, site["siteId"], site["name"], site["latitude"], site["longitude"], site["timeZone"])
    for meter in _objects(folder / "meters.jsonl"):
        devices.describe_meter(
            conn, meter["meterId"], meter["name"], meter["ratedKw"], meter.get("siteId"), meter.get("latitude"), meter.get("longitude")
        )
    for vehicle in _objects(folder / "vehicles.jsonl"):
        devices.describe_vehicle(conn, vehicle["vehicleId"], vehicle["name"], vehicle["model"], vehicle.get("siteId"))
    for line in (folder / "assignments.csv").read_text().splitlines()[1:]:
        vehicle_id, meter_id, _ = line.split(",")
        conn.execute("INSERT INTO fleet_mapping VALUES (%s, %s)", (vehicle_id, meter_id))
    conn.commit()


def _objects(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def follow(url: str, folder: Path, first: datetime, days: int, learn: Callable[[psycopg.Connection, datetime], None]) -> Findings:
    """Import each day, judge it that night, learn from it."""
    found, policies = Findings(), Policies()
    with psycopg.connect(url, options="-c TimeZone=UTC") as conn:
        describe(conn, folder, first)
        for number in range(1, days + 1):
            night = first + number * DAY
            import_day(conn, url, folder, number, night)
            found.sessions += [one for session in sessions.of_everyone(conn, night - DAY, night, night, policies) for one in _of(session)]
            found.days += [
                _day(vehicle_id, s, night) for vehicle_id, s in performance.summaries(conn, night - DAY, night, None, policies).items()
            ]
            conn.commit()
            learn(conn, night - DAY)
    return found


def import_day(conn: psycopg.Connection, url: str, folder: Path, number: int, now: datetime) -> None:
    """What was delivered on this day, the first being 1. Commits."""
    files = [folder / f"{side.name}s-{number:02d}.csv" for side in SIDES]
    with Writers(url, now=lambda: now) as two:
        tallies = run.begin(conn, [(file, CsvFile(file, 1 << 20)) for file in files], two.count, now, again=False)
        for tally in tallies:
            run.import_file(tally, two, lambda: Clock.at(now + DAY, 86_400, None), lambda _file, _rejected: None, lambda _tally, _n: None)
            assert tally.rejected == 0, tally.samples
    run.end(conn, tallies)
    for side in SIDES:
        rollups.learn_rhythms(conn, side, now)
    conn.commit()


def _of(session: Session) -> list[Judged]:
    s = session.summary
    source = s.band.source if s.band else None
    return [Judged(v, session.end, session.start, s.verdict, s.ac_kwh, source, s.reason) for v in session.vehicle_ids]


def _day(vehicle_id: str, s: Summary, night: datetime) -> Judged:
    return Judged(vehicle_id, night, night - DAY, s.verdict, s.ac_kwh, s.band.source if s.band else None, s.reason)


def detections(truth: Truth, found: Findings, kind: str, sessions_allowed: int = 2) -> dict[str, int | None]:
    """By vehicle with this fault: in which of its sessions after the onset it was first found low; None where not within those allowed."""
    result: dict[str, int | None] = {}
    for vehicle_id in truth.vehicles:
        onset = truth.onset(vehicle_id, (kind,))
        if onset is None:
            continue
        after = sorted((s for s in found.sessions if s.vehicle_id == vehicle_id and s.began >= onset), key=lambda s: s.at)
        hits = [n for n, s in enumerate(after[:sessions_allowed], 1) if s.verdict is Verdict.LOW]
        result[vehicle_id] = hits[0] if hits else None
    return result


def false_alarms(truth: Truth, found: Findings) -> list[Judged]:
    """Sessions and days judged low of vehicles whose charger is not sick then, at most one for each vehicle and day, sessions first."""
    seen: dict[tuple[str, Any], Judged] = {}
    for one in (*found.sessions, *found.days):
        if one.verdict is Verdict.LOW and truth.kind(one.vehicle_id, one.began, one.at) not in (*SICK, "swapped_mapping"):
            seen.setdefault((one.vehicle_id, (one.at - timedelta(microseconds=1)).date()), one)
    return list(seen.values())


def confusion(truth: Truth, judged: Sequence[Judged]) -> dict[str, Counter[str]]:
    """By the fault a session or day stood under: how often each verdict was given."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for one in judged:
        table[truth.kind(one.vehicle_id, one.began, one.at)][one.verdict.value] += 1
    return table


def table(rows: dict[str, Counter[str]]) -> str:
    """A confusion table in Markdown."""
    columns = [v.value for v in Verdict if any(v.value in row for row in rows.values())]
    lines = ["| truth | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    order = [HEALTHY, *sorted(set(rows) - {HEALTHY})]
    lines += [f"| {name} | " + " | ".join(str(rows[name].get(c, 0) or "") for c in columns) + " |" for name in order if name in rows]
    return "\n".join(lines)


def report(truth: Truth, found: Findings) -> str:
    """What docs/efficiency.md holds: how many were found, false alarms, and both confusion tables."""
    lines = []
    for kind in SICK:
        sessions = Counter(detections(truth, found, kind).values())
        of = sum(sessions.values())
        lines.append(
            f"{kind}: {of - sessions[None]} of {of} found, {sessions[1]} in their first session after the onset, {sessions[2]} in their second"
        )
    alarms = false_alarms(truth, found)
    lines.append(f"false alarms: {len(alarms)} on {len(found.days):,} vehicle-days")
    lines += [
        f"- {one.vehicle_id} {one.at:%Y-%m-%d %H:%M}, {truth.kind(one.vehicle_id, one.began, one.at)}: {one.reason}" for one in alarms
    ]
    for name, judged in (("Sessions", found.sessions), ("24 hours up to midnight", found.days)):
        lines += ["", f"{name}, by what was true and what was said:", "", table(confusion(truth, judged))]
    return "\n".join(lines)
