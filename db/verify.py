"""Compares history, live rows, rollups and days, and says what differs; for `python -m db verify`.

Every claim is checked by one statement, so within one snapshot, and every claim holds at every instant: readings may come in meanwhile.
Each statement's transaction is ended before the next, so that no snapshot lives longer than an hour's worth of one side takes to read.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from db import partitions, rollups
from db.engine import Conn
from db.mending import slices
from db.sides import SIDES, Side

Kind = Literal["rollup", "live", "day", "assignment"]
_DEVICES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs: of which kind, side (a side's name, or a table's for a day), device and quarter or instant, in words and columns."""

    kind: Kind
    side: str
    device_id: str | None
    at: datetime | date | None
    what: str
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = " ".join(str(part) for part in (self.kind, self.side, self.device_id, self.at and self.at.isoformat()) if part)
        return f"{where}: {self.what}{': ' + ', '.join(self.columns) if self.columns else ''}"


def differences(
    conn: Conn, start: datetime | None, end: datetime | None, done: Callable[[datetime, Side], None] | None = None
) -> Iterator[Difference]:
    """Everything that differs in the quarters of (start, end], both on a quarter; None: from the first kept day, to the last.

    `done(until, side)` is told after each hour. Ends the connection's transactions as it goes.
    """
    yield from _whole(conn, _days(conn))
    yield from _whole(conn, _assignments(conn))
    days = _known_days(conn)
    for side in SIDES:
        behind: dict[str | None, Difference] = {}
        for first, after in (piece for day in days for piece in _pieces(day, start, end)):
            yield from _whole(conn, _rollups(conn, side, first, after))
            behind |= {difference.device_id: difference for difference in _whole(conn, _behind(conn, side, first, after))}
            if done:
                done(after, side)
        yield from behind.values()
        yield from _live(conn, side, start, end)


def _whole(conn: Conn, found: list[Difference]) -> list[Difference]:
    """End the snapshot before whoever asked takes their time over what it showed."""
    conn.rollback()
    return found


def _pieces(day: date, start: datetime | None, end: datetime | None) -> Iterator[tuple[datetime, datetime]]:
    first = datetime(day.year, day.month, day.day, tzinfo=UTC)
    after = first + timedelta(days=1)
    yield from slices(max(first, start) if start else first, min(after, end) if end else after)


def _known_days(conn: Conn) -> list[date]:
    """Kept days that have tables, whether `history_day` knows them or not."""
    first = partitions.begins(conn)
    days = {day for _, day in _attached(conn) if first is None or day >= first}
    conn.rollback()
    return sorted(days)


def _rollups(conn: Conn, side: Side, start: datetime, end: datetime) -> list[Difference]:
    return [Difference("rollup", side.name, q.device_id, q.bucket, q.what, q.columns) for q in rollups.differing(conn, side, start, end)]


def _behind(conn: Conn, side: Side, start: datetime, end: datetime) -> list[Difference]:
    """Devices of this piece of history without a live row, or with one that is older than it, or whose position is."""
    rows = conn.execute(
        f"""SELECT {side.key}, newest, CASE WHEN l.recorded_at IS NULL THEN 'no live row' WHEN l.recorded_at < newest THEN 'not the newest reading'
                                            ELSE 'not the newest position' END
            FROM (SELECT {side.key}, max(recorded_at) AS newest, max(recorded_at) FILTER (WHERE latitude_e7 IS NOT NULL) AS placed
                  FROM {side.history} WHERE recorded_at > %s AND recorded_at <= %s GROUP BY 1) h LEFT JOIN {side.live} l USING ({side.key})
            WHERE l.recorded_at IS NULL OR l.recorded_at < newest OR (placed IS NOT NULL AND (l.position_at IS NULL OR l.position_at < placed))
            ORDER BY 1""",
        (start, end),
    ).fetchall()
    return [Difference("live", side.name, str(device), _instant(at), str(what)) for device, at, what in rows]


def _live(conn: Conn, side: Side, start: datetime | None, end: datetime | None) -> Iterator[Difference]:
    """Live rows of the window, some devices at a time, against the readings that they say they come from."""
    after = ""
    while True:
        keys = conn.execute(
            f"SELECT {side.key} FROM {side.live} WHERE {side.key} > %s ORDER BY 1 LIMIT {_DEVICES_AT_ONCE}", (after,)
        ).fetchall()
        if not keys:
            conn.rollback()
            return
        last = str(keys[-1][0])
        yield from _whole(conn, _live_of(conn, side, after, last, start, end))
        after = last


def _live_of(conn: Conn, side: Side, after: str, last: str, start: datetime | None, end: datetime | None) -> list[Difference]:
    kept = partitions.begins(conn)
    parameters = {"after": after, "last": last, "start": start, "end": end, "kept": kept}
    rows = conn.execute(_live_sql(side), parameters).fetchall()
    return [
        Difference(
            "live", side.name, str(row[0]), _instant(row[1]), str(row[2]), tuple(map(str, row[3])) if isinstance(row[3], list) else ()
        )
        for row in rows
    ]


def _live_sql(side: Side) -> str:
    """Index look-ups for each device, because a join would read days. What was dropped cannot contradict a live row that knows older instants."""
    values = ("received_at", side.energy, *side.measures)
    differing = [f"CASE WHEN l.{name} IS DISTINCT FROM h.{name} THEN '{name}' END" for name in values]
    differing.append(
        "CASE WHEN l.previous_at IS DISTINCT FROM p.recorded_at AND (p.recorded_at IS NOT NULL OR l.previous_at >= kept) THEN 'previous_at' END"
    )
    differing.append("CASE WHEN l.position_at >= kept AND s.recorded_at IS NULL THEN 'position_at' END")
    differing += [
        f"CASE WHEN (l.position_at >= kept OR l.position_at IS NULL) AND l.{name} IS DISTINCT FROM s.{name} THEN '{name}' END"
        for name in ("latitude_e7", "longitude_e7")
    ]
    of_device = f"{side.history} h WHERE h.{side.key} = l.{side.key}"
    return f"""
        SELECT * FROM (
            SELECT l.{side.key}, l.recorded_at, CASE WHEN h.recorded_at IS NULL THEN 'no such reading in history' ELSE 'not what history says' END,
                   CASE WHEN h.recorded_at IS NOT NULL THEN array_remove(ARRAY[{", ".join(differing)}], NULL) END AS columns
            FROM (SELECT *, coalesce(%(kept)s::date::timestamp AT TIME ZONE 'UTC', '-infinity'::timestamptz) AS kept FROM {side.live}
                  WHERE {side.key} > %(after)s AND {side.key} <= %(last)s) l
            LEFT JOIN LATERAL (SELECT * FROM {of_device} AND h.recorded_at = l.recorded_at LIMIT 1) h ON true
            LEFT JOIN LATERAL (SELECT h.recorded_at FROM {of_device} AND h.recorded_at < l.recorded_at ORDER BY h.recorded_at DESC LIMIT 1) p ON true
            LEFT JOIN LATERAL (SELECT * FROM {of_device} AND h.recorded_at = l.position_at LIMIT 1) s ON true
            WHERE l.recorded_at >= kept AND (%(start)s::timestamptz IS NULL OR l.recorded_at > %(start)s)
              AND (%(end)s::timestamptz IS NULL OR l.recorded_at <= %(end)s)
        ) compared WHERE columns IS NULL OR columns <> '{{}}' ORDER BY 1"""


def _days(conn: Conn) -> list[Difference]:
    """`history_day` against the tables there are."""
    rows = conn.execute(_DAYS).fetchall()
    return [Difference("day", str(table), None, day, str(what)) for table, day, what in rows if isinstance(day, date)]


_PARENTS = ", ".join(f"('{parent}')" for parent in partitions.PARENTS)
_TABLES = f"""
    SELECT parent, to_date(right(c.relname, 8), 'YYYYMMDD') AS day, i.inhrelid IS NOT NULL AND NOT i.inhdetachpending AS attached,
           coalesce(i.inhdetachpending, false) AS pending
    FROM (VALUES {_PARENTS}) p(parent) JOIN pg_class c ON c.relname ~ ('^' || parent || '_[0-9]{{8}}$') AND c.relkind = 'r'
         AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = parent::regclass)
    LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = parent::regclass"""
# Dropped days keep their rollups, and an interrupted drop leaves tables that the next one takes away: only the latter is worth a word.
_DAYS = f"""
    SELECT parent, day, CASE WHEN t.attached IS NULL THEN 'has no table' WHEN pending THEN 'is half detached: drop the days again'
                             WHEN d.dropped THEN 'was dropped but its table is there: drop the days again'
                             WHEN NOT t.attached THEN 'has a table that is not attached' ELSE 'has a table but is not in history_day' END
    FROM (SELECT parent, day, dropped_at IS NOT NULL AS dropped FROM history_day CROSS JOIN (VALUES {_PARENTS}) p(parent)) d
    FULL JOIN ({_TABLES}) t USING (parent, day)
    WHERE pending OR (d.day IS NULL) OR (NOT d.dropped AND t.attached IS NOT TRUE) OR (d.dropped AND t.attached IS NOT NULL AND (parent LIKE '%history' OR NOT t.attached))
    ORDER BY day, parent"""


def _attached(conn: Conn) -> list[tuple[str, date]]:
    rows = conn.execute(f"SELECT parent, day FROM ({_TABLES}) t WHERE attached").fetchall()
    return [(str(parent), day) for parent, day in rows if isinstance(day, date)]


def _assignments(conn: Conn) -> list[Difference]:
    """Two assignments of one vehicle from one instant on: the key forbids them, so a find means a broken index."""
    rows = conn.execute("SELECT vehicle_id, max(valid_from) FROM assignment GROUP BY vehicle_id, valid_from HAVING count(*) > 1").fetchall()
    return [Difference("assignment", "vehicle", str(vehicle_id), None, f"two at once from {at}") for vehicle_id, at in rows]


def _instant(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None
