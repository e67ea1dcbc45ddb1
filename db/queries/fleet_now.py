"""All devices as they are now, in columns: for who draws the whole fleet every few seconds. The same values as `devices` gives one by one."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from db.arrays import NULL_INT4
from db.engine import Conn
from db.gathered import Ints, gathered, ints, read, texts
from db.queries.devices import POWER_WITHIN_S

NOTHING = NULL_INT4  # a measure or position that is absent
NEVER = -(1 << 63)  # an instant that is absent: how PostgreSQL sends -infinity
_US = 1_000_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class VehiclesNow:
    """An entry for each vehicle anybody has heard of, in the order of ids. Instants are µs since 2000; `power_kw` is NaN where unknown.

    A list is the very same object as the last time where nothing in it changed.
    """

    ids: list[str]
    names: list[str | None]
    site_ids: list[str | None]
    site_names: list[str | None]
    meter_ids: list[str | None]
    recorded_us: Ints
    received_us: Ints
    power_kw: Floats
    soc_centi_pct: Ints
    battery_temp_centi_c: Ints
    latitude_e7: Ints
    longitude_e7: Ints


@dataclass(frozen=True, slots=True, eq=False)
class MetersNow:
    """The same for meters; positions are the meter's own, else the described one, else its site's."""

    ids: list[str]
    site_ids: list[str | None]
    recorded_us: Ints
    latitude_e7: Ints
    longitude_e7: Ints


class FleetNow:
    """Reads it, and decodes texts only where they are others than the last time: names hardly ever change. Not thread-safe."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[bytes | None, list[str | None]]] = {}

    def vehicles(self, conn: Conn, now: datetime) -> VehiclesNow:
        """With the assignments that hold at `now`."""
        arrays = read(conn, _VEHICLES, {"now": now}, prepare=True)
        numbers = {name: ints(arrays[f"v_{name}"]) for name in _VEHICLE_NUMBERS}
        power_kw = _power_kw(numbers.pop("milliwh"), numbers["recorded_us"], numbers.pop("previous_us"))
        ids, names, site_ids, site_names, meter_ids = (self._decoded(f"v_{name}", arrays) for name in _VEHICLE_TEXTS)
        return VehiclesNow(ids, names, site_ids, site_names, meter_ids, power_kw=power_kw, **numbers)  # type: ignore[arg-type]

    def meters(self, conn: Conn) -> MetersNow:
        """All of them."""
        arrays = read(conn, _METERS, {}, prepare=True)
        ids, site_ids = (self._decoded(f"m_{name}", arrays) for name in _METER_TEXTS)
        return MetersNow(ids, site_ids, **{name: ints(arrays[f"m_{name}"]) for name in _METER_NUMBERS})  # type: ignore[arg-type]

    def _decoded(self, name: str, arrays: dict[str, bytes | None]) -> list[str | None]:
        """No name or id is empty, so an empty one stands for none."""
        array = arrays[name]
        known = self._texts.get(name)
        if known is None or known[0] != array:
            known = self._texts[name] = (array, [text or None for text in texts(array)])
        return known[1]


def _power_kw(milliwh: Ints, at_us: Ints, previous_us: Ints) -> Floats:
    """Mean power since the previous reading, digit by digit what `devices` makes of it; NaN where that says nothing about now."""
    known = (at_us != NEVER) & (previous_us != NEVER)
    between_us = np.where(known, at_us - np.where(known, previous_us, 0), 0)
    told = (between_us >= _US) & (between_us <= POWER_WITHIN_S * _US)
    found = np.full(len(at_us), np.nan)
    found[told] = milliwh[told] * 36 / 10_000 / (between_us[told] / _US)
    return found


_VEHICLE_TEXTS = ("vehicle_id", "name", "site_id", "site_name", "meter_id")
_VEHICLE_NUMBERS = (
    "recorded_us",
    "received_us",
    "previous_us",
    "milliwh",
    "soc_centi_pct",
    "battery_temp_centi_c",
    "latitude_e7",
    "longitude_e7",
)
_METER_TEXTS = ("meter_id", "site_id")
_METER_NUMBERS = ("recorded_us", "latitude_e7", "longitude_e7")

_VEHICLES = f"""
    WITH assigned AS (
        SELECT DISTINCT ON (vehicle_id) vehicle_id, meter_id FROM assignment WHERE valid_from <= %(now)s ORDER BY vehicle_id, valid_from DESC
    ), v AS (
        SELECT vehicle_id, coalesce(d.name, '') AS name, coalesce(s.site_id, '') AS site_id, coalesce(s.name, '') AS site_name,
               coalesce(a.meter_id, '') AS meter_id, coalesce(l.recorded_at, '-infinity') AS recorded_us,
               coalesce(l.received_at, '-infinity') AS received_us, coalesce(l.previous_at, '-infinity') AS previous_us,
               coalesce(l.dc_milliwh, 0) AS milliwh, coalesce(l.soc_centi_pct, {NOTHING}) AS soc_centi_pct,
               coalesce(l.battery_temp_centi_c, {NOTHING}) AS battery_temp_centi_c, coalesce(l.latitude_e7, {NOTHING}) AS latitude_e7,
               coalesce(l.longitude_e7, {NOTHING}) AS longitude_e7
        FROM live_vehicle l FULL JOIN vehicle d USING (vehicle_id) FULL JOIN assigned a USING (vehicle_id) LEFT JOIN site s USING (site_id)
        ORDER BY vehicle_id
    )
    {gathered((*_VEHICLE_TEXTS, *_VEHICLE_NUMBERS), "v")}"""

_METERS = f"""
    WITH m AS (
        SELECT meter_id, coalesce(s.site_id, '') AS site_id, coalesce(l.recorded_at, '-infinity') AS recorded_us,
               coalesce(l.latitude_e7, d.latitude_e7, s.latitude_e7, {NOTHING}) AS latitude_e7,
               coalesce(l.longitude_e7, d.longitude_e7, s.longitude_e7, {NOTHING}) AS longitude_e7
        FROM live_meter l FULL JOIN meter d USING (meter_id) LEFT JOIN site s USING (site_id)
        ORDER BY meter_id
    )
    {gathered((*_METER_TEXTS, *_METER_NUMBERS), "m")}"""
