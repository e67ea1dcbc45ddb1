"""L7, L8, without a proxy: sockets that are slow, mute or simply many. Through nginx: tests/test_nginx.py, with 500 of each kind and 5,000."""

import contextlib
import socket
import time

import pytest

from tests.faults.crowds import Sockets, ask, request
from tests.faults.installation import Installation, wait_until
from tests.faults.load import fleet, sending, singles
from tests.faults.running import concluded, scaled
from tests.faults.test_l01_load import took, wrongly_refused
from tests.faults.watching import watching

pytestmark = pytest.mark.slow

_HEAD = b"POST /v1/telemetry/vehicle HTTP/1.1\r\nHost: there\r\nContent-Type: application/json\r\nContent-Length: 200\r\n"
KINDS = {
    "mute": (b"", b""),
    "slow head": (b"POST /v1/telemetry/vehicle HTTP/1.1\r\nHost: there\r\n", b"X-A: a\r\n"),
    "slow head of a page": (b"GET / HTTP/1.1\r\nHost: there\r\n", b"X-A: a\r\n"),
    "stalled body": (_HEAD + b"\r\n{", b""),
    "trickling body": (_HEAD + b"\r\n{", b" "),
}
CLOSED_WITHIN_S = 30


def _reading(there: Installation) -> bytes:
    return request("POST", "/v1/telemetry/vehicle", fleet().reading(0, 0), Authorization=f"Bearer {there.key}")


def test_l7_slow_connections_cost_no_reading_and_are_closed(there: Installation) -> None:
    count = int(scaled(60, 500))
    with watching(there) as watch, sending(singles(there.url, there.key, 50, 100)) as good, contextlib.ExitStack() as stack:
        good.wait_acked(50)
        slow = {name: stack.enter_context(Sockets(there.url, count, *what)) for name, what in KINDS.items()}
        _until_a_newcomer_is_served(there)

        def closed() -> bool:
            for each in slow.values():
                each.step()
            return not any(each.open for each in slow.values())

        wait_until(closed, CLOSED_WITHIN_S + 30, "slow connections are still open")
        good.wait_acked(50)
    last_s = max(max(each.ended_s) for each in slow.values())
    words = f"{count} connections each: {', '.join(slow)}; directly, without a proxy"
    concluded(there, good.ledger, "L7", words, note=f"closed within {last_s:.0f} s; good requests {took(good.ledger)}; {watch.said()}")
    assert wrongly_refused(good.ledger) == 0


@pytest.mark.faults
def test_l7_2_000_idle_devices_keep_their_connections(there: Installation) -> None:
    with Sockets(there.url, 2000, _reading(there)) as idle, sending(singles(there.url, there.key, 50, 100, seconds=scaled(5, 40))) as good:
        answered = [line for line in idle.open if _has_answer(line)]
        good.run_out()
        kept = sum(_answers_again(line) for line in answered[::50])
    concluded(there, good.ledger, "L7", "2,000 devices that are idle between two readings", note=f"good requests {took(good.ledger)}")
    assert (len(answered), kept) == (2000, 40)


def _has_answer(line: socket.socket) -> bool:
    line.settimeout(20)
    return line.recv(4096).startswith(b"HTTP/1.1 20")


def _answers_again(line: socket.socket) -> bool:
    line.sendall(request("POST", "/v1/telemetry/vehicle", b"[]"))
    return line.recv(4096).startswith(b"HTTP/1.1 ")


@pytest.mark.faults
def test_l8_5_000_sockets_leave_it_alive_and_make_room_for_devices(there: Installation) -> None:
    pids = there.workers
    with watching(there) as watch, sending(singles(there.url, there.key, 50, 100)) as good:
        good.wait_acked(50)
        with Sockets(there.url, 5000) as flood:
            began = time.monotonic()
            there_s = _until_a_newcomer_is_served(there)
            good.wait_acked(100)
        good.wait_acked(100)
    words = f"{5000 - flood.refused:,} sockets that say nothing, where a web process takes 4,000"
    note = (
        f"a new device was served {there_s:.1f} s after them, {time.monotonic() - began:.0f} s in all; {took(good.ledger)}; {watch.said()}"
    )
    concluded(there, good.ledger, "L8", words, note=note)
    assert there.workers == pids
    assert wrongly_refused(good.ledger) == 0


def _until_a_newcomer_is_served(there: Installation) -> float:
    began = time.monotonic()

    def served() -> bool:
        with contextlib.suppress(OSError):
            return ask(there.url, _reading(there)).status == 201
        return False

    wait_until(served, 60, "a new device is not served")
    return time.monotonic() - began
