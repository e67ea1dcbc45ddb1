"""Rollups can always be made again from history, and compared with it."""

from datetime import datetime

from db.engine import Conn
from db.ingest import rollup_columns, rollup_select
from db.sides import Side

_WINDOW = "WHERE recorded_at > %(start)s AND recorded_at <= %(end)s"


def mismatches(conn: Conn, side: Side, start: datetime, end: datetime) -> int:
    """Rollup rows of the quarters in (start, end] that differ from what history says; 0 is the promise. Both instants on a quarter."""
    columns = rollup_columns(side)
    row = conn.execute(
        f"""WITH truth ({columns}) AS ({rollup_select(side, side.history, _WINDOW)}),
                 kept AS (SELECT {columns} FROM {side.rollup} WHERE bucket >= %(start)s AND bucket < %(end)s)
            SELECT count(*) FROM ((TABLE truth EXCEPT TABLE kept) UNION ALL (TABLE kept EXCEPT TABLE truth)) differing""",
        {"start": start, "end": end},
    ).fetchone()
    return int(str(row[0])) if row else 0


def rebuild(conn: Conn, side: Side, start: datetime, end: datetime) -> None:
    """Make the quarters in (start, end] again from history, holding writers of this side's rollups back meanwhile."""
    conn.execute(f"LOCK TABLE {side.rollup} IN SHARE ROW EXCLUSIVE MODE")
    conn.execute(f"DELETE FROM {side.rollup} WHERE bucket >= %s AND bucket < %s", (start, end))
    conn.execute(
        f"INSERT INTO {side.rollup} ({rollup_columns(side)}) {rollup_select(side, side.history, _WINDOW)} ON CONFLICT DO NOTHING",
        {"start": start, "end": end},
    )


def learn_rhythms(conn: Conn, side: Side, now: datetime, devices: int = 500) -> int:
    """Learn the median spacing of the devices' last 200 readings, oldest knowledge first; how many were looked at.

    A device with fewer than 10 readings keeps the assumed rhythm.
    """
    rows = conn.execute(
        f"""SELECT {side.key} FROM {side.live}
            WHERE rhythm_learned_at IS NULL OR (rhythm_learned_at < %s - interval '1 hour' AND recorded_at > rhythm_learned_at)
            ORDER BY rhythm_learned_at NULLS FIRST LIMIT %s""",
        (now, devices),
    ).fetchall()
    for (device,) in rows:
        conn.execute(
            f"""WITH last AS (SELECT recorded_at FROM {side.history} WHERE {side.key} = %(id)s ORDER BY recorded_at DESC LIMIT 200),
                     spacing AS (SELECT extract(epoch FROM recorded_at - lag(recorded_at) OVER (ORDER BY recorded_at)) AS s FROM last),
                     learned AS (SELECT count(s) AS n, percentile_disc(0.5) WITHIN GROUP (ORDER BY s) AS s FROM spacing)
                UPDATE {side.live} SET rhythm_s = (SELECT greatest(1, round(s))::int FROM learned WHERE n >= 9), rhythm_learned_at = %(now)s
                WHERE {side.key} = %(id)s""",
            {"id": device, "now": now},
        )
    return len(rows)
