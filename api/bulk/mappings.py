"""Assignments from a file: what its rows want, what that would change, and the change, of all rows or of none."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from api.bulk.cells import cell, device_id, instant
from api.bulk.table import Columns, Fault, Row, WrongRows, fault, read
from api.words import change_words
from charging.assigning import Planned, Wish, overlapping, plan_all
from charging.timeline import Timeline
from db import assignments, known_devices
from db.assignment_changes import Author
from db.engine import Conn

COLUMNS = Columns(("vehicle_id", "meter_id"), ("from", "to"))
NONE = "none"  # as a meter: the mapping ends. An empty cell may be a mistake, so it does not

Action = Literal["first", "changed", "corrected", "unchanged"]


@dataclass(frozen=True, slots=True)
class Planning:
    """A row of the file and what it changes."""

    line: int
    planned: Planned
    action: Action


def assign_file(conn: Conn, raw: bytes, now: datetime, author: Author, *, dry_run: bool, accept_unknown: bool) -> list[Planning]:
    """Carry out a whole file, or with `dry_run` only say what that would change.

    Raises WrongRows, and then nothing is carried out; Problem 413 for too many rows.
    """
    rows, found = read(raw, COLUMNS)
    wishes, lines = _wishes(rows, found)
    if not dry_run:
        assignments.lock_all(conn)
    known = assignments.load(conn, sorted({wish.vehicle_id for wish in wishes}))
    if not accept_unknown:
        found += _unknown(conn, wishes, lines)
    found += _impossible(wishes, lines, known, now)
    if found:
        raise WrongRows(found)
    made = plan_all(wishes, known, now)
    if not dry_run:
        assignments.keep(conn, [one for _, one in made], author, now)
    return sorted((Planning(lines[place], one, _action(one, now)) for place, one in made), key=lambda one: one.line)


def words(done: list[Planning], now: datetime, *, dry_run: bool) -> dict[str, Any]:
    """The answer."""
    counted = Counter(one.action for one in done)
    return {
        "dryRun": dry_run,
        "applied": not dry_run,
        "counts": {"rows": len(done), **{action: counted[action] for action in ("first", "changed", "corrected", "unchanged")}},
        "rows": [
            {
                "line": one.line,
                "vehicleId": one.planned.vehicle_id,
                "action": one.action,
                "changes": change_words(one.planned, now),
            }
            for one in done
        ],
    }


def _wishes(rows: list[Row], found: list[Fault]) -> tuple[list[Wish], list[int]]:
    """(what the good rows want, their lines)."""
    wishes: list[Wish] = []
    lines: list[int] = []
    for row in rows:
        before = len(found)
        wish = _wish(row, found)
        if wish and len(found) == before:
            wishes.append(wish)
            lines.append(row.line)
    return wishes, lines


def _wish(row: Row, found: list[Fault]) -> Wish | None:
    vehicle_id, meter_id = cell(row, "vehicle_id", device_id, found), cell(row, "meter_id", device_id, found)
    start, end = cell(row, "from", instant, found), cell(row, "to", instant, found)
    if not row["vehicle_id"]:
        found.append(fault(row.line, "vehicle_id", "missing_field", "vehicle_id is missing"))
    if not row["meter_id"]:
        found.append(fault(row.line, "meter_id", "missing_field", f"meter_id is missing; to end a mapping write {NONE}"))
    if meter_id and meter_id != NONE and meter_id.lower() == NONE:
        found.append(fault(row.line, "meter_id", "invalid_text", f"to end a mapping write {NONE} in small letters"))
    if start and end and start >= end:
        found.append(fault(row.line, "to", "out_of_range", "from lies before to"))
    return Wish(vehicle_id, None if meter_id == NONE else meter_id, start, end) if vehicle_id else None


def _unknown(conn: Conn, wishes: list[Wish], lines: list[int]) -> list[Fault]:
    vehicles = known_devices.vehicles(conn, sorted({wish.vehicle_id for wish in wishes}))
    meters = known_devices.meters(conn, sorted({wish.meter_id for wish in wishes if wish.meter_id}))
    said = "was never reported, described or assigned; unknown=accept takes it all the same"
    found = []
    for wish, line in zip(wishes, lines, strict=True):
        if wish.vehicle_id not in vehicles:
            found.append(fault(line, "vehicle_id", "unknown_device", f"the vehicle {wish.vehicle_id} {said}"))
        if wish.meter_id and wish.meter_id not in meters:
            found.append(fault(line, "meter_id", "unknown_device", f"the meter {wish.meter_id} {said}"))
    return found


def _impossible(wishes: Sequence[Wish], lines: list[int], known: dict[str, Timeline], now: datetime) -> list[Fault]:
    """Stretches that end before now, where they begin, and those of one vehicle that overlap."""
    found = []
    for wish, line in zip(wishes, lines, strict=True):
        if wish.end and wish.begins(known.get(wish.vehicle_id, ()), now) >= wish.end:
            found.append(fault(line, "to", "out_of_range", "without from it begins now, and to lies before that"))
    for one, two in overlapping(wishes, known, now):
        detail = f"lines {lines[one]} and {lines[two]} give {wishes[one].vehicle_id} two meters at one time; without to a stretch reaches for ever"
        found.append(fault(lines[two], "from", "overlap", detail))
    return found


def _action(one: Planned, now: datetime) -> Action:
    if one.first:
        return "first"
    if any(one.corrects_past(change, now) for change in one.changes):
        return "corrected"
    return "changed" if one.changes else "unchanged"
