"""Introduce a fleet to a server before it reports, and ask what the server already knows of it."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from simulator.faults import Faults
from simulator.fleet import Fleet, Site, Vehicle
from simulator.wire import Answer, Wire

THREADS = 4
PAGE = 1_000

WireMaker = Callable[[], Wire]


class PerThread:
    """Wires for a pool of threads: each thread gets one of its own and keeps it, so connections stay open."""

    def __init__(self, make: WireMaker) -> None:
        self._make, self._local = make, threading.local()
        self._made: list[Wire] = []

    def wire(self) -> Wire:
        if not hasattr(self._local, "wire"):
            self._local.wire = self._make()
            self._made.append(self._local.wire)
        wire: Wire = self._local.wire
        return wire

    def close(self) -> None:
        for wire in self._made:
            wire.close()


def describe(fleet: Fleet, faults: Faults, make: WireMaker) -> list[str]:
    """PUT sites, meters and vehicles, then the mappings that are not there yet.

    Returns what the server refused, in words; a refusal is no reason to stop, since devices may report undescribed.
    """
    wires = PerThread(make)
    with closing(wires), ThreadPoolExecutor(THREADS) as pool:
        refusals: list[str] = []
        for stage in (sites(fleet), [*meters(fleet, faults), *vehicles(fleet, faults)]):
            refusals += filter(None, pool.map(lambda put: _put(wires.wire(), put), stage))
        refusals += filter(None, pool.map(lambda put: _map_once(wires.wire(), put), mappings(fleet, faults)))
    return refusals


class Put(NamedTuple):
    """What is said about a site, a device or a mapping: the body of a PUT to /v1/{collection}/{name}."""

    collection: str
    name: str
    body: dict[str, Any]

    @property
    def path(self) -> str:
        return f"/v1/{self.collection}/{quote(self.name)}"


def sites(fleet: Fleet) -> Iterator[Put]:
    """Every site with its place and time zone."""
    found: dict[str, Site] = {v.site.site_id: v.site for v in fleet.vehicles}
    for site in found.values():
        place = {"latitude": site.latitude, "longitude": site.longitude, "timeZone": site.time_zone}
        yield Put("sites", site.site_id, {"name": site.name, **place})


def meters(fleet: Fleet, faults: Faults) -> Iterator[Put]:
    """Every meter. One whose place nobody knows has no site either: the site's position would give it away."""
    placeless = set(faults.of("no_position_at_all"))
    for i, vehicle in enumerate(fleet.vehicles):
        place = {"siteId": vehicle.site.site_id, "latitude": vehicle.latitude, "longitude": vehicle.longitude}
        body = {"name": f"{_city(vehicle)} bay {_number(vehicle)}", "ratedKw": vehicle.rated_kw}
        yield Put("meters", vehicle.meter_id, body if i in placeless else body | place)


def vehicles(fleet: Fleet, faults: Faults) -> Iterator[Put]:
    """Every vehicle, without a site where nobody knows its place."""
    placeless = set(faults.of("no_position_at_all"))
    for i, vehicle in enumerate(fleet.vehicles):
        site = {} if i in placeless else {"siteId": vehicle.site.site_id}
        yield Put("vehicles", vehicle.vehicle_id, {"name": f"{_city(vehicle)} {_number(vehicle)}", "model": vehicle.model.name, **site})


def _city(vehicle: Vehicle) -> str:
    return vehicle.site.name.split()[0]


def _number(vehicle: Vehicle) -> str:
    return vehicle.vehicle_id.rsplit("-", 1)[-1]


def mappings(fleet: Fleet, faults: Faults) -> Iterator[Put]:
    """Which meter each vehicle is said to charge at."""
    unmapped = set(faults.of("no_meter"))
    for i, vehicle in enumerate(fleet.vehicles):
        if i not in unmapped:
            yield Put("mappings", vehicle.vehicle_id, {"meterId": vehicle.meter_id})


def _put(wire: Wire, put: Put) -> str | None:
    return _refusal(put.path, wire.send_json("PUT", put.path, put.body))


def _map_once(wire: Wire, put: Put) -> str | None:
    """A first mapping holds from always; a second PUT would begin a new stretch now, so a mapping that exists is left alone."""
    known = wire.send_json("GET", put.path)
    if known.ok and any(True for _ in _objects(known.json(), "meterId")):
        return None
    return _put(wire, put)


def _refusal(path: str, answer: Answer) -> str | None:
    return None if answer.ok else f"PUT {path}: {answer.status} {answer.body[:200].decode(errors='replace')}"


def _objects(value: Any, key: str) -> Iterator[dict[str, Any]]:
    """Every object inside this JSON that has the key."""
    if isinstance(value, dict):
        if key in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _objects(item, key)


def last_seen_s(wire: Wire, path: str, id_key: str, wanted: Iterable[str]) -> dict[str, float]:
    """Seconds since 1970 of the newest reading the server has of these devices; those it has none of are left out.

    An answer that cannot be understood counts as knowing nothing: sending everything again is safe, only slower.
    """
    ours = set(wanted)
    found = ((o.get(id_key), o.get("recordedAt")) for o in _listed(wire, path, id_key))
    seen = {str(i): _seconds(at) for i, at in found if i in ours}
    return {i: at for i, at in seen.items() if at is not None}


def _listed(wire: Wire, path: str, id_key: str) -> Iterator[dict[str, Any]]:
    """Every object with this id in a list that is read page by page; the server names where the next page begins."""
    after: str | None = ""
    while after is not None:
        answer = wire.send_json("GET", f"{path}?limit={PAGE}&after={quote(after)}")
        page = answer.json() if answer.ok else None
        yield from _objects(page, id_key)
        after = page.get("next") if isinstance(page, dict) else None


def _seconds(stamp: Any) -> float | None:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (TypeError, ValueError):
        return None
