"""Which ids anybody has ever heard of: reported, described or in an assignment."""

from collections.abc import Sequence

from db.engine import Conn
from db.sides import METER, VEHICLE, Side


def vehicles(conn: Conn, ids: Sequence[str]) -> set[str]:
    """Those of these vehicle ids that are known."""
    return _known(conn, VEHICLE, ids)


def meters(conn: Conn, ids: Sequence[str]) -> set[str]:
    """Those of these meter ids that are known."""
    return _known(conn, METER, ids)


def _known(conn: Conn, side: Side, ids: Sequence[str]) -> set[str]:
    column, description = side.key, side.name
    rows = conn.execute(
        f"""SELECT {column} FROM {side.live} WHERE {column} = ANY(%(ids)s) UNION SELECT {column} FROM {description} WHERE {column} = ANY(%(ids)s)
            UNION SELECT {column} FROM assignment WHERE {column} = ANY(%(ids)s)""".encode(),
        {"ids": list(ids)},
    ).fetchall()
    return {str(row[0]) for row in rows}
