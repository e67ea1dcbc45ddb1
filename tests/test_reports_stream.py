"""Reports on their way: in pieces, never cut short silently, never more at a time than the database has connections for."""

import http.client
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from api.errors import unavailable
from charging.evidence import Evidence
from charging.verdict import Summary, summarise
from tests.report_support import NOON, asked, assign, charge, filled, serving
from tests.support import api
from tests.test_worker import Server

pytestmark = pytest.mark.days_ahead

NOBODY = summarise(Evidence())


@pytest.fixture
def served(database_url: str) -> Iterator[int]:
    with api(database_url, NOON) as client, serving(client.application) as port:
        yield port


def stream_of(monkeypatch: pytest.MonkeyPatch, chunks: Callable[[], Iterator[dict[str, Summary]]]) -> None:
    monkeypatch.setattr("db.queries.performance.stream", lambda *_: chunks())


def broken(chunks: int) -> Iterator[dict[str, Summary]]:
    """Fails as a statement does that takes too long."""
    for n in range(chunks):
        yield {f"van-{n:03}-{m:04}": NOBODY for m in range(1000)}
    raise unavailable("database_unavailable", "the database cannot be used")


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_failure_on_the_way_leaves_the_transfer_incomplete(served: int, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr("api.exporting.parquet_groups.GROUP_ROWS", 1000)
    stream_of(monkeypatch, partial(broken, 3))
    with asked(served, f"/v1/reports/summaries?format={form}") as answer:
        assert (answer.status, answer.headers["Transfer-Encoding"]) == (200, "chunked")
        with pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()
    assert len(cut.value.partial) > 1000
    assert not cut.value.partial.endswith((b"]}", b"PAR1"))
    assert b'"count":' not in cut.value.partial
    assert_free(served)


def assert_free(port: int) -> None:
    """The one slot of this server is free again, and so is its connection."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with asked(port, "/v1/reports/sessions") as answer:
            if answer.status == 200:
                answer.read()
                return
        time.sleep(0.02)
    raise AssertionError("the slot stays taken")


def test_a_failure_before_the_first_row_is_a_503_and_no_file(served: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stream_of(monkeypatch, partial(broken, 0))
    with asked(served, "/v1/reports/summaries") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (503, "application/problem+json")
        assert int(answer.headers["Retry-After"]) > 0
        answer.read()
    assert_free(served)


def test_a_client_that_leaves_ends_the_report(served: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made, ended = [0], []

    def endless() -> Iterator[dict[str, Summary]]:
        try:
            while True:
                made[0] += 1
                yield {f"van-{made[0]:06}-{m:04}": NOBODY for m in range(1000)}
        finally:
            ended.append(True)

    stream_of(monkeypatch, endless)
    with asked(served, "/v1/reports/summaries") as answer:
        assert answer.read(1000).startswith(b"vehicle_id,")
        with asked(served, "/v1/reports/sessions") as second:
            # Not more at a time than half of the connections, which are two here.
            assert (second.status, second.headers["Content-Type"]) == (503, "application/problem+json")
            assert int(second.headers["Retry-After"]) > 0
            assert b"exports_busy" in second.read()
        assert settled(made) < 100  # nothing is read ahead of a client that takes nothing
    assert_free(served)
    assert ended == [True]


def test_csv_is_not_sent_where_its_end_could_not_be_told_from_a_break(database_url: str) -> None:
    old = {"SERVER_PROTOCOL": "HTTP/1.0"}
    with api(database_url, NOON) as client:
        refused = client.get("/v1/reports/summaries", environ_overrides=old, buffered=True)
        assert (refused.status_code, refused.get_json()["type"]) == (505, "urn:voltledger:problem:http_version")
        for form in ("json", "parquet"):
            assert client.get(f"/v1/reports/summaries?format={form}", environ_overrides=old, buffered=True).status_code == 200


def settled(made: list[int]) -> int:
    """What it is once it has not changed for half a second."""
    before = -1
    while made[0] != before and made[0] < 1000:
        before = made[0]
        time.sleep(0.5)
    return before


def test_head_gives_the_slot_back(database_url: str) -> None:
    with api(database_url, NOON) as client:
        for _ in range(3):
            answer = client.head("/v1/reports/summaries", buffered=True)
            assert (answer.status_code, answer.headers["X-Total-Vehicles"], answer.get_data()) == (200, "0", b"")


def test_no_transaction_stays_open_and_the_connection_is_as_it_was(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with filled(database_url, date(2026, 2, 4)) as conn:
        assign(conn, "van-1", "depot-1")
        charge(conn, "van-1", "depot-1", NOON - timedelta(hours=1), 30)
    real = __import__("db.queries.performance", fromlist=["stream"]).stream
    states: list[Any] = []

    def watched(conn: Any, *given: Any) -> Iterator[dict[str, Summary]]:
        for some in real(conn, *given):
            states.append(conn.info.transaction_status)
            yield some

    monkeypatch.setattr("db.queries.performance.stream", watched)
    with api(database_url, NOON) as client:
        assert client.get("/v1/reports/summaries", buffered=True).status_code == 200
        assert states == [psycopg.pq.TransactionStatus.IDLE]
        assert client.get("/v1/vehicles", buffered=True).status_code == 200


@pytest.mark.slow
def test_the_server_as_shipped_breaks_off_what_it_cannot_finish(database_url: str) -> None:
    """Of 600 vehicles over 20 days a statement reads 25, and the last statement meets a division by zero."""
    with filled(database_url, date(2026, 2, 4)) as conn:
        for n in range(600):
            assign(conn, f"van-{n:03}", f"depot-{n}")
        charge(conn, "van-599", "depot-599", NOON - timedelta(hours=1), 30)
    with psycopg.connect(database_url) as conn:
        conn.execute("ALTER TABLE live_vehicle RENAME TO live_vehicle_kept")
        conn.execute(
            """CREATE VIEW live_vehicle AS SELECT vehicle_id, CASE WHEN vehicle_id = 'van-599' THEN 1 / (dc_milliwh * 0)::int END AS rhythm_s, step_milliwh
               FROM live_vehicle_kept"""
        )
    server = Server(database_url, VOLTLEDGER_TICK_S="600")
    window = "from=2026-01-16T00:00:00Z&to=2026-02-05T00:00:00Z"
    try:
        for form in ("csv", "json", "parquet"):
            with asked(server.port, f"/v1/reports/summaries?{window}&format={form}") as answer:
                assert (answer.status, answer.headers["Transfer-Encoding"], answer.headers["X-Total-Vehicles"]) == (200, "chunked", "600")
                with pytest.raises(http.client.IncompleteRead) as cut:
                    answer.read()
            if form == "csv":
                assert 0 < cut.value.partial.count(b"\r\nvan-") < 600
        # Compressed on its way, as browsers ask for it.
        with asked(server.port, f"/v1/reports/summaries?{window}&format=json", {"Accept-Encoding": "zstd, br"}) as answer:
            assert (answer.status, answer.headers["Content-Encoding"]) == (200, "zstd")
            with pytest.raises(http.client.IncompleteRead):
                answer.read()
    finally:
        server.stop()
