"""Alerts and silences over HTTP."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.alert_support import NOW, channel, episode, evaluated, notice, standing, step
from tests.support import api

pytestmark = pytest.mark.days_ahead

HOSTILE = '=cmd|" /C calc"!A0'


@pytest.fixture
def filled(database_url: str) -> Iterator[tuple[FlaskClient, int]]:
    """van-7 (named like a formula) is low, with steps and a notice; van-8 was; the battery of van-9 may become an alert."""
    with psycopg.connect(database_url) as conn:
        conn.execute("INSERT INTO vehicle (vehicle_id, name) VALUES ('van-7', %s)", (HOSTILE,))
        over = episode(conn, "van-8", resolved_at=NOW, resolved_because="recovered")
        one = episode(conn)
        step(conn, one, NOW - timedelta(minutes=20), ("pending", "firing"))
        notice(conn, one, channel(conn))
        standing(conn, "battery_hot", "vehicle", "van-9", "pending", NOW)
        evaluated(conn, NOW)
        assert over < one
    with api(database_url) as client:
        yield client, one


def test_an_alert_keeps_the_numbers_of_the_performance_answer(filled: tuple[FlaskClient, int]) -> None:
    client, one = filled
    answer = client.get("/v1/alerts").get_json()
    (alert,) = answer["alerts"]
    assert (alert["vehicleId"], alert["rule"], alert["state"], alert["severity"]) == ("van-7", "low_efficiency", "firing", "warning")
    assert (alert["totalAc"], alert["totalDc"], alert["efficiency"], alert["efficiencyRatio"]) == (11.02, 8.9042, 0.81, 0.808)
    assert (alert["expected"]["low"], alert["coverage"]["meter"], alert["meterIds"]) == (0.872, 1.0, ["depot-1"])
    assert (alert["episodeId"], alert["path"], alert["firedAt"]) == (one, f"/alerts/{one}", "2026-02-04T11:40:00Z")
    assert (alert["acknowledged"], alert["silenced"], alert["heldBackBy"], alert["flapping"]) == (None, None, None, False)
    assert (answer["next"], answer["evaluation"]["state"]) == (None, "fine")


def test_states_are_asked_for_by_name_and_a_wrong_one_is_told_the_right_ones(filled: tuple[FlaskClient, int]) -> None:
    client, _ = filled
    found = {
        state: client.get(f"/v1/alerts?state={state}").get_json()["alerts"]
        for state in ("firing", "recovering", "resolved", "any", "pending")
    }
    assert {state: [one["subject"]["id"] for one in alerts] for state, alerts in found.items()} == {
        "firing": ["van-7"], "recovering": [], "resolved": ["van-8"], "any": ["van-7", "van-8"], "pending": ["van-9"],
    }  # fmt: skip
    refused = client.get("/v1/alerts?state=burning")
    assert (refused.status_code, refused.mimetype) == (422, "application/problem+json")
    assert "'recovering'" in refused.get_json()["detail"]
    page = client.get("/v1/alerts?state=any&limit=1").get_json()
    assert [one["subject"]["id"] for one in client.get(f"/v1/alerts?state=any&limit=1&after={page['next']}").get_json()["alerts"]] == [
        "van-8"
    ]


def test_one_alert_tells_steps_actions_and_notices(filled: tuple[FlaskClient, int]) -> None:
    client, one = filled
    told = client.get(f"/v1/alerts/{one}").get_json()
    assert [(s["from"], s["to"], s["evidence"]["acKwh"]) for s in told["transitions"]] == [("pending", "firing", 11.02)]
    assert [(n["kind"], n["channel"]["name"], n["sentAt"]) for n in told["notices"]] == [("firing", "ops", None)]
    missing = client.get("/v1/alerts/4711")
    assert (missing.status_code, missing.get_json()["type"]) == (404, "urn:voltledger:problem:alert_not_found")
    assert client.get("/v1/alerts/nonsense").status_code == 404


def test_an_alert_is_acknowledged_by_somebody_with_a_note(filled: tuple[FlaskClient, int]) -> None:
    client, one = filled
    for _ in range(2):
        answer = client.post(f"/v1/alerts/{one}/acknowledge", json={"by": "Ada", "note": "fetching the cable"})
        assert answer.status_code == 200
        assert answer.get_json()["acknowledged"] == {"at": "2026-02-04T12:00:00Z", "by": "Ada", "note": "fetching the cable"}
    assert len(answer.get_json()["actions"]) == 1
    (over,) = client.get("/v1/alerts?state=resolved").get_json()["alerts"]
    assert client.post(f"/v1/alerts/{over['episodeId']}/acknowledge", json={}).status_code == 409
    assert client.post("/v1/alerts/4711/acknowledge", json={}).status_code == 404
    assert client.post(f"/v1/alerts/{one}/acknowledge", json={"by": "a\x00b"}).status_code == 422


def test_a_silence_is_made_seen_and_ended(filled: tuple[FlaskClient, int]) -> None:
    client, one = filled
    asked = {"subject": {"kind": "vehicle", "id": "van-7"}, "durationS": 3600, "reason": "in the workshop", "by": "Ada", "episodeId": one}
    made = client.post("/v1/silences", json=asked)
    assert made.status_code == 201
    silence = made.get_json()
    assert (silence["endsAt"], silence["active"], silence["rule"]) == ("2026-02-04T13:00:00Z", True, None)
    (alert,) = client.get("/v1/alerts?silenced=true").get_json()["alerts"]
    assert alert["silenced"] == {"silenceId": silence["silenceId"], "until": "2026-02-04T13:00:00Z", "reason": "in the workshop"}
    assert client.get("/v1/silences").get_json()["silences"] == [silence]
    ended = client.delete(f"/v1/silences/{silence['silenceId']}?by=Bob").get_json()
    assert (ended["active"], ended["endedBy"]) == (False, "Bob")
    assert client.get("/v1/silences").get_json()["silences"] == []
    assert client.get("/v1/silences?state=any").get_json()["silences"] == [ended]
    assert client.delete("/v1/silences/4711").status_code == 404
    assert [a["action"] for a in client.get(f"/v1/alerts/{one}").get_json()["actions"]] == ["silenced", "silence ended"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"durationS": 60}, "/reason"),
    ({"durationS": 60, "reason": "  "}, "/reason"),
    ({"reason": "why"}, "/endsAt"),
    ({"reason": "why", "durationS": 60, "endsAt": "2026-02-05T00:00:00Z"}, "/endsAt"),
    ({"reason": "why", "endsAt": "2026-02-04T11:59:59Z"}, "/endsAt"),
    ({"reason": "why", "endsAt": "2028-02-04T00:00:00Z"}, "/endsAt"),
    ({"reason": "why", "endsAt": "2026-02-05T00:00:00"}, "/endsAt"),
    ({"reason": "why", "durationS": 10**9}, "/durationS"),
    ({"reason": "why", "durationS": 60, "rule": "nonsense"}, "/rule"),
    ({"reason": "why", "durationS": 60, "subject": {"kind": "vehicle"}}, "/subject/id"),
    ({"reason": "why", "durationS": 60, "episodeId": 4711}, "/episodeId"),
]


def test_a_wrong_silence_is_refused_at_what_is_wrong(database_url: str) -> None:
    with api(database_url) as client:
        for wrong, pointer in WRONG:
            answer = client.post("/v1/silences", json=wrong)
            assert answer.status_code == 422
            assert answer.get_json()["errors"][0]["pointer"] == pointer
        assert client.get("/v1/silences?state=any").get_json()["silences"] == []


def test_history_is_a_file_that_no_spreadsheet_runs(filled: tuple[FlaskClient, int]) -> None:
    client, one = filled
    answer = client.get("/v1/alerts?state=any&format=csv&limit=1")
    assert answer.headers["Content-Disposition"] == "attachment; filename=voltledger-alerts-20260204T120000Z.csv"
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
    assert [row["subject_id"] for row in rows] == ["van-7", "van-8"]
    assert rows[0]["subject_name"] == f"'{HOSTILE}"
    assert (rows[0]["episode_id"], rows[0]["efficiency"], rows[0]["expected_low"], rows[0]["resolved_at_utc"]) == (
        str(one),
        "0.808",
        "0.872",
        "",
    )
    assert (rows[1]["resolved_because"], rows[1]["state"]) == ("recovered", "resolved")
    assert client.get("/v1/alerts?state=pending&format=csv").status_code == 422


def test_alerts_are_in_the_specification(database_url: str) -> None:
    with api(database_url) as client:
        paths = client.get("/api/openapi.json").get_json()["paths"]
    assert {
        "/v1/alerts",
        "/v1/alerts/{episodeId}",
        "/v1/alerts/{episodeId}/acknowledge",
        "/v1/silences",
        "/v1/silences/{silenceId}",
    } <= paths.keys()
