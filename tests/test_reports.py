"""Reports: what stands in the files."""

import io
import random
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import psycopg
import pyarrow.parquet as pq
import pytest

from api.exporting.charges import SESSION_COLUMNS
from api.exporting.columns import Column
from api.exporting.summaries import SUMMARY_COLUMNS
from api.words import SESSION_COLUMNS as COLUMNS_OF_A_DEVICE
from api.words import z
from charging.verdict import Verdict
from tests.report_support import NOON, assign, charge, filled
from tests.support import api

pytestmark = pytest.mark.days_ahead

HOSTILE = '=HYPERLINK("http://x";"y"), + "Van"'


def small_fleet(url: str) -> None:
    """van-1 alone on depot-1; van-2 and van-3 share depot-2 but for van-3's last hours; van-4 has no meter."""
    with filled(url, date(2026, 2, 3)) as conn:
        conn.execute("INSERT INTO site VALUES ('ber', 'Berlin', NULL, NULL, 'Europe/Berlin')")
        conn.execute("INSERT INTO vehicle VALUES ('van-1', %s, 'Kastor 77', 'ber'), ('van-2', '＝1', NULL, NULL)", (HOSTILE,))
        for vehicle_id, meter_id in (("van-1", "depot-1"), ("van-2", "depot-2"), ("van-3", "depot-2")):
            assign(conn, vehicle_id, meter_id)
        assign(conn, "van-3", None, NOON - timedelta(hours=4))
        charge(conn, "van-1", "depot-1", NOON - timedelta(hours=20), 180)
        charge(conn, "van-1", "depot-1", NOON - timedelta(hours=3), 60, 0.7)
        charge(conn, "van-2", "depot-2", NOON - timedelta(hours=10), 90)
        charge(conn, "van-2", "depot-2", NOON - timedelta(hours=3), 30)
        charge(conn, "van-4", "", NOON - timedelta(hours=5), 30)


def json_of(client: Any, path: str) -> Any:
    return orjson.loads(got(client, path).get_data())


def got(client: Any, path: str) -> Any:
    """The whole answer, 200."""
    answer = client.get(path, buffered=True)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer


def frame(client: Any, path: str, **how: Any) -> pd.DataFrame:
    table: pd.DataFrame = pd.read_csv(io.BytesIO(got(client, path).get_data()), **how)
    return table


def test_the_documented_columns_are_the_files_columns(project: Path) -> None:
    text = (project / "docs" / "reports.md").read_text()
    tables = re.split(r"^## ", text, flags=re.MULTILINE)
    for heading, columns in (("Summaries", SUMMARY_COLUMNS), ("Sessions", SESSION_COLUMNS)):
        (section,) = [part for part in tables if part.startswith(heading)]
        table = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|$", section, re.MULTILINE)
        assert table == [(column.name, column.kind, column.unit, column.meaning) for column in columns]


def test_a_report_of_sessions_begins_with_the_columns_of_a_devices_own() -> None:
    assert [column.name for column in SESSION_COLUMNS][: len(COLUMNS_OF_A_DEVICE)] == COLUMNS_OF_A_DEVICE


@pytest.mark.parametrize("columns", [SUMMARY_COLUMNS, SESSION_COLUMNS])
def test_no_name_stands_for_two_columns(columns: list[Column]) -> None:
    assert len({column.name for column in columns}) == len({column.key for column in columns}) == len(columns)


def test_a_summarys_numbers_are_those_of_the_vehicles_own_endpoint(database_url: str) -> None:
    small_fleet(database_url)
    with api(database_url, NOON) as client:
        report = json_of(client, f"/v1/reports/summaries?to={z(NOON)}&format=json")
        own = {
            row["vehicleId"]: client.get(f"/v1/analytics/performance/{row['vehicleId']}?at={z(NOON)}").get_json()
            for row in report["rows"][:3]
        }
    assert [row["vehicleId"] for row in report["rows"]] == ["van-1", "van-2", "van-3", "van-4"]
    assert (report["count"], report["windowHours"], report["zone"]) == (4, 24, "UTC")
    for row in report["rows"][:3]:
        one = own[row["vehicleId"]]
        assert (row["totalAcKwh"], row["totalDcKwh"], row["lossKwh"], row["avgBatteryTempC"]) == (
            one["totalAc"],
            one["totalDc"],
            one["lossKwh"],
            one["avgTemp"],
        )
        assert row["efficiency"] == pytest.approx(one["efficiencyRatio"], abs=1e-7)
        assert (row["verdict"], row["reason"], row["meterIds"]) == (one["verdict"], one["reason"], one["meterIds"])
    assert (report["rows"][3]["verdict"], report["rows"][3]["lossKwh"], report["rows"][3]["lossStandbyKwh"]) == ("unmapped", None, None)


def test_the_parts_of_the_loss_add_up_to_it_and_a_shared_meter_has_none(database_url: str) -> None:
    small_fleet(database_url)
    with api(database_url, NOON) as client:
        one, shared, *_ = json_of(client, "/v1/reports/summaries?format=json")["rows"]
    parts = [one[f"loss{name}Kwh"] for name in ("Overhead", "Conversion", "Conditioning", "Standby", "Unexplained")]
    assert sum(parts) == pytest.approx(one["lossKwh"], abs=1e-9)
    assert one["lossAvoidableKwh"] > 0
    assert (shared["sharedWith"], shared["lossKwh"], shared["lossOverheadKwh"]) == (["van-3"], None, None)


@pytest.mark.parametrize("report", ["summaries", "sessions"])
def test_csv_in_every_style_and_parquet_and_json_hold_the_same_values(database_url: str, report: str) -> None:
    small_fleet(database_url)
    with api(database_url, NOON) as client:
        path = f"/v1/reports/{report}?zone=Asia/Kathmandu"
        plain = frame(client, path)
        german = got(client, f"{path}&separator=semicolon&decimal=comma&bom=true").get_data()
        semicolon = frame(client, f"{path}&separator=semicolon", sep=";")
        table = pq.read_table(io.BytesIO(got(client, f"{path}&format=parquet").get_data()))
        rows = json_of(client, f"{path}&format=json")["rows"]
    columns = SUMMARY_COLUMNS if report == "summaries" else SESSION_COLUMNS
    assert german.startswith(b"\xef\xbb\xbf")
    pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(german), sep=";", decimal=",", encoding="utf-8-sig"), plain)
    pd.testing.assert_frame_equal(semicolon, plain)
    assert list(plain.columns) == table.schema.names == [column.name for column in columns]
    assert len(plain) == len(rows) == table.num_rows > 0
    for column in columns:
        of_parquet = table.column(column.name).to_pylist()
        of_json = [row[column.key] for row in rows]
        if column.kind == "texts":
            of_json = [" ".join(ids) for ids in of_json]
        if column.kind == "instant":
            of_parquet = [z(at) for at in of_parquet]
        assert of_parquet == of_json, column.name
        if column.kind in ("number", "count", "flag"):
            of_csv = [None if pd.isna(cell) else cell for cell in plain[column.name]]
            assert of_csv == of_json, column.name


def test_parquet_has_true_types_and_says_units_and_window(database_url: str) -> None:
    small_fleet(database_url)
    with api(database_url, NOON) as client:
        schema = pq.read_schema(io.BytesIO(got(client, "/v1/reports/sessions?format=parquet&zone=Europe/Berlin").get_data()))
    types = {name: str(schema.field(name).type) for name in ("start_utc", "running", "duration_s", "ac_kwh", "meter_id")}
    assert types == {
        "start_utc": "timestamp[us, tz=UTC]",
        "running": "bool",
        "duration_s": "int64",
        "ac_kwh": "double",
        "meter_id": "string",
    }
    assert schema.field("ac_kwh").metadata[b"unit"] == b"kWh"
    assert (schema.metadata[b"zone"], schema.metadata[b"toLocal"]) == (b"Europe/Berlin", b"2026-02-04T13:00:00+01:00")


def test_names_cannot_become_formulas_in_csv_and_stay_as_they_are_elsewhere(database_url: str) -> None:
    small_fleet(database_url)
    with api(database_url, NOON) as client:
        for style in ("comma", "semicolon"):
            separator = {"comma": ",", "semicolon": ";"}[style]
            table = frame(client, f"/v1/reports/summaries?separator={style}", sep=separator)
            assert list(table["vehicle_name"][:2]) == [f"'{HOSTILE}", "'＝1"]
            assert (table["loss_unexplained_kwh"][:1] == table["loss_unexplained_kwh"][:1].astype(float)).all()
        names = pq.read_table(io.BytesIO(got(client, "/v1/reports/summaries?format=parquet").get_data())).column("vehicle_name").to_pylist()
        assert names[0] == json_of(client, "/v1/reports/summaries?format=json")["rows"][0]["vehicleName"] == HOSTILE


LOCAL_DAYS = [
    ("2026-03-29", "Europe/Berlin", 23, "2026-03-28T23:00:00Z", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
    ("2026-10-25", "Europe/Berlin", 25, "2026-10-24T22:00:00Z", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
    ("2026-02-04", "Europe/Berlin", 24, "2026-02-03T23:00:00Z", "2026-02-04T00:00:00+01:00", "2026-02-05T00:00:00+01:00"),
    ("2026-04-05", "Australia/Lord_Howe", 24.5, "2026-04-04T13:00:00Z", "2026-04-05T00:00:00+11:00", "2026-04-06T00:00:00+10:30"),
    ("2026-02-04", "Asia/Kathmandu", 24, "2026-02-03T18:15:00Z", "2026-02-04T00:00:00+05:45", "2026-02-05T00:00:00+05:45"),
    # The clocks skip midnight: the day begins with its first instant, which they show as one o'clock.
    ("2026-04-24", "Africa/Cairo", 23, "2026-04-23T22:00:00Z", "2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"),
    ("2026-02-04", "", 24, "2026-02-04T00:00:00Z", "2026-02-04T00:00:00+00:00", "2026-02-05T00:00:00+00:00"),
]


def test_a_local_day_is_as_long_as_its_clocks_say_and_says_so(database_url: str) -> None:
    with filled(database_url, date(2026, 2, 4), 1) as conn:
        assign(conn, "van-1", "depot-1")
    with api(database_url, NOON) as client:
        for day, zone, hours, from_utc, from_local, to_local in LOCAL_DAYS:
            answer = got(client, f"/v1/reports/summaries?day={day}" + (f"&zone={zone}" if zone else ""))
            (row,) = pd.read_csv(io.BytesIO(answer.get_data())).to_dict("records")
            assert (row["window_hours"], row["zone"], row["from_utc"]) == (hours, zone or "UTC", from_utc)
            assert (row["from_local"], row["to_local"]) == (from_local, to_local)
            assert f"{day}-{(zone or 'UTC').replace('/', '-')}.csv" in answer.headers["Content-Disposition"]


def test_without_a_window_it_is_the_last_24_times_3600_seconds(database_url: str) -> None:
    now = datetime(2026, 3, 29, 12, tzinfo=UTC)
    with filled(database_url, date(2026, 3, 28)) as conn:
        assign(conn, "van-1", "depot-1")
    with api(database_url, now) as client:
        head = json_of(client, "/v1/reports/summaries?zone=Europe/Berlin&format=json")
    assert (head["from"], head["to"], head["windowHours"]) == ("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", 24)
    assert (head["fromLocal"], head["toLocal"]) == ("2026-03-28T13:00:00+01:00", "2026-03-29T14:00:00+02:00")


def sum_of_meters(conn: Any, start: datetime, end: datetime) -> int:
    """What the meters took while anybody was assigned to them, reading by reading."""
    row = conn.execute(
        """SELECT coalesce(sum(ac_milliwh), 0) FROM meter_history h WHERE recorded_at > %(start)s AND recorded_at <= %(end)s AND EXISTS (
             SELECT FROM (SELECT meter_id, valid_from, lead(valid_from) OVER (PARTITION BY vehicle_id ORDER BY valid_from) AS valid_to FROM assignment) a
             WHERE a.meter_id = h.meter_id AND valid_from < recorded_at AND (valid_to IS NULL OR recorded_at <= valid_to))""",
        {"start": start, "end": end},
    ).fetchone()
    return int(row[0])


def some_assignments(conn: Any, chance: random.Random) -> None:
    for vehicle in range(7):
        for hour in sorted(chance.sample(range(-30, 25), 3)):
            since = NOON + timedelta(hours=hour, seconds=chance.choice((0, 0, 30, 450)))
            meter = chance.choice([None, "depot-0", "depot-1", "depot-2"])
            assign(conn, f"van-{vehicle}", meter, since)


@pytest.mark.parametrize("seed", range(6))
def test_counted_energy_is_each_meters_while_assigned_exactly_once(database_url: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vehicles share meters for parts of the window, come, go and come back; and are read a few at a time."""
    monkeypatch.setattr("db.queries.performance._CHUNK", 3)
    monkeypatch.setattr("db.queries.spans.QUARTERS_AT_ONCE", 150)
    chance = random.Random(seed)
    with filled(database_url, date(2026, 2, 3)) as conn:
        some_assignments(conn, chance)
        for meter in range(4):
            for hour in (-20, -9, 2, 11):
                begins = NOON + timedelta(hours=hour, minutes=chance.randrange(60))
                charge(conn, f"van-{chance.randrange(7)}", f"depot-{meter}", begins, chance.randrange(20, 300))
    end = NOON + timedelta(hours=21, minutes=7)
    with api(database_url, end) as client, psycopg.connect(database_url) as conn:
        for start in (NOON - timedelta(hours=23), NOON - timedelta(hours=3, seconds=20)):
            rows = json_of(client, f"/v1/reports/summaries?from={z(start)}&to={z(end)}&format=json")["rows"]
            counted = sum(round(row["acCountedKwh"] * 1e6) for row in rows)
            assert counted == sum_of_meters(conn, start, end) > 0
            assert all(0 <= row["acCountedKwh"] <= row["totalAcKwh"] for row in rows)
            assert all(row["acCountedKwh"] == row["totalAcKwh"] for row in rows if not row["sharedWith"])


def test_adjacent_windows_of_sessions_hold_each_exactly_once(database_url: str) -> None:
    small_fleet(database_url)
    with api(database_url, NOON) as client:

        def keys(query: str) -> list[tuple[str, str]]:
            rows = json_of(client, f"/v1/reports/sessions?format=json&{query}")["rows"]
            return sorted((" ".join(row["vehicleIds"]), row["startUtc"]) for row in rows)

        whole = keys(f"from={z(NOON - timedelta(hours=30))}&to={z(NOON)}")
        parts = [
            key
            for hour in range(-30, 0, 3)
            for key in keys(f"from={z(NOON + timedelta(hours=hour))}&to={z(NOON + timedelta(hours=hour + 3))}")
        ]
        assert sorted(parts) == whole
        assert len(set(whole)) == len(whole) == 5
        # A session at a shared meter is both vehicles', and in the file once.
        both = keys(f"from={z(NOON - timedelta(hours=30))}&vehicleId=van-2&vehicleId=van-3")
        assert both == [key for key in whole if "van-2" in key[0]]
        assert keys(f"from={z(NOON - timedelta(hours=30))}&vehicleId=van-3") == [key for key in whole if "van-3" in key[0]]


def test_summaries_can_be_of_some_vehicles_and_some_verdicts(database_url: str) -> None:
    small_fleet(database_url)
    with api(database_url, NOON) as client:
        whole = json_of(client, "/v1/reports/summaries?format=json")["rows"]
        some = got(client, "/v1/reports/summaries?format=json&vehicleId=van-3&vehicleId=van-1")
        judged = got(client, "/v1/reports/summaries?format=json&verdict=unmapped&verdict=low")
    assert orjson.loads(some.get_data())["rows"] == [whole[0], whole[2]]
    assert (some.headers["X-Total-Vehicles"], judged.headers["X-Total-Vehicles"]) == ("2", "4")
    assert orjson.loads(judged.get_data())["rows"] == [row for row in whole if row["verdict"] in ("unmapped", "low")] != []


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
@pytest.mark.parametrize("report", ["summaries", "sessions"])
def test_a_report_of_nothing_is_a_whole_file(database_url: str, report: str, form: str) -> None:
    with api(database_url, NOON) as client:
        body = got(client, f"/v1/reports/{report}?format={form}").get_data()
    if form == "csv":
        assert len(body.splitlines()) == 1
    elif form == "json":
        assert orjson.loads(body)["count"] == 0
    else:
        assert pq.read_table(io.BytesIO(body)).num_rows == 0


UNANSWERABLE = [
    ("site=nowhere", "site"),
    ("format=xlsx", "format"),
    ("separator=tab", "separator"),
    ("bom=perhaps", "bom"),
    ("zone=Nowhere/Land", "zone"),
    ("zone=../../etc/passwd", "zone"),
    ("zone=Europe", "zone"),
    ("day=2026-02-30", "day"),
    ("day=20260204", "day"),
    ("day=1999-12-31", "day"),
    ("day=2011-12-30&zone=Pacific/Apia", "day"),
    ("day=2026-02-04&from=2026-02-04T00:00:00Z", "day"),
    ("from=2026-02-04T00:00:00", "from"),
    ("from=2026-02-04T00:00:00Z&to=2026-02-04T00:00:00Z", "from"),
    ("from=2024-02-04T00:00:00Z&to=2026-02-04T00:00:00Z", "from"),
    ("from=1999-02-04T00:00:00Z", "from"),
    ("to=9999-12-31T23:59:59Z", "to"),
    ("vehicleId=van-99", "vehicleId"),
    ("vehicleId=%3Dcmd", "vehicleId"),
    ("verdict=splendid", "verdict"),
    ("decimal=comma", "decimal"),
]


def test_what_cannot_be_answered_is_a_422_that_names_the_parameter(database_url: str) -> None:
    with api(database_url, NOON) as client:
        for query, named in UNANSWERABLE:
            answer = client.get(f"/v1/reports/summaries?{query}", buffered=True)
            assert (answer.status_code, answer.mimetype) == (422, "application/problem+json"), query
            problem = answer.get_json()
            assert problem["errors"][0]["pointer"].split("/")[1] == named
            assert problem["detail"].startswith(f"/{named}")
        assert client.get("/v1/reports/summaries", buffered=True).status_code == 200


def test_a_site_narrows_a_report_to_the_vehicles_that_belong_to_it(database_url: str) -> None:
    """In every format and report the same; a site without vehicles has a report without rows, never everybody's."""
    small_fleet(database_url)
    with filled(database_url, date(2026, 2, 3)) as conn:
        conn.execute("INSERT INTO site (site_id, name) VALUES ('empty', 'Empty'), ('ham', 'Hamburg')")
        conn.execute("INSERT INTO vehicle (vehicle_id, site_id) VALUES ('van-3', 'ham'), ('van-9', 'ham')")  # nobody ever heard of van-9
    with api(database_url, NOON) as client:
        for query, expected in (("site=ber", ["van-1"]), ("site=ber&site=ham", ["van-1", "van-3"]), ("site=empty", []), ("site=ham&vehicleId=van-1", [])):  # fmt: skip
            assert list(frame(client, f"/v1/reports/summaries?{query}")["vehicle_id"]) == expected
            parquet = pd.read_parquet(io.BytesIO(got(client, f"/v1/reports/summaries?{query}&format=parquet").get_data()))
            assert list(parquet["vehicle_id"]) == expected
            preview = json_of(client, f"/v1/reports/summaries/preview?{query}")
            assert ([row["vehicleId"] for row in preview["rows"]], preview["rowCount"]) == (expected, len(expected))
            sessions = json_of(client, f"/v1/reports/sessions?{query}&format=json")["rows"]
            assert {one for row in sessions for one in row["vehicleIds"]} >= set(expected)
            assert all(set(row["vehicleIds"]) & set(expected) for row in sessions)
            assert json_of(client, f"/v1/reports/sessions/preview?{query}")["rowCount"] == len(sessions)


def test_the_longest_window_is_allowed_and_a_microsecond_more_is_not(database_url: str) -> None:
    with api(database_url, NOON) as client:
        at = NOON - timedelta(days=400)
        assert client.get(f"/v1/reports/sessions?from={z(at)}&to={z(NOON)}", buffered=True).status_code == 200
        longer = client.get(f"/v1/reports/sessions?from={z(at - timedelta(microseconds=1))}&to={z(NOON)}", buffered=True)
    assert longer.status_code == 422
    assert "400 days" in longer.get_json()["detail"]


def test_the_specification_names_the_parameters_with_their_values(database_url: str) -> None:
    with api(database_url, NOON) as client:
        spec = client.get("/api/openapi.json").get_json()
    given = {one["name"]: one["schema"] for one in spec["paths"]["/v1/reports/summaries"]["get"]["parameters"]}
    assert {"from", "to", "day", "zone", "format", "separator", "decimal", "bom", "vehicleId", "site", "verdict"} == given.keys()
    assert given["format"]["enum"] == ["csv", "parquet", "json"]
    verdict = given["verdict"]["items"]["$ref"].removeprefix("#/components/schemas/")
    assert spec["components"]["schemas"][verdict]["enum"] == list(Verdict)
