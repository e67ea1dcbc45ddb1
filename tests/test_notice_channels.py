"""/v1/notice-channels and /v1/notices: what is taken, what is refused and why, what is shown, and what is recorded."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from alerting.delivery import deliver_once
from alerting.webhook import Webhook
from tests.notice_support import NOW, PRIVATE, Clock, connecting, receiver
from tests.support import api

pytestmark = pytest.mark.days_ahead

HOOK: dict[str, Any] = {"name": "Office", "kind": "webhook", "address": "https://1.1.1.1/T0/s3cr3t-path", "by": "Ada"}


@pytest.fixture
def client(database_url: str) -> Iterator[FlaskClient]:
    with api(database_url) as made:
        yield made


@pytest.fixture
def at_home(database_url: str) -> Iterator[FlaskClient]:
    """Where private addresses are allowed, and a mail server is set."""
    with api(database_url, notices_to_private=True, smtp_host="mail.example.org") as made:
        yield made


def _added(client: FlaskClient, **changes: Any) -> Any:
    got = client.post("/v1/notice-channels", json={**HOOK, **changes})
    assert got.status_code == 201, got.get_data(as_text=True)
    return got.get_json()


def test_a_channel_is_added_and_its_secret_shown_this_once(client: FlaskClient) -> None:
    made = _added(client, digestAt="07:00", digestZone="Europe/Berlin")
    assert len(made.pop("secret")) >= 40
    assert made == {
        "channelId": made["channelId"], "name": "Office", "kind": "webhook", "address": "https://1.1.1.1/…", "secretSet": True, "enabled": True, "leastSeverity": "warning",
        "digestAt": "07:00", "digestZone": "Europe/Berlin", "createdAt": "2026-02-04T12:00:00Z", "createdBy": "Ada", "lastSentAt": None, "lastFailedAt": None, "lastError": None, "waiting": 0,
    }  # fmt: skip
    assert client.get("/v1/notice-channels").get_json() == {"channels": [made]}


def test_what_is_left_out_stays_and_nothing_secret_is_shown_or_recorded(client: FlaskClient, database_url: str) -> None:
    made = _added(client, secret="s3cr3t-of-their-own")
    assert "secret" not in made
    path = f"/v1/notice-channels/{made['channelId']}"
    changed = client.put(path, json={"name": "Depot", "kind": "webhook", "leastSeverity": "critical", "by": "Bob"})
    assert changed.get_json()["name"] == "Depot"
    renewed = client.put(path, json={"name": "Depot", "kind": "webhook", "newSecret": True})
    assert len(renewed.get_json()["secret"]) >= 40
    with psycopg.connect(database_url) as conn:
        kept = conn.execute("SELECT address, secret, least_severity FROM notice_channel").fetchone()
        record = conn.execute("SELECT by, action, subject, before, after FROM alert_action ORDER BY action_id").fetchall()
    assert kept == (HOOK["address"], renewed.get_json()["secret"], "warning")
    assert [row[:3] for row in record] == [
        ("Ada", "channel added", f"notice channel {made['channelId']}"),
        ("Bob", "channel changed", f"notice channel {made['channelId']}"),
        ("127.0.0.1", "channel changed", f"notice channel {made['channelId']}"),
    ]
    assert (record[1][3]["name"], record[1][4]["name"], record[2][4]["secretChanged"]) == ("Office", "Depot", True)
    assert "s3cr3t" not in f"{record}{changed.get_data()!r}{client.get('/v1/notice-channels').get_data()!r}"


WRONG = [
    ({"kind": "pigeon"}, "/kind", ""), ({"name": ""}, "/name", ""), ({"name": "a\nb"}, "/name", ""), ({"address": "ftp://x.example/"}, "/address", "begins with https:// or http://"),
    ({"address": "https://127.0.0.1/"}, "/address", "VOLTLEDGER_NOTICES_TO_PRIVATE"), ({"address": "http://169.254.169.254/latest/meta-data"}, "/address", "private address"),
    ({"address": "http://localhost:8050/v1"}, "/address", "private address"), ({"address": "http://[::ffff:10.0.0.1]/"}, "/address", "private address"),
    ({"kind": "apprise", "address": "json://192.168.1.4/"}, "/address", "private address"), ({"kind": "apprise", "address": "file:///tmp/x"}, "/address", "name of a service"),
    ({"kind": "email", "address": "ada"}, "/address", "somebody@example.org"), ({"kind": "email", "address": "ada@example.org"}, "/kind", "VOLTLEDGER_SMTP_HOST"),
    ({"digestAt": "7:00"}, "/digestAt", ""), ({"digestAt": "24:00"}, "/digestAt", ""), ({"digestZone": "Mars/Olympus"}, "/digestZone", "is not a time zone"),
    ({"secret": "short"}, "/secret", ""), ({"leastSeverity": "all"}, "/leastSeverity", ""), ({"address": ""}, "/address", ""), ({"address": None}, "/address", ""),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "pointer", "words"), WRONG)
def test_what_cannot_be_is_said_at_its_field(client: FlaskClient, changes: dict[str, Any], pointer: str, words: str) -> None:
    got = client.post("/v1/notice-channels", json={**HOOK, **changes})
    assert (got.status_code, got.mimetype) == (422, "application/problem+json")
    (fault,) = got.get_json()["errors"]
    assert fault["pointer"] == pointer
    assert words in fault["detail"]
    assert client.get("/v1/notice-channels").get_json() == {"channels": []}


def test_where_the_settings_allow_it_private_addresses_and_mail_are_taken(at_home: FlaskClient) -> None:
    assert _added(at_home, address="http://10.1.2.3:8123/api/webhook/s3cr3t")["address"] == "http://10.1.2.3/…"
    assert _added(at_home, name="Ada", kind="email", address="ada@example.org")["address"] == "…@example.org"
    assert _added(at_home, name="Chat", kind="apprise", address="slack://s3cr3tA/s3cr3tB/s3cr3tC")["address"] == "slack://…"


def test_a_name_is_given_once_and_free_again_when_its_channel_is_deleted(client: FlaskClient, database_url: str) -> None:
    one = _added(client)
    again = client.post("/v1/notice-channels", json=HOOK)
    assert (again.status_code, again.get_json()["errors"][0]["pointer"]) == (422, "/name")
    other = _added(client, name="Depot")
    taken = client.put(f"/v1/notice-channels/{other['channelId']}", json={"name": "Office", "kind": "webhook"})
    assert taken.status_code == 422
    assert client.delete(f"/v1/notice-channels/{one['channelId']}?by=Ada").status_code == 200
    assert _added(client)["channelId"] != one["channelId"]
    with psycopg.connect(database_url) as conn:
        row = conn.execute("SELECT address, secret FROM notice_channel WHERE channel_id = %s", (one["channelId"],)).fetchone()
    assert row == ("deleted", None)


@pytest.mark.parametrize(("method", "path"), [("put", ""), ("delete", ""), ("post", "/test")])
def test_a_channel_that_is_not_there_is_404(client: FlaskClient, method: str, path: str) -> None:
    body = {"json": {"name": "x", "kind": "webhook"}} if method == "put" else {}
    got = getattr(client, method)(f"/v1/notice-channels/999{path}", **body)
    assert (got.status_code, got.get_json()["type"]) == (404, "urn:voltledger:problem:channel_not_found")


def test_another_kind_needs_an_address_of_its_own(at_home: FlaskClient) -> None:
    one = _added(at_home)
    got = at_home.put(f"/v1/notice-channels/{one['channelId']}", json={"name": "Office", "kind": "email"})
    assert (got.status_code, got.get_json()["errors"][0]["pointer"]) == (422, "/address")


def test_a_test_is_sent_by_the_real_way_and_its_outcome_known(at_home: FlaskClient, database_url: str) -> None:
    with receiver(200, 500) as there:
        one = _added(at_home, address=there.url)
        outcomes = []
        for _ in range(2):
            asked = at_home.post(f"/v1/notice-channels/{one['channelId']}/test?by=Ada")
            assert asked.status_code == 202
            found = at_home.get(f"/v1/notices?id={asked.get_json()['noticeId']}").get_json()["notices"]
            assert [each["state"] for each in found] == ["waiting"]
            deliver_once(connecting(database_url), Clock(NOW), {"webhook": Webhook(PRIVATE)})
            outcomes += at_home.get(f"/v1/notices?id={asked.get_json()['noticeId']}").get_json()["notices"]
    assert [(each["state"], each["tries"], each["lastError"]) for each in outcomes] == [
        ("sent", 1, None), ("givenUp", 1, "it answered 500 Internal Server Error"),
    ]  # fmt: skip
    (kept,) = at_home.get("/v1/notice-channels").get_json()["channels"]
    assert (kept["lastSentAt"], kept["lastFailedAt"], kept["waiting"]) == ("2026-02-04T12:00:00Z", "2026-02-04T12:00:00Z", 0)


def test_what_is_switched_off_is_not_tested_and_what_waited_is_given_up(client: FlaskClient) -> None:
    one = _added(client)
    path = f"/v1/notice-channels/{one['channelId']}"
    client.post(f"{path}/test")
    client.put(path, json={"name": "Office", "kind": "webhook", "enabled": False})
    assert client.post(f"{path}/test").status_code == 409
    (kept,) = client.get("/v1/notices").get_json()["notices"]
    assert (kept["state"], kept["lastError"]) == ("givenUp", "the channel was switched off")


def test_the_outbox_is_read_by_channel_state_and_page(client: FlaskClient) -> None:
    one, other = _added(client), _added(client, name="Depot")
    for each in (one, one, other):
        client.post(f"/v1/notice-channels/{each['channelId']}/test")

    def found(query: str) -> list[int]:
        return [each["noticeId"] for each in client.get(f"/v1/notices?{query}").get_json()["notices"]]

    everything = found("")
    assert len(everything) == 3
    assert found(f"channel={one['channelId']}") == everything[1:]
    assert (found("state=waiting"), found("state=sent"), found("state=givenUp")) == (everything, [], [])
    assert found(f"limit=1&after={everything[0]}") == [everything[1]]
    assert client.get("/v1/notices?state=lost").status_code == 422


def test_the_routes_stand_in_the_specification(client: FlaskClient) -> None:
    spec = client.get("/api/openapi.json").get_json()["paths"]
    assert {"/v1/notice-channels", "/v1/notice-channels/{channelId}", "/v1/notice-channels/{channelId}/test", "/v1/notices"} <= spec.keys()
