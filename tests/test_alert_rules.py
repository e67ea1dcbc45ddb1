"""Thresholds and other settings of rules, for all, a site or one device: what is set holds everywhere, and who set it is on record."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from api.alert_rules import _preview
from charging.alert_settings import RULES, SETTINGS, checked
from charging.alert_words import NAMES, SETTING_WORDS, in_words
from charging.verdict import Thresholds
from db import alert_rules, alert_state, expectation_version, ingest, partitions
from db.alert_preview import Count, Preview
from db.alert_rules import ALL, Scope, UnknownScope, change
from db.queries import devices
from db.queries.policies import Policies
from db.sides import METER, VEHICLE
from tests.support import api

pytestmark = pytest.mark.days_ahead

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)
BER, VAN = Scope("site", "ber"), Scope("vehicle", "van-7")
PLAIN = {"use": "plain", "plainLow": 0.9, "plainCritical": 0.8}


@pytest.fixture
def fleet(conn: psycopg.Connection) -> psycopg.Connection:
    """van-7 in Berlin took 20 kWh at 11 kW from depot-1 and 17.2 arrived: 86 %, below the default band, above a threshold of 85 %."""
    partitions.ensure(conn, [NOW.date()], NOW)
    at = [int((NOW - timedelta(hours=4) + timedelta(minutes=n)).timestamp()) * 1_000_000 for n in range(109)]
    ingest.store(conn, VEHICLE, [("van-7", t, 1_000 if t == at[0] else 157_798, 5_000, 2_000, None, None) for t in at], NOW)
    ingest.store(conn, METER, [("depot-1", t, 1_000 if t == at[0] else 183_486, 23_000, None, None) for t in at], NOW)
    conn.execute("INSERT INTO fleet_mapping VALUES ('van-7', 'depot-1')")
    devices.describe_site(conn, "ber", "Berlin", None, None, "Europe/Berlin")
    devices.describe_vehicle(conn, "van-7", "Van 7", "Heron", "ber")
    conn.execute("INSERT INTO vehicle (vehicle_id) VALUES ('van-8')")
    return conn


def of_van(conn: psycopg.Connection, common: Thresholds = Thresholds()) -> Thresholds:
    return Policies(common).current(conn).thresholds_of("van-7")


def actions(conn: psycopg.Connection) -> list[Any]:
    return conn.execute("SELECT at, by, action, subject, note, before, after FROM alert_action ORDER BY action_id").fetchall()


def test_all_comes_before_the_environment_a_site_before_all_and_a_vehicle_before_its_site(fleet: psycopg.Connection) -> None:
    environment = Thresholds("band", 0.7, 0.6)
    assert of_van(fleet, environment) == environment
    change(fleet, "low_efficiency", ALL, {"use": "plain", "plainLow": 0.8}, NOW, "ada")
    assert of_van(fleet, environment) == Thresholds("plain", 0.8, 0.6)
    change(fleet, "low_efficiency", BER, {"plainLow": 0.85}, NOW, "ada")
    assert of_van(fleet, environment) == Thresholds("plain", 0.85, 0.6)
    change(fleet, "low_efficiency", VAN, {"use": "band", "plainCritical": 0.5}, NOW, "ada")
    assert of_van(fleet, environment) == Thresholds("band", 0.85, 0.5)
    assert Policies(environment).current(fleet).thresholds_of("van-8") == Thresholds("plain", 0.8, 0.6)
    for scope in (VAN, BER, ALL):
        change(fleet, "low_efficiency", scope, {}, NOW, "ada")
    assert of_van(fleet, environment) == environment


def test_what_judges_everywhere_tells_so_and_only_then(fleet: psycopg.Connection) -> None:
    policies = Policies()
    policies.current(fleet)
    before = expectation_version.current(fleet)
    assert change(fleet, "low_efficiency", VAN, PLAIN, NOW, "ada")
    assert expectation_version.current(fleet) == before + 1
    assert policies.current(fleet).thresholds_of("van-7").use == "plain"
    assert not change(fleet, "low_efficiency", VAN, PLAIN, NOW, "ada"), "the same once more"
    assert change(fleet, "low_efficiency", VAN, {**PLAIN, "enabled": False}, NOW, "ada")
    assert change(fleet, "battery_hot", ALL, {"limitC": 60}, NOW, "ada")
    assert expectation_version.current(fleet) == before + 1


def test_a_rule_is_switched_off_for_one_vehicle_by_itself(fleet: psycopg.Connection) -> None:
    change(fleet, "low_efficiency", VAN, {"enabled": False, **PLAIN}, NOW, "ada")
    found = alert_state.settings(fleet)
    assert not found.is_on("low_efficiency", "vehicle", "van-7", "ber")
    assert found.is_on("low_efficiency", "vehicle", "van-8", None)
    assert alert_rules.of(fleet, "low_efficiency", VAN) == {"enabled": False, **PLAIN}


def test_every_change_is_on_record_with_what_was_there_before(fleet: psycopg.Connection) -> None:
    change(fleet, "battery_hot", BER, {"limitC": 50}, NOW, "ada", "summer")
    change(fleet, "battery_hot", BER, {}, NOW + timedelta(hours=1), "bob")
    assert actions(fleet) == [
        (NOW, "ada", "rule_changed", "battery_hot site ber", "summer", None, {"limitC": 50}),
        (NOW + timedelta(hours=1), "bob", "rule_cleared", "battery_hot site ber", None, {"limitC": 50}, None),
    ]


def test_who_set_it_is_known_until_it_is_changed_elsewhere(fleet: psycopg.Connection) -> None:
    change(fleet, "low_efficiency", VAN, {"plainLow": 0.8}, NOW, "ada", "old cable")
    [one] = alert_rules.settings(fleet)
    assert (one.scope, one.name, one.settings) == (VAN, "Van 7", {"plainLow": 0.8})
    assert (one.changed_by, one.changed_at, one.note) == ("ada", NOW, "old cable")
    fleet.execute("UPDATE vehicle SET plain_low = 0.7 WHERE vehicle_id = 'van-7'")
    [one] = alert_rules.settings(fleet)
    assert (one.settings, one.changed_by, one.changed_at) == ({"plainLow": 0.7}, None, None)


def test_a_vehicle_that_only_reported_can_have_thresholds(fleet: psycopg.Connection) -> None:
    fleet.execute("DELETE FROM vehicle")
    change(fleet, "low_efficiency", VAN, PLAIN, NOW, "ada")
    assert of_van(fleet) == Thresholds("plain", 0.9, 0.8)


REFUSED: list[tuple[Any, Scope, Any, str]] = [
    ("battery_hot", ALL, {"limitC": 20}, "limitC is from 30 to 100 °C, not 20"),
    ("battery_hot", Scope("meter", "depot-1"), {"limitC": 60}, "battery_hot is set for all, site, vehicle, not for a meter"),
    ("low_efficiency", ALL, {"plainLow": 0.6, "plainCritical": 0.7}, "plainCritical (0.7) must be below plainLow (0.6)"),
    ("site_dark", VAN, {"share": 0.5}, "site_dark is set for all, site, not for a vehicle"),
]


def test_what_cannot_be_set_is_refused_and_says_why(fleet: psycopg.Connection) -> None:
    for rule, scope, given, said in REFUSED:
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            change(fleet, rule, scope, given, NOW, "ada")
    for unknown in (Scope("site", "nowhere"), Scope("vehicle", "nobody"), Scope("meter", "none")):
        with pytest.raises(UnknownScope):
            change(fleet, "device_silent", unknown, {"enabled": False}, NOW, "ada")
    assert actions(fleet) == []


def test_every_rule_and_setting_has_words() -> None:
    assert set(NAMES) == set(RULES)
    assert {name for settings in SETTINGS.values() for name in settings} == set(SETTING_WORDS)
    for rule in RULES:
        values = {name: kind.default for name, kind in SETTINGS[rule].items()}
        assert in_words(rule, values).endswith(".")
        assert in_words(rule, {**values, "enabled": False}) == "Switched off."
        assert checked(rule, {}) == {}


# ----------------------------------------------------------------------------------------------------------------------- by HTTP


@pytest.fixture
def client(database_url: str, fleet: psycopg.Connection) -> Iterator[FlaskClient]:
    fleet.commit()
    with api(database_url, NOW) as client:
        yield client


def rule(client: FlaskClient, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = client.get("/v1/alert-rules").get_json()["rules"]
    return next(one for one in found if one["rule"] == name)


def test_the_rules_say_what_may_be_set_and_what_is(client: FlaskClient) -> None:
    hot = rule(client, "battery_hot")
    assert (hot["name"], hot["says"]) == ("Battery hot", "A battery has 55 °C or more, for a minute. Always critical.")
    limit = next(one for one in hot["settings"] if one["name"] == "limitC")
    assert (limit["default"], limit["least"], limit["most"], limit["unit"]) == (55, 30, 100, "°C")
    assert (hot["scopes"], hot["set"], hot["values"]) == (["all", "site", "vehicle"], [], {"enabled": True, "limitC": 55})
    assert [one["rule"] for one in client.get("/v1/alert-rules").get_json()["rules"]] == list(RULES)
    assert not rule(client, "site_dark")["previewable"]


def test_a_threshold_that_was_set_is_what_the_whole_product_judges_by(client: FlaskClient) -> None:
    performance = "/v1/analytics/performance/van-7"
    assert client.get(performance).get_json()["verdict"] == "low"
    put = client.put(
        "/v1/alert-rules/low_efficiency",
        json={"scope": {"kind": "all", "id": ""}, "settings": {"use": "plain", "plainLow": 0.85}, "by": "ada", "note": "as before"},
    )
    assert put.status_code == 200
    assert put.get_json()["values"] == {"enabled": True, "use": "plain", "plainLow": 0.85, "plainCritical": 0.75}
    assert client.get(performance).get_json()["verdict"] == "ok"
    [one] = rule(client, "low_efficiency")["set"]
    assert (one["by"], one["note"], one["changedAt"]) == ("ada", "as before", "2026-02-04T12:00:00Z")
    of_van = {"scope": {"kind": "vehicle", "id": "van-7"}, "settings": {"plainLow": 0.9}}
    assert client.put("/v1/alert-rules/low_efficiency", json=of_van).status_code == 200
    assert client.get(performance).get_json()["verdict"] == "low"
    assert client.get("/v1/vehicles/van-7").get_json()["plainLow"] == 0.9
    gone = client.delete("/v1/alert-rules/low_efficiency?kind=vehicle&id=van-7&by=bob")
    assert [one["scope"]["kind"] for one in gone.get_json()["set"]] == ["all"]
    assert client.get(performance).get_json()["verdict"] == "ok"


WRONG: list[tuple[str, Any, int, str, str | None]] = [
    ("nonsense", {"settings": {}}, 404, "rule_not_found", None),
    ("battery_hot", {"settings": {"limitC": 20}}, 422, "invalid_parameter", "/settings/limitC"),
    ("battery_hot", {"settings": {"limitC": "55"}}, 422, "invalid_parameter", "/settings/limitC"),
    ("battery_hot", {"settings": {"limit": 55}}, 422, "invalid_parameter", "/settings"),
    ("battery_hot", {"settings": {}, "scope": {"kind": "meter", "id": "depot-1"}}, 422, "invalid_parameter", "/scope/kind"),
    ("battery_hot", {"settings": {}, "scope": {"kind": "vehicle", "id": ""}}, 422, "invalid_parameter", "/scope/id"),
    ("battery_hot", {"settings": {}, "scope": {"kind": "all", "id": "x"}}, 422, "invalid_parameter", "/scope/id"),
    ("battery_hot", {"settings": {}, "scope": {"kind": "vehicle", "id": "nobody"}}, 404, "vehicle_not_found", None),
    ("device_silent", {"settings": {}, "scope": {"kind": "site", "id": "nowhere"}}, 404, "site_not_found", None),
]


def test_a_refusal_names_what_and_where(client: FlaskClient) -> None:
    for name, body, status, kind, pointer in WRONG:
        asked = [
            client.put(f"/v1/alert-rules/{name}", json=body),
            client.post("/v1/alert-rules/preview", json={"rule": name, **body}),
        ]
        for answer in asked:
            problem = answer.get_json()
            assert (answer.status_code, problem["type"]) == (status, f"urn:voltledger:problem:{kind}")
            assert problem.get("errors", [{"pointer": None}])[0]["pointer"] == pointer
            assert len(problem["detail"]) > 10


def test_what_was_seen_of_a_sample_is_told_of_all_and_said_to_be_an_estimate() -> None:
    found = _preview(Preview(NOW - timedelta(days=7), NOW, timedelta(minutes=15), Count(2, 1, 2), Count(8, 3, 9), 500, 10_000, []))
    assert found["says"] == "In the last 7 days: 60 alerts now, 220 with the new value (estimated from 500 of 10,000 devices)."
    assert found["new"] == {"alerts": 220, "warning": 160, "critical": 60, "devices": 180}
    assert (found["estimated"], found["lookedAt"], found["deviceDays"]) == (True, 500, 3_500)
    nobody = _preview(Preview(NOW - timedelta(days=7), NOW, timedelta(minutes=15), Count(0, 0, 0), Count(0, 0, 0), 0, 0, []))
    assert "nothing to look back at" in nobody["says"]


def test_a_preview_says_what_would_change_and_changes_nothing(client: FlaskClient) -> None:
    answer = client.post("/v1/alert-rules/preview", json={"rule": "low_efficiency", "settings": {"use": "plain", "plainLow": 0.85}})
    found = answer.get_json()
    assert answer.status_code == 200
    assert found["says"] == "In the last 7 days: 1 alert now, 0 with the new value."
    assert found["now"] == {"alerts": 1, "warning": 1, "critical": 0, "devices": 1}
    assert (found["new"]["alerts"], found["lookedAt"], found["of"], found["deviceDays"], found["estimated"]) == (0, 1, 1, 7, False)
    assert [(one["id"], one["new"]) for one in found["examples"]] == [("van-7", None)]
    assert found["examples"][0]["now"]["margin"] < 0
    assert rule(client, "low_efficiency")["set"] == []
    assert client.get("/v1/analytics/performance/van-7").get_json()["verdict"] == "low"


def test_a_rule_that_cannot_be_previewed_says_why(client: FlaskClient) -> None:
    found = client.post("/v1/alert-rules/preview", json={"rule": "site_dark", "settings": {"share": 0.5}}).get_json()
    assert (found["previewable"], found["now"], found["new"]) == (False, None, None)
    assert "filled the gaps" in found["whyNot"]


def test_the_specification_names_the_routes(client: FlaskClient) -> None:
    paths = client.get("/api/openapi.json").get_json()["paths"]
    assert set(paths["/v1/alert-rules/{rule}"]) == {"put", "delete"}
    assert {"/v1/alert-rules", "/v1/alert-rules/preview"} <= set(paths)
