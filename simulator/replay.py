"""Post recorded sessions from CSV files in the wire's column names. Numbers travel exactly as they are written."""

import csv
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import orjson

from simulator.wire import Answer

# As JSON writes numbers. Anything else goes over as text, so that the server says what is wrong with it.
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
DETAILS_PER_FILE = 5


class Sender(Protocol):
    """What carries the requests: a `simulator.wire.Wire`."""

    def send(self, method: str, path: str, body: bytes) -> Answer: ...


class UnknownLayout(Exception):
    """A file that is neither vehicle nor meter readings, or is not readable as CSV. Says which file and what was expected."""


@dataclass(frozen=True)
class Layout:
    """One kind of file. A row whose energy is empty is skipped: how much was delivered is unknowable."""

    name: str
    path: str
    energy: str
    texts: tuple[str, ...]
    nullable: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def needed(self) -> tuple[str, ...]:
        return (*self.texts, self.energy, *self.nullable)


LAYOUTS = (
    Layout(
        "vehicle",
        "/v1/telemetry/vehicle",
        "kwhDeliveredDc",
        ("vehicleId", "timestamp"),
        ("soc", "batteryTemp"),
        ("latitude", "longitude"),
    ),
    Layout("meter", "/v1/telemetry/meter", "kwhConsumedAc", ("meterId", "timestamp"), ("voltage",), ("latitude", "longitude")),
)


@dataclass(frozen=True)
class Row:
    """A reading as it goes over the wire, the line it stood in, and its time in seconds since 1970 (None: not a time)."""

    line: int
    body: bytes
    at_s: float | None


@dataclass(frozen=True)
class Recording:
    """A file read completely. `lines` counts its rows without the header, `skipped` those without an energy."""

    file: Path
    layout: Layout
    rows: list[Row]
    skipped: int

    @property
    def lines(self) -> int:
        return len(self.rows) + self.skipped


@dataclass
class Outcome:
    """What became of one file's rows; `posted` is accepted + duplicates + rejected."""

    recording: Recording
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    @property
    def posted(self) -> int:
        return self.accepted + self.duplicates + self.rejected

    def add(self, rows: list[Row], answer: Answer) -> None:
        """Count the answer to these rows."""
        receipt = answer.json()
        receipt = receipt if isinstance(receipt, dict) else {}
        errors: list[dict[str, Any]] = receipt.get("errors") or []
        rejected = int(receipt.get("rejected", 0)) if answer.ok else len(rows)
        duplicates = int(receipt.get("duplicates", 0)) if answer.ok else 0
        self.accepted += len(rows) - rejected - duplicates
        self.duplicates += duplicates
        self.rejected += rejected
        self.codes.update(str(e.get("code")) for e in errors)
        if rejected and not errors:
            self.codes[f"HTTP {answer.status}"] += rejected
            errors = [{"index": 0, "code": f"HTTP {answer.status}", "detail": receipt.get("detail") or receipt.get("title")}]
        for error in errors[: max(0, DETAILS_PER_FILE - len(self.details))]:
            self.details.append(_detail(rows, error))


def _detail(rows: list[Row], error: dict[str, Any]) -> str:
    index = error.get("index")
    line = f"line {rows[index].line}" if isinstance(index, int) and 0 <= index < len(rows) else "request"
    return f"{line}: {error.get('code')} {error.get('pointer') or ''} {error.get('detail') or ''}".replace("  ", " ").rstrip()


def read(file: Path) -> Recording:
    """The readings of a CSV file. Raises UnknownLayout, and OSError when it cannot be opened."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.reader(lines, strict=True)
            columns = [name.strip() for name in next(table, [])]
            layout = layout_of(file, columns)
            readings = [(table.line_num, dict(zip(columns, cells, strict=True))) for cells in _cells(file, table, columns)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnknownLayout(f"{file}: not a CSV file in UTF-8 ({error})") from error
    rows = [_row(layout, line, reading) for line, reading in readings if reading[layout.energy]]
    return Recording(file, layout, rows, len(readings) - len(rows))


def layout_of(file: Path, columns: list[str]) -> Layout:
    """Which kind of readings these columns hold. Raises UnknownLayout naming the file, what it has and what is needed."""
    for layout in LAYOUTS:
        if set(layout.needed) <= set(columns):
            return layout
    needed = "; or ".join(f"{', '.join(layout.needed)} ({layout.name} readings)" for layout in LAYOUTS)
    raise UnknownLayout(f"{file}: columns found: {', '.join(columns) or 'none'}. Needed: {needed}.")


def _cells(file: Path, table: Any, columns: list[str]) -> Iterator[list[str]]:
    for cells in table:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(columns):
            raise UnknownLayout(f"{file}, line {table.line_num}: {len(cells)} fields under {len(columns)} columns")
        yield [cell.strip() for cell in cells]


def _row(layout: Layout, line: int, reading: dict[str, str]) -> Row:
    wire: dict[str, Any] = {name: reading[name] for name in layout.texts}
    wire |= {name: _number(reading[name]) for name in (layout.energy, *layout.nullable)}
    wire |= {name: _number(reading[name]) for name in layout.optional if reading.get(name)}
    return Row(line, orjson.dumps(wire), _seconds(reading["timestamp"]))


def _number(text: str) -> orjson.Fragment | str | None:
    """The number letter by letter as in the file; None for an empty field, which means not measured."""
    if not text:
        return None
    return orjson.Fragment(text.encode()) if NUMBER.fullmatch(text) else text


def _seconds(stamp: str) -> float | None:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None


def post(
    recordings: list[Recording], wire: Sender, batch: int, factor: float | None, sleep: Callable[[float], object] = time.sleep
) -> list[Outcome]:
    """Post all rows: file by file in batches when `factor` is None, else in the order and rhythm of their times, sped up by it.

    Raises simulator.wire.GaveUp and Stopped.
    """
    outcomes = [Outcome(recording) for recording in recordings]
    chunks = _file_by_file(outcomes, batch) if factor is None else _in_rhythm(outcomes, batch, factor, sleep)
    for outcome, rows in chunks:
        answer = wire.send("POST", outcome.recording.layout.path, b"[%b]" % b",".join(row.body for row in rows))
        outcome.add(rows, answer)
    return outcomes


def _file_by_file(outcomes: list[Outcome], batch: int) -> Iterator[tuple[Outcome, list[Row]]]:
    for outcome in outcomes:
        rows = outcome.recording.rows
        for start in range(0, len(rows), batch):
            yield outcome, rows[start : start + batch]


def _in_rhythm(outcomes: list[Outcome], batch: int, factor: float, sleep: Callable[[float], object]) -> Iterator[tuple[Outcome, list[Row]]]:
    """All files together by time, so that a vehicle and its meter report side by side. Rows without a time go first."""
    rows = [(row.at_s or 0.0, k, row) for k, outcome in enumerate(outcomes) for row in outcome.recording.rows]
    rows.sort(key=lambda entry: entry[0])
    began_s = time.monotonic()
    first_s = next((at_s for at_s, _, _ in rows if at_s), 0.0)
    while rows:
        reached_s = first_s + (time.monotonic() - began_s) * factor
        due = sum(1 for at_s, _, _ in rows if at_s <= reached_s)
        if not due:
            sleep(min(0.5, (rows[0][0] - reached_s) / factor))
            continue
        for k, outcome in enumerate(outcomes):
            ours = [row for _, owner, row in rows[:due] if owner == k]
            for start in range(0, len(ours), batch):
                yield outcome, ours[start : start + batch]
        del rows[:due]
