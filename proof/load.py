"""Devices that send at a given pace and send the same again until it is acked: `python -m proof.load` with a plan on its standard input.

A process of its own, so that it shares no interpreter with what is measured or with who injects the faults. The first line it reads is a
`Plan` as JSON. It writes a line of JSON every fifth of a second, `{"now", "acked", "last_ack", "answers", "refused", "errors_500"}`. When
its input ends or `seconds` are over it begins nothing new, sends what is undecided for `settle_s` more, and ends with `{"ledger": …}`.
"""

import asyncio
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from proof.devices import Fleet
from proof.ledger import ACKS_PER_S, SAMPLES, Ledger, duration_class
from proof.wire import Answer, Broken, Line, Place

STATUS_EVERY_S = 0.2
_FIRST_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """`devices` over `devices / per_request` sockets, each sending a request of `per_request` devices' next readings.

    `readings_per_s` is the pace of all together (0: as fast as answers come); `together`: all sockets at the same instant, as a herd.
    `patience_s` bounds how long Retry-After is obeyed, so that a test sees when the server is back; `timeout_s` is when a device gives an
    answer up. `each`: stop after so many readings of each device. `burst`: so many requests of a socket, one after the other, each time it is its turn.
    `key`: the bearer key, if any.
    """

    url: str
    fleet: Fleet
    devices: int
    readings_per_s: float
    per_request: int = 1
    burst: int = 1
    together: bool = False
    seconds: float | None = None
    each: int | None = None
    settle_s: float = 30.0
    patience_s: float = 30.0
    timeout_s: float = 15.0
    key: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For a pipe."""
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> "Plan":
        """What `as_dict` made."""
        return cls(**{**kept, "fleet": Fleet(**kept["fleet"])})

    @property
    def period_s(self) -> float:
        """From one turn of a socket to its next."""
        return self.devices * self.burst / self.readings_per_s if self.readings_per_s else 0.0


@dataclass(slots=True)
class _Sender:
    """One socket and the devices behind it."""

    plan: Plan
    ledger: Ledger
    place: Place
    devices: range
    line: Line = field(init=False)
    n: int = 0

    def __post_init__(self) -> None:
        self.line = Line(self.place)

    def request(self) -> bytes:
        """The next reading of each device, as HTTP."""
        readings = [self.plan.fleet.reading(device, self.n) for device in self.devices]
        if self.plan.per_request == 1:
            route, body = ("meter" if self.devices[0] % 2 else "vehicle"), readings[0]
        else:
            sides = [b",".join(r for device, r in zip(self.devices, readings, strict=True) if device % 2 == side) for side in (0, 1)]
            route, body = "batch", b'{"vehicles":[%s],"meters":[%s]}' % (sides[0], sides[1])
        key = f"Authorization: Bearer {self.plan.key}\r\n" if self.plan.key else ""
        head = (
            f"POST {self.place.prefix}/v1/telemetry/{route} HTTP/1.1\r\nHost: {self.place.host}\r\nContent-Type: application/json\r\n{key}"
        )
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def in_order(self) -> list[int]:
        """The devices in the order in which a receipt counts their readings."""
        return sorted(self.devices, key=lambda device: device % 2)

    async def deliver(self, still: "asyncio.Event") -> bool:
        """Send until decided. False where the time to settle is over first."""
        request = self.request()
        for device in self.devices:
            self.ledger.sent[device] = self.n + 1
        pause_s = _FIRST_PAUSE_S
        while not still.is_set():
            answer = await self._ask(request)
            if answer is not None and self._decided(answer):
                self.n += 1
                return True
            asked_s = float(answer.headers.get("retry-after", 0)) if answer is not None else 0.0
            await asyncio.sleep(min(max(asked_s, pause_s), self.plan.patience_s))
            pause_s = min(pause_s * 2, 1.0)
            self.ledger.counts["resent"] += len(self.devices)
        return False

    async def _ask(self, request: bytes) -> Answer | None:
        counts, began = self.ledger.counts, time.monotonic()
        try:
            answer = await self.line.ask(request, self.plan.timeout_s)
        except Broken as broken:
            counts["unanswered" if broken.late else "broken" if broken.sent else "not_connected"] += 1
            if broken.sent and not broken.late and len(self.ledger.cut_off) < 100_000:
                self.ledger.cut_off.append(began)
            return None
        counts["answers"] += 1
        took = self.ledger.refusals_took if answer.status in (429, 503) else self.ledger.took
        took[duration_class(time.monotonic() - began)] += 1
        return answer

    def _decided(self, answer: Answer) -> bool:
        """Write down what an answer says; whether it is the last word on this reading."""
        counts, body = self.ledger.counts, _parsed(answer)
        if answer.status >= 500 or answer.status == 429:
            self._refused(answer, body)
            return False
        if answer.status in (200, 201, 207, 422) and "received" in body:
            self._check(body)
        errors = body.get("errors", []) if answer.status in (207, 422) else []
        order = self.in_order()
        bad = [(order[e["index"]], self.n, answer.status, str(e["code"])) for e in errors]
        if answer.status not in (200, 201, 207) and not bad:
            bad = [(device, self.n, answer.status, str(body.get("type", ""))) for device in order]
        self.ledger.rejected += bad
        for device in self.devices:
            self.ledger.done[device] = self.n + 1
        acked = len(self.devices) - len({device for device, *_ in bad})
        counts["acked"] += acked
        counts["duplicates"] += int(body.get("duplicates", 0))
        if acked:
            self.ledger.acks[int(time.monotonic() * ACKS_PER_S)] += acked
        return True

    def _check(self, receipt: dict[str, Any]) -> None:
        parts = receipt["accepted"] + receipt["duplicates"] + receipt["rejected"]
        if (parts, receipt["received"]) != (len(self.devices), len(self.devices)) and len(self.ledger.wrong_receipts) < SAMPLES:
            self.ledger.wrong_receipts.append(f"{len(self.devices)} sent: {receipt}")

    def _refused(self, answer: Answer, body: dict[str, Any]) -> None:
        counts = self.ledger.counts
        if answer.status == 500:
            counts["errors_500"] += 1
            if len(self.ledger.samples) < SAMPLES:
                self.ledger.samples.append(answer.body[:500].decode(errors="replace"))
            return
        counts["refused"] += 1
        counts[f"refused:{str(body.get('type', answer.status)).rpartition(':')[2]}"] += 1
        counts["without_retry_after"] += "retry-after" not in answer.headers


def _parsed(answer: Answer) -> dict[str, Any]:
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


class Load:
    """All senders of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.ledger = plan, Ledger.of(plan.fleet, plan.devices)
        self._stop, self._give_up = asyncio.Event(), asyncio.Event()

    def stop(self) -> None:
        """Begin nothing new."""
        self._stop.set()

    async def run(self) -> Ledger:
        """Until stopped or over, and settled. The ledger."""
        place, step = Place.of(self.plan.url), self.plan.per_request
        groups = [range(first, min(first + step, self.plan.devices)) for first in range(0, self.plan.devices, step)]
        began = time.monotonic()
        tasks = [
            asyncio.create_task(self._send(_Sender(self.plan, self.ledger, place, g), began, i / len(groups))) for i, g in enumerate(groups)
        ]
        whole = asyncio.ensure_future(asyncio.gather(*tasks))
        stopped = asyncio.create_task(self._stop.wait())
        either: list[asyncio.Future[Any]] = [whole, stopped]
        await asyncio.wait(either, timeout=self.plan.seconds, return_when=asyncio.FIRST_COMPLETED)
        self._stop.set()
        await asyncio.wait([whole], timeout=self.plan.settle_s)
        self._give_up.set()
        await asyncio.wait([whole], timeout=self.plan.timeout_s + 1 + self.plan.patience_s)
        await whole
        return self.ledger

    async def _send(self, sender: _Sender, began: float, phase: float) -> None:
        period = self.plan.period_s
        due = began + (0.0 if self.plan.together else phase * period)
        while not await self._stopped_by(due) and (self.plan.each is None or sender.n < self.plan.each):
            if not await sender.deliver(self._give_up):
                break
            if sender.n % self.plan.burst:
                continue
            late = time.monotonic() - due
            # Whoever is late does not catch up: the pace is a device's, and a herd keeps to its grid.
            due += period * max(1, -(-late // period)) if period and self.plan.together else max(period, late)
        sender.line.close()

    async def _stopped_by(self, due: float) -> bool:
        """Wait for an instant; whether the end came first."""
        wait_s = due - time.monotonic()
        if wait_s > 0 and not self._stop.is_set():
            try:
                async with asyncio.timeout(wait_s):
                    await self._stop.wait()
            except TimeoutError:
                pass
        else:
            await asyncio.sleep(0)
        return self._stop.is_set()


def raise_file_limit() -> None:
    """As many sockets as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def say(value: dict[str, Any]) -> None:
    """A line for who listens; keys that are numbers are written as text."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS) + b"\n")
    sys.stdout.buffer.flush()


async def _report(ledger: Ledger) -> None:
    while True:
        counts, last = ledger.counts, next(reversed(ledger.acks), None)  # time only grows, so the last one is the newest
        fields = ("acked", "answers", "refused", "errors_500", "broken", "not_connected", "unanswered", "resent")
        say({"now": time.monotonic(), "last_ack": last / ACKS_PER_S if last else None, **{name: counts[name] for name in fields}})
        await asyncio.sleep(STATUS_EVERY_S)


async def _main() -> None:
    raise_file_limit()
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    load = Load(Plan.from_dict(orjson.loads(await lines.readline())))
    reports = asyncio.create_task(_report(load.ledger))
    ends = asyncio.create_task(lines.read())
    ends.add_done_callback(lambda _: load.stop())
    ledger = await load.run()
    reports.cancel()
    ends.cancel()
    say({"ledger": ledger.as_dict()})


if __name__ == "__main__":
    asyncio.run(_main())
