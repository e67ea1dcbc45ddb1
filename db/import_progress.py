"""How far files have been imported. A file is imported in parts (its devices are shared out), each of which has its own progress."""

from dataclasses import dataclass, field
from datetime import datetime

from psycopg.types.json import Jsonb

from db.engine import Conn


@dataclass(frozen=True, slots=True)
class Part:
    """Reading goes on at `position`, which is line `next_line`. `readings` counts all rows so far, the stored ones by what became of them."""

    position: int = 0
    next_line: int = 0
    readings: int = 0
    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    codes: dict[str, int] = field(default_factory=dict)


def load(conn: Conn, file: str, fingerprint: str, parts: int) -> list[Part] | None:
    """The progress of a file that an import left unfinished; None when there is none, or it was another file or another sharing out."""
    rows = conn.execute(
        """SELECT fingerprint, position, next_line, readings, accepted, duplicates, conflicts, codes
           FROM import_progress WHERE file = %s ORDER BY part""",
        (file,),
    ).fetchall()
    if len(rows) != parts or any(row[0] != fingerprint for row in rows):
        return None
    return [Part(*row[1:]) for row in rows]  # type: ignore[arg-type]


def save(conn: Conn, file: str, fingerprint: str, number: int, part: Part, now: datetime) -> None:
    """Remember a part's progress, in the transaction of the readings that it counts."""
    conn.execute(
        """INSERT INTO import_progress AS p VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (file, part) DO UPDATE SET
               fingerprint = excluded.fingerprint, position = excluded.position, next_line = excluded.next_line,
               readings = excluded.readings, accepted = excluded.accepted, duplicates = excluded.duplicates,
               conflicts = excluded.conflicts, codes = excluded.codes, updated_at = excluded.updated_at""",
        (
            file,
            fingerprint,
            number,
            part.position,
            part.next_line,
            part.readings,
            part.accepted,
            part.duplicates,
            part.conflicts,
            Jsonb(part.codes),
            now,
        ),
    )


def forget(conn: Conn, files: list[str]) -> None:
    """An import of these files has ended, or begins anew."""
    conn.execute("DELETE FROM import_progress WHERE file = ANY(%s)", (files,))
