"""Takes a backup while readings come in: everything that was answered before it began is in it, and no reading twice.

Why no long snapshot is needed. Sums follow from readings and are not copied; live rows are copied *before* readings, with everything that
people set, in one short transaction. Whatever those show was stored before, so it is in the readings that are copied after them, an hour of
a large day at a time. Readings that come in meanwhile are in it or not, each whole; a restore makes sums and live rows fit what is.

Why the next backup is small. History only grows: a day with as many readings as its file has is the day in the file.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from psycopg import sql

from db import backup_files
from db.backup_files import BadBackup, Manifest, Piece, PieceFacts
from db.engine import Conn
from db.partitions import HISTORIES, PARENTS, ROLLUPS
from db.sides import SIDES

# What COPY writes as text depends on these. A sort of an hour of 10,000 devices goes to disk beyond its memory.
OPTIONS = "-c TimeZone=UTC -c DateStyle=ISO -c extra_float_digits=1 -c bytea_output=hex -c jit=off -c work_mem=32MB"
# Rows that one statement reads: about two seconds of a snapshot. A day that has more is read by the hour.
_AT_ONCE = 1_000_000
_HOURS = 24
PROGRESS = "restore_progress"
# An import that was under way begins anew and finds duplicates: its progress must not be newer than the readings beside it.
LEFT_OUT = ("alembic_version", "import_progress", PROGRESS)
INSTANT = {**{side.history: "recorded_at" for side in SIDES}, **{side.rollup: "bucket" for side in SIDES}}
Say = Callable[[str], None]
Rows = Iterator[bytes | bytearray | memoryview]


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that is complete, and what it took: pieces read anew, and the bytes of their files."""

    manifest: Manifest
    read_anew: int
    bytes_written: int


def take(conn: Conn, folder: Path, now: Callable[[], datetime], say: Say, *, full: bool = False) -> Taken:
    """Bring the backup in the folder up to now; what is in it already and did not change is left as it is, unless `full`.

    The connection must be in autocommit, with OPTIONS. Raises BadBackup where it cannot be completed; one that was there before still is.
    """
    with backup_files.alone(folder):
        start = Manifest(now().isoformat(), "", _database(conn), schema_of(conn))
        known = {} if full else _known(folder, start.database)
        pieces, days = _settings(conn, folder)
        say(f"what people set, alerts and live rows: {sum(piece.rows for piece in pieces):,} rows of {len(pieces)} tables")
        fresh = list(pieces)
        for table, day in ((table, day) for day, tables in days.items() for table in tables):
            piece = _day(conn, folder, table, day, known.get(f"{table} {day}"))
            pieces.append(piece)
            if piece is not known.get(piece.name):
                fresh.append(piece)
                say(f"{piece.name}: {piece.rows:,} rows, {piece.file_bytes / 1e6:,.1f} MB")
                backup_files.write_manifest(folder, replace(start, pieces=tuple(pieces)), finished=False)
        if schema_of(conn) != start.schema or not days.items() <= _days(conn).items():
            raise BadBackup("the schema was changed or days were dropped meanwhile: say it again, what was read is kept")
        done = replace(start, finished_at=now().isoformat(), pieces=tuple(pieces))
        backup_files.write_manifest(folder, done, finished=True)
    return Taken(done, len(fresh), sum(piece.file_bytes for piece in fresh))


def schema_of(conn: Conn) -> str:
    """The revision of the schema. Raises BadBackup where there is none of ours."""
    if conn.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        raise BadBackup("this database has no tables of ours")
    row = conn.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


def rows_of(conn: Conn, piece: Piece) -> Rows:
    """The rows that the piece is of, as the database has them now: the bytes are those of the file exactly if the rows are."""
    if piece.day is None:
        return _copied(conn, _whole_sql(conn, piece.table, piece.columns))
    return _day_rows(conn, piece.table, date.fromisoformat(piece.day), piece.columns, piece.slices)


def _known(folder: Path, database: str) -> dict[str, Piece]:
    """Pieces of this very database that an earlier backup, or an interrupted one, left whole."""
    found: dict[str, Piece] = {}
    for unfinished in (False, True):
        try:
            manifest = backup_files.read_manifest(folder, unfinished=unfinished)
        except BadBackup:
            continue
        if manifest.database == database:
            found |= {piece.name: piece for piece in manifest.pieces if backup_files.is_there(folder, piece)}
    return found


def _settings(conn: Conn, folder: Path) -> tuple[list[Piece], dict[date, tuple[str, ...]]]:
    """Copy the plain tables as one instant shows them; with them, which days there were."""
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        pieces = []
        for table in plain_tables(conn):
            columns = _columns(conn, table)
            rows = _copied(conn, _whole_sql(conn, table, columns))
            pieces.append(backup_files.write_piece(folder, table, None, rows, PieceFacts(columns)))
        return pieces, _days(conn)


def plain_tables(conn: Conn) -> list[str]:
    """Every table that is not kept by day, whatever later versions add, but for those of extensions and LEFT_OUT."""
    rows = conn.execute(
        """SELECT c.relname FROM pg_class c
           WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND NOT c.relispartition
             AND NOT c.relname = ANY(%s) AND c.relname !~ %s
             AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
           ORDER BY 1""",
        (list(LEFT_OUT), f"^({'|'.join(PARENTS)})_[0-9]{{8}}$"),
    ).fetchall()
    return [str(row[0]) for row in rows]


def _days(conn: Conn) -> dict[date, tuple[str, ...]]:
    """What is copied of each day: its readings, or the sums that stayed when a person dropped those."""
    rows = conn.execute("SELECT day, dropped_at IS NOT NULL FROM history_day ORDER BY day").fetchall()
    return {day: ROLLUPS if dropped else HISTORIES for day, dropped in rows if isinstance(day, date)}


def _day(conn: Conn, folder: Path, table: str, day: date, known: Piece | None) -> Piece:
    """The day's piece: the one that is known if its rows are still the same, else read now."""
    columns, rows, state = _columns(conn, table), *_state(conn, table, day)
    if known and known.columns == columns and known.state == state:
        return known
    slices = _HOURS if rows > _AT_ONCE else 1
    # Readings that come in after they were counted are in the file and in its own count. Sums have only the state from before: one that
    # is too low makes the next backup read them again.
    facts = PieceFacts(columns, slices, None if table in HISTORIES else state)
    return backup_files.write_piece(folder, table, day.isoformat(), _day_rows(conn, table, day, columns, slices), facts)


def _state(conn: Conn, table: str, day: date) -> tuple[int, int]:
    """A day's rows, and a number that grows with every change of them: readings are only ever added, and sums count them."""
    counted = "count(*)" if table in HISTORIES else "coalesce(sum(readings), 0)::bigint"
    row = conn.execute(sql.SQL("SELECT count(*), {} FROM {} WHERE {}").format(sql.SQL(counted), sql.Identifier(table), _within(table, day)))
    rows, state = row.fetchone() or (0, 0)
    return int(str(rows)), int(str(state))


def _day_rows(conn: Conn, table: str, day: date, columns: tuple[str, ...], slices: int) -> Rows:
    for n in range(slices):
        yield from _copied(conn, _slice_sql(table, day, columns, n, slices))


def _slice_sql(table: str, day: date, columns: tuple[str, ...], n: int, slices: int) -> sql.Composable:
    """In the order of device and time, so that the same rows are the same bytes."""
    return sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY 1, 2").format(
        _names(columns), sql.Identifier(table), _within(table, day, n, slices)
    )


def _within(table: str, day: date, n: int = 0, slices: int = 1) -> sql.Composable:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    width = timedelta(days=1) / slices
    bounds = (sql.Literal(str(midnight + width * k)) for k in (n, n + 1))
    at = sql.Identifier(INSTANT[table])
    return sql.SQL("{} >= {} AND {} < {}").format(at, next(bounds), at, next(bounds))


def _whole_sql(conn: Conn, table: str, columns: tuple[str, ...]) -> sql.Composable:
    return sql.SQL("SELECT {} FROM {} ORDER BY {}").format(_names(columns), sql.Identifier(table), _names(_key(conn, table) or columns))


def _copied(conn: Conn, select: sql.Composable) -> Rows:
    with conn.cursor() as cursor, cursor.copy(sql.SQL("COPY ({}) TO STDOUT").format(select)) as copy:
        yield from copy


def _names(columns: tuple[str, ...]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _columns(conn: Conn, table: str) -> tuple[str, ...]:
    rows = conn.execute(
        """SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
           ORDER BY attnum""",
        (table,),
    ).fetchall()
    return tuple(str(row[0]) for row in rows)


def _key(conn: Conn, table: str) -> tuple[str, ...]:
    rows = conn.execute(
        """SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
           WHERE i.indrelid = %s::regclass AND i.indisprimary ORDER BY array_position(i.indkey::int2[], a.attnum)""",
        (table,),
    ).fetchall()
    return tuple(str(row[0]) for row in rows)


def _database(conn: Conn) -> str:
    """Tells this database from every other, also from one that was restored from it."""
    row = conn.execute(
        "SELECT system_identifier || '-' || (SELECT oid FROM pg_database WHERE datname = current_database()) FROM pg_control_system()"
    ).fetchone()
    return str(row[0]) if row else ""
