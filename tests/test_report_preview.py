"""The beginning of a report before anybody waits for all of it, and what its columns mean."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.previews import ROWS, VEHICLES
from charging.evidence import Evidence
from charging.verdict import Summary, summarise
from tests.report_support import NOON, assign, charge, filled
from tests.support import api
from tests.test_reports import UNANSWERABLE, json_of, small_fleet

pytestmark = pytest.mark.days_ahead

NOBODY = summarise(Evidence())


def test_the_columns_are_explained_in_the_words_of_the_document(database_url: str, project: Path) -> None:
    tables = re.split(r"^## ", (project / "docs" / "reports.md").read_text(), flags=re.MULTILINE)
    with api(database_url, NOON) as client:
        served = client.get("/v1/reports/columns").get_json()
    for heading, name in (("Summaries", "summaries"), ("Sessions", "sessions"), ("Energy by site", "sites")):
        (section,) = [part for part in tables if part.startswith(heading)]
        told = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|$", section, re.MULTILINE)
        assert told == [(column["name"], column["kind"], column["unit"], column["meaning"]) for column in served.pop(name)]
    assert served == {}


@pytest.mark.parametrize("report", ["summaries", "sessions"])
def test_a_preview_is_the_beginning_of_the_report(database_url: str, report: str) -> None:
    small_fleet(database_url)
    query = "from=2026-02-03T06:00:00Z&zone=Europe/Berlin"
    with api(database_url, NOON) as client:
        whole = json_of(client, f"/v1/reports/{report}?{query}&format=json")
        preview = json_of(client, f"/v1/reports/{report}/preview?{query}&format=parquet")
    assert (preview.pop("rowCount"), preview.pop("rowCountIs")) == (whole.pop("count"), "exact")
    assert preview == whole
    assert preview["rows"]


def test_a_preview_is_refused_as_the_report_is(database_url: str) -> None:
    with api(database_url, NOON) as client:
        for query, named in UNANSWERABLE:
            answer = client.get(f"/v1/reports/summaries/preview?{query}")
            assert (answer.status_code, answer.get_json()["errors"][0]["pointer"].split("/")[1]) == (422, named), query


def watched(monkeypatch: pytest.MonkeyPatch, verdict_of: Any) -> list[int]:
    """How many vehicles were read, each statement's."""
    read: list[int] = []

    def stream(_: Any, __: Any, ___: Any, ____: Any, ids: list[str]) -> Iterator[dict[str, Summary]]:
        for n in range(0, len(ids), 10):
            read.append(len(ids[n : n + 10]))
            yield {vehicle_id: verdict_of(vehicle_id) for vehicle_id in ids[n : n + 10]}

    monkeypatch.setattr("db.queries.performance.stream", stream)
    monkeypatch.setattr("db.queries.performance.known_vehicles", lambda _: [f"van-{n:04}" for n in range(1000)])
    return read


def test_of_a_large_fleet_only_the_beginning_is_read(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = watched(monkeypatch, lambda _: NOBODY)
    with api(database_url, NOON) as client:
        preview = json_of(client, "/v1/reports/summaries/preview")
    assert (len(preview["rows"]), preview["rowCount"], preview["rowCountIs"], sum(read)) == (ROWS, 1000, "exact", ROWS)


def test_how_many_have_a_verdict_is_estimated_from_the_first_vehicles(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A common verdict ends the reading early, a rare one after so many vehicles."""
    read = watched(monkeypatch, lambda _: NOBODY)
    with api(database_url, NOON) as client:
        common = json_of(client, f"/v1/reports/summaries/preview?verdict={NOBODY.verdict.value}")
        assert (len(common["rows"]), common["rowCount"], common["rowCountIs"], common["lookedAt"]) == (ROWS, 1000, "estimated", ROWS)
        assert sum(read) == ROWS
        read.clear()
        none = json_of(client, "/v1/reports/summaries/preview?verdict=low")
    assert (none["rows"], none["rowCount"], none["rowCountIs"], none["lookedAt"]) == ([], 0, "estimated", VEHICLES)
    assert sum(read) == VEHICLES


def test_of_many_sessions_the_number_is_not_made_up(database_url: str) -> None:
    with filled(database_url, date(2026, 2, 3)) as conn:
        for n in range(ROWS + 2):
            assign(conn, f"van-{n}", f"depot-{n}")
            charge(conn, f"van-{n}", f"depot-{n}", NOON - timedelta(hours=3), 20)
    with api(database_url, NOON) as client:
        preview = json_of(client, "/v1/reports/sessions/preview")
    assert (len(preview["rows"]), preview["rowCount"], preview["rowCountIs"]) == (ROWS, None, "unknown")


def test_previews_take_no_reports_place(database_url: str) -> None:
    """Of the two that may be written at a time, or the one on a small server."""
    with api(database_url, NOON) as client:
        open_report = client.get("/v1/reports/summaries")
        assert client.get("/v1/reports/summaries").status_code == 503
        assert client.get("/v1/reports/summaries/preview").status_code == 200
        open_report.close()
