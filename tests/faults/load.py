"""Devices in a process of their own, as a context: `with sending(plan) as load: … ` and then `load.ledger`. See `proof.load`."""

import contextlib
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from proof.devices import Fleet
from proof.ledger import Ledger
from proof.load import Plan

PROJECT = Path(__file__).parent.parent.parent
HOURS_BACK = 6  # readings a second apart begin in the past, so that no fast device runs into the future
PATIENCE_S = 0.25  # in tests a device does not obey Retry-After for long, or it would be measured instead of the server


def fleet(hours_back: float = HOURS_BACK, step_ms: int = 1000) -> Fleet:
    """Devices that no other run has."""
    return Fleet(uuid.uuid4().hex[:8], int(time.time() - hours_back * 3600), step_ms)


def singles(url: str, key: str | None, devices: int = 100, readings_per_s: float = 100, **more: Any) -> Plan:
    """N1, scaled: one reading a request, a socket for each device."""
    return Plan(url, fleet(), devices, readings_per_s, key=key, **{"patience_s": PATIENCE_S, **more})


def batches(url: str, key: str | None, devices: int = 2000, readings_per_s: float = 2000, **more: Any) -> Plan:
    """N2, scaled: a hundred readings a request."""
    return Plan(url, fleet(), devices, readings_per_s, per_request=100, key=key, **{"patience_s": PATIENCE_S, **more})


class Sending:
    """A load that runs. `state` is its last word (see `proof.load`); `ledger` is there once it ended."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.state: dict[str, Any] = {"acked": 0, "answers": 0, "refused": 0, "errors_500": 0, "last_ack": None, "now": 0.0}
        self._ledger: Ledger | None = None
        self._process = subprocess.Popen([sys.executable, "-m", "proof.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT)
        assert self._process.stdin
        self._process.stdin.write(orjson.dumps(plan.as_dict()) + b"\n")
        self._process.stdin.flush()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def ledger(self) -> Ledger:
        """Raises where the load did not come to its end."""
        assert self._ledger, f"the load ended with code {self._process.poll()} and no ledger"
        return self._ledger

    def wait(self, what: Callable[[dict[str, Any]], bool], within_s: float = 30.0) -> None:
        """Until the load's state is so. Raises AssertionError when it is not within that time."""
        deadline = time.monotonic() + within_s
        while not what(self.state):
            assert time.monotonic() < deadline, f"not within {within_s} s: {self.state}"
            assert self._process.poll() is None or what(self.state), f"the load has ended: {self.state}"
            time.sleep(0.05)

    def wait_acked(self, more: int, within_s: float = 30.0) -> None:
        """Until that many more readings are acked than now."""
        wanted = self.state["acked"] + more
        self.wait(lambda state: state["acked"] >= wanted, within_s)

    def wait_ack_after(self, instant: float, within_s: float = 60.0) -> None:
        """Until readings sent are acked again after that instant of the monotonic clock."""
        self.wait(lambda state: (state["last_ack"] or 0) > instant + 0.1, within_s)

    def run_out(self) -> Ledger:
        """Until the plan's own end (`seconds` or `each`)."""
        self._listener.join((self.plan.seconds or 600) + 120)
        return self.finish()

    def finish(self) -> Ledger:
        """Begin nothing new, settle what is undecided, and say what there was."""
        assert self._process.stdin
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._listener.join(self.plan.settle_s + self.plan.timeout_s + self.plan.patience_s + 30)
        self.kill()
        return self.ledger

    def kill(self) -> None:
        """Whatever it does."""
        self._process.kill()
        self._process.wait()
        self._listener.join(5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            said = orjson.loads(line)
            if "ledger" in said:
                self._ledger = Ledger.from_dict(said["ledger"])
            else:
                self.state = said


@contextlib.contextmanager
def sending(plan: Plan) -> Iterator[Sending]:
    """The load, finished and settled at the end unless the test fails first."""
    load = Sending(plan)
    try:
        yield load
        if load._ledger is None:
            load.finish()
    finally:
        load.kill()
