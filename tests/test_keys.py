"""Keys at the door: what opens, for which devices, how fast, and what a stranger is told. On a real database."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from api.keys import rights
from api.keys.bucket import Bucket
from api.keys.ring import Pace
from api.keys.secret import hash_of, made, presented
from api.keys.strangers import BLOCK_S, MOST_ADDRESSES, WRONG_KEYS, Strangers, network
from tests.key_support import Keyed, bearer, keyed, stored
from tests.support import NOW, VAN, api, depot, van

pytestmark = pytest.mark.days_ahead


@pytest.fixture
def door(database_url: str) -> Iterator[Keyed]:
    with keyed(database_url) as opened:
        yield opened


def problem(answer: Any) -> str:
    """The kind of a refusal."""
    return str(answer.json["type"]).rpartition(":")[2]


def test_without_required_keys_nothing_is_asked_and_a_wrong_one_does_not_matter(database_url: str) -> None:
    with api(database_url) as client:
        assert client.post("/v1/telemetry/vehicle", json=VAN, headers=bearer("nonsense")).status_code == 201
        assert client.get("/v1/vehicles").status_code == 200
        assert client.get("/readyz").status_code == 200


# ---- S1


def test_s1_a_key_writes_its_device_and_no_other(door: Keyed) -> None:
    key = door.make(binding="device", vehicle_ids=["van-7"])
    assert door.post(key, van()).status_code == 201
    refused = door.post(key, van(vehicleId="van-8"))
    assert (refused.status_code, problem(refused)) == (403, "forbidden_device")
    assert [refused.json[name] for name in ("received", "accepted", "duplicates", "rejected")] == [1, 0, 0, 1]
    assert [(e["code"], e["pointer"]) for e in refused.json["errors"]] == [("forbidden_device", "/vehicleId")]
    assert stored(door.url) == ["van-7"]


def test_s1_a_vehicles_key_does_not_write_the_meter_of_the_same_name(door: Keyed) -> None:
    key = door.make(binding="device", vehicle_ids=["same"])
    assert door.post(key, depot(meterId="same"), "meter").status_code == 403
    assert stored(door.url) == []


def test_s1_in_a_batch_the_own_readings_are_stored_and_each_foreign_one_is_an_error(door: Keyed) -> None:
    key = door.make(binding="list", vehicle_ids=["van-7"], meter_ids=["depot-1"])
    body = {
        "vehicles": [van(vehicleId="van-9"), van()],
        "meters": [depot(meterId="depot-9"), depot(), depot(meterId="depot-1", voltage=-1)],
    }
    answer = door.post(key, body, "batch")
    assert answer.status_code == 207
    assert (answer.json["received"], answer.json["accepted"], answer.json["rejected"]) == (5, 2, 3)
    assert [(e["index"], e["pointer"], e["code"]) for e in answer.json["errors"]] == [
        (0, "/vehicles/0/vehicleId", "forbidden_device"),
        (2, "/meters/0/meterId", "forbidden_device"),
        (4, "/meters/2/voltage", "out_of_range"),
    ]
    assert stored(door.url) == ["depot-1", "van-7"]


def test_s1_all_foreign_is_403_whatever_else_is_wrong_with_them(door: Keyed) -> None:
    """What is wrong with another's reading is not told."""
    key = door.make(binding="list", vehicle_ids=["van-7"])
    answer = door.post(key, [van(vehicleId="van-8"), van(vehicleId="van-9", soc=-1)])
    assert (answer.status_code, {e["code"] for e in answer.json["errors"]}) == (403, {"forbidden_device"})
    mixed = door.post(key, [van(vehicleId="van-8"), van(soc=-1)])
    assert (mixed.status_code, [e["code"] for e in mixed.json["errors"]]) == (422, ["forbidden_device", "out_of_range"])
    assert stored(door.url) == []


def test_s1_a_sites_key_follows_what_belongs_to_the_site(door: Keyed) -> None:
    with psycopg.connect(door.url) as conn:
        conn.execute("INSERT INTO site (site_id, name) VALUES ('north', 'North'), ('south', 'South')")
        conn.execute("INSERT INTO vehicle (vehicle_id, site_id) VALUES ('van-7', 'north'), ('van-8', 'south')")
        conn.execute("INSERT INTO meter (meter_id, site_id) VALUES ('depot-1', 'north')")
    key = door.make(binding="site", site_id="north")
    assert [door.post(key, van(vehicleId=name)).status_code for name in ("van-7", "van-8", "unknown")] == [201, 403, 403]
    assert door.post(key, depot(), "meter").status_code == 201
    with psycopg.connect(door.url) as conn:
        conn.execute("UPDATE vehicle SET site_id = CASE vehicle_id WHEN 'van-7' THEN 'south' ELSE 'north' END")
    door.ring._members_at_s -= 10  # as if four seconds had gone by
    assert door.ring.look()
    assert [door.post(key, van(vehicleId=name)).status_code for name in ("van-7", "van-8")] == [403, 201]


def test_s1_a_gateways_key_writes_every_device(door: Keyed) -> None:
    key = door.make()
    assert door.post(key, {"vehicles": [van(vehicleId=f"van-{n}") for n in range(5)], "meters": [depot()]}, "batch").status_code == 201


# ---- S2


def test_s2_a_revoked_key_is_refused_at_the_next_look(door: Keyed) -> None:
    admin, key = door.make(rights=("admin",), binding="none"), door.make()
    assert door.post(key, van()).status_code == 201
    assert door.ask(admin, f"/v1/keys/{key[:12]}?by=Ada", "DELETE").json["state"] == "revoked"
    assert door.ring.look()
    refused = door.post(key, van())
    assert (refused.status_code, problem(refused)) == (401, "unauthorized")
    assert door.ask(admin, f"/v1/keys/{key[:12]}/rotate", "POST", json={}).status_code == 409


def test_s2_both_secrets_hold_while_a_key_is_rotated_and_then_only_the_new_one(door: Keyed) -> None:
    admin, old = door.make(rights=("admin",), binding="none"), door.make()
    new = door.ask(admin, f"/v1/keys/{old[:12]}/rotate", "POST", json={}).json
    assert new["previousUntil"] == "2026-02-05T12:00:00Z"
    assert door.ring.look()
    assert [door.post(one, van()).status_code for one in (old, new["key"])] == [201, 200]
    door.clock[0] += 24 * 3600 - 1
    assert door.post(old, van()).status_code == 200
    door.clock[0] += 1
    assert [door.post(one, van()).status_code for one in (old, new["key"])] == [401, 200]


def test_s2_a_second_rotation_ends_the_secret_before_the_last(door: Keyed) -> None:
    admin, first = door.make(rights=("admin",), binding="none"), door.make()
    second, third = (door.ask(admin, f"/v1/keys/{first[:12]}/rotate", "POST", json={}).json["key"] for _ in range(2))
    assert door.ring.look()
    assert [door.post(one, van()).status_code for one in (first, second, third)] == [401, 201, 200]


def test_s2_a_key_ends_when_it_expires_without_anybody_doing_anything(door: Keyed) -> None:
    key = door.make(expires_at=NOW + timedelta(seconds=10))
    assert door.post(key, van()).status_code == 201
    door.clock[0] += 10
    assert door.post(key, van()).status_code == 401


def test_s2_keys_that_could_not_be_read_for_five_seconds_open_nothing_and_it_is_said_that_it_passes(door: Keyed) -> None:
    key = door.make()
    door.ring._read_at_s -= 6
    answer = door.post(key, van())
    assert (answer.status_code, problem(answer)) == (503, "keys_unknown")
    assert "Retry-After" in answer.headers
    assert door.client.get("/readyz").status_code == 503
    assert door.client.get("/healthz").status_code == 200
    assert door.ring.look()
    assert door.post(key, van()).status_code == 201
    assert door.client.get("/readyz").status_code == 200


def test_s2_a_backup_that_brings_back_older_keys_is_believed(door: Keyed) -> None:
    kept, later = door.make(), door.make()
    with psycopg.connect(door.url) as conn:
        conn.execute("DELETE FROM device_key WHERE key_id = %s", (later[:12],))
        conn.execute("UPDATE device_key_version SET version = version - 1")
    assert door.ring.look()
    assert [door.post(one, van()).status_code for one in (later, kept)] == [401, 201]


# ---- S3


def test_s3_a_key_has_256_bits_by_chance_and_the_database_holds_their_hash_alone(door: Keyed) -> None:
    admin = door.make(rights=("admin",), binding="none")
    answer = door.ask(admin, "/v1/keys", "POST", json={"name": "Depot", "binding": "device", "meterIds": ["depot-1"], "by": "Ada"})
    shown = answer.json["key"]
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r"[0-9a-f]{12}\.[A-Za-z0-9_-]{43}", shown)
    secret = shown.partition(".")[2]
    with psycopg.connect(door.url) as conn:
        kept = conn.execute("SELECT secret_hash FROM device_key WHERE key_id = %s", (shown[:12],)).fetchone()
        everything = conn.execute(
            "SELECT string_agg(k::text, '') || (SELECT string_agg(a::text, '') FROM audit a) FROM device_key k"
        ).fetchone()
    assert kept == (hash_of(secret),)
    assert everything
    assert secret not in str(everything[0])
    listed = door.ask(admin, "/v1/keys")
    assert shown[:12] in listed.text
    assert secret not in listed.text
    assert len({made().shown for _ in range(100)}) == 100


_WRONG = {
    "nothing": {},
    "not bearer": {"Authorization": "Basic YTpi"},
    "no form": {"Authorization": "Bearer x"},
    "empty": {"Authorization": "Bearer "},
    "unknown id": bearer("0123456789ab." + "A" * 43),
    "too long": bearer("0123456789ab." + "A" * 4000),
    "not ASCII": {"Authorization": "Bearer ü"},
}


@pytest.mark.parametrize("path", ["/v1/telemetry/vehicle", "/v1/keys", "/v1/nothing"])
def test_s3_every_wrong_key_is_told_the_same(door: Keyed, path: str) -> None:
    """Also before the body is looked at: it is none."""
    right = door.make()
    door.gate._strangers = _Blocking()
    wrong = {**_WRONG, "wrong secret": bearer(right[:13] + "A" * 43)}
    answers = {name: door.client.post(path, data=b"{broken", headers=headers) for name, headers in wrong.items()}
    assert {answer.status_code for answer in answers.values()} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers.values()} == {"Bearer"}
    assert {answer.content_type for answer in answers.values()} == {"application/problem+json"}
    assert len({json.dumps({**(answer.json or {}), "requestId": ""}) for answer in answers.values()}) == 1
    assert len({len(answer.data) for answer in answers.values()}) == 1


class _Blocking(Strangers):
    """Never blocks."""

    def blocked_s(self, address: str, now_s: float) -> float:
        return 0.0


def test_s3_an_unknown_id_and_a_wrong_secret_cost_the_same_work(door: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls that are made, which is what a clock would measure without its noise."""
    right = door.make()
    calls: list[tuple[int, int]] = []

    def counted(left: bytes, right: bytes) -> bool:
        calls.append((len(left), len(right)))
        return left == right

    monkeypatch.setattr("api.keys.ring.same", counted)
    seen = []
    for key in ("0123456789ab." + "A" * 43, right[:13] + "A" * 43, "x", right):
        calls.clear()
        door.ring.find(f"Bearer {key}")
        seen.append(list(calls))
    assert seen == [[(32, 32), (32, 32)]] * 4
    assert presented("nonsense")[0] == ""


# ---- S8: rights

_READ = {"GET", "HEAD"}
_ADMIN_GET = ("/v1/keys", "/v1/notice")


def test_s8_every_route_has_its_right(door: Keyed) -> None:
    """Reading is a GET, readings are posts to the telemetry routes, everything else is for administrators; nothing of the API is open."""
    rules = [rule for rule in door.client.application.url_map.iter_rules() if rule.rule.startswith("/v1/")]
    assert len(rules) > 30
    for rule in rules:
        for method in (rule.methods or set()) - {"OPTIONS"}:
            right = "write" if rule.rule.startswith("/v1/telemetry/") and method == "POST" else "read" if method in _READ else "admin"
            assert rights.needed(method, rule.rule) == ("admin" if rule.rule.startswith(_ADMIN_GET) else right), (method, rule.rule)
    assert {rights.needed("GET", path) for path in ("/healthz", "/readyz", "/", "/admin/keys")} == {None}
    assert rights.needed("GET", "/metrics") == "read"


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "/v1/vehicles", "read"),
        ("GET", "/v1/analytics/performance/van-7", "read"),
        ("GET", "/metrics", "read"),
        ("GET", "/v1/keys", "admin"),
        ("PUT", "/v1/mappings/van-7", "admin"),
        ("POST", "/v1/keys", "admin"),
        ("POST", "/v1/telemetry/vehicle", "write"),
    ],
)
def test_s8_a_key_does_what_its_right_says_and_nothing_else(door: Keyed, method: str, path: str, right: str) -> None:
    for held in rights.RIGHTS:
        key = door.make(rights=(held,), binding="gateway" if held == "write" else "none")
        status = door.ask(key, path, method, json=None if method == "GET" else {}).status_code
        assert (status != 403) == (held == right), held
    assert door.ask(None, path, method, json=None if method == "GET" else {}).status_code == 401


def test_health_and_readiness_need_no_key(door: Keyed) -> None:
    assert [door.client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


# ---- L5


def test_l5_a_device_that_sends_too_fast_is_told_when_to_come_back_and_the_others_are_not(database_url: str) -> None:
    with keyed(database_url, Pace(30, 60)) as door:
        loud, quiet = (door.make(binding="device", vehicle_ids=[name]) for name in ("van-7", "van-8"))
        answers = [door.post(loud, van(timestamp=f"2026-02-04T{n // 60:02d}:{n % 60:02d}:00Z")) for n in range(70)]
        assert [answer.status_code for answer in answers[:60]] == [201] * 60
        assert {answer.status_code for answer in answers[61:]} == {429}
        assert problem(answers[-1]) == "too_fast"
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 4
        assert door.post(quiet, van(vehicleId="van-8")).status_code == 201
        assert len(stored(door.url)) in (61, 62)


def test_l5_a_batch_counts_its_readings_and_one_large_batch_after_an_outage_is_taken(database_url: str) -> None:
    with keyed(database_url, Pace(30, 60)) as door:
        key = door.make(binding="device", vehicle_ids=["van-7"])
        day = [van(timestamp=f"2026-02-03T{n // 60:02d}:{n % 60:02d}:00Z") for n in range(1_440)]
        assert door.post(key, day).json["accepted"] == 1_440
        answer = door.post(key, van())
        assert answer.status_code == 429
        assert 115 <= int(answer.headers["Retry-After"]) <= 124  # what it owes is the burst, whatever it brought
        assert door.post(door.make(), day).status_code == 200  # a gateway has no limit unless it is given one


def test_l5_invalid_and_broken_bodies_count_too(database_url: str) -> None:
    with keyed(database_url, Pace(30, 60)) as door:
        key = door.make(binding="device", vehicle_ids=["van-7"])
        statuses = [
            door.client.post("/v1/telemetry/vehicle", data=b"x", content_type="application/json", headers=bearer(key)).status_code
            for _ in range(62)
        ]
        assert statuses[:60] == [400] * 60
        assert statuses[-1] == 429


def test_l5_what_was_not_stored_because_of_us_costs_nothing() -> None:
    bucket = Bucket(0.5, 60)
    assert bucket.wait_s(0.0) == 0
    bucket.take(-1)
    assert [bucket.wait_s(0.0) for _ in range(60)] == [0.0] * 60
    assert bucket.wait_s(0.0) == pytest.approx(2.0)
    assert bucket.wait_s(2.0) == 0


def test_l5_the_pace_grows_with_the_devices_a_key_is_bound_to() -> None:
    assert Pace(30, 60).of("device", 1) == (0.5, 60)
    assert Pace(30, 60).of("site", 100) == (50, 6_000)
    assert Pace(30, 60).of("site", 0) == (0.5, 60)
    assert Pace(30, 60).of("gateway", 0) is None
    assert Pace(30, 60, 6_000).of("gateway", 0) == (100, 12_000)


# ---- L6, S12


def test_l6_the_eleventh_wrong_key_of_an_address_is_told_to_wait_and_right_ones_still_open(door: Keyed) -> None:
    right = door.make()
    answers = [door.post("0123456789ab." + "A" * 43, van()) for _ in range(WRONG_KEYS + 3)]
    assert [answer.status_code for answer in answers] == [401] * WRONG_KEYS + [429] * 3
    assert 58 <= int(answers[-1].headers["Retry-After"]) <= 61
    assert problem(answers[-1]) == "too_many_wrong_keys"
    assert door.post(right, van()).status_code == 201


def test_l6_a_block_ends_after_a_minute_and_one_wrong_key_a_minute_never_begins_one() -> None:
    strangers = Strangers()
    assert all(not strangers.blocked_s("192.0.2.1", n * BLOCK_S) for n in range(50))
    strangers = Strangers()
    blocked = [strangers.blocked_s("192.0.2.1", 1.0) for _ in range(WRONG_KEYS + 1)]
    assert blocked == [0.0] * WRONG_KEYS + [BLOCK_S]
    assert strangers.blocked_s("192.0.2.1", 31.0) == 30
    assert strangers.blocked_s("192.0.2.2", 31.0) == 0
    assert strangers.blocked_s("192.0.2.1", 61.0) == 0


def test_l6_many_addresses_do_not_fill_the_memory_and_a_network_counts_as_one() -> None:
    strangers = Strangers()
    for n in range(MOST_ADDRESSES + 500):
        strangers.blocked_s(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 1.0)
    assert len(strangers._seen) == MOST_ADDRESSES
    assert network("2001:db8:1:2::1") == network("2001:db8:1:2:ffff::9") != network("2001:db8:1:3::1")
    assert network("::ffff:192.0.2.1") == "192.0.2.1"
    assert network("fe80::1%eth0") == "fe80::/64"
    assert len(network("x" * 1000)) == 64


def test_l6_no_guess_asks_the_database(door: Keyed) -> None:
    door.gate._strangers = _Blocking()
    with psycopg.connect(door.url, autocommit=True) as conn:
        before = _transactions(conn)
        for n in range(200):
            assert door.post(f"{n:012x}." + "A" * 43, van()).status_code == 401
        assert _transactions(conn) - before < 20


def _transactions(conn: psycopg.Connection) -> int:
    conn.execute("SELECT pg_stat_force_next_flush()")
    found = conn.execute("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()").fetchone()
    return int(found[0]) if found else 0


def test_s12_x_forwarded_for_is_ignored_unless_it_is_said_how_many_proxies_there_are(door: Keyed) -> None:
    answers = [door.post("x", van(), **{"X-Forwarded-For": f"192.0.2.{n}"}).status_code for n in range(WRONG_KEYS + 2)]
    assert answers == [401] * WRONG_KEYS + [429] * 2


def test_s12_behind_proxies_the_address_is_the_one_the_outermost_of_ours_saw(database_url: str) -> None:
    with keyed(database_url, proxies=2) as door:
        for n in range(WRONG_KEYS + 1):  # what the stranger writes himself stands in front and changes nothing
            last = door.post("x", van(), **{"X-Forwarded-For": f"203.0.113.{n}, 192.0.2.1, 10.0.0.1"}).status_code
        assert last == 429
        assert door.post("x", van(), **{"X-Forwarded-For": "192.0.2.2, 10.0.0.1"}).status_code == 401
        assert door.post("x", van(), **{"X-Forwarded-For": "10.0.0.1"}).status_code == 401  # shorter than promised: the socket's


# ---- S15, use


def test_s15_who_made_rotated_and_revoked_a_key_is_on_a_record_that_only_grows(door: Keyed) -> None:
    admin = door.make(rights=("admin",), binding="none")
    key_id = door.ask(admin, "/v1/keys", "POST", json={"name": "Gate", "binding": "gateway", "by": "Ada", "note": "new box"}).json["keyId"]
    door.ask(admin, f"/v1/keys/{key_id}/rotate", "POST", json={"by": "Bob", "previousUntil": "2026-02-04T13:00:00Z"})
    door.ask(admin, f"/v1/keys/{key_id}?by=Cy&note=stolen", "DELETE")
    door.ask(admin, f"/v1/keys/{key_id}?by=Cy", "DELETE")  # again: nothing more to record
    with psycopg.connect(door.url, autocommit=True) as conn:
        rows = conn.execute(
            "SELECT by, action, note, before ->> 'name', after ->> 'name' FROM audit WHERE subject = %s ORDER BY audit_id",
            (f"key {key_id}",),
        ).fetchall()
        assert rows == [
            ("Ada", "key created", "new box", None, "Gate"),
            ("Bob", "key rotated", None, "Gate", None),
            ("Cy", "key revoked", "stolen", "Gate", None),
        ]
        for statement in ("UPDATE audit SET by = 'x'", "DELETE FROM audit", "TRUNCATE audit"):
            with pytest.raises(psycopg.errors.RaiseException, match="audit is a record"):
                conn.execute(statement)


def test_when_a_key_was_used_and_refused_last_is_visible_and_costs_no_statement_by_itself(door: Keyed) -> None:
    admin, key = door.make(rights=("admin",), binding="none"), door.make(binding="device", vehicle_ids=["van-7"])
    assert door.post(key, van()).status_code == 201
    door.clock[0] += 60
    assert door.post(key[:13] + "A" * 43, van()).status_code == 401
    assert door.post(key, van(vehicleId="van-8")).status_code == 403
    assert _listed(door, admin, key)["lastUsedAt"] is None
    assert door.ring.tell()
    seen = _listed(door, admin, key)
    assert (seen["lastUsedAt"], seen["refused"], seen["lastRefusedCode"]) == ("2026-02-04T12:01:00Z", 2, "forbidden_device")
    door.clock[0] += 60
    assert door.post(key[:13] + "A" * 43, van()).status_code == 401
    assert door.ring.tell()
    seen = _listed(door, admin, key)
    assert (seen["lastUsedAt"], seen["refused"], seen["lastRefusedCode"]) == ("2026-02-04T12:01:00Z", 3, "wrong_secret")
    metrics = door.ask(door.make(rights=("read",), binding="none"), "/metrics").text
    assert 'voltledger_key_refusals_total{code="unauthorized"} 2.0' in metrics


def _listed(door: Keyed, admin: str, key: str) -> dict[str, Any]:
    return next(one for one in door.ask(admin, "/v1/keys").json["keys"] if one["keyId"] == key[:12])


_UNFIT = [
    ({"binding": "none"}, "/binding"),
    ({"rights": ["read"], "binding": "gateway"}, "/binding"),
    ({"binding": "device"}, "/vehicleIds"),
    ({"binding": "device", "vehicleIds": ["a", "b"]}, "/vehicleIds"),
    ({"binding": "list"}, "/vehicleIds"),
    ({"binding": "gateway", "meterIds": ["a"]}, "/vehicleIds"),
    ({"binding": "site"}, "/siteId"),
    ({"binding": "site", "siteId": "nowhere"}, "/siteId"),
    ({"binding": "gateway", "expiresAt": "2026-02-04T12:00:00Z"}, "/expiresAt"),
    ({"binding": "gateway", "expiresAt": "9999-12-31T23:59:59Z"}, "/expiresAt"),
    ({"binding": "device", "vehicleIds": ["<img>"]}, "/vehicleIds/0"),
    ({"rights": ["root"], "binding": "gateway"}, "/rights/0"),
]


@pytest.mark.parametrize(("body", "pointer"), _UNFIT)
def test_a_key_whose_parts_do_not_fit_is_refused_at_the_field(database_url: str, body: dict[str, Any], pointer: str) -> None:
    with api(database_url) as client:
        answer = client.post("/v1/keys", json={"name": "x", **body})
        assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, pointer)
        assert client.get("/v1/keys").get_json() == {"keys": [], "next": None}
        assert client.delete("/v1/keys/0123456789ab").status_code == 404
