"""One picture of the fleet per tick, made once for all viewers and kept as bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from psycopg_pool import ConnectionPool

from charging.fleet import FleetSummary, total
from charging.losses import Price
from dashboard.alerts_now import AlertsNow, alerts_now
from dashboard.costs import Bill, bill, own_prices
from dashboard.fleet_columns import COLUMNS, FleetColumns, silent_ones
from dashboard.kept import SAME_TICK, Kept
from dashboard.pictures import Album, Content, Picture
from db import sites
from db.engine import Conn
from db.gathered import instant
from db.queries.fleet_now import NEVER, FleetNow, MetersNow, VehiclesNow
from db.queries.fleet_window import FleetDay, FleetWindow

WINDOW = timedelta(hours=24)


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
        self._fleet, self._columns = FleetNow(), FleetColumns(silent_after_s)
        self._said: _Said | None = None

    def picture(self, content: Content, made_monotonic: float) -> Picture:
        """One that knows what changed since the ones before."""
        return self._album.add(content, made_monotonic)

    def read(self) -> dict[str, Any]:
        """The fleet at this tick."""
        now = self._now().replace(microsecond=0)
        day = self._window.day(self._pool.connection, lambda: now, self.every_s * SAME_TICK)
        with self._pool.connection() as conn:
            vehicles, meters = self._fleet.vehicles(conn, now), self._fleet.meters(conn)
            own = own_prices(sites.sites(conn), self._money.price)
            told = alerts_now(conn, now)
        return self._drawn(vehicles, meters, day, own, told, now)

    def nothing(self) -> dict[str, Any]:
        """No figures."""
        columns: dict[str, Any] = {name: [] for name in COLUMNS}
        return {"asOf": None, "windowFrom": None, "windowTo": None, "stale": True, "figures": None, "vehicles": columns, "alerts": []}

    def _drawn(self, v: VehiclesNow, m: MetersNow, day: FleetDay, own: dict[str, Price], told: AlertsNow, now: datetime) -> dict[str, Any]:
        columns, charging, silent = self._columns.of(v, m, day.summaries, now)
        said, received_us = self._judged(v, m, day, own), int(v.received_us.max(initial=NEVER))
        kw, silent_count = columns["powerKw"], int(silent.sum())
        return {
            # The tick's time rounded to the evidence: a fleet in which nothing changed gives the same bytes and so a 304.
            "asOf": _z(day.at if received_us == NEVER else max(day.at, instant(received_us))),
            "windowFrom": _z(day.at - WINDOW),
            "windowTo": _z(day.at),
            "stale": False,
            "figures": {
                **said.figures,
                "vehicles": len(v.ids),
                "reporting": len(v.ids) - silent_count,
                "silent": silent_count,
                "charging": int(charging.sum()),
                "chargingKw": round(sum(kw[row] or 0 for row in np.flatnonzero(charging).tolist()), 1),
                **told.figures,
                "meters": len(m.ids),
                "metersReporting": int((~silent_ones(m.recorded_us, now, self._silent_after_s * 1_000_000)).sum()),
            },
            "vehicles": columns,
            "alerts": told.rows,
            "alertsMark": told.mark,
        }

    def _judged(self, v: VehiclesNow, m: MetersNow, day: FleetDay, own: dict[str, Price]) -> "_Said":
        """What follows from the day: worked out anew when that is another, or something that people wrote down."""
        of = (day, v.ids, v.names, v.site_ids, v.site_names, m.ids, m.site_ids)
        if self._said is None or any(a is not b for a, b in zip(self._said.of, of, strict=True)) or self._said.own != own:
            spent = bill(
                zip(v.ids, v.site_ids, strict=True), dict(zip(m.ids, m.site_ids, strict=True)), day.summaries, own, self._money.price
            )
            figures = _figures(total(day.summaries.values()), spent, self._money.currency)
            self._said = _Said(of, own, figures)
        return self._said


@dataclass(frozen=True, slots=True)
class _Said:
    """The day's figures, and what they were made `of`."""

    of: tuple[Any, ...]
    own: dict[str, Price]
    figures: dict[str, Any]


def _z(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


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
