"""A recording is what a fleet would have delivered: the importer takes all of it, and the truth beside it counts the same."""

import csv
import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from api.bulk.mappings import assign_file
from db import assignments
from db.assignment_changes import Author
from db.cli import main as db_main
from db.queries import devices
from simulator import record
from simulator.cli import main

START = date(2026, 1, 12)
FLEET, DAYS, FAULTS_FROM, SEED = 40, 2, 2, 5
STREAMS = {"vehicles": "vehicleId", "meters": "meterId"}


@pytest.fixture(scope="module")
def ill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ill")
    assert record.write(out, FLEET, DAYS, START, SEED, FAULTS_FROM) == out / "truth.json"
    return out


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("well")
    record.write(out, FLEET, DAYS, START, SEED, FAULTS_FROM, healthy=True)
    return out


def truth(out: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((out / "truth.json").read_text())
    return told


def readings(out: Path, stream: str, day: int) -> list[dict[str, str]]:
    with (out / f"{stream}-{day:02d}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def described(out: Path, collection: str) -> Iterator[dict[str, Any]]:
    return map(json.loads, (out / f"{collection}.jsonl").read_text().splitlines())


def instant(reading: dict[str, str]) -> datetime:
    return datetime.fromisoformat(reading["timestamp"])


# ------------------------------------------------------------------------------------------------------------------- the files


def test_the_same_seed_is_the_same_recording_to_the_byte(ill: Path, tmp_path: Path) -> None:
    record.write(tmp_path / "again", FLEET, DAYS, START, SEED, FAULTS_FROM)
    names = sorted(file.name for file in ill.iterdir())
    assert names == sorted(file.name for file in (tmp_path / "again").iterdir())
    assert all((ill / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)


def test_the_days_before_the_faults_are_those_of_a_healthy_fleet(ill: Path, well: Path) -> None:
    for stream in STREAMS:
        assert (ill / f"{stream}-01.csv").read_bytes() == (well / f"{stream}-01.csv").read_bytes()
        assert (ill / f"{stream}-02.csv").read_bytes() != (well / f"{stream}-02.csv").read_bytes()


def test_a_vehicle_is_the_same_in_a_recording_of_any_size(well: Path, tmp_path: Path) -> None:
    record.write(tmp_path / "few", 3, 1, START, SEED, 1, healthy=True)
    few = {tuple(reading.values()) for reading in readings(tmp_path / "few", "vehicles", 1)}
    assert len(few) == pytest.approx(3 * 1440, abs=3)
    assert few <= {tuple(reading.values()) for reading in readings(well, "vehicles", 1)}


def test_a_healthy_fleet_reports_once_a_minute_and_in_order(well: Path) -> None:
    for stream, id_key in STREAMS.items():
        rows = [row for day in (1, 2) for row in readings(well, stream, day)]
        stamps = [row["timestamp"] for row in rows]
        assert stamps == sorted(stamps)
        assert set(Counter(row[id_key] for row in rows).values()) <= {2 * 1440 - 1, 2 * 1440}
        assert truth(well)["readings"][stream] == {"rows": len(rows), "duplicates": 0}
    assert truth(well)["faults"] == []


def test_late_readings_stand_where_they_arrive(ill: Path) -> None:
    """About two in a hundred, up to six hours: also some that the last day never sees, and which are left out."""
    skewed = {fault["deviceId"] for fault in truth(ill)["faults"] if fault["kind"] in ("clock_skew", "future_stamp")}
    for stream, id_key in STREAMS.items():
        rows = [row for row in readings(ill, stream, 2) if row[id_key] not in skewed]
        newest, behind = instant(rows[0]), []
        for row in rows:
            newest = max(newest, instant(row))
            behind.append(newest - instant(row))
        late = [by for by in behind if by > timedelta(seconds=120)]
        assert 0.013 < len(late) / len(rows) < 0.022
        assert timedelta(hours=5, minutes=30) < max(late) <= timedelta(hours=6, minutes=1)


def test_what_is_late_at_midnight_is_in_the_next_days_file(tmp_path: Path) -> None:
    record.write(tmp_path / "three", 12, 3, START, SEED, 2)
    midnight = datetime(2026, 1, 14, tzinfo=UTC)
    skewed = {fault.get("deviceId") for fault in truth(tmp_path / "three")["faults"]}
    evening, morning = (
        [instant(row) for row in readings(tmp_path / "three", "vehicles", day) if row["vehicleId"] not in skewed] for day in (2, 3)
    )
    assert max(evening) < midnight
    assert sum(midnight - at < timedelta(minutes=10) for at in evening[-100:]) > 90, "nothing of the next day stands at the end"
    carried = [midnight - at for at in morning if at < midnight]
    assert len(carried) > 10
    assert timedelta(hours=3) < max(carried) <= timedelta(hours=6)
    assert len(set(evening + morning)) > 0.9 * 1440 * 2


def test_about_one_in_a_hundred_comes_twice(ill: Path) -> None:
    for stream, id_key in STREAMS.items():
        times = Counter(tuple(row.items()) for row in readings(ill, stream, 2))
        assert max(times.values()) == 2
        assert len({(dict(row)[id_key], dict(row)["timestamp"]) for row in times}) == len(times), "a wrong stamp is never a right one"
        twice = sum(count == 2 for count in times.values())
        assert 0.007 < twice / len(times) < 0.013
        assert truth(ill)["readings"][stream]["duplicates"] == twice


def test_the_truth_lists_every_kind_with_its_instant(ill: Path) -> None:
    told = truth(ill)
    kinds = {"sick_charger", "resistance", "frozen_counter", "charges_elsewhere", "swapped_mapping", "clock_skew", "future_stamp"}
    assert {fault["kind"] for fault in told["faults"]} == kinds | {"site_outage"}
    begin, end = (datetime.fromisoformat(told[key]) for key in ("start", "end"))
    assert (begin, end) == (datetime(2026, 1, 12, tzinfo=UTC), datetime(2026, 1, 14, tzinfo=UTC))
    assert all(begin + timedelta(days=1) <= datetime.fromisoformat(fault["onset"]) < end for fault in told["faults"])
    assert told["wireFaultsSince"] == "2026-01-13T00:00:00+00:00"
    assert [vehicle["vehicleId"] for vehicle in told["vehicles"]] == [vehicle["vehicleId"] for vehicle in described(ill, "vehicles")]


def test_an_outage_leaves_a_hole_in_the_files_of_its_meters_and_no_other(ill: Path, well: Path) -> None:
    """Besides what was late at the end of the day."""
    outage = next(fault for fault in truth(ill)["faults"] if fault["kind"] == "site_outage")
    onset, end = (datetime.fromisoformat(outage[key]) for key in ("onset", "end"))
    during = [row["meterId"] for row in readings(ill, "meters", 2) if onset <= instant(row) < end]
    assert not set(during) & set(outage["meterIds"])
    assert len(set(during)) == FLEET - len(outage["meterIds"])
    there = [row for row in readings(ill, "meters", 2) if row["meterId"] in outage["meterIds"]]
    assert min(instant(row) for row in there if instant(row) >= end) - end < timedelta(minutes=2)


def test_healthy_vehicles_have_cold_days(well: Path) -> None:
    """Batteries below 12 °C that charge: what a dashboard must not take for a bad charger."""
    cold = {
        row["vehicleId"] for row in readings(well, "vehicles", 2) if float(row["batteryTemp"]) < 12.0 and float(row["kwhDeliveredDc"]) > 0
    }
    assert len(cold) >= FLEET / 8


# --------------------------------------------------------------------------------------------------------------- into a database


def load_descriptions(conn: psycopg.Connection, out: Path) -> None:
    """Sites, vehicles, meters and assignments, through the functions that the API uses."""
    for site in described(out, "sites"):
        devices.describe_site(conn, site["siteId"], site["name"], site["latitude"], site["longitude"], site["timeZone"])
    for vehicle in described(out, "vehicles"):
        devices.describe_vehicle(conn, vehicle["vehicleId"], vehicle["name"], vehicle["model"], vehicle["siteId"])
    for meter in described(out, "meters"):
        place = meter["siteId"], meter["latitude"], meter["longitude"]
        devices.describe_meter(conn, meter["meterId"], meter["name"], meter["ratedKw"], *place)
    who = Author("a test", "bulk")
    assign_file(conn, (out / "assignments.csv").read_bytes(), datetime.now(UTC), who, dry_run=False, accept_unknown=False)


@pytest.mark.slow
def test_the_importer_takes_every_row(ill: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)
    files = [str(file) for stream in STREAMS for file in sorted(ill.glob(f"{stream}-*.csv"))]
    result = CliRunner().invoke(db_main, ["import", *files, "--rejects", "rejects.csv"], env={"COLUMNS": "300"})
    assert result.exit_code == 0, result.output
    told = truth(ill)["readings"]
    with psycopg.connect(database_url) as conn:
        for stream, table in (("vehicles", "vehicle_history"), ("meters", "meter_history")):
            stored = conn.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert stored == (told[stream]["rows"] - told[stream]["duplicates"],)


def test_sites_devices_and_assignments_can_be_loaded(ill: Path, conn: psycopg.Connection) -> None:
    load_descriptions(conn, ill)
    counts = conn.execute("SELECT (SELECT count(*) FROM site), (SELECT count(*) FROM vehicle), (SELECT count(*) FROM meter)").fetchone()
    assert counts == (12, FLEET, FLEET)
    told = {vehicle["vehicleId"]: vehicle for vehicle in truth(ill)["vehicles"]}
    held = assignments.timelines(conn)
    assert {a.vehicle_id: a.meter_id for a in held} == {name: vehicle["meterId"] for name, vehicle in told.items()}
    assert all(a.valid_from is None for a in held)
    watts: dict[str, int] = dict(conn.execute("SELECT meter_id, rated_w FROM meter").fetchall())
    assert all(watts[v["meterId"]] == round(v["ratedKw"] * 1000) for v in told.values())


# ------------------------------------------------------------------------------------------------------------------- the command


def test_the_command_records_what_it_is_asked_for(tmp_path: Path) -> None:
    seed = str(random.randrange(1000))
    options = ["--vehicles", "2", "--days", "1", "--start", "2026-03-01", "--seed", seed, "--faults-from-day", "1"]
    result = CliRunner().invoke(main, ["record", "--out", str(tmp_path / "new" / "one"), *options])
    assert result.exit_code == 0, result.output
    assert readings(tmp_path / "new" / "one", "meters", 1)[0]["timestamp"].startswith("2026-03-01T00:00")
    assert truth(tmp_path / "new" / "one")["seed"] == int(seed)


@pytest.mark.parametrize("days", ["1", "7"])
def test_faults_cannot_begin_after_the_end(days: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["record", "--out", str(tmp_path / "out"), "--days", days])
    assert result.exit_code == 1
    assert "no day 8" in result.output
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    result = CliRunner().invoke(main, ["record", "--out", str(tmp_path), "--vehicles", "1", "--days", "1", "--healthy"])
    assert result.exit_code == 1
    assert "not empty" in result.output
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
