"""Keys in tests: made by the API as people make them, and a gate that asks for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from flask.testing import FlaskClient

from api.keys.gate import Gate
from api.keys.ring import Pace, Ring
from api.keys.secret import made
from db import device_keys
from db.device_keys import Wanted
from db.engine import connect
from tests.support import NOW, api

PLENTY = Pace(60_000, 60_000)


@dataclass
class Keyed:
    """An API that asks for keys. `look` makes it see what was changed, as it does by itself every second; `at_s` is its clock."""

    client: FlaskClient
    ring: Ring
    gate: Gate
    url: str
    clock: list[float] = field(default_factory=list)

    def make(self, *, rights: tuple[str, ...] = ("write",), binding: str = "gateway", **more: Any) -> str:
        """A new key, known to the gate."""
        new = made()
        with psycopg.connect(self.url) as conn:
            device_keys.create(conn, new.key_id, Wanted("test", list(rights), binding, **more), new.secret_hash, "test", NOW)  # type: ignore[arg-type]
        assert self.ring.look()
        return new.shown

    def post(self, key: str | None, body: Any, side: str = "vehicle", **headers: str) -> Any:
        """The answer to readings."""
        return self.client.post(f"/v1/telemetry/{side}", json=body, headers={**bearer(key), **headers})

    def ask(self, key: str | None, path: str, method: str = "GET", **more: Any) -> Any:
        return self.client.open(path, method=method, headers=bearer(key), **more)


def bearer(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


@contextmanager
def keyed(database_url: str, pace: Pace = PLENTY, proxies: int = 0) -> Iterator[Keyed]:
    """An API on a fixed instant whose gate looks only when told."""
    clock = [NOW.timestamp()]
    ring = Ring(lambda: connect(database_url, "keys", 5), pace, lambda: clock[0])
    gate = Gate(ring, proxies, lambda: clock[0])
    assert ring.look()
    try:
        with api(database_url, gate=gate) as client:
            yield Keyed(client, ring, gate, database_url, clock)
    finally:
        ring.close()
        ring._drop()


def stored(url: str) -> list[str]:
    """The devices whose readings are in history, vehicles first."""
    with psycopg.connect(url) as conn:
        rows = conn.execute("SELECT vehicle_id FROM vehicle_history UNION ALL SELECT meter_id FROM meter_history").fetchall()
    return sorted(str(row[0]) for row in rows)
