"""Chargers as they are now: state, class, position and its origin, newest readings, and who is on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import args_row

from charging.charger import charger_class
from db.engine import Conn
from db.queries import devices
from db.queries.devices import MeterNow

NEWEST = 50


@dataclass(frozen=True, slots=True)
class Rating:
    """What a charger can give: `rated_kw` as described, `peak_kw` as learned from what it gave; None where nobody knows."""

    rated_kw: float | None = None
    peak_kw: float | None = None

    @property
    def kind(self) -> str | None:
        """Its class: by what is described, else by what was learned."""
        known = self.rated_kw or self.peak_kw
        return charger_class(known) if known else None

    @property
    def source(self) -> Literal["described", "learned"] | None:
        """Where the class comes from."""
        return "described" if self.rated_kw else "learned" if self.peak_kw else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a position comes from: the meter's readings (as of `at`), its description or its site."""

    source: Literal["reading", "description", "site"]
    at: datetime | None


@dataclass(frozen=True, slots=True)
class MeterReading:
    """A raw reading of a meter as it came in."""

    recorded_at: datetime
    received_at: datetime
    kwh_consumed_ac: float
    voltage_v: float | None


def rating(conn: Conn, meter: MeterNow) -> Rating:
    """One charger's."""
    return Rating(meter.rated_kw, _peaks(conn, [meter.meter_id]).get(meter.meter_id))


def ratings(conn: Conn, meters: Sequence[MeterNow]) -> dict[str, Rating]:
    """Those of many chargers, by id."""
    peaks = _peaks(conn, None)
    return {one.meter_id: Rating(one.rated_kw, peaks.get(one.meter_id)) for one in meters}


def _peaks(conn: Conn, meter_ids: list[str] | None) -> dict[str, float]:
    rows = conn.execute(
        "SELECT meter_id, peak_w / 1000.0::float8 FROM learned_charger WHERE %(ids)s::text[] IS NULL OR meter_id = ANY(%(ids)s::text[])",
        {"ids": meter_ids},
    ).fetchall()
    return {str(row[0]): float(str(row[1])) for row in rows}


def place(conn: Conn, meter_id: str) -> Place | None:
    """Where its position comes from, as devices.meter gives it; None where it has none."""
    sent = conn.execute("SELECT position_at FROM live_meter WHERE meter_id = %s AND latitude_e7 IS NOT NULL", (meter_id,)).fetchone()
    if sent:
        return Place("reading", sent[0])  # type: ignore[arg-type]
    said = conn.execute(
        "SELECT d.latitude_e7 IS NOT NULL, s.latitude_e7 IS NOT NULL FROM meter d LEFT JOIN site s USING (site_id) WHERE meter_id = %s",
        (meter_id,),
    ).fetchone()
    if not said or not any(said):
        return None
    return Place("description" if said[0] else "site", None)


def newest_readings(conn: Conn, meter_id: str, limit: int = NEWEST) -> list[MeterReading]:
    """The meter's newest readings by its own clock, newest first."""
    with conn.cursor(row_factory=args_row(MeterReading)) as cursor:
        return cursor.execute(
            """SELECT recorded_at, received_at, ac_milliwh / 1e6::float8, voltage_centi_v / 100.0::float8
               FROM meter_history WHERE meter_id = %s ORDER BY recorded_at DESC LIMIT %s""",
            (meter_id, limit),
        ).fetchall()


def known(conn: Conn) -> list[MeterNow]:
    """Every charger that ever reported, was described or assigned, ordered by id."""
    found = {one.meter_id: one for one in devices.meters(conn)}
    rows = conn.execute("SELECT DISTINCT meter_id FROM assignment WHERE meter_id IS NOT NULL").fetchall()
    silent = (nothing_but_its_id(str(row[0])) for row in rows if row[0] not in found)
    return sorted([*found.values(), *silent], key=lambda one: one.meter_id)


def nothing_but_its_id(meter_id: str) -> MeterNow:
    """A charger that was assigned and neither reported nor was described."""
    return MeterNow(meter_id, *[None] * (len(MeterNow.__dataclass_fields__) - 1))


def occupants(conn: Conn, now: datetime) -> dict[str, list[str]]:
    """The vehicles that are on each charger now, ordered, by the charger's id; chargers with nobody are absent."""
    rows = conn.execute(
        """SELECT meter_id, vehicle_id FROM (SELECT DISTINCT ON (vehicle_id) vehicle_id, meter_id FROM assignment
                                            WHERE valid_from <= %s ORDER BY vehicle_id, valid_from DESC) a
           WHERE meter_id IS NOT NULL ORDER BY 1, 2""",
        (now,),
    ).fetchall()
    found: dict[str, list[str]] = {}
    for meter_id, vehicle_id in rows:
        found.setdefault(str(meter_id), []).append(str(vehicle_id))
    return found
