"""Charges made up reading by reading, and where to put them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from charging.sessions import Session
from db import ingest, partitions
from db.ingest import Reading
from db.queries import sessions
from db.sides import METER, SIDES, VEHICLE, Side
from tests.support import fresh_database

DAY = datetime(2026, 2, 3, tzinfo=UTC)
VAN, TRUCK, DEPOT, YARD = "van-7", "truck-2", "depot-1", "yard-2"
US = 1_000_000


def at(hours: float, minutes: float = 0, seconds: float = 0) -> datetime:
    """So long after the test day's midnight."""
    return DAY + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def us(instant: datetime) -> int:
    """As a reading holds it: microseconds since 1970."""
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def flow(
    side: Side,
    device: str,
    begin: datetime,
    minutes: int,
    kw: float,
    *,
    every: int = 1,
    step_wh: float = 0.001,
    soc: tuple[float, float] | None = None,
    temp_c: float | None = None,
) -> list[Reading]:
    """A reading `every` so many minutes of (begin, begin + minutes], the energy in steps of the counter; `soc` rises or falls evenly."""
    step = round(step_wh * 1_000)
    found: list[Reading] = []
    told = 0
    for n in range(every, minutes + 1, every):
        whole = round(kw * n / 60 * 1_000_000) // step * step
        measures: tuple[int | None, ...] = (23_000,)
        if side is VEHICLE:
            charge = None if soc is None else round((soc[0] + (soc[1] - soc[0]) * n / minutes) * 100)
            measures = (charge, None if temp_c is None else round(temp_c * 100))
        found.append((device, us(begin) + n * 60 * US, whole - told, *measures, None, None))  # type: ignore[arg-type]  # as many as the side has
        told = whole
    return found


@dataclass(frozen=True)
class World:
    """A database with the days of the test, and a van on a depot's meter from always."""

    conn: psycopg.Connection

    def assign(self, vehicle_id: str, meter_id: str | None, since: datetime | None = None) -> None:
        self.conn.execute("INSERT INTO assignment VALUES (%s, coalesce(%s, '-infinity'::timestamptz), %s)", (vehicle_id, since, meter_id))

    def store(self, side: Side, *readings: Iterable[Reading]) -> None:
        ingest.store(self.conn, side, [one for some in readings for one in some], DAY)

    def charge(
        self,
        begin: datetime,
        minutes: int,
        ac_kw: float = 11.0,
        efficiency: float = 0.92,
        *,
        vehicle: str = VAN,
        meter: str = DEPOT,
        every: int = 1,
        soc: tuple[float, float] | None = None,
        temp_c: float | None = None,
    ) -> None:
        """Both sides of one charge."""
        self.store(METER, flow(METER, meter, begin, minutes, ac_kw, every=every))
        self.store(VEHICLE, flow(VEHICLE, vehicle, begin, minutes, ac_kw * efficiency, every=every, soc=soc, temp_c=temp_c))

    def idle(
        self, begin: datetime, minutes: int, *, every: int = 1, watts: float = 0, soc: float | None = None, vehicle: str = VAN
    ) -> None:
        """Both sides report that nothing charges."""
        self.store(METER, flow(METER, DEPOT, begin, minutes, watts / 1_000, every=every))
        self.store(VEHICLE, flow(VEHICLE, vehicle, begin, minutes, 0, every=every, soc=None if soc is None else (soc, soc)))

    def rhythm(self, seconds: int, *devices: str) -> None:
        """As if it had been learned."""
        for side in SIDES:
            self.conn.execute(f"UPDATE {side.live} SET rhythm_s = %s WHERE {side.key} = ANY(%s)", (seconds, list(devices)))

    def sessions(
        self, start: datetime = DAY - timedelta(days=2), end: datetime = DAY + timedelta(days=3), vehicle: str = VAN
    ) -> list[Session]:
        return sessions.of_vehicles(self.conn, [vehicle], start, end, now=DAY + timedelta(days=10))

    def at_meter(
        self, meter: str = DEPOT, start: datetime = DAY - timedelta(days=2), end: datetime = DAY + timedelta(days=3)
    ) -> list[Session]:
        return sessions.of_meters(self.conn, [meter], start, end, now=DAY + timedelta(days=10))


def days(conn: psycopg.Connection, first: date, count: int) -> None:
    """Partitions for these days."""
    partitions.ensure(conn, [first + timedelta(days=n) for n in range(count)], DAY)


def bounds(found: Sequence[Session]) -> list[tuple[datetime, datetime]]:
    """From when to when each lasted."""
    return [(session.start, session.end) for session in found]


@pytest.fixture(scope="module")
def charging_conn(postgres_url: str, template_database: str, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """One database for a module's tests, which roll back what they did: making a database takes longer than most of them."""
    with (
        fresh_database(postgres_url, template_database, request.node.name.rpartition("/")[2]) as url,
        psycopg.connect(url, options="-c TimeZone=UTC -c jit=off") as conn,
    ):
        days(conn, date(2026, 1, 30), 11)
        conn.commit()
        yield conn
