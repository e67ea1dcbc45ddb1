"""/metrics, /readyz: seen from outside, whatever state the inside is in."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from api.watching.beside import Beside
from api.watching.exposition import EXPOSITION, Exposition, Pools
from api.watching.histogram import Histogram
from api.watching.look import Look
from api.watching.requests import RequestTimes, kind_of
from dashboard import watched
from dashboard.checking import Check
from dashboard.kept import Kept
from db.queries import watching
from tests.support import NOW, api, van

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """By name and labels."""
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def scraped(client: FlaskClient) -> Samples:
    got = client.get("/metrics")
    assert got.status_code == 200
    return samples(got.get_data(as_text=True))


class Sketch(Kept):
    """A picture of nothing."""

    def read(self) -> dict[str, Any]:
        return {"asOf": None}


@contextmanager
def whole(database_url: str, **more: Any) -> Iterator[FlaskClient]:
    """The API with every part that the composition root adds."""
    with api(database_url, **more) as client:
        app = client.application
        picture, check = Sketch(5.0), Check()
        picture.get()
        with psycopg.connect(database_url) as conn:
            check.compare(conn, NOW)
        app.extensions[EXPOSITION].add(Pools({"read": app.extensions["test-pool"]}))
        app.extensions[EXPOSITION].add_figures(watched.figures(picture, check, Path("/")))
        app.extensions[EXPOSITION].stand_beside(Beside(lambda: "", "pages"))
        yield client


def test_the_table_of_metrics_is_what_is_exported(database_url: str, project: Path) -> None:
    """Name, kind and labels of each, as docs/metrics.md has them."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| (.*?) \| .+ \|$", (project / "docs" / "metrics.md").read_text(), re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    with whole(database_url) as client:
        _some_of_everything(client, database_url)
        text = client.get("/metrics").get_data(as_text=True)
    exported = {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in text_string_to_metric_families(text)
    }
    assert documented == exported


def _some_of_everything(client: FlaskClient, database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        conn.execute("UPDATE alert_evaluation SET wall_at = %s, evaluated_to = %s, took_ms = 1200, subjects = 3", (NOW, NOW))
    client.application.extensions["voltledger-lanes"]._intake.gate.refusals["unauthorized"] += 1
    client.application.extensions["voltledger-lanes"]._intake.committer.tally.failed("database_unavailable")
    client.post("/v1/telemetry/vehicle", json=[van(), van(), van(soc=-1)])
    client.post("/v1/telemetry/vehicle", data="{", content_type="application/json")


def test_names_and_units_follow_prometheus_conventions(database_url: str) -> None:
    with whole(database_url) as client:
        _some_of_everything(client, database_url)
        text = client.get("/metrics").get_data(as_text=True)
    for family in text_string_to_metric_families(text):
        assert family.name.startswith(("voltledger_", "process_"))
        assert family.documentation
        assert not re.search(r"_(ms|minutes|hours|mb|kb|percent)$", family.name)


def test_a_reading_is_counted_by_outcome_by_commit_and_in_time(database_url: str) -> None:
    with api(database_url) as client:
        for _ in range(2):
            client.post("/v1/telemetry/vehicle", json=van())
        client.get("/v1/nope")
        seen = scraped(client)
    assert seen["voltledger_readings_total", (("outcome", "accepted"),)] == 1
    assert seen["voltledger_readings_total", (("outcome", "duplicate"),)] == 1
    assert seen["voltledger_request_seconds_count", (("kind", "telemetry"), ("status", "2xx"))] == 2
    assert seen["voltledger_request_seconds_count", (("kind", "api"), ("status", "4xx"))] == 1
    assert seen["voltledger_commit_seconds_count", ()] == seen["voltledger_commits_total", ()] == 2
    assert seen["voltledger_commit_readings_bucket", (("le", "1"),)] == 2
    assert seen["voltledger_queue_limit_readings", ()] == 20_000


def test_c4_a_scrape_without_the_database_says_so_and_all_that_needs_none(database_url: str) -> None:
    """Neither does /readyz hang: both give an answer while the database refuses."""
    with api(database_url) as client:
        with psycopg.connect(database_url, autocommit=True) as conn:
            conn.execute("ALTER TABLE history_day RENAME TO gone")
            conn.execute("ALTER TABLE alert_evaluation RENAME TO gone_too")
        seen, ready = scraped(client), client.get("/readyz")
    assert seen["voltledger_database_up", ()] == 0
    assert ("voltledger_partitions_ahead_days", ()) not in seen
    assert ("voltledger_queue_readings", ()) in seen
    assert (ready.status_code, ready.get_json()["type"]) == (503, "urn:voltledger:problem:database_unavailable")


def test_c5_nobody_waits_for_a_database_that_hangs(database_url: str) -> None:
    """A table that is locked makes the look hang; who asks is answered before the lock goes, and when it has gone all is well again."""
    with api(database_url) as client, psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE history_day IN ACCESS EXCLUSIVE MODE")
        assert scraped(client)["voltledger_database_up", ()] == 0
        assert client.get("/readyz").status_code == 503
        holder.rollback()
        _until(lambda: client.get("/readyz").status_code == 200)
        _until(lambda: scraped(client)["voltledger_database_up", ()] == 1)


def _until(holds: Any, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_c15_a_database_that_only_reads_is_not_ready(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("SET default_transaction_read_only = on")
        conn.autocommit = False
        assert not watching.readiness(conn, NOW).writable
    with psycopg.connect(database_url) as conn:
        assert watching.readiness(conn, NOW).writable


def test_p6_readyz_warns_before_days_run_out_and_refuses_when_they_have(database_url: str) -> None:
    with api(database_url) as client:
        assert client.get("/readyz").get_json() == {"status": "ready", "daysAhead": 7, "warnings": []}
        with psycopg.connect(database_url) as conn:
            conn.execute("DELETE FROM history_day WHERE day > '2026-02-06'")
        assert client.get("/readyz").get_json() == {"status": "ready", "daysAhead": 2, "warnings": ["few days ahead have tables"]}
        with psycopg.connect(database_url) as conn:
            conn.execute("DELETE FROM history_day WHERE day > '2026-02-04'")
        got = client.get("/readyz")
    assert (got.status_code, got.get_json()["type"]) == (503, "urn:voltledger:problem:partition_missing")
    assert 1 <= int(got.headers["Retry-After"]) <= 30


def test_the_installations_facts_are_those_of_its_tables(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        conn.execute(
            "UPDATE alert_evaluation SET wall_at = %s, took_ms = 1500, failed_at = %s",
            (NOW - timedelta(minutes=9), NOW - timedelta(minutes=1)),
        )
        conn.execute("SELECT pg_advisory_lock(%s)", (watching.ALERTING_LOCK,))
        found = watching.facts(conn, NOW)
    assert (found.evaluated_age_s, found.evaluation_s, found.evaluation_failed, found.leaders) == (540, 1.5, True, 1)
    assert (found.notices_waiting, found.oldest_notice_age_s, found.open_alerts) == (0, 0.0, {"warning": 0, "critical": 0})
    assert 0 < found.connections <= found.most_connections


def test_never_judged_is_long_ago(database_url: str) -> None:
    with api(database_url) as client:
        assert scraped(client)["voltledger_alert_evaluation_age_seconds", ()] == float("inf")


def test_one_part_that_fails_takes_no_other_with_it() -> None:
    exposition = Exposition("1")
    exposition.add_figures([("voltledger_broken", "x", lambda: 1 / 0)])
    exposition.add_figures([("voltledger_sound", "x", lambda: 1.0), ("voltledger_unknown", "x", lambda: None)])
    assert "voltledger_sound 1.0" in exposition.text().decode()
    assert "voltledger_broken" not in exposition.text().decode()
    assert "voltledger_unknown" not in exposition.text().decode()


def test_one_scrape_tells_of_the_pages_process_too() -> None:
    """Of what both have, the pages' part is told apart; what is the database's is said once."""
    own, pages = Exposition("1"), Exposition("1")
    for made, figure in ((own, partial(float, 1)), (pages, partial(float, 2))):
        made.add_figures([("voltledger_ready", "Ready", figure), ("voltledger_pool_size", "Size", figure)])
    pages.add_figures([("voltledger_picture_age_seconds", "Age", lambda: 3.0)])
    own.stand_beside(Beside(lambda: pages.text().decode(), "pages"))
    text = own.text().decode()
    said = samples(text)
    assert said["voltledger_ready", ()] == 1
    assert (said["voltledger_pool_size", ()], said["voltledger_pool_size", (("part", "pages"),)]) == (1, 2)
    assert (said["voltledger_picture_age_seconds", ()], said["voltledger_pages_up", ()]) == (3, 1)
    assert ("process_open_fds", (("part", "pages"),)) in said
    assert text.count("# TYPE voltledger_pool_size ") == 1


def test_a_pages_process_that_does_not_answer_is_said_to_be_away() -> None:
    own = Exposition("1")
    own.stand_beside(Beside(lambda: None, "pages"))
    assert samples(own.text().decode())["voltledger_pages_up", ()] == 0


def test_many_who_look_at_once_cause_one_look() -> None:
    began, go, looks = threading.Event(), threading.Event(), []

    class Conn:
        def execute(self, _: str) -> None: ...

    @contextmanager
    def connection() -> Iterator[Any]:
        yield Conn()

    def read(_: Any) -> str:
        looks.append(1)
        began.set()
        go.wait(30)
        return "seen"

    look, answers = Look(connection, read), list[object]()
    askers = [threading.Thread(target=lambda: answers.append(look.now(30))) for _ in range(5)]
    for asker in askers:
        asker.start()
    assert began.wait(30)
    assert look.now(0.01) is None
    _until(lambda: len(look._changed._waiters) == 5)  # type: ignore[attr-defined]
    go.set()
    for asker in askers:
        asker.join(30)
    assert answers == ["seen"] * 5
    assert len(looks) == 1


@pytest.mark.parametrize("value", [0, 1, 1.5, 2, 3])
def test_a_histograms_bucket_holds_what_is_at_most_its_bound(value: float) -> None:
    histogram = Histogram((1, 2))
    histogram.observe(value)
    buckets, total = histogram.read()
    assert buckets == [("1", float(value <= 1)), ("2", float(value <= 2)), ("+Inf", 1.0)]
    assert total == value


def test_strangers_cannot_make_new_metrics() -> None:
    """Whatever is asked for, it is one of a dozen kinds."""
    times = RequestTimes()
    for path in (
        "/v1/telemetry/vehicle",
        "/v1/analytics/performance/van-7",
        "/v1/x",
        "/live/fleet",
        "/wp-login.php",
        "/vehicles/van-7",
        "/metrics",
    ):
        times.answered(kind_of(path), 200, 0.1)
    (family,) = times.collect()
    assert {sample.labels["kind"] for sample in family.samples} == {"telemetry", "performance", "api", "live", "page", "operations"}


def test_the_hourly_check_finds_what_was_changed_behind_our_back(database_url: str) -> None:
    """In the newest hour; and it comes when it is due, not before."""
    clock = [0.0]
    check = Check(clock=lambda: clock[0])
    with api(database_url) as client:
        client.post("/v1/telemetry/vehicle", json=van(timestamp="2026-02-04T11:50:00Z"))
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        check.tend(conn, NOW)
        assert (check.differences(), check.took_s()) == (None, None)
        clock[0] = 400.0
        check.tend(conn, NOW)
        assert (check.differences(), check.age_s()) == (0, 0.0)
        conn.execute("UPDATE vehicle_rollup SET readings = readings + 1")
        conn.commit()
        clock[0] = 500.0
        check.tend(conn, NOW)
        assert (check.differences(), check.age_s()) == (0, 100.0)
        clock[0] = 5_000.0
        check.tend(conn, NOW)
        assert check.differences() == 1


def test_the_check_leaves_its_connection_as_it_was(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        before = conn.execute("SHOW work_mem").fetchone()
        Check().compare(conn, NOW)
        assert conn.execute("SHOW work_mem").fetchone() == before
