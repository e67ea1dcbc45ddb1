"""Readings that come in from threads of their own while a test does something else."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg

from db import ingest
from db.ingest import Reading
from db.sides import SIDES, VEHICLE, Side

MIDNIGHT = datetime(2026, 2, 4, tzinfo=UTC)
MINUTE_US = 60_000_000


def reading(
    side: Side, device_id: str, minute: float, milliwh: int = 168_000, position: tuple[int | None, int | None] = (None, None)
) -> Reading:
    """A reading so many minutes after midnight."""
    at = int(MIDNIGHT.timestamp()) * 1_000_000 + round(minute * MINUTE_US)
    measures = (4_000, 2_100) if side is VEHICLE else (23_000,)
    return (device_id, at, milliwh, *measures, *position)


def many_devices(side: Side, writer: int, n: int) -> list[Reading]:
    """Readings of 40 devices about midnight, new ones with every n and writer, in no order of time."""
    return [
        reading(side, f"dev-{d}", -20 + (n * 7 + d) % 140 + (n % 59 + writer / 1_000) / 60, 1_000 * (n % 90)) for d in range(writer, 40)
    ]


@contextmanager
def writing(url: str, writers: int = 1, readings: Callable[[Side, int, int], list[Reading]] = many_devices) -> Iterator[list[float]]:
    """Writers commit batches meanwhile; afterwards the list holds how long each commit took in seconds. Raises what a writer met."""
    stop, waits = threading.Event(), list[float]()
    with ThreadPoolExecutor(writers) as threads:
        running = [threads.submit(_write, url, n, stop, readings) for n in range(writers)]
        try:
            yield waits
        finally:
            stop.set()
    for one in running:
        waits += one.result()


def _write(url: str, writer: int, stop: threading.Event, readings: Callable[[Side, int, int], list[Reading]]) -> list[float]:
    waits: list[float] = []
    with psycopg.connect(url) as conn:
        conn.execute("SET statement_timeout = '5s'")
        conn.commit()
        while not stop.is_set():
            began = time.monotonic()
            for side in SIDES:
                ingest.store(conn, side, readings(side, writer, len(waits)), MIDNIGHT)
            conn.commit()
            waits.append(time.monotonic() - began)
    return waits
