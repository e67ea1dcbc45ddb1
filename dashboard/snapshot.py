"""One picture of the fleet per tick, made once for all viewers and kept as bytes."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from charging.fleet import FleetSummary, total
from charging.losses import Price
from charging.verdict import Summary, Verdict
from dashboard.costs import Bill, bill, own_prices
from dashboard.pictures import Album, Picture
from db import sites
from db.engine import Conn
from db.queries import devices
from db.queries.devices import MeterNow, VehicleNow
from db.queries.fleet_window import FleetDay, FleetWindow

WINDOW = timedelta(hours=24)
CHARGING_KW = 0.5
# What is younger than this share of a tick belongs to it: viewers ask at their own moments.
_SAME_TICK = 0.8


@dataclass(frozen=True, slots=True)
class Money:
    """What a kWh lost costs and emits where a site says nothing else."""

    price: Price
    currency: str


class FleetPicture:
    """Keeps the newest picture. Where the database is away the last one stays, marked as stale."""

    def __init__(
        self,
        pool: "ConnectionPool[Conn]",
        tick_s: float,
        silent_after_s: int,
        money: Money,
        window: FleetWindow,
        now: Callable[[], datetime],
    ) -> None:
        self._pool, self._tick_s, self._silent_after_s, self._money, self._window, self._now = (
            pool,
            tick_s,
            silent_after_s,
            money,
            window,
            now,
        )
        self._lock = threading.Lock()
        self._picture: Picture | None = None
        self._content: dict[str, Any] | None = None
        self._album = Album()

    def get(self) -> Picture:
        """The picture of this tick; the first viewer of a tick makes it, the others wait for it or take the one before."""
        picture = self._picture
        if picture and time.monotonic() - picture.made_monotonic < self._tick_s * _SAME_TICK:
            return picture
        if picture and not self._lock.acquire(blocking=False):
            return picture
        if not picture:
            self._lock.acquire()
        try:
            if self._picture is not picture and self._picture:
                return self._picture
            self._picture = self._made()
            return self._picture
        finally:
            self._lock.release()

    def _made(self) -> Picture:
        try:
            self._content = self._read()
        except (psycopg.Error, PoolTimeout):
            self._content = {**(self._content or _empty()), "stale": True}
        return self._album.add(self._content, time.monotonic())

    def _read(self) -> dict[str, Any]:
        now = self._now().replace(microsecond=0)
        day = self._window.day(self._pool.connection, lambda: now, self._tick_s * _SAME_TICK)
        with self._pool.connection() as conn:
            vehicles, meters = devices.vehicles(conn, now), {m.meter_id: m for m in devices.meters(conn)}
            own = own_prices(sites.sites(conn), self._money.price)
        spent = bill(vehicles, meters, day.summaries, own, self._money.price)
        return self._drawn(vehicles, meters, day, spent, now)

    def _drawn(self, vehicles: list[VehicleNow], meters: dict[str, MeterNow], day: FleetDay, spent: Bill, now: datetime) -> dict[str, Any]:
        at, evidence = day.at, day.summaries
        rows = [_row(v, meters.get(v.meter_id or ""), evidence.get(v.vehicle_id), now, self._silent_after_s) for v in vehicles]
        alerts = _alerts(vehicles, evidence, at)
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
                "alerts": len(alerts),
                "critical": sum(1 for alert in alerts if alert["severity"] == "critical"),
                "meters": len(meters),
                "metersReporting": sum(1 for m in meters.values() if m.recorded_at and m.recorded_at >= silent_before),
            },
            "vehicles": {name: [row[name] for row in rows] for name in _COLUMNS},
            "alerts": alerts,
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


def _alerts(vehicles: list[VehicleNow], evidence: dict[str, Summary], at: datetime) -> list[dict[str, Any]]:
    low = [(v, s) for v in vehicles if (s := evidence.get(v.vehicle_id)) and s.verdict is Verdict.LOW]
    low.sort(key=lambda one: (one[1].severity != "critical", one[1].ratio or 0))
    return [
        {
            "vehicleId": v.vehicle_id,
            "name": v.name,
            "site": v.site_name,
            "meterId": ", ".join(s.meter_ids),
            **{name: value for name, value in _judged(s).items() if name != "verdict"},
            "coverageVehicle": _r(s.coverage_vehicle, 3),
            "coverageMeter": _r(s.coverage_meter, 3),
            "reason": s.reason,
            "windowFrom": _z(at - WINDOW),
            "windowTo": _z(at),
        }
        for v, s in low
    ]


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


def _empty() -> dict[str, Any]:
    return {
        "asOf": None,
        "windowFrom": None,
        "windowTo": None,
        "stale": True,
        "figures": None,
        "vehicles": {name: [] for name in _COLUMNS},
        "alerts": [],
    }
