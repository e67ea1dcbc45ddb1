"""Several connections that send what was made beforehand, as fast as answers come, until the time is over."""

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Work = TypeVar("Work")
Sender = Callable[[], AbstractContextManager[Callable[[Work], None]]]


@dataclass(slots=True)
class Pass:
    """What was sent in so many seconds, and how long each took."""

    elapsed_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return len(self.latencies_s)

    def per_s(self, each: int = 1) -> float:
        """Things of which every one sent holds `each`, a second."""
        return self.sent * each / self.elapsed_s

    def milliseconds(self, percentile: int) -> float:
        """The latency below which that many per cent lie."""
        return percentile_ms(self.latencies_s, percentile)


def percentile_ms(latencies_s: Sequence[float], percentile: int) -> float:
    """A percentile of seconds, in milliseconds; 0 of nothing."""
    if len(latencies_s) < 2:
        return 1e3 * sum(latencies_s)
    return 1e3 * statistics.quantiles(latencies_s, n=100, method="inclusive")[percentile - 1]


class _Race(Generic[Work]):
    def __init__(self, sender: Sender[Work], work: Sequence[Work], seconds: float) -> None:
        self.sender, self.work, self.seconds = sender, iter(work), seconds
        self.result = Pass()
        self.failure: BaseException | None = None
        self.began = 0.0

    def start_together(self) -> None:
        self.began = time.perf_counter()

    def run_one(self, together: threading.Barrier) -> None:
        try:
            with self.sender() as send:
                together.wait(30)
                self._send_all(send)
        except threading.BrokenBarrierError:
            return  # another could not connect, and says so
        except Exception as error:  # noqa: BLE001 - handed to the caller, who waits for all of us
            self.failure = error
            together.abort()

    def _send_all(self, send: Callable[[Work], None]) -> None:
        deadline = self.began + self.seconds
        for item in self.work:  # shared: each item is taken once, in order
            before = time.perf_counter()
            send(item)
            after = time.perf_counter()
            self.result.latencies_s.append(after - before)
            self.result.elapsed_s = max(self.result.elapsed_s, after - self.began)
            if after >= deadline:
                return


def race(sender: Sender[Work], work: Sequence[Work], connections: int, seconds: float) -> Pass:
    """Sends `work` in its order over that many connections; `sender` opens one and gives what sends on it.

    The clock runs from the moment when all are connected to the last answer. Raises what a sender raised.
    """
    running = _Race(sender, work, seconds)
    together = threading.Barrier(connections, action=running.start_together)
    threads = [threading.Thread(target=running.run_one, args=(together,), daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if running.failure:
        raise running.failure
    return running.result
