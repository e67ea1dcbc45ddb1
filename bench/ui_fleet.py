"""10,000 vehicles and meters for the pages: an hour of readings behind them, and everybody's next reading when its second has come."""

import json
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import numpy as np
import psycopg
from rich.console import Console

from bench import dataset, wire
from bench.installation import BenchError
from db.sides import METER, VEHICLE

VEHICLES = 10_000
HOURS = 1
BACKGROUND_DAYS = 30  # of the vehicle whose page is measured over 30 days
_SEED = 1
_PATH = "/v1/telemetry/batch"


@dataclass(frozen=True, slots=True)
class Filled:
    """The fleet that was stored; `vehicle_id` has 30 days behind it."""

    cars: dataset.Fleet
    vehicle_id: str
    readings: int


def fill(database_url: str, vehicles: int = VEHICLES, hours: int = HOURS) -> Filled:
    """Hours of everybody ending now, and a month of the first vehicle: half a minute's work, and as many rows on the screen and in a tick as after a day."""
    cars, ends = dataset.fleet(vehicles, _SEED), datetime.now(UTC).replace(microsecond=0)
    begins, console = ends - timedelta(hours=hours), Console(quiet=True)
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        dataset.describe(conn, cars)
    alone = dataset.first_of(cars, 1)
    stored = dataset.load(database_url, alone, begins - timedelta(days=BACKGROUND_DAYS), begins, "one vehicle", console)
    stored += dataset.load(database_url, cars, begins, ends, "fleet", console)
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE)")
    return Filled(cars, str(dataset.names(VEHICLE, 1)[0]), stored)


class Feed:
    """Posts each device's reading in the second in which it is due, as 20,000 devices would; a batch a second."""

    def __init__(self, endpoint: tuple[str, int], cars: dataset.Fleet) -> None:
        self._endpoint, self._cars = endpoint, cars
        self._names = [dataset.names(side, cars.size) for side in (VEHICLE, METER)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self.posted = 0
        self.failure = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(10)
        if self.failure and not error:
            raise BenchError(f"the feed ended: {self.failure}")

    def _run(self) -> None:
        try:
            with ExitStack() as closing:
                connection = closing.enter_context(wire.Connection(self._endpoint))
                while not self._stop.is_set():
                    self._minute(connection)
        except (OSError, BenchError) as error:
            self.failure = str(error)

    def _minute(self, connection: wire.Connection) -> None:
        begins_s = int(time.time()) // 60 * 60
        _, _, at_us, vehicles, meters = dataset.minutes(self._cars, begins_s, 1)
        for second in range(1, 61):
            if self._stop.wait(max(0.0, begins_s + second - time.time())):
                return
            due = np.flatnonzero((self._cars.second == second) & (at_us >= time.time_ns() // 1000 - 2_000_000))
            if len(due):
                self._post(connection, due, begins_s + second, vehicles, meters)

    def _post(
        self, connection: wire.Connection, due: dataset.Ints, at_s: int, vehicles: list[dataset.Ints], meters: list[dataset.Ints]
    ) -> None:
        at = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {"vehicles": [self._vehicle(n, at, vehicles) for n in due], "meters": [self._meter(n, at, meters) for n in due]}
        status = wire.status(connection.exchange(wire.request("POST", _PATH, json.dumps(body).encode())))
        if status not in (200, 201):
            raise BenchError(f"a batch was answered {status}")
        self.posted += 2 * len(due)

    def _vehicle(self, n: int, at: str, values: list[dataset.Ints]) -> dict[str, object]:
        dc, soc, temp, lat, lon = (int(column[n]) for column in values)
        what = {"soc": soc / 100, "kwhDeliveredDc": dc / 1e6, "batteryTemp": temp / 100, "latitude": lat / 1e7, "longitude": lon / 1e7}
        return {"vehicleId": self._names[0][n], "timestamp": at, **what}

    def _meter(self, n: int, at: str, values: list[dataset.Ints]) -> dict[str, object]:
        ac, volts = int(values[0][n]), int(values[1][n])
        return {"meterId": self._names[1][n], "timestamp": at, "kwhConsumedAc": ac / 1e6, "voltage": volts / 100}
