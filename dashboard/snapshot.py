"""One picture of the fleet per tick, made once for all viewers and kept as bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg_pool import ConnectionPool

from charging.fleet import FleetSummary, total
from charging.losses import Price
from charging.verdict import Summary, Verdict
from dashboard.alerts_now import AlertsNow, alerts_now
from dashboard.costs import Bill, bill, own_prices
from dashboard.kept import SAME_TICK, Kept
from dashboard.pictures import Album, Content, Picture
from db import sites
from db.engine import Conn
from db.queries import devices
from db.queries.devices import MeterNow, VehicleNow
from db.queries.fleet_window import FleetDay, FleetWindow

WINDOW = timedelta(hours=24)
CHARGING_KW = 0.5


@dataclass(frozen=True, slots=True)
class Money:
    """What a kWh lost costs and emits where a site says nothing else."""

    price: Price
    currency: str


class FleetPicture(Kept):
    """A new one every tick."""

    def __init__(
        self,
        pool: "ConnectionPool[Conn]",
        tick_s: float,
        silent_after_s: int,
        money: Money,
        window: FleetWindow,
        now: Callable[[], datetime],
    ) -> None:
        super().__init__(tick_s)
        self._pool, self._silent_after_s, self._money, self._window, self._now = pool, silent_after_s, money, window, now
        self._album = Album()

    def picture(self, content: Content, made_monotonic: float) -> Picture:
        """One that knows what changed since the ones before."""
        return self._album.add(content, made_monotonic)

    def read(self) -> dict[str, Any]:
        """The fleet at this tick."""
        now = self._now().replace(microsecond=0)
        day = self._window.day(self._pool.connection, lambda: now, self.every_s * SAME_TICK)
        with self._pool.connection() as conn:
            vehicles, meters = devices.vehicles(conn, now), {m.meter_id: m for m in devices.meters(conn)}
            own = own_prices(sites.sites(conn), self._money.price)
            told = alerts_now(conn, now)
        spent = bill(vehicles, meters, day.summaries, own, self._money.price)
        return self._drawn(vehicles, meters, day, spent, told, now)

    def nothing(self) -> dict[str, Any]:
        """No figures."""
        columns: dict[str, Any] = {name: [] for name in _COLUMNS}
        return {"asOf": None, "windowFrom": None, "windowTo": None, "stale": True, "figures": None, "vehicles": columns, "alerts": []}

    def _drawn(
        self, vehicles: list[VehicleNow], meters: dict[str, MeterNow], day: FleetDay, spent: Bill, told: AlertsNow, now: datetime
    ) -> dict[str, Any]:
        at, evidence = day.at, day.summaries
        rows = [_row(v, meters.get(v.meter_id or ""), evidence.get(v.vehicle_id), now, self._silent_after_s) for v in vehicles]
        silent_before = now - timedelta(seconds=self._silent_after_s)
        return {
            # The tick's time rounded to the evidence: a fleet in which nothing changed gives the same bytes and so a 304.
            "asOf": _z(max([at, *(v.received_at for v in vehicles if v.received_at)])),
            "windowFrom": _z(at - WINDOW),
            "windowTo": _z(at),
            "stale": False,
            "figures": {
                **_figures(total(evidence.values()), spent, self._money.currency),
                "vehicles": len(rows),
                "reporting": sum(1 for row in rows if not row["silent"]),
                "silent": sum(1 for row in rows if row["silent"]),
                "charging": sum(1 for row in rows if row["charging"]),
                "chargingKw": round(sum(row["powerKw"] or 0 for row in rows if row["charging"]), 1),
                **told.figures,
                "meters": len(meters),
                "metersReporting": sum(1 for m in meters.values() if m.recorded_at and m.recorded_at >= silent_before),
            },
            "vehicles": {name: [row[name] for row in rows] for name in _COLUMNS},
            "alerts": told.rows,
            "alertsMark": told.mark,
        }


_COLUMNS = (
    "id,name,site,meterId,lat,lon,positionFrom,soc,powerKw,batteryTemp,recordedAt,efficiency,expectedLow,expectedHigh,acKwh,dcKwh,lossKwh,uncertainty,"
    "verdict,severity,charging,silent"
).split(",")


def _z(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _r(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _row(v: VehicleNow, meter: MeterNow | None, judged: Summary | None, now: datetime, silent_after_s: int) -> dict[str, Any]:
    lat, lon, source = _position(v, meter)
    silent = v.recorded_at is None or (now - v.recorded_at).total_seconds() > silent_after_s
    return {
        "id": v.vehicle_id,
        "name": v.name,
        "site": v.site_name,
        "meterId": v.meter_id,
        "lat": _r(lat, 5),
        "lon": _r(lon, 5),
        "positionFrom": source,
        "soc": _r(v.soc_pct, 1),
        "powerKw": _r(v.power_kw, 1),
        "batteryTemp": _r(v.battery_temp_c, 1),
        "recordedAt": int(v.recorded_at.timestamp()) if v.recorded_at else None,
        "charging": not silent and (v.power_kw or 0) > CHARGING_KW,
        "silent": silent,
        **_judged(judged),
    }


def _position(v: VehicleNow, meter: MeterNow | None) -> tuple[float | None, float | None, str | None]:
    if v.latitude is not None:
        return v.latitude, v.longitude, "vehicle"
    if meter and meter.latitude is not None:
        return meter.latitude, meter.longitude, "meter"
    return None, None, None


def _judged(s: Summary | None) -> dict[str, Any]:
    known = s and s.verdict is not Verdict.INSUFFICIENT_DATA  # half a charge is neither an efficiency nor a loss
    return {
        "efficiency": _r(s.ratio, 4) if s and known else None,
        "expectedLow": _r(s.expected_low, 4) if s else None,
        "expectedHigh": _r(s.expected_high, 4) if s else None,
        "acKwh": _r(s.ac_kwh, 2) if s else None,
        "dcKwh": _r(s.dc_kwh, 2) if s else None,
        "lossKwh": _r(s.loss_kwh, 2) if s and known else None,
        "uncertainty": _r(s.uncertainty, 4) if s else None,
        "verdict": s.verdict.value if s else Verdict.UNMAPPED.value,
        "severity": s.severity if s else None,
    }


def _figures(fleet: FleetSummary, spent: Bill, currency: str) -> dict[str, Any]:
    return {
        "efficiency": fleet.efficiency,
        "expectedLow": fleet.expected_low,
        "expectedHigh": fleet.expected_high,
        "counted": fleet.counted,
        "leftOut": fleet.left_out,
        "acKwh": fleet.ac_kwh,
        "dcKwh": fleet.dc_kwh,
        "lossKwh": fleet.loss_kwh,
        "lossCost": spent.cost,
        "currency": currency,
        "lossCo2Kg": spent.co2_kg,
        "ownPrices": spent.own_sites,
    }
