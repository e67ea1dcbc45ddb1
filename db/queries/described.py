"""What people wrote down about vehicles."""

from collections.abc import Sequence
from typing import NamedTuple

from db.arrays import texts
from db.engine import Conn


class Described(NamedTuple):
    """None where nobody said."""

    name: str | None = None
    model: str | None = None
    site_id: str | None = None
    site_name: str | None = None


def described(conn: Conn, vehicle_ids: Sequence[str]) -> dict[str, Described]:
    """By vehicle id; vehicles that nobody described are absent."""
    rows = conn.execute(
        """SELECT vehicle_id, v.name, v.model, site_id, s.name FROM vehicle v LEFT JOIN site s USING (site_id)
           WHERE vehicle_id = ANY(%s)""",
        (texts(list(vehicle_ids)),),
    ).fetchall()
    return {str(row[0]): Described(*row[1:]) for row in rows}  # type: ignore[arg-type]
