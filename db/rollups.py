"""Rollups can always be compared with history and made again from it, while readings come in.

Why nothing is lost or counted twice. A transaction that stores readings writes history and adds to the rollups before it commits, so any one
statement sees either both or neither: `differing` compares within one statement, and a difference is real. `mend` first takes the lock of every
rollup row concerned, and only its next statement reads history. Then every storing transaction is one of two kinds: it had added to the row
before, so `mend` waited for its end and reads its readings; or it will add, so it now waits for us, its readings are not committed and
not read, and it adds them to what we wrote. Rows are locked in the order of their keys, as storing does, and no lock on a live row is held
meanwhile: neither can wait for the other in a circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from db import partitions
from db.engine import Conn
from db.ingest import rollup_columns, rollup_select
from db.sides import Side

QUARTER = timedelta(minutes=15)
_WINDOW = "WHERE recorded_at > %(start)s AND recorded_at <= %(end)s"


@dataclass(frozen=True, slots=True, order=True)
class Quarter:
    """A rollup row that differs from history: missing (history has readings), extra (it has none), or else in these columns."""

    device_id: str
    bucket: datetime
    what: str = "different"
    columns: tuple[str, ...] = ()


def differing(conn: Conn, side: Side, start: datetime, end: datetime) -> list[Quarter]:
    """Quarters of (start, end] whose rollup is not what history says, as one statement sees both. Both instants on a quarter.

    Quarters whose readings were dropped are left out: there the rollup alone knows.
    """
    columns = rollup_columns(side)
    values = columns.split(", ")[2:]
    names = ", ".join(f"CASE WHEN t.{name} IS DISTINCT FROM k.{name} THEN '{name}' END" for name in values)
    rows = conn.execute(
        f"""WITH truth ({columns}) AS ({rollup_select(side, side.history, _WINDOW)}),
                 kept AS (SELECT {columns} FROM {side.rollup} WHERE bucket >= %(start)s AND bucket < %(end)s)
            SELECT {side.key}, bucket, CASE WHEN k.readings IS NULL THEN 'missing' WHEN t.readings IS NULL THEN 'extra' ELSE 'different' END,
                   array_remove(ARRAY[{names}], NULL)
            FROM truth t FULL JOIN kept k USING ({side.key}, bucket)
            WHERE (t.{", t.".join(values)}) IS DISTINCT FROM (k.{", k.".join(values)})
            ORDER BY 1, 2""",
        {"start": _kept(conn, start), "end": end},
    ).fetchall()
    return [Quarter(str(row[0]), _instant(row[1]), str(row[2]), _names(row[3]) if row[2] == "different" else ()) for row in rows]


def mismatches(conn: Conn, side: Side, start: datetime, end: datetime) -> int:
    """How many quarters of (start, end] differ from history; 0 is the promise."""
    return len(differing(conn, side, start, end))


def mend(conn: Conn, side: Side, quarters: Sequence[Quarter]) -> None:
    """Make these rollup rows again from history. The caller commits soon: who stores readings in these quarters waits for that.

    Under READ COMMITTED only. Raises psycopg.errors.LockNotAvailable where the connection has a lock_timeout.
    """
    # Nobody drops a day between this and the end of the transaction; what was dropped before keeps its rollups.
    partitions.hold(conn, shared=True)
    kept = _kept(conn, datetime.min.replace(tzinfo=UTC))
    wanted = [q for q in sorted(quarters) if q.bucket >= kept]
    if not wanted:
        return
    parameters = {
        "ids": [q.device_id for q in wanted],
        "buckets": [q.bucket for q in wanted],
        "devices": sorted({q.device_id for q in wanted}),
        "start": min(q.bucket for q in wanted),
        "end": max(q.bucket for q in wanted) + QUARTER,
    }
    for statement in (_lock_sql(side), _fill_sql(side), _remove_sql(side)):
        conn.execute(statement, parameters)


def rebuild(conn: Conn, side: Side, start: datetime, end: datetime) -> int:
    """Mend what differs in (start, end], in the caller's transaction; how many quarters. For long ranges take `db.mending`."""
    quarters = differing(conn, side, start, end)
    mend(conn, side, quarters)
    return len(quarters)


def learn_rhythms(conn: Conn, side: Side, now: datetime, devices: int = 500) -> int:
    """Learn the median spacing of the devices' last 200 readings, and their counters' steps, oldest knowledge first; how many were looked at.

    A device with fewer than 10 readings keeps the assumed rhythm. A counter's step is the smallest energy of the last day's readings; one
    that showed none keeps what was known.
    """
    rows = conn.execute(
        f"""SELECT {side.key} FROM {side.live}
            WHERE rhythm_learned_at IS NULL OR (rhythm_learned_at < %s - interval '1 hour' AND recorded_at > rhythm_learned_at)
            ORDER BY rhythm_learned_at NULLS FIRST LIMIT %s""",
        (now, devices),
    ).fetchall()
    # All is read before the first row is locked, and rows are locked in the order of their keys: in any other, this and storing deadlock.
    learned = [
        {"id": device, "now": now, "rhythm_s": _spacing_s(conn, side, device), "step": _step_milliwh(conn, side, device, now)}
        for device in sorted(str(row[0]) for row in rows)
    ]
    with conn.cursor() as cursor:
        cursor.executemany(
            f"""UPDATE {side.live} SET rhythm_s = %(rhythm_s)s, rhythm_learned_at = %(now)s, step_milliwh = coalesce(%(step)s, step_milliwh)
                WHERE {side.key} = %(id)s""",
            learned,
        )
    return len(rows)


def _spacing_s(conn: Conn, side: Side, device_id: str) -> int | None:
    row = conn.execute(
        f"""WITH last AS (SELECT recorded_at FROM {side.history} WHERE {side.key} = %s ORDER BY recorded_at DESC LIMIT 200),
                 spacing AS (SELECT extract(epoch FROM recorded_at - lag(recorded_at) OVER (ORDER BY recorded_at)) AS s FROM last)
            SELECT greatest(1, round(percentile_disc(0.5) WITHIN GROUP (ORDER BY s)))::int FROM spacing HAVING count(s) >= 9""",
        (device_id,),
    ).fetchone()
    return int(str(row[0])) if row else None


def _step_milliwh(conn: Conn, side: Side, device_id: str, now: datetime) -> int | None:
    row = conn.execute(
        f"SELECT min(smallest_milliwh) FROM {side.rollup} WHERE {side.key} = %s AND bucket > %s AND smallest_milliwh > 0",
        (device_id, now - timedelta(hours=24)),
    ).fetchone()
    return None if row is None or row[0] is None else int(str(row[0]))


def _kept(conn: Conn, start: datetime) -> datetime:
    """`start`, or the instant at which kept readings begin if that is later."""
    first = partitions.begins(conn)
    return start if first is None else max(start, datetime(first.year, first.month, first.day, tzinfo=UTC))


def _wanted(side: Side) -> str:
    return f"unnest(%(ids)s::text[], %(buckets)s::timestamptz[]) AS w({side.key}, bucket)"


def _lock_sql(side: Side) -> str:
    """An upsert, because it locks what is there, makes what is not, and runs where several keys cannot be locked FOR UPDATE.

    It leaves no reading in the rows: those that history does not fill are removed.
    """
    sums = ("readings", "charging_readings", side.energy, *(f"{m}_{part}" for m in side.measures for part in ("sum", "count")))
    return f"""
        INSERT INTO {side.rollup} AS r ({side.key}, bucket, first_at, last_at, {", ".join(sums)})
        SELECT {side.key}, bucket, bucket, bucket, {", ".join("0" for _ in sums)} FROM {_wanted(side)} ORDER BY 1, 2
        ON CONFLICT ({side.key}, bucket) DO UPDATE SET readings = 0"""


def _fill_sql(side: Side) -> str:
    columns = rollup_columns(side)
    taken = ", ".join(f"{name} = excluded.{name}" for name in columns.split(", ")[2:])
    return f"""
        WITH truth ({columns}) AS ({rollup_select(side, side.history, f"{_WINDOW} AND {side.key} = ANY(%(devices)s)")})
        INSERT INTO {side.rollup} AS r ({columns}) SELECT t.* FROM truth t JOIN {_wanted(side)} USING ({side.key}, bucket) ORDER BY 1, 2
        ON CONFLICT ({side.key}, bucket) DO UPDATE SET {taken}"""


def _remove_sql(side: Side) -> str:
    return f"""
        DELETE FROM {side.rollup} r USING {_wanted(side)}
        WHERE r.{side.key} = w.{side.key} AND r.bucket = w.bucket AND r.readings = 0 AND r.bucket >= %(start)s AND r.bucket < %(end)s"""


def _instant(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
