"""Makes a database from a backup, and proves that it is what was backed up.

Step after step, each remembered in the transaction that does it: an interrupted restore goes on where it was, and until it is through the
table `restore_progress` says so, and nothing of ours starts on that database.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import sql

from db import backup, backup_files, mending, partitions, schema, verify
from db.backup import PROGRESS, Say
from db.backup_files import BadBackup, Manifest, Piece
from db.engine import Conn
from db.ingest import rollup_columns, rollup_select
from db.mending import slices
from db.partitions import HISTORIES, ROLLUPS
from db.rollups import Quarter
from db.sides import SIDES, Side
from db.verify import Difference

_TABLES_AT_ONCE = 50  # dropped in a transaction: each takes locks on itself and on its indexes


class NotRestored(Exception):
    """The restore was refused or did not come to its end; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What the new database holds. `mended`: sums and live rows that had to be made again for readings that came in during the backup."""

    readings: int
    days: int
    mended: int
    differences: list[Difference]


def restore(conn: Conn, url: str, folder: Path, now: Callable[[], datetime], say: Say, *, replace: bool = False) -> Restored:
    """Restore the folder's backup into the database at `url`, that of `conn`, which must be in autocommit with `backup.OPTIONS`.

    Raises BadBackup before anything is touched where a file is not what was written; NotRestored where the database is in use, or not
    empty and not to be replaced, or where what arrived in it is not what the backup holds.
    """
    manifest = backup_files.read_manifest(folder)
    _know(manifest)
    say(f"checking {len(manifest.pieces):,} files")
    if broken := backup_files.damaged(folder, manifest):
        raise BadBackup(f"{len(broken)} files are missing or damaged, the first is that of {broken[0].name}: {broken[0].file}")
    _refuse_users(conn)
    _begin(conn, manifest, replace=replace)
    schema.migrate(url, manifest.schema, restoring=True)
    steps = _Steps(conn, _finished(conn))
    _fill(conn, url, folder, manifest, steps, now, say)
    _derive(conn, steps, manifest, say)
    conn.execute("ANALYZE")
    schema.migrate(url, restoring=True)
    mended, differences = _prove(url, now, say)
    if not differences:
        conn.execute(f"DROP TABLE {PROGRESS}")
    return Restored(sum(piece.rows for piece in manifest.pieces if piece.table in HISTORIES), _kept_days(manifest), mended, differences)


def _kept_days(manifest: Manifest) -> int:
    return len({piece.day for piece in manifest.pieces if piece.table in HISTORIES})


def _fill(conn: Conn, url: str, folder: Path, manifest: Manifest, steps: "_Steps", now: Callable[[], datetime], say: Say) -> None:
    with steps.step("settings") as wanted:
        if wanted:
            _settings(conn, folder, manifest)
    with _working(url) as working:
        mending.mend_days(working, now())
    for piece in (piece for piece in manifest.pieces if piece.day):
        with steps.step(piece.name) as wanted:
            if wanted:
                _load(conn, folder, piece)
                say(f"{piece.name}: {piece.rows:,} rows")


def _know(manifest: Manifest) -> None:
    if manifest.schema not in schema.revisions():
        raise BadBackup(f"the backup was made by a newer version (schema {manifest.schema}): this one knows {schema.revisions()[-1]}")


# ------------------------------------------------------------------------------------------------------------ the database before


def _refuse_users(conn: Conn) -> None:
    row = conn.execute(
        """SELECT count(*) FROM pg_stat_activity
           WHERE datname = current_database() AND application_name LIKE 'voltledger-%' AND pid <> pg_backend_pid()"""
    ).fetchone()
    if row and row[0]:
        raise NotRestored("this database is in use: stop the server first")


def _begin(conn: Conn, manifest: Manifest, *, replace: bool) -> None:
    """Leave the database empty but for the mark of this restore, or as an interrupted restore of the same backup left it."""
    mark = hashlib.sha256(repr(manifest).encode()).hexdigest()
    if _exists(conn, PROGRESS) and conn.execute(f"SELECT 1 FROM {PROGRESS} WHERE step = %s", (mark,)).fetchone():
        return
    if not _exists(conn, PROGRESS):
        if (tables := _ours(conn)) and not replace:
            raise NotRestored(f"this database is not empty, it has {len(tables)} tables: name an empty one, or say --replace")
        conn.execute(f"CREATE TABLE {PROGRESS} (step text PRIMARY KEY)")
    _empty(conn)
    conn.execute(f"DELETE FROM {PROGRESS}")
    conn.execute(f"INSERT INTO {PROGRESS} VALUES (%s)", (mark,))


def _exists(conn: Conn, table: str) -> bool:
    return conn.execute("SELECT to_regclass(%s)", (table,)).fetchone() != (None,)


def _ours(conn: Conn) -> list[tuple[str, str]]:
    """(kind, name) of what would be dropped, tables of days first; nothing of extensions."""
    rows = conn.execute(
        """SELECT CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relname FROM pg_class c
           WHERE relkind IN ('r', 'p', 'v') AND relnamespace = current_schema()::regnamespace AND relname <> %s
             AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
           ORDER BY relispartition DESC, relname""",
        (PROGRESS,),
    ).fetchall()
    return [(str(kind), str(name)) for kind, name in rows]


def _empty(conn: Conn) -> None:
    objects = _ours(conn)
    for n in range(0, len(objects), _TABLES_AT_ONCE):
        with conn.transaction():
            for kind, name in objects[n : n + _TABLES_AT_ONCE]:
                conn.execute(sql.SQL("DROP {} IF EXISTS {} CASCADE").format(sql.SQL(kind), sql.Identifier(name)))
    functions = conn.execute(
        """SELECT p.oid::regprocedure::text FROM pg_proc p WHERE pronamespace = current_schema()::regnamespace
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e')"""
    ).fetchall()
    for (function,) in functions:
        conn.execute(f"DROP FUNCTION IF EXISTS {function} CASCADE")


# -------------------------------------------------------------------------------------------------------------------- what is copied


@dataclass(frozen=True, slots=True)
class _Steps:
    conn: Conn
    finished: set[str]

    @contextmanager
    def step(self, name: str) -> Iterator[bool]:
        """A transaction that remembers that it was done; says whether it still has to be."""
        with self.conn.transaction():
            yield name not in self.finished
            if name not in self.finished:
                self.conn.execute(f"INSERT INTO {PROGRESS} VALUES (%s)", (name,))


def _finished(conn: Conn) -> set[str]:
    return {str(row[0]) for row in conn.execute(f"SELECT step FROM {PROGRESS}").fetchall()}


def _settings(conn: Conn, folder: Path, manifest: Manifest) -> None:
    plain = {piece.table: piece for piece in manifest.pieces if piece.day is None}
    ordered = _referenced_first(conn, plain)
    for table in reversed(ordered):  # rows that the schema itself brings
        conn.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    for table in ordered:
        _copy_in(conn, folder, plain[table])
        _go_on_counting(conn, table)
    # Their keys are not what compaction left: the server makes them small again.
    conn.execute("UPDATE history_day SET compacted_at = NULL")


def _referenced_first(conn: Conn, tables: dict[str, Piece]) -> list[str]:
    """Tables in an order in which every row finds what it refers to."""
    rows = conn.execute(
        """SELECT o.relname, r.relname FROM pg_constraint c JOIN pg_class o ON o.oid = c.conrelid JOIN pg_class r ON r.oid = c.confrelid
           WHERE c.contype = 'f' AND o.relname <> r.relname AND o.relnamespace = current_schema()::regnamespace"""
    ).fetchall()
    needs = {table: {str(b) for a, b in rows if a == table and b in tables} for table in tables}
    ordered: list[str] = []
    while needs:
        free = sorted(table for table, others in needs.items() if others <= set(ordered))
        if not free:
            raise NotRestored(f"tables refer to each other in a circle: {', '.join(sorted(needs))}")
        ordered += free
        needs = {table: others for table, others in needs.items() if table not in free}
    return ordered


def _go_on_counting(conn: Conn, table: str) -> None:
    """Numbers that the database gives go on after the highest that there is."""
    for (column,) in conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attidentity <> '' AND NOT attisdropped", (table,)
    ).fetchall():
        conn.execute(
            sql.SQL("SELECT setval(pg_get_serial_sequence({}, {}), max({})) FROM {} HAVING max({}) IS NOT NULL").format(
                sql.Literal(table), sql.Literal(column), *(sql.Identifier(str(name)) for name in (column, table, column))
            )
        )


def _load(conn: Conn, folder: Path, piece: Piece) -> None:
    """A day of a table: copy it in, read it back, and hold it against what was written when the backup was taken."""
    day = date.fromisoformat(str(piece.day))
    if piece.table in ROLLUPS:
        partitions.make_table(conn, piece.table, day)
    _copy_in(conn, folder, piece)
    content = backup_files.Digest()
    for block in backup.rows_of(conn, piece):
        content.add(block)
    if (content.rows, content.sha256.hexdigest()) != (piece.rows, piece.content_sha256):
        raise NotRestored(f"{piece.name}: {content.rows:,} rows arrived that are not the {piece.rows:,} of the backup")


def _copy_in(conn: Conn, folder: Path, piece: Piece) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, piece.columns))
    with conn.cursor() as cursor:
        with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(piece.table), columns)) as copy:
            for block in backup_files.read_piece(folder, piece):
                copy.write(block)
        if cursor.rowcount != piece.rows:
            raise NotRestored(f"{piece.name}: {cursor.rowcount:,} of {piece.rows:,} rows arrived")


# ----------------------------------------------------------------------------------------------------------------- what follows from it


def _derive(conn: Conn, steps: _Steps, manifest: Manifest, say: Say) -> None:
    """Sums of every day, and live rows where readings of the day came in after those were copied."""
    for side in SIDES:
        for piece in manifest.of(side.history):
            name, day = f"{side.rollup} {piece.day}", date.fromisoformat(str(piece.day))
            with steps.step(name) as wanted:
                if wanted:
                    _sum(conn, side, day)
                    conn.execute(_newer_sql(side), _bounds(day))
                    say(f"{name}: made again")


def _bounds(day: date) -> dict[str, datetime]:
    first = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return {"start": first, "end": first + timedelta(days=1)}


def _sum(conn: Conn, side: Side, day: date) -> None:
    """A day's quarters end with the next midnight's reading; an hour at a time, so that memory does not grow with the day."""
    select = rollup_select(side, side.history, "WHERE recorded_at > %(start)s AND recorded_at <= %(end)s")
    for first, after in slices(*_bounds(day).values()):
        conn.execute(f"INSERT INTO {side.rollup} ({rollup_columns(side)}) {select} ON CONFLICT DO NOTHING", {"start": first, "end": after})


def _newer_sql(side: Side) -> str:
    """Move live rows forward, as storing does, by those of the day's readings that they did not know."""
    values = ("received_at", side.energy, *side.measures)
    columns = ", ".join(values)
    newer, nearer = "excluded.recorded_at > live.recorded_at", "(live.position_at IS NULL OR excluded.position_at > live.position_at)"
    moved = ", ".join(f"{name} = CASE WHEN {newer} THEN excluded.{name} ELSE live.{name} END" for name in values)
    placed = ", ".join(
        f"{name} = CASE WHEN {nearer} THEN excluded.{name} ELSE live.{name} END" for name in ("latitude_e7", "longitude_e7", "position_at")
    )
    return f"""
        WITH unknown AS (
            SELECT h.* FROM {side.history} h LEFT JOIN {side.live} l USING ({side.key})
            WHERE h.recorded_at >= %(start)s AND h.recorded_at < %(end)s
              AND (l.recorded_at IS NULL OR (h.recorded_at > coalesce(l.previous_at, '-infinity') AND h.recorded_at <> l.recorded_at)
                   OR (h.latitude_e7 IS NOT NULL AND h.recorded_at > coalesce(l.position_at, '-infinity')))
        ), newest AS (
            SELECT DISTINCT ON ({side.key}) *, lag(recorded_at) OVER (PARTITION BY {side.key} ORDER BY recorded_at) AS previous_at
            FROM unknown ORDER BY {side.key}, recorded_at DESC
        ), placed AS (
            SELECT DISTINCT ON ({side.key}) {side.key}, recorded_at AS position_at, latitude_e7, longitude_e7
            FROM unknown WHERE latitude_e7 IS NOT NULL ORDER BY {side.key}, recorded_at DESC
        )
        INSERT INTO {side.live} AS live ({side.key}, recorded_at, previous_at, {columns}, latitude_e7, longitude_e7, position_at)
        SELECT {side.key}, recorded_at, n.previous_at, {columns}, p.latitude_e7, p.longitude_e7, p.position_at
        FROM newest n LEFT JOIN placed p USING ({side.key}) ORDER BY {side.key}
        ON CONFLICT ({side.key}) DO UPDATE SET
            recorded_at = greatest(live.recorded_at, excluded.recorded_at), {moved}, {placed},
            previous_at = greatest(nullif(least(live.recorded_at, excluded.recorded_at), greatest(live.recorded_at, excluded.recorded_at)),
                                   live.previous_at, excluded.previous_at)"""


def _prove(url: str, now: Callable[[], datetime], say: Say) -> tuple[int, list[Difference]]:
    """Compare readings, sums, live rows and days; put right what readings that came in during the backup left behind, and compare again."""
    say("comparing readings, sums and live rows")
    with _working(url) as conn:
        found = list(verify.differences(conn, None, None))
        mended = sum(_mend(conn, side, found, now) for side in SIDES)
        return mended, list(verify.differences(conn, None, None)) if mended else found


def _mend(conn: Conn, side: Side, found: list[Difference], now: Callable[[], datetime]) -> int:
    mine = [d for d in found if d.side == side.name and d.device_id]
    quarters = [Quarter(str(d.device_id), d.at) for d in mine if d.kind == "rollup" and isinstance(d.at, datetime)]
    mended = mending.mend_quarters(conn, side, quarters, now)
    return mended + mending.mend_live(conn, side, {str(d.device_id) for d in mine if d.kind == "live"}, now)


@contextmanager
def _working(url: str) -> Iterator[Conn]:
    """A connection for the jobs that end their transactions themselves."""
    with psycopg.connect(url, options=backup.OPTIONS) as conn:
        yield conn
