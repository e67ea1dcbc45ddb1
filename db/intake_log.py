"""What came in by minute, as all web processes together saw it: each adds what it counted, none overwrites.

These are statistics: a process that is killed loses what it had not written yet, a minute's at most, and never a reading. Where the
connection breaks in the very moment of a commit, a minute may be added twice.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Literal

from psycopg.types.json import Jsonb

from db.engine import Conn

KEPT = timedelta(days=30)
# Of a minute and a code: enough to see what is wrong, small however much is.
MOST_SAMPLES = 3
MINUTE = timedelta(minutes=1)

What = Literal["reading", "request"]
Sample = dict[str, str | None]


@dataclass(slots=True)
class MinuteCounts:
    """What became of one side's readings in one minute of the server's clock; all numbers add up.

    `late` are those of the accepted ones that a device had kept for long. `lag_ms` is the sum over `lagged` readings, the others of any
    fate but rejected ones, of received less recorded.
    """

    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0
    lag_ms: int = 0
    lagged: int = 0
    late: int = 0

    def add(self, other: "MinuteCounts") -> None:
        """Add the other's numbers to these."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


COUNTS = tuple(field.name for field in fields(MinuteCounts))


@dataclass(slots=True)
class RejectCounts:
    """How often a code was the reason, and a few cases: device, pointer, detail and path, never a value that was sent."""

    count: int
    samples: list[Sample]

    def add(self, other: "RejectCounts") -> None:
        """Add the other's numbers, and its cases where there is room."""
        self.count += other.count
        self.samples = (self.samples + other.samples)[:MOST_SAMPLES]


# Minutes are counted since 1970.
Minutes = dict[tuple[int, str], MinuteCounts]
Rejects = dict[tuple[int, What, str], RejectCounts]


def minute_of(at: datetime) -> int:
    """The minute since 1970 in which the instant lies."""
    return int(at.timestamp()) // 60


def instant_of(minute: int) -> datetime:
    """The beginning of that minute."""
    return datetime.fromtimestamp(minute * 60, UTC)


def add(conn: Conn, minutes: Minutes, rejects: Rejects) -> None:
    """Add to what the table says, in the order of the keys, so that processes never wait for each other in a circle."""
    for key in sorted(minutes):
        _add_minute(conn, instant_of(key[0]), key[1], minutes[key])
    for minute, what, code in sorted(rejects):
        _add_reject(conn, instant_of(minute), what, code, rejects[minute, what, code])


def forget(conn: Conn, now: datetime, kept: timedelta = KEPT) -> None:
    """Delete what is older than `kept`."""
    for table in ("intake_minute", "intake_reject"):
        conn.execute(f"DELETE FROM {table} WHERE minute < %s", (now - kept,))


_ADDED = ", ".join(f"{name} = m.{name} + excluded.{name}" for name in COUNTS)


def _add_minute(conn: Conn, minute: datetime, side: str, counts: MinuteCounts) -> None:
    conn.execute(
        f"""INSERT INTO intake_minute AS m (minute, side, {", ".join(COUNTS)}) VALUES (%s, %s, {", ".join(["%s"] * len(COUNTS))})
            ON CONFLICT (minute, side) DO UPDATE SET {_ADDED}""",
        (minute, side, *astuple(counts)),
    )


def _add_reject(conn: Conn, minute: datetime, what: str, code: str, counts: RejectCounts) -> None:
    conn.execute(
        f"""INSERT INTO intake_reject AS r (minute, what, code, count, samples) VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (minute, what, code) DO UPDATE SET count = r.count + excluded.count,
            samples = jsonb_path_query_array(r.samples || excluded.samples, '$[0 to {MOST_SAMPLES - 1}]')""",
        (minute, what, code, counts.count, Jsonb(counts.samples[:MOST_SAMPLES])),
    )


def between(conn: Conn, start: datetime, end: datetime, step: timedelta = MINUTE) -> Sequence[tuple[datetime, str, MinuteCounts]]:
    """(beginning of the step, side, counts) of [start, end), ordered; steps in which nothing was counted are not in it."""
    sums = ", ".join(f"sum({name})::bigint" for name in COUNTS)
    rows = conn.execute(
        f"""SELECT date_bin(%(step)s, minute, '2000-01-01 00:00+00') AS step, side, {sums}
            FROM intake_minute WHERE minute >= %(start)s AND minute < %(end)s GROUP BY 1, 2 ORDER BY 1, 2""",
        {"step": step, "start": start, "end": end},
    ).fetchall()
    return [(row[0], str(row[1]), MinuteCounts(*row[2:])) for row in rows]  # type: ignore[misc, arg-type]


def begins(conn: Conn) -> datetime | None:
    """The first minute that is kept: before it nothing is known."""
    row = conn.execute("SELECT min(minute) FROM intake_minute").fetchone()
    return row[0] if row and isinstance(row[0], datetime) else None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A code over some time: how often, when last, and the newest cases, each with the minute it is of."""

    what: What
    code: str
    count: int
    last_at: datetime
    samples: Sequence[tuple[datetime, Sample]]


# Rows whose cases are looked through for the newest of a code.
_SAMPLED_ROWS = 40


def rejected(conn: Conn, start: datetime, end: datetime, most_samples: int = 5) -> list[Rejected]:
    """Codes of [start, end), the most frequent first."""
    rows = conn.execute(
        """WITH mine AS (SELECT *, row_number() OVER (PARTITION BY what, code ORDER BY minute DESC) AS n,
                                sum(count) OVER (PARTITION BY what, code) AS times
                         FROM intake_reject WHERE minute >= %s AND minute < %s)
           SELECT what, code, times::bigint, minute, samples FROM mine WHERE n <= %s ORDER BY times DESC, what, code, n""",
        (start, end, _SAMPLED_ROWS),
    ).fetchall()
    found: dict[tuple[str, str], Rejected] = {}
    for what, code, count, minute, samples in rows:
        one = found.setdefault((str(what), str(code)), Rejected(what, str(code), count, minute, []))  # type: ignore[arg-type]
        for sample in samples if isinstance(samples, list) else ():
            _keep(one.samples, minute, sample, most_samples)  # type: ignore[arg-type]
    return list(found.values())


def _keep(kept: list[tuple[datetime, Sample]], minute: datetime, sample: Sample, most: int) -> None:
    """Newest first, each device once for each thing that is wrong."""
    if len(kept) < most and sample not in [known for _, known in kept]:
        kept.append((minute, sample))
