"""A small fleet that charges, and reports asked over real HTTP."""

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from db import ingest, partitions
from db.ingest import Reading
from db.sides import METER, VEHICLE

NOON = datetime(2026, 2, 4, 12, tzinfo=UTC)


@contextmanager
def filled(url: str, first: date, days: int = 3) -> Iterator[Any]:
    """A connection that commits at the end; these UTC days can take readings."""
    with psycopg.connect(url, options="-c TimeZone=UTC") as conn:
        partitions.ensure(conn, [first + timedelta(days=n) for n in range(days)], datetime.combine(first, NOON.time(), UTC))
        yield conn


def assign(conn: Any, vehicle_id: str, meter_id: str | None, since: datetime | None = None) -> None:
    """From `since` on, or from always."""
    conn.execute("INSERT INTO assignment VALUES (%s, %s, %s)", (vehicle_id, since or "-infinity", meter_id))


def charge(conn: Any, vehicle_id: str, meter_id: str, begins: datetime, minutes: int, dc_of_ac: float = 0.9) -> None:
    """11 kW from the grid, told once a minute by both, and a quarter of an hour of nothing around it."""
    first_us = int(begins.timestamp() * 1_000_000)
    ac = [183_333 if 0 < n <= minutes else 0 for n in range(-15, minutes + 16)]
    at_us = [first_us + n * 60_000_000 for n in range(-15, minutes + 16)]
    vehicle: list[Reading] = [
        (vehicle_id, at, round(energy * dc_of_ac), 5_000 + n, 2_000, None, None)
        for n, (at, energy) in enumerate(zip(at_us, ac, strict=True))
    ]
    meter: list[Reading] = [(meter_id, at, energy, 23_000, None, None) for at, energy in zip(at_us, ac, strict=True)]
    received_at = begins + timedelta(minutes=minutes + 20)
    ingest.store(conn, VEHICLE, vehicle, received_at)
    if meter_id:
        ingest.store(conn, METER, meter, received_at)


class _Chunked(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def serving(app: Flask) -> Iterator[int]:
    """The port on which it answers, a thread per connection, in chunks where it streams."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Chunked)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def asked(port: int, path: str, headers: Mapping[str, str] = {}) -> Iterator[http.client.HTTPResponse]:
    """The answer, of which nothing but the head has been read."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        line.request("GET", path, headers=dict(headers))
        with line.getresponse() as answer:
            yield answer
    finally:
        line.close()
