"""L5, L6: one device that has gone wild, and somebody who guesses keys. Neither may be noticed by anybody else."""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from api.keys.secret import made
from db import device_keys
from db.device_keys import Wanted
from tests.faults.crowds import Hammer, Said, ask, request
from tests.faults.installation import Installation, wait_until
from tests.faults.load import fleet, sending, singles
from tests.faults.running import concluded, scaled
from tests.faults.test_l01_load import took, wrongly_refused
from tests.faults.watching import cpu_s, transactions_done

pytestmark = pytest.mark.slow

BURST, PER_MIN = 60, 30  # the settings' defaults
GUESSER, OTHER_GUESSER = "127.0.0.77", "127.0.0.78"  # loopback addresses of their own, so that nobody else is blocked with them
WRONG_KEYS = 10


def _key_of(there: Installation, vehicle: str) -> str:
    new = made()
    with psycopg.connect(there.database_url) as conn:
        wanted = Wanted("wild", ["write"], "device", [vehicle])
        device_keys.create(conn, new.key_id, wanted, new.secret_hash, "faults", datetime.now(UTC))
    return new.shown


def test_l5_a_wild_device_is_held_to_its_own_pace_and_nobody_else_is(there: Installation) -> None:
    wild = fleet(step_ms=10)  # however fast it is, it does not run into the future
    key = _key_of(there, wild.id_of(0))
    readings = (request("POST", "/v1/telemetry/vehicle", wild.reading(0, n), Authorization=f"Bearer {key}") for n in itertools.count())
    hammer = Hammer(there.url, lambda: next(readings), at_once=16, fresh=True)
    wait_until(lambda: ask(there.url, next(readings)).status == 201, words="the key is not known")
    with sending(singles(there.url, there.key, 50, 100)) as others:
        others.wait_acked(100)
        began = time.monotonic()
        with hammer.at_it():
            wait_until(lambda: hammer.said[429] > 0, words="never told to slow down")
            others.wait_acked(int(scaled(500, 2000)), 60)
        lasted_s = time.monotonic() - began
    concluded(
        there,
        others.ledger,
        "L5",
        f"one device sends {hammer.said.total() / lasted_s:,.0f} requests/s for {lasted_s:.0f} s",
        note=f"of these {hammer.said[201]} taken and {hammer.said[429]:,} told 429; the others {took(others.ledger)}",
    )
    assert set(hammer.said) - {503} == {201, 429}
    assert not hammer.failures
    _assert_too_fast(hammer.samples[429])
    assert hammer.said[201] <= BURST + PER_MIN * (lasted_s + 30) / 60
    assert wrongly_refused(others.ledger) == 0
    assert 0 <= _stored(there, wild.id_of(0)) - hammer.said[201] - 1 <= hammer.said[503]  # a commit may take too long for an answer


def _assert_too_fast(said: Said) -> None:
    assert said.json["type"] == "urn:voltledger:problem:too_fast"
    assert int(said.headers["retry-after"]) > 0


def _stored(there: Installation, vehicle: str) -> int:
    with there.connect() as conn:
        row = conn.execute("SELECT count(*) FROM vehicle_history WHERE vehicle_id = %s", [vehicle]).fetchone()
    assert row
    return int(row[0])


def _guesses(there: Installation) -> Iterator[bytes]:
    """Every kind of wrong key, each time another one; the headers that would say where a request comes from, if they were believed."""
    name = there.key.partition(".")[0]
    for n in itertools.count():
        secret = f"{n:043}"
        key = (f"{n:012x}.{secret}", f"{name}.{secret}", secret, f"{n:012x}.short")[n % 4]
        elsewhere = f"203.0.{n // 250 % 250}.{n % 250}"
        yield request(
            "POST",
            "/v1/telemetry/vehicle",
            b"{}",
            Authorization=f"Bearer {key}",
            X_Forwarded_For=elsewhere,
            Forwarded=f"for={elsewhere}",
            X_Real_IP=elsewhere,
            X_Relayed_Peer=elsewhere,
        )


def _shape(said: Said) -> tuple[object, ...]:
    """All that a guesser could tell answers apart by."""
    body = said.json
    body.pop("requestId")
    return said.status, json.dumps(body), tuple(sorted(said.headers)), said.headers.get("www-authenticate")


def test_l6_wrong_keys_cost_no_query_look_alike_and_are_counted_by_address(there: Installation) -> None:
    guesses, source = _guesses(there), GUESSER
    first = [ask(there.url, next(guesses), source) for _ in range(WRONG_KEYS)]
    assert len({_shape(one) for one in first}) == 1
    assert first[0].status == 401
    assert ask(there.url, next(guesses), source).status == 429  # whatever it says of where it comes from
    with sending(singles(there.url, there.key, 50, 100)) as others:
        others.wait_acked(50)
        quiet_per_s = _transactions_per_s(there, scaled(3, 10))
        before, cpu, began = transactions_done(there), cpu_s(there.workers), time.monotonic()
        acked = others.state["acked"]
        with Hammer(there.url, lambda: next(guesses), fresh=True, source=source).at_it() as hammer:
            wait_until(lambda: hammer.said.total() >= int(scaled(2000, 10_000)), 60, "too few guesses")
        lasted_s, cpu = time.monotonic() - began, cpu_s(there.workers) - cpu
        acked = others.state["acked"] - acked
        threading.Event().wait(1.5)  # sessions tell what they did within a second
        more = transactions_done(there) - before - round(quiet_per_s * (lasted_s + 1.5))
    guessed = hammer.said.total()
    concluded(
        there,
        others.ledger,
        "L6",
        f"{guessed / lasted_s:,.0f} wrong keys/s from one address for {lasted_s:.0f} s",
        note=f"{cpu / guessed * 1000:.2f} ms of CPU each, readings included; {max(0, more)} transactions more than without; the others {took(others.ledger)}",
    )
    assert set(hammer.said) == {429}
    assert hammer.samples[429].json["type"] == "urn:voltledger:problem:too_many_wrong_keys"
    assert 0 < int(hammer.samples[429].headers["retry-after"]) <= 60
    assert more < guessed / 4  # a query a guess would be as many
    assert acked > 0
    assert wrongly_refused(others.ledger) == 0


def _transactions_per_s(there: Installation, seconds: float) -> float:
    before, began = transactions_done(there), time.monotonic()
    threading.Event().wait(seconds)
    return (transactions_done(there) - before) / (time.monotonic() - began)


def test_l6_it_is_no_other_way_round_through_the_pages(there: Installation) -> None:
    """What the devices' process hands on is counted by the address it came from, too, and not by what a header claims."""
    said = []
    for n in range(WRONG_KEYS + 2):
        elsewhere = f"203.0.113.{n}"
        key = f"Bearer {n:012x}.{n:043}"
        what = request("GET", "/v1/vehicles", Authorization=key, X_Forwarded_For=elsewhere, X_Relayed_Peer=elsewhere)
        said.append(ask(there.url, what, OTHER_GUESSER).status)
    assert said == [401] * WRONG_KEYS + [429] * 2
    right = request("GET", "/v1/vehicles", Authorization=f"Bearer {there.key}")
    assert ask(there.url, right, OTHER_GUESSER).status == 200  # who shares an address with a stranger is not locked out
