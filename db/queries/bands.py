"""What was learned about one vehicle, with what it rests on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from charging.band import Learned
from db.engine import Conn
from db.queries.policies import LEARNED, learned_of


@dataclass(frozen=True, slots=True)
class LearnedBand:
    """`frozen_since`: learning rests while the vehicle is low, so that a fault does not become normal; None for a model's band."""

    charger_class: str
    learned: Learned
    learned_at: datetime
    frozen_since: datetime | None


def of_vehicle(conn: Conn, vehicle_id: str) -> list[LearnedBand]:
    """The vehicle's own bands, then those of its model at other classes of charger, ordered by class."""
    own: Any = conn.execute(
        f"SELECT learned_at, frozen_since, {LEARNED} FROM learned_band WHERE vehicle_id = %s ORDER BY charger_class", (vehicle_id,)
    ).fetchall()
    peers: Any = conn.execute(
        f"SELECT learned_at, {LEARNED} FROM peer_band JOIN vehicle USING (model) WHERE vehicle_id = %s ORDER BY charger_class",
        (vehicle_id,),
    ).fetchall()
    found = [LearnedBand(str(row[2]), learned_of(row[2:], "learned"), row[0], row[1]) for row in own]
    known = {band.charger_class for band in found}
    return found + [LearnedBand(str(row[1]), learned_of(row[1:], "peers"), row[0], None) for row in peers if row[1] not in known]
