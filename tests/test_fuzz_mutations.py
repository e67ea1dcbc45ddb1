"""V15, V16: requests that are nearly right, on both lanes of the server as it is shipped: no error of ours, receipts that add up, and alive."""

import contextlib
import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from tests.fuzz_mutations import Sent, mutated, right_ones
from tests.fuzz_support import MOST_SECONDS, SECONDS, Until, seed
from tests.support import fresh_database, van
from tests.test_edge_callbacks import GOOD
from tests.test_worker import Server, post

pytestmark = [pytest.mark.slow, pytest.mark.timeout(MOST_SECONDS)]
GOOD_EVERY = 50


@pytest.fixture(scope="module")
def server(postgres_url: str, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("fuzz") / "log"
    with fresh_database(postgres_url, template_database, "fuzz_mutations") as url:
        running = Server(url, log=log)
        try:
            yield running
        finally:
            assert running.stop() == 0


def _said(server: Server, sent: Sent) -> tuple[int, bytes]:
    """Status and body of its only answer; 0 where the server ended the connection without a word. Our side ends behind the request."""
    said = b""
    with server.connect() as line, contextlib.suppress(OSError):
        with contextlib.suppress(OSError):
            line.sendall(sent.wire())
            line.shutdown(socket.SHUT_WR)
        while part := line.recv(65_536):
            said += part
    head, _, body = said.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    return (int(head.split()[1]), body) if head.startswith(b"HTTP/1.1 ") else (0, body)


def _adds_up(body: bytes) -> bool:
    try:
        said = json.loads(body)
    except ValueError:
        return True
    if not isinstance(said, dict) or "accepted" not in said:
        return True
    return bool(said["accepted"] + said["duplicates"] + said["rejected"] == said["received"])


def test_v15_nearly_right_requests_make_no_error_and_every_receipt_adds_up(server: Server) -> None:
    chosen = seed()
    chance, right, statuses, faults = Random(chosen), right_ones(GOOD), Counter[int](), list[str]()
    assert all(_said(server, one)[0] in (200, 201, 204) for one in right)
    until, number = Until(SECONDS), 0
    while until and len(faults) < 5:
        number += 1
        sent = mutated(chance.choice(right), chance)
        status, body = _said(server, sent)
        statuses[status] += 1
        if status >= 500 or not _adds_up(body):
            faults.append(f"number {number}: {status} {body[:300]!r} for {sent.wire()[:1500]!r}")
        if number % GOOD_EVERY == 0:
            good = server.ask(post(van(vehicleId=f"good-{number}")))
            assert (good[0], json.loads(good[2])["accepted"]) == (201, 1), f"FUZZ_SEED={chosen}, number {number}"
    assert faults == [], f"FUZZ_SEED={chosen}"
    assert number > 5 * SECONDS, "hardly anything was asked"
    assert len(statuses) > 6, statuses  # it is not all refused at the same door
    assert server.log
    assert not re.search(r'"event": ?"unexpected"', server.log.read_text())
    assert server.process.poll() is None
