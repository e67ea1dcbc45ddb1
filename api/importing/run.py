"""An import from beginning to end: chunks of files are judged here, stored by the writers, and counted with what became of them.

What an interrupted import stored is remembered in the same transaction, so that the next one goes on exactly there. One that came to its end
is forgotten: importing its files again reads them again, and finds duplicates.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from api.importing.files import Source, UnusableFile, fingerprint
from api.importing.rows import Checked, Chunk, Rejected, check
from api.importing.writers import Job, Outcomes, Writers, part_of, shares
from api.schemas import REFUSED, Clock
from db import import_progress
from db.columns import Columns
from db.engine import Conn
from db.import_progress import Part
from db.ingest import Outcome

SAMPLES_PER_CODE = 3

RejectSink = Callable[[Path, list[Rejected]], None]


@dataclass(slots=True)
class Tally:
    """What became of one file's rows. `resumed` says from which line on a part has read in this run; `error` why the end was not reached."""

    file: Path
    source: Source
    fingerprint: str
    parts: list[Part]
    resumed: list[int]
    samples: dict[str, list[Rejected]] = field(default_factory=dict)
    error: str | None = None

    @property
    def goes_on(self) -> bool:
        """Whether an earlier import had begun with this file."""
        return any(self.resumed)

    @property
    def readings(self) -> int:
        return sum(part.readings for part in self.parts)

    @property
    def accepted(self) -> int:
        return sum(part.accepted for part in self.parts)

    @property
    def duplicates(self) -> int:
        return sum(part.duplicates for part in self.parts)

    @property
    def conflicts(self) -> int:
        return sum(part.conflicts for part in self.parts)

    @property
    def rejected(self) -> int:
        """Rows that are no valid readings, or of days that were dropped; conflicts are counted apart."""
        return self.readings - self.accepted - self.duplicates - self.conflicts

    @property
    def codes(self) -> Counter[str]:
        """How often each fault was found; a row can have several."""
        return sum((Counter(part.codes) for part in self.parts), Counter())


def begin(conn: Conn, files: Iterable[tuple[Path, Source]], parts: int, now: datetime, again: bool) -> list[Tally]:
    """Where each file's import begins, or goes on unless `again`. Commits."""
    tallies = []
    for file, source in files:
        name, print_ = str(file.resolve()), fingerprint(file)
        known = None if again else import_progress.load(conn, name, print_, parts)
        if known is None:
            import_progress.forget(conn, [name])
        tally = Tally(file, source, print_, known or [Part() for _ in range(parts)], [part.next_line for part in known or [Part()] * parts])
        for number, part in enumerate(tally.parts):
            import_progress.save(conn, name, print_, number, part, now)
        tallies.append(tally)
    conn.commit()
    return tallies


def end(conn: Conn, tallies: list[Tally]) -> None:
    """All files that could be read to their end are done: they begin anew next time. Commits."""
    import_progress.forget(conn, [str(tally.file.resolve()) for tally in tallies if tally.error is None])
    conn.commit()


def import_file(
    tally: Tally, writers: Writers, clock: Callable[[], Clock], sink: RejectSink, progress: Callable[[Tally, int], None]
) -> None:
    """Store a file's readings from where its tally stands; `progress` hears how far the file has been read.

    A file that breaks off is told in `tally.error`. Raises writers.NotStored when the database refuses or stays away.
    """
    importing = _FileImport(tally, writers, sink)
    first = min(tally.parts, key=lambda part: part.next_line)
    try:
        for chunk in tally.source.chunks(first.position, first.next_line):
            importing.put(chunk, check(tally.source.wire, chunk, clock()))
            progress(tally, chunk.advanced)
    except (UnusableFile, OSError) as error:
        tally.error = str(error)
    writers.finish()
    if tally.error is None:
        progress(tally, tally.source.size)


class _FileImport:
    """Shares a file's chunks out to the writers."""

    def __init__(self, tally: Tally, writers: Writers, sink: RejectSink) -> None:
        self._tally, self._writers, self._sink = tally, writers, sink
        self._name = str(tally.file.resolve())
        self._sampling = threading.Lock()

    def put(self, chunk: Chunk, checked: Checked) -> None:
        rejected = [fault for fault in checked.rejected if fault.line >= self._tally.resumed[0]]
        self._tell(rejected)
        writer = shares(checked.columns.ids, self._writers.count)
        for number, resumed in enumerate(self._tally.resumed):
            chosen = (writer == number) & (checked.lines >= resumed)
            faults = rejected if number == 0 else []
            self._writers.put(number, self._job(number, chunk, part_of(checked.columns, chosen), checked.lines[chosen], faults))

    def _job(self, number: int, chunk: Chunk, columns: Columns, lines: NDArray[np.int64], faults: list[Rejected]) -> Job:
        rows = len(lines) + len({fault.line for fault in faults})
        codes = Counter(fault.code for fault in faults)
        after: list[Part] = []

        def remember(conn: Conn, outcomes: Outcomes, now: datetime) -> None:
            refused = _refused(lines, outcomes)
            self._tell(refused)
            part = _counted(self._tally.parts[number], rows, codes + Counter(fault.code for fault in refused), outcomes)
            after[:] = [replace(part, position=max(part.position, chunk.position), next_line=max(part.next_line, chunk.next_line))]
            import_progress.save(conn, self._name, self._tally.fingerprint, number, after[0], now)

        def stored(_outcomes: Outcomes) -> None:
            self._tally.parts[number] = after[0]

        return Job(self._tally.source.wire.side, columns, remember, stored)

    def _tell(self, rejected: list[Rejected]) -> None:
        if not rejected:
            return
        with self._sampling:
            for fault in rejected:
                samples = self._tally.samples.setdefault(fault.code, [])
                if len(samples) < SAMPLES_PER_CODE:
                    samples.append(fault)
            self._sink(self._tally.file, rejected)


def _refused(lines: NDArray[np.int64], outcomes: Outcomes) -> list[Rejected]:
    """The rows that were valid, and yet not stored."""
    return [Rejected(int(line), code, "", detail) for of, (code, detail) in REFUSED.items() for line in lines[outcomes == of]]


def _counted(part: Part, rows: int, codes: Counter[str], outcomes: Outcomes) -> Part:
    of = np.bincount(outcomes, minlength=len(Outcome)).tolist()
    return replace(
        part,
        readings=part.readings + rows,
        accepted=part.accepted + of[Outcome.ACCEPTED],
        duplicates=part.duplicates + of[Outcome.DUPLICATE],
        conflicts=part.conflicts + of[Outcome.CONFLICT],
        codes=dict(Counter(part.codes) + codes),
    )
