"""The columns of the fleet's picture. Of ten thousand vehicles some hundreds change from one tick to the next: only these are worked out."""

from collections.abc import Callable, Mapping
from datetime import datetime
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charging.verdict import Summary, Verdict
from db.gathered import Ints, instant, instant_us
from db.queries.fleet_now import NEVER, NOTHING, MetersNow, VehiclesNow

CHARGING_KW = 0.5
JUDGED = ("efficiency", "expectedLow", "expectedHigh", "acKwh", "dcKwh", "lossKwh", "uncertainty", "verdict", "severity")
COLUMNS = (
    *("id", "name", "site", "meterId", "lat", "lon", "positionFrom", "soc", "powerKw", "batteryTemp", "recordedAt"),
    *JUDGED,
    *("charging", "silent"),
)
_PLACES = (None, "vehicle", "meter")

Mask = NDArray[np.bool_]


def rounded(value: float | None, digits: int) -> float | None:
    """None stays None."""
    return None if value is None else round(value, digits)


def judged(s: Summary | None) -> dict[str, Any]:
    """What a summary says in the picture, by name of JUDGED."""
    known = s and s.verdict is not Verdict.INSUFFICIENT_DATA  # half a charge is neither an efficiency nor a loss
    return {
        "efficiency": rounded(s.ratio, 4) if s and known else None,
        "expectedLow": rounded(s.expected_low, 4) if s else None,
        "expectedHigh": rounded(s.expected_high, 4) if s else None,
        "acKwh": rounded(s.ac_kwh, 2) if s else None,
        "dcKwh": rounded(s.dc_kwh, 2) if s else None,
        "lossKwh": rounded(s.loss_kwh, 2) if s and known else None,
        "uncertainty": rounded(s.uncertainty, 4) if s else None,
        "verdict": s.verdict.value if s else Verdict.UNMAPPED.value,
        "severity": s.severity if s else None,
    }


class Column:
    """Values made of raw numbers, one by one; the very same list as before where no number changed."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make
        self._raw: NDArray[Any] = np.empty(0)
        self._values: list[Any] = []

    def of(self, raw: NDArray[Any]) -> list[Any]:
        """The values of these numbers. The list must not be changed."""
        if len(raw) != len(self._raw):
            rows, values = np.arange(len(raw)), [None] * len(raw)
        else:
            rows, values = np.flatnonzero((raw != self._raw) & ~(np.isnan(raw) & np.isnan(self._raw))), self._values
            values = values.copy() if len(rows) else values
        for row, number in zip(rows.tolist(), raw[rows].tolist(), strict=True):
            values[row] = self._make(number)
        self._raw, self._values = raw, values
        return values


class JudgedColumns:
    """The columns of JUDGED, by name; the very same lists as before where no vehicle and no summary changed."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._summaries: list[Summary | None] = []
        self._columns: dict[str, list[Any]] = {name: [] for name in JUDGED}

    def of(self, ids: list[str], summaries: Mapping[str, Summary]) -> dict[str, list[Any]]:
        """A summary that is the same object says the same."""
        found = [summaries.get(vehicle_id) for vehicle_id in ids]
        if ids is self._ids:
            rows = [row for row, (old, new) in enumerate(zip(self._summaries, found, strict=True)) if old is not new]
            columns = {name: values.copy() for name, values in self._columns.items()} if rows else self._columns
        else:
            rows, columns = list(range(len(ids))), {name: [None] * len(ids) for name in JUDGED}
        for row in rows:
            for name, value in judged(found[row]).items():
                columns[name][row] = value
        self._ids, self._summaries, self._columns = ids, found, columns
        return columns


class FleetColumns:
    """All columns of a tick, and who is charging and silent. Not thread-safe."""

    def __init__(self, silent_after_s: int) -> None:
        self._silent_after_us = silent_after_s * 1_000_000
        self._soc, self._temp = (Column(lambda centi: None if centi == NOTHING else round(centi / 100.0, 1)) for _ in range(2))
        self._lat, self._lon = (Column(lambda e7: None if e7 == NOTHING else round(e7 / 1e7, 5)) for _ in range(2))
        self._place, self._power = Column(lambda n: _PLACES[n]), Column(lambda kw: None if isnan(kw) else round(kw, 1))
        self._recorded = Column(lambda us: None if us == NEVER else int(instant(us).timestamp()))
        self._charging, self._silent, self._judged = Column(bool), Column(bool), JudgedColumns()
        self._at_meter = _AtMeter()

    def of(self, v: VehiclesNow, m: MetersNow, summaries: Mapping[str, Summary], now: datetime) -> tuple[dict[str, list[Any]], Mask, Mask]:
        """The columns by name, which must not be changed; masks of the vehicles that charge and that are silent."""
        silent = silent_ones(v.recorded_us, now, self._silent_after_us)
        charging = ~silent & (np.nan_to_num(v.power_kw) > CHARGING_KW)
        lat_e7, lon_e7, place = self._at_meter.positions(v, m)
        columns: dict[str, list[Any]] = {
            "id": v.ids,
            "name": v.names,
            "site": v.site_names,
            "meterId": v.meter_ids,
            "lat": self._lat.of(lat_e7),
            "lon": self._lon.of(lon_e7),
            "positionFrom": self._place.of(place),
            "soc": self._soc.of(v.soc_centi_pct),
            "powerKw": self._power.of(v.power_kw),
            "batteryTemp": self._temp.of(v.battery_temp_centi_c),
            "recordedAt": self._recorded.of(v.recorded_us),
            **self._judged.of(v.ids, summaries),
            "charging": self._charging.of(charging),
            "silent": self._silent.of(silent),
        }
        return columns, charging, silent


def silent_ones(recorded_us: Ints, now: datetime, silent_after_us: int) -> Mask:
    """Who never reported, or longer ago than that."""
    return np.asarray(recorded_us < instant_us(now) - silent_after_us)


class _AtMeter:
    """Where a vehicle is that never said: at its meter, found anew only when an id or an assignment changed."""

    def __init__(self) -> None:
        self._of: tuple[list[str | None], list[str]] = ([], [])
        self._row: Ints = np.empty(0, np.int64)

    def positions(self, v: VehiclesNow, m: MetersNow) -> tuple[Ints, Ints, Ints]:
        """Latitude and longitude, and whose they are: an index of _PLACES."""
        if self._of[0] is not v.meter_ids or self._of[1] is not m.ids:
            known = {meter_id: row for row, meter_id in enumerate(m.ids)}
            self._row = np.array([known.get(meter_id or "", -1) for meter_id in v.meter_ids], np.int64)
            self._of = (v.meter_ids, m.ids)
        own = v.latitude_e7 != NOTHING
        lat_e7 = np.where(own, v.latitude_e7, np.append(m.latitude_e7, NOTHING)[self._row])
        lon_e7 = np.where(own, v.longitude_e7, np.append(m.longitude_e7, NOTHING)[self._row])
        found = lat_e7 != NOTHING
        return lat_e7, np.where(found, lon_e7, NOTHING), np.where(own, 1, np.where(found, 2, 0))
