"""The list of all chargers, made once for all viewers: how each is, who is on it, and its last 24 hours."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from psycopg_pool import ConnectionPool

from charging.units import to_kwh
from charging.verdict import Summary
from dashboard.kept import Kept
from db.engine import Conn
from db.queries import chargers
from db.queries.chargers import Rating
from db.queries.devices import MeterNow
from db.queries.fleet_window import FleetDay, FleetWindow

# A meter reports once a minute, so half of that is as good as live, at a sixth of the bytes of a tick.
EVERY_S = 30.0
# Vehicles on a charger that are named; how many more there are is said.
MOST_NAMED = 3
COLUMNS = (
    "id,name,site,ratedKw,class,classFrom,powerKw,voltage,recordedAt,silent,vehicles,more,acKwh,verdict,severity"
).split(",")  # fmt: skip


class ChargerList(Kept):
    """A new one every EVERY_S. A charger's verdict is that of the vehicle on it; None where nobody is."""

    def __init__(self, pool: "ConnectionPool[Conn]", silent_after_s: int, window: FleetWindow, now: Callable[[], datetime]) -> None:
        super().__init__(EVERY_S)
        self._pool, self._silent_after_s, self._window, self._now = pool, silent_after_s, window, now

    def read(self) -> dict[str, Any]:
        """Every charger, in columns, ordered by id."""
        now = self._now().replace(microsecond=0)
        day = self._window.day(self._pool.connection, lambda: now, EVERY_S)
        with self._pool.connection() as conn:
            known = chargers.known(conn)
            ratings, on_it = chargers.ratings(conn, known), chargers.occupants(conn, now)
        rows = [_row(one, ratings[one.meter_id], on_it.get(one.meter_id, []), day, now, self._silent_after_s) for one in known]
        received = [one.received_at for one in known if one.received_at]
        # As of the newest reading, so that nothing new gives the same bytes and so a 304.
        return {
            "asOf": max([day.at, *received]).astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "stale": False,
            "chargers": {name: [row[name] for row in rows] for name in COLUMNS},
        }

    def nothing(self) -> dict[str, Any]:
        """No charger."""
        return {"asOf": None, "stale": True, "chargers": None}


def _row(meter: MeterNow, rating: Rating, on_it: list[str], day: FleetDay, now: datetime, silent_after_s: int) -> dict[str, Any]:
    ac = day.meters_ac.get(meter.meter_id)
    return {
        "id": meter.meter_id,
        "name": meter.name,
        "site": meter.site_name,
        "ratedKw": rating.rated_kw,
        "class": rating.kind,
        "classFrom": rating.source,
        "powerKw": _rounded(meter.power_kw, 1),
        "voltage": _rounded(meter.voltage_v, 0),
        "recordedAt": int(meter.recorded_at.timestamp()) if meter.recorded_at else None,
        "silent": meter.recorded_at is None or (now - meter.recorded_at).total_seconds() > silent_after_s,
        "vehicles": on_it[:MOST_NAMED],
        "more": max(0, len(on_it) - MOST_NAMED),
        "acKwh": None if ac is None else round(to_kwh(ac), 2),
        **_verdict(day.summaries.get(on_it[0]) if on_it else None),
    }


def _verdict(summary: Summary | None) -> dict[str, Any]:
    return {"verdict": summary.verdict.value if summary else None, "severity": summary.severity if summary else None}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
