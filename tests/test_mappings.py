"""Assignments have a past: who changed what, when, and no number outside the changed stretch moves."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from charging.timeline import ALWAYS, FOREVER, Timeline, held, set_stretch
from db import assignments
from db.assignment_changes import Author, recorded
from tests.support import NOW, api, depot, van

pytestmark = pytest.mark.days_ahead

HOURS = [f"2026-02-04T{hour:02}:30:00Z" for hour in range(1, 12)]


def charge(client: FlaskClient) -> None:
    """The van and three depots report an hourly reading from 1:30 to 11:30, each depot more than the one before."""
    client.post("/v1/telemetry/vehicle", json=[van(timestamp=at) for at in HOURS])
    for n in (1, 2, 3):
        client.post("/v1/telemetry/meter", json=[depot(meterId=f"depot-{n}", kwhConsumedAc=5.5 + n / 4, timestamp=at) for at in HOURS])


def performances(client: FlaskClient) -> dict[str, Any]:
    """The van's 24 hours up to every hour, but for when they were worked out."""
    found = {}
    for hour in range(1, 13):
        at = f"2026-02-04T{hour:02}:00:00Z"
        one = client.get(f"/v1/analytics/performance/van-7?at={at}").get_json()
        one.pop("computedAt", one.pop("requestId", None))
        found[at] = one
    return found


def put(client: FlaskClient, meter_id: str | None, **more: str) -> Any:
    return client.put("/v1/mappings/van-7", json={"meterId": meter_id, **more})


def changes(client: FlaskClient, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/v1/mapping-changes{query}").get_json()["changes"]
    return found


def test_reassigning_a_vehicle_leaves_every_past_number_as_it_was(database_url: str) -> None:
    with api(database_url) as client:
        put(client, "depot-1")
        charge(client)
        before = performances(client)
        assert put(client, "depot-2").get_json()["changes"][0]["correctsPast"] is False
        assert performances(client) == before
        assert client.delete("/v1/mappings/van-7").status_code == 200
        assert performances(client) == before


def test_a_late_reading_counts_for_the_assignment_at_its_own_time(database_url: str) -> None:
    with api(database_url) as client:
        put(client, "depot-1")
        put(client, "depot-2", **{"from": "2026-02-04T06:00:00Z"})
        client.post("/v1/telemetry/meter", json=depot(meterId="depot-1", kwhConsumedAc=1, timestamp="2026-02-04T05:59:00Z"))
        client.post("/v1/telemetry/meter", json=depot(meterId="depot-1", kwhConsumedAc=2, timestamp="2026-02-04T06:01:00Z"))
        client.post("/v1/telemetry/meter", json=depot(meterId="depot-2", kwhConsumedAc=4, timestamp="2026-02-04T06:00:00Z"))
        client.post("/v1/telemetry/meter", json=depot(meterId="depot-2", kwhConsumedAc=8, timestamp="2026-02-04T06:01:00Z"))
        got = client.get("/v1/analytics/performance/van-7?at=2026-02-04T12:00:00Z").get_json()
    assert (got["totalAc"], got["meterIds"]) == (1 + 8, ["depot-1", "depot-2"])


def test_a_correction_of_the_past_changes_exactly_its_stretch_and_is_recorded(database_url: str) -> None:
    stretch = {"from": "2026-02-04T04:00:00Z", "to": "2026-02-04T06:00:00Z"}
    with api(database_url) as client:
        put(client, "depot-1")
        charge(client)
        before = performances(client)
        got = put(client, "depot-2", **stretch, by="Ada", note="they swapped places")
        change = {**stretch, "meterBefore": "depot-1", "meterAfter": "depot-2", "correctsPast": True}
        assert (got.status_code, got.get_json()["changes"]) == (200, [change])
        assert got.get_json()["timeline"] == [
            {"meterId": "depot-1", "from": None, "to": stretch["from"]},
            {"meterId": "depot-2", **stretch},
            {"meterId": "depot-1", "from": stretch["to"], "to": None},
        ]
        after = performances(client)
        newest = changes(client)[0]
        assert put(client, "depot-1", **stretch).get_json()["timeline"] == [{"meterId": "depot-1", "from": None, "to": None}]
        assert performances(client) == before, "corrected back"
    moved = {at: round(after[at]["totalAc"] - before[at]["totalAc"], 6) for at in after if "totalAc" in after[at]}
    assert moved == {f"2026-02-04T{hour:02}:00:00Z": 0.25 * min(2, max(0, hour - 4)) for hour in range(1, 13)}
    assert {key: newest.pop(key) for key in change} == change
    newest.pop("changeId")
    assert newest == {"changedAt": "2026-02-04T12:00:00Z", "by": "Ada", "via": "api", "vehicleId": "van-7", "note": "they swapped places"}


def test_the_same_put_again_changes_and_records_nothing(database_url: str) -> None:
    bodies: list[tuple[str | None, dict[str, str]]] = [
        ("depot-1", {}),
        ("depot-2", {"from": "2026-02-04T08:00:00Z"}),
        ("depot-3", {"from": "2026-02-04T02:00:00Z", "to": "2026-02-04T03:00:00Z"}),
        (None, {}),
    ]
    with api(database_url) as client:
        for meter_id, more in bodies:
            once = put(client, meter_id, **more).get_json()
            assert len(once.pop("changes")) == 1
            twice = put(client, meter_id, **more)
            assert (twice.status_code, twice.get_json()) == (200, {**once, "changes": []})
        assert len(changes(client)) == len(bodies)


def test_a_stretch_over_several_assignments_says_what_held_in_each_part(database_url: str) -> None:
    with api(database_url) as client:
        put(client, "depot-1")
        put(client, "depot-2", **{"from": "2026-02-04T02:00:00Z"})
        put(client, "depot-1", **{"from": "2026-02-04T04:00:00Z"})
        got = put(client, "depot-2", **{"from": "2026-02-04T01:00:00Z", "to": "2026-02-04T05:00:00Z"}).get_json()["changes"]
    assert [(one["from"][11:13], one["to"][11:13], one["meterBefore"], one["meterAfter"]) for one in got] == [
        ("01", "02", "depot-1", "depot-2"),
        ("04", "05", "depot-1", "depot-2"),
    ]


def test_the_first_mapping_may_be_a_stretch_and_corrects_nothing(database_url: str) -> None:
    with api(database_url) as client:
        got = put(client, "depot-1", **{"from": "2026-02-04T02:00:00Z", "to": "2026-02-04T04:00:00Z"})
    assert (got.status_code, got.get_json()["meterId"]) == (201, None)
    assert [(one["meterId"], one["to"]) for one in got.get_json()["timeline"]] == [("depot-1", "2026-02-04T04:00:00Z"), (None, None)]
    assert [one["correctsPast"] for one in got.get_json()["changes"]] == [False]


WRONG = [
    {"from": "2026-02-04T03:00:00Z", "to": "2026-02-04T03:00:00Z"},
    {"from": "2026-02-04T03:00:00Z", "to": "2026-02-04T02:00:00Z"},
    {"to": "2026-02-04T11:00:00Z"},
    {"to": "2026-02-04T13:00:00"},
    {"to": "2300-02-04T13:00:00Z"},
    {"from": "1999-02-04T13:00:00Z"},
    {"by": "x" * 201},
    {"by": ""},
    {"by": "a\0b"},
    {"note": "x" * 501},
    {"note": "\ud800"},
]


def test_what_cannot_be_assigned_is_422_and_changes_nothing(database_url: str) -> None:
    with api(database_url) as client:
        put(client, "depot-1")
        for more in WRONG:
            assert (put(client, "depot-2", **more).status_code, len(changes(client))) == (422, 1), more
        assert len(client.get("/v1/mappings/van-7").get_json()["timeline"]) == 1


def test_an_assignment_taken_out_lets_the_one_before_go_on(database_url: str) -> None:
    with api(database_url) as client:
        put(client, "depot-1")
        put(client, "depot-2", **{"from": "2026-02-04T06:00:00+01:00"})
        assert client.delete("/v1/mappings/van-7?from=2026-02-04T05:00:01Z").status_code == 404
        assert client.delete("/v1/mappings/van-8?from=2026-02-04T05:00:00Z").status_code == 404
        got = client.delete("/v1/mappings/van-7?from=2026-02-04T05:00:00Z&by=Ada&note=a%20mistake")
        assert (got.status_code, got.get_json()["timeline"]) == (200, [{"meterId": "depot-1", "from": None, "to": None}])
        (newest, *_) = changes(client)
    assert (newest["meterBefore"], newest["meterAfter"], newest["from"], newest["to"]) == (
        "depot-2",
        "depot-1",
        "2026-02-04T05:00:00Z",
        None,
    )
    assert (newest["by"], newest["note"], newest["correctsPast"]) == ("Ada", "a mistake", True)


def test_a_meters_timeline_names_its_vehicles_and_when_they_shared_it(database_url: str) -> None:
    with api(database_url) as client:
        put(client, "depot-1")
        put(client, "depot-2", **{"from": "2026-02-04T06:00:00Z"})
        client.put("/v1/mappings/van-8", json={"meterId": "depot-1", "from": "2026-02-04T05:00:00Z", "to": "2026-02-04T07:00:00Z"})
        client.put("/v1/mappings/van-9", json={"meterId": "depot-1", "from": "2026-02-04T09:00:00Z"})
        got = client.get("/v1/meters/depot-1/mappings").get_json()
        assert client.get("/v1/meters/nobody/mappings").status_code == 404
        client.post("/v1/telemetry/meter", json=depot(meterId="depot-5"))
        assert client.get("/v1/meters/depot-5/mappings").get_json() == {"meterId": "depot-5", "vehicleIds": [], "timeline": []}
    assert got["vehicleIds"] == ["van-9"]
    assert [(one["vehicleIds"], (one["from"] or "")[11:13], (one["to"] or "")[11:13], one["shared"]) for one in got["timeline"]] == [
        (["van-7"], "", "05", False),
        (["van-7", "van-8"], "05", "06", True),
        (["van-8"], "06", "07", False),
        (["van-9"], "09", "", False),
    ]


def test_the_record_is_paged_and_narrowed_to_a_vehicle_or_a_meter(database_url: str) -> None:
    with api(database_url) as client:
        for n in range(1, 6):
            client.put(f"/v1/mappings/van-{n}", json={"meterId": "depot-1" if n % 2 else "depot-2"})
        client.put("/v1/mappings/van-1", json={"meterId": "depot-3"})
        every = changes(client)
        page = client.get("/v1/mapping-changes?limit=4").get_json()
        rest = client.get(f"/v1/mapping-changes?limit=4&after={page['next']}").get_json()
        of_vehicle, of_meter = changes(client, "?vehicleId=van-1"), changes(client, "?meterId=depot-1")
        both = changes(client, "?vehicleId=van-1&meterId=depot-3")
        assert client.get("/v1/mapping-changes?limit=0").status_code == 422
    assert [one["vehicleId"] for one in every] == ["van-1", "van-5", "van-4", "van-3", "van-2", "van-1"]
    assert (page["changes"] + rest["changes"], rest["next"]) == (every, None)
    assert [one["meterAfter"] for one in of_vehicle] == ["depot-3", "depot-1"]
    assert [one["vehicleId"] for one in of_meter] == ["van-1", "van-5", "van-3", "van-1"]
    assert both == every[:1]
    assert (every[0]["by"], every[0]["from"], every[-1]["from"]) == ("127.0.0.1", "2026-02-04T12:00:00Z", None)


def test_plain_sql_on_the_view_is_recorded_too(conn: psycopg.Connection) -> None:
    conn.execute("""INSERT INTO fleet_mapping("vehicleId","meterId") VALUES ('V1','M1'), ('V2','M1')""")
    conn.execute("""INSERT INTO fleet_mapping("vehicleId","meterId") VALUES ('V1','M1')""")
    conn.execute("""UPDATE fleet_mapping SET "meterId" = 'M2' WHERE "vehicleId" = 'V1'""")
    conn.execute("""UPDATE fleet_mapping SET "vehicleId" = 'V3' WHERE "vehicleId" = 'V2'""")
    conn.execute("""DELETE FROM fleet_mapping WHERE "vehicleId" = 'V1'""")
    found = list(reversed(recorded(conn)))
    me, now = conn.execute("SELECT session_user::text, now()").fetchone() or ()
    assert [(one.vehicle_id, one.meter_before, one.meter_after, one.valid_from, one.valid_to) for one in found] == [
        ("V1", None, "M1", None, None),
        ("V2", None, "M1", None, None),
        ("V1", "M1", "M2", now, None),
        ("V2", "M1", None, now, None),
        ("V3", None, "M1", None, None),
        ("V1", "M2", None, now, None),
    ]
    assert {(one.changed_by, one.via, one.changed_at, one.corrects_past) for one in found} == {(me, "sql", now, False)}


def test_the_record_cannot_be_changed(conn: psycopg.Connection) -> None:
    conn.execute("""INSERT INTO fleet_mapping("vehicleId","meterId") VALUES ('V1','M1')""")
    conn.commit()
    for statement in ("UPDATE assignment_change SET changed_by = 'x'", "DELETE FROM assignment_change"):
        with pytest.raises(psycopg.errors.RaiseException, match="is a record"):
            conn.execute(statement)
        conn.rollback()


def replayed(conn: psycopg.Connection, vehicle_id: str) -> Timeline:
    """A vehicle's timeline made from its record alone; every entry has to say truly what held before it."""
    timeline: Timeline = ()
    for one in reversed(recorded(conn, vehicle_id)):
        start, end = one.valid_from or ALWAYS, one.valid_to or FOREVER
        inside = [start, *(step.start for step in timeline if start < step.start < end)]
        assert {held(timeline, at) for at in inside} == {one.meter_before}
        timeline = set_stretch(timeline, start, end, one.meter_after)
    return timeline


def test_changes_at_one_time_never_mix_and_each_is_recorded_once(database_url: str) -> None:
    """Single changes of the API's kind, of SQL's kind and withdrawals race on two vehicles."""

    def work(worker: int) -> None:
        with psycopg.connect(database_url) as conn:
            for n in range(12):
                start = NOW + timedelta(minutes=(worker * 7 + n * 5) % 23)
                vehicle_id = f"van-{n % 2}"
                if worker == 0:
                    conn.execute("INSERT INTO fleet_mapping VALUES (%s, %s)", (vehicle_id, f"depot-{n % 3}"))
                elif worker == 1 and n % 4 == 3:
                    try:
                        assignments.withdraw(conn, vehicle_id, NOW + timedelta(minutes=14), NOW, Author("1", "api"))
                    except KeyError:
                        conn.rollback()
                else:
                    end = start + timedelta(minutes=4) if n % 3 else None
                    assignments.assign(conn, vehicle_id, f"depot-{worker}", start, NOW, Author(str(worker), "api"), end)
                conn.commit()

    with ThreadPoolExecutor(5) as pool:
        for done in [pool.submit(work, worker) for worker in range(5)]:
            done.result()
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        for vehicle_id in ("van-0", "van-1"):
            stored, said = assignments.load(conn, [vehicle_id])[vehicle_id], replayed(conn, vehicle_id)
            for at in {ALWAYS, *(step.start for step in (*stored, *said))}:
                assert held(stored, at) == held(said, at)


def test_instants_of_any_offset_are_one_instant(database_url: str) -> None:
    with api(database_url) as client:
        put(client, "depot-1")
        put(client, "depot-2", **{"from": "2026-02-04T06:00:00+01:00"})
        assert put(client, "depot-2", **{"from": "2026-02-04T00:00:00-05:00"}).get_json()["changes"] == []
    with psycopg.connect(database_url) as conn:
        assert assignments.load(conn, ["van-7"])["van-7"][1].start == datetime(2026, 2, 4, 5, tzinfo=UTC)
