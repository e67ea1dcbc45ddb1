"""S12, L6: behind a proxy of ours wrong keys are counted by the address that it saw, on both lanes, whatever else a client claims."""

from collections.abc import Iterator

import pytest

from api.keys.strangers import WRONG_KEYS
from tests.support import fresh_database
from tests.test_hostile_wire import GOOD, HEAD, ask, framed
from tests.test_worker import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(postgres_url: str, template_database: str) -> Iterator[Server]:
    with fresh_database(postgres_url, template_database, "hostile_addresses") as url:
        running = Server(url, VOLTLEDGER_REQUIRE_KEYS="1", VOLTLEDGER_PROXIES="1")
        try:
            yield running
        finally:
            assert running.stop() == 0


def _wrong_key(server: Server, lane: str, forwarded: str) -> int:
    head = HEAD + f"Authorization: Bearer 0123456789ab.{'x' * 43}\r\nX-Forwarded-For: {forwarded}\r\n".encode()
    return ask(server, head + framed(GOOD, lane))[0]


@pytest.mark.parametrize(("lane", "net"), [("loop", "203.0.113"), ("thread", "198.51.100")])
def test_s12_l6_wrong_keys_are_throttled_by_the_address_that_our_proxy_saw(server: Server, lane: str, net: str) -> None:
    said = [_wrong_key(server, lane, f"{net}.1") for _ in range(WRONG_KEYS + 3)]
    assert said == [401] * WRONG_KEYS + [429] * 3
    assert _wrong_key(server, lane, f"{net}.2") == 401  # another client behind the same proxy
    assert _wrong_key(server, lane, f"{net}.1, {net}.3") == 401  # what a client claims stands before what the proxy saw
    assert [_wrong_key(server, lane, f"10.0.0.{n}, {net}.4") for n in range(WRONG_KEYS + 1)][-1] == 429  # and helps nobody out
