"""Send what a feed delivers: the past in batches over a few connections, the present one reading at a time."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Full, Queue
from typing import Any

from simulator.feed import Delivery, Feed, batch_body
from simulator.fleet import VEHICLES
from simulator.wire import Answer, Stopped, Wire

BATCH_READINGS = 5_000
BATCH_PATH = "/v1/telemetry/batch"
VEHICLE_PATH = "/v1/telemetry/vehicle"
METER_PATH = "/v1/telemetry/meter"
# So many overdue readings mean an outage is over: they are flushed as a gateway would, not one by one.
OVERDUE_FOR_BATCH = 500
# No more minutes are thought up while this many readings wait: an outage of days must not fill the memory.
LARGEST_BACKLOG = 100_000
LOOK_EVERY_S = 0.2
LAST_ANSWER_S = 2.0

Report = Callable[[str], None]


@dataclass
class Tally:
    """Counts of what became of the readings. Thread-safe."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def sent(self) -> int:
        return self.accepted + self.duplicates + self.rejected

    def add(self, answer: Answer, readings: int) -> str | None:
        """Count a final answer to this many readings. Returns the first complaint in words, if there is one."""
        receipt = answer.json()
        receipt = receipt if isinstance(receipt, dict) else {}
        rejected = int(receipt.get("rejected", 0)) if answer.ok else readings
        duplicates = int(receipt.get("duplicates", 0)) if answer.ok else 0
        with self._lock:
            self.accepted += readings - rejected - duplicates
            self.duplicates += duplicates
            self.rejected += rejected
            self.codes.update(str(e.get("code")) for e in receipt.get("errors", []))
        return complaint(answer, receipt) if rejected else None


def complaint(answer: Answer, receipt: dict[str, Any]) -> str:
    """Why a server refused, in one line."""
    errors = receipt.get("errors") or [{}]
    return " ".join(str(part) for part in (answer.status, receipt.get("title"), errors[0].get("code"), errors[0].get("detail")) if part)


@dataclass(frozen=True)
class Uplink:
    """The connections that share the work, what counts their answers, what ends them, and who is told of refusals."""

    wires: list[Wire]
    tally: Tally
    stop: threading.Event
    report: Report

    def post_batch(self, wire: Wire, batch: list[Delivery]) -> None:
        """Send readings in one request until it is answered. Raises Stopped."""
        self._count(wire.send("POST", BATCH_PATH, batch_body(batch)), len(batch))

    def post_one(self, wire: Wire, delivery: Delivery) -> None:
        """Send one reading as its device would, until it is answered. Raises Stopped."""
        self._count(wire.send("POST", VEHICLE_PATH if delivery.stream == VEHICLES else METER_PATH, delivery.body), 1)

    def _count(self, answer: Answer, readings: int) -> None:
        refused = self.tally.add(answer, readings)
        if refused:
            self.report(refused)


def backfill(feed: Feed, after_s: float, uplink: Uplink, advance: Callable[[], None]) -> list[Delivery]:
    """Post everything that was due between `after_s` and now, in batches, one connection per wire.

    `advance` is called after each minute of the past. Returns what is due only later within the minute that has begun. Raises Stopped.
    """
    stop = uplink.stop
    batches: Queue[list[Delivery] | None] = Queue(maxsize=2 * len(uplink.wires))
    senders = [_start(_send_batches, uplink, wire, batches) for wire in uplink.wires]
    waiting: list[Delivery] = []
    while feed.minute * 60.0 <= time.time():
        waiting += [d for d in feed.next_minute() if d.at_s > after_s]
        advance()
        while len(waiting) >= BATCH_READINGS:
            _hand_over(batches, waiting[:BATCH_READINGS], stop)
            del waiting[:BATCH_READINGS]
    now_s = time.time()
    due = [d for d in waiting if d.at_s <= now_s]
    for last in (due, *(None for _ in senders)):
        _hand_over(batches, last, stop)
    while any(sender.is_alive() for sender in senders):
        if stop.wait(LOOK_EVERY_S / 4):
            raise Stopped
    return waiting[len(due) :]


def _start(target: Callable[..., None], *args: Any) -> threading.Thread:
    thread = threading.Thread(target=target, args=args, daemon=True)
    thread.start()
    return thread


def _hand_over(batches: Queue[list[Delivery] | None], batch: list[Delivery] | None, stop: threading.Event) -> None:
    """Put a batch, or the end mark, into the queue as soon as there is room. Raises Stopped."""
    while not stop.is_set():
        try:
            return batches.put(batch, timeout=LOOK_EVERY_S)
        except Full:
            continue
    raise Stopped


def _send_batches(uplink: Uplink, wire: Wire, batches: Queue[list[Delivery] | None]) -> None:
    try:
        while (batch := batches.get()) is not None:
            if batch:
                uplink.post_batch(wire, batch)
    except Stopped:
        return
    finally:
        wire.close()


class Live:
    """Posts each reading when its moment comes. Workers share one queue; the caller's thread thinks up the minutes."""

    def __init__(self, feed: Feed, first: list[Delivery], uplink: Uplink) -> None:
        self._feed, self._uplink, self._stop = feed, uplink, uplink.stop
        self._waiting: deque[Delivery] = deque(first)
        self._lock = threading.Lock()
        self._workers = [_start(self._work, wire) for wire in uplink.wires]

    def run(self, every_minute: Callable[[], None]) -> None:
        """Until stopped. `every_minute` is called after each minute that was thought up."""
        while not self._stop.is_set():
            if self._feed.minute * 60.0 <= time.time() and len(self._waiting) < LARGEST_BACKLOG:
                minute = self._feed.next_minute()
                with self._lock:
                    self._waiting.extend(minute)
                every_minute()
            else:
                self._stop.wait(LOOK_EVERY_S)
        for worker in self._workers:  # daemons: whoever still waits for an answer after this is left behind
            worker.join(timeout=LAST_ANSWER_S / len(self._workers))

    def _work(self, wire: Wire) -> None:
        try:
            while not self._stop.is_set():
                self._send(wire, self._take())
        except Stopped:
            return

    def _send(self, wire: Wire, due: list[Delivery]) -> None:
        if not due:
            self._stop.wait(LOOK_EVERY_S)
        elif len(due) == 1:
            self._uplink.post_one(wire, due[0])
        else:
            self._uplink.post_batch(wire, due)

    def _take(self) -> list[Delivery]:
        """One due reading, or up to a batch of them when many are overdue, or none."""
        now_s = time.time()
        with self._lock:
            waiting = self._waiting
            many = len(waiting) > OVERDUE_FOR_BATCH and waiting[OVERDUE_FOR_BATCH].at_s <= now_s - 1.0
            taken: list[Delivery] = []
            while waiting and waiting[0].at_s <= now_s and len(taken) < (BATCH_READINGS if many else 1):
                taken.append(waiting.popleft())
            return taken
