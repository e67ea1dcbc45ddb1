"""Reads back over HTTP what was sent, and holds the ledger against it."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from proof.devices import energy_milliwh
from proof.ledger import Ledger
from proof.wire import Place

WITHIN_S = 60.0


class CannotRead(Exception):
    """The installation does not say what it holds; the message says why."""


@dataclass(slots=True)
class Verdict:
    """`lost`: acked and not there. `phantom`: there and never sent, or with another value. `twice`: there more than once.
    `stale`: devices whose live state is not their newest reading. `receipts`: answers whose numbers do not add up. `rejected`: readings
    that were refused for good. `errors_500`: answers 500.
    """

    acked: int = 0
    stored: int = 0
    unknown: int = 0
    lost: int = 0
    phantom: int = 0
    twice: int = 0
    stale: int = 0
    receipts: int = 0
    rejected: int = 0
    errors_500: int = 0

    @property
    def holds(self) -> bool:
        """Whether what was answered is there, once, and nothing else."""
        return not (self.lost or self.phantom or self.twice or self.stale or self.receipts or self.rejected or self.errors_500)


def check(url: str, key: str | None, ledger: Ledger) -> Verdict:
    """Ask for the history and the live state of every device of the ledger. Raises CannotRead."""
    verdict = Verdict(ledger.acked, 0, ledger.unknown, receipts=len(ledger.wrong_receipts), rejected=len(ledger.rejected))
    verdict.errors_500 = ledger.counts["errors_500"]
    bad = {(device, n) for device, n, *_ in ledger.rejected}
    with _asking(Place.of(url), key) as ask:
        for device, sent in enumerate(ledger.sent):
            if sent:
                _judge(ledger, device, bad, _history(ask, ledger, device, sent), _live(ask, ledger, device), verdict)
    return verdict


def reach(url: str, key: str | None, ledger: Ledger) -> None:
    """Raises CannotRead where reading back would not be allowed: better known before anything is sent."""
    with _asking(Place.of(url), key) as ask:
        _live(ask, ledger, 0)


class _Asking:
    """GET with a key over one connection."""

    def __init__(self, connection: http.client.HTTPConnection, prefix: str, key: str | None) -> None:
        self._connection, self._prefix = connection, prefix
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def __call__(self, path: str) -> Any:
        """The parsed body; None for 404."""
        try:
            self._connection.request("GET", self._prefix + path, headers=self._headers)
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise CannotRead(f"GET {path}: {type(error).__name__}") from None
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise CannotRead(
                f"GET {path}: answer {answer.status}" + (": the key needs the right read" if answer.status in (401, 403) else "")
            )
        return orjson.loads(body)


@contextmanager
def _asking(place: Place, key: str | None) -> Iterator[_Asking]:
    connection = (
        http.client.HTTPSConnection(place.host, place.port, timeout=WITHIN_S, context=place.tls)
        if place.tls
        else http.client.HTTPConnection(place.host, place.port, timeout=WITHIN_S)
    )
    try:
        yield _Asking(connection, place.prefix, key)
    finally:
        connection.close()


def _route(ledger: Ledger, device: int) -> str:
    return f"/v1/{'meters' if device % 2 else 'vehicles'}/{ledger.fleet.id_of(device)}"


def _history(ask: _Asking, ledger: Ledger, device: int, sent: int) -> list[tuple[int, int]]:
    """What is stored of a device: instants in ms, energies in mWh."""
    start, end = _z(ledger.fleet.at_ms(0) - 60_000), _z(ledger.fleet.at_ms(sent) + 60_000)
    found = ask(f"{_route(ledger, device)}/history?bucket=raw&from={start}&to={end}") or {"points": []}
    energy = "kwhConsumedAc" if device % 2 else "kwhDeliveredDc"
    return [(_ms(point["at"]), round(point[energy] * 1_000_000)) for point in found["points"]]


def _live(ask: _Asking, ledger: Ledger, device: int) -> int | None:
    """When the newest reading was recorded, ms."""
    found = ask(_route(ledger, device))
    return _ms(found["recordedAt"]) if found and found["recordedAt"] else None


def _judge(
    ledger: Ledger, device: int, bad: set[tuple[int, int]], stored: list[tuple[int, int]], live: int | None, verdict: Verdict
) -> None:
    right = set()
    for at_ms, energy in stored:
        n = ledger.fleet.n_at(at_ms)
        if n is None or not 0 <= n < ledger.sent[device] or energy != energy_milliwh(device, n):
            verdict.phantom += 1
        elif n in right:
            verdict.twice += 1
        else:
            right.add(n)
    verdict.stored += len(stored)
    verdict.lost += sum(n not in right and (device, n) not in bad for n in range(ledger.done[device]))
    verdict.stale += live != max((at_ms for at_ms, _ in stored), default=None)


def _ms(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1000)


def _z(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
