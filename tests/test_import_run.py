"""Backfill stores every reading once, however often it is interrupted, and says what it refused."""

import csv
import gzip
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from api.importing import run, writers
from api.importing.csv_files import CsvFile
from api.importing.rows import Rejected, columns_of
from api.importing.writers import Job, Writers
from api.schemas import VEHICLE_WIRE, Clock
from db import cli, ingest, rollups
from db.sides import SIDES, VEHICLE

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)
CLOCK = Clock.at(NOW, 300, None)
HEADER = "vehicleId,soc,kwhDeliveredDc,batteryTemp,timestamp"
VANS, MINUTES = 8, 60


def line(van: int, minute: int, kwh: str = "0.1") -> str:
    return f"van-{van},41,{kwh},,{NOW - timedelta(hours=2) + timedelta(minutes=minute):%Y-%m-%dT%H:%M:%SZ}"


def fleet_file(file: Path) -> Path:
    """An hour of eight vans in the order of time, two rows of which are wrong."""
    rows = [line(van, minute) for minute in range(MINUTES) for van in range(VANS)]
    rows[100], rows[400] = line(4, 12, "-1"), line(0, 50, "")
    file.write_text("\n".join([HEADER, *rows, ""]))
    return file


def stored(database_url: str) -> list[Any]:
    """Everything that an import changes, less the time of receipt."""
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        tables = ["SELECT vehicle_id, recorded_at, dc_milliwh, soc_centi_pct FROM vehicle_history ORDER BY 1, 2"]
        tables += ["SELECT * FROM vehicle_rollup ORDER BY 1, 2", "SELECT vehicle_id, recorded_at, dc_milliwh FROM live_vehicle ORDER BY 1"]
        return [conn.execute(table).fetchall() for table in tables]


def imported(database_url: str, file: Path, interrupt_after: int | None = None, block_bytes: int = 2000) -> run.Tally:
    """An import of one CSV file in small chunks, which stops as if killed after some of them."""
    chunks = iter(range(10_000))

    def progress(_tally: run.Tally, _advanced: int) -> None:
        if next(chunks) == interrupt_after:
            raise KeyboardInterrupt

    with psycopg.connect(database_url) as conn:
        with Writers(database_url, now=lambda: NOW) as two:
            (tally,) = run.begin(conn, [(file, CsvFile(file, block_bytes))], two.count, NOW, again=False)
            run.import_file(tally, two, lambda: CLOCK, lambda _file, _rejected: None, progress)
        run.end(conn, [tally])
    return tally


def counts(tally: run.Tally) -> tuple[int, ...]:
    return (tally.readings, tally.accepted, tally.duplicates, tally.conflicts, tally.rejected)


def test_a_second_import_finds_only_duplicates(database_url: str, tmp_path: Path) -> None:
    file = fleet_file(tmp_path / "fleet.csv")
    assert counts(imported(database_url, file)) == (480, 478, 0, 0, 2)
    once = stored(database_url)
    assert counts(imported(database_url, file)) == (480, 0, 478, 0, 2)
    assert stored(database_url) == once
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        assert [rollups.mismatches(conn, side, NOW - timedelta(days=1), NOW) for side in SIDES] == [0, 0]


@pytest.mark.parametrize("interrupt_after", [0, 1, 4, 7])
def test_an_interrupted_import_goes_on_and_counts_everything_once(database_url: str, tmp_path: Path, interrupt_after: int) -> None:
    file = fleet_file(tmp_path / "fleet.csv")
    with pytest.raises(KeyboardInterrupt):
        imported(database_url, file, interrupt_after)
    begun = len(stored(database_url)[0])
    assert 0 < begun < 478
    tally = imported(database_url, file, block_bytes=777)
    assert tally.goes_on
    assert counts(tally) == (480, 478, 0, 0, 2)
    assert tally.codes == {"out_of_range": 1, "missing_field": 1}
    assert len(stored(database_url)[0]) == 478


def test_writers_that_stopped_at_different_places_go_on_each_from_its_own(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = fleet_file(tmp_path / "fleet.csv")
    put = Writers.put

    def put_but_one(self: Writers, number: int, job: Job) -> None:
        if number == 0 or len(done) < 3:
            done.append(number)
            put(self, number, job)

    done: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(Writers, "put", put_but_one)
        with pytest.raises(KeyboardInterrupt):
            imported(database_url, file, 5)
    tally = imported(database_url, file)
    assert len(set(tally.resumed)) == 2
    assert counts(tally) == (480, 478, 0, 0, 2)


def test_of_a_damaged_file_the_readable_part_is_imported(database_url: str, tmp_path: Path) -> None:
    chance = random.Random(1)
    text = "\n".join([HEADER, *(line(n % 7, n // 7, f"{chance.random():.6f}") for n in range(5000))])
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(text.encode())[:-5000])
    tally = imported(database_url, tmp_path / "cut.csv.gz")
    assert "end-of-stream" in str(tally.error)
    assert 0 < tally.accepted == len(stored(database_url)[0]) < 5000


def test_another_file_under_the_same_name_begins_anew(database_url: str, tmp_path: Path) -> None:
    file = fleet_file(tmp_path / "fleet.csv")
    with pytest.raises(KeyboardInterrupt):
        imported(database_url, file, 4)
    file.write_text("\n".join([HEADER, line(1, 0), line(99, 0)]))
    tally = imported(database_url, file)
    assert (tally.goes_on, counts(tally)) == (False, (2, 1, 1, 0, 0))


def test_the_first_of_two_rows_with_one_key_stays(database_url: str, tmp_path: Path) -> None:
    """Also when the first one is so unusual that it is judged alone."""
    file = tmp_path / "x.csv"
    file.write_text("\n".join([HEADER, line(1, 0, " 0.1 "), line(1, 0, "0.2"), line(1, 0), line(2, 0)]))
    assert counts(imported(database_url, file)) == (4, 2, 1, 1, 0)
    assert [row[2] for row in stored(database_url)[0]] == [100_000, 100_000]


def test_readings_of_more_days_than_a_transaction_may_lock_are_stored_in_halves(database_url: str) -> None:
    at = [int((NOW - timedelta(days=n)).timestamp()) * 1_000_000 for n in (3, 0, 2, 1, 0)]
    columns = columns_of(VEHICLE_WIRE, [("van-7", instant, 5, None, None, None, None) for instant in at])
    remembered: list[list[int]] = []
    writer = writers._Writer(database_url, 0.0, lambda: NOW)
    writer._in_halves(Job(VEHICLE, columns, lambda _conn, outcomes, _now: remembered.append(outcomes.tolist())))
    writer._hang_up()
    assert remembered == [[0, 0, 0, 0, 1]]
    assert len(stored(database_url)[0]) == 4


def test_days_that_a_person_dropped_take_no_more(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url) as conn:
        conn.execute("INSERT INTO history_day (day, created_at, was_old, dropped_at) VALUES ('2026-02-03', %s, true, %s)", (NOW, NOW))
    file = tmp_path / "x.csv"
    file.write_text("\n".join([HEADER, line(1, -15 * 60), line(1, 0), line(2, -16 * 60)]))
    tally = imported(database_url, file)
    assert (counts(tally), tally.codes) == ((3, 1, 0, 0, 2), {"timestamp_out_of_range": 2})
    assert sorted(fault.line for fault in tally.samples["timestamp_out_of_range"]) == [2, 4]


def test_a_writer_that_fails_is_heard_of(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url) as conn:
        conn.execute("ALTER TABLE live_vehicle ADD COLUMN unknown integer NOT NULL")
    with pytest.raises(writers.NotStored, match="not-null"):
        imported(database_url, fleet_file(tmp_path / "fleet.csv"))


def test_a_device_has_the_same_writer_in_every_run_and_both_have_work() -> None:
    names = [f"veh-{n:05d}" for n in range(1000)]
    share = writers.shares(names, 2)
    assert 400 < int(share.sum()) < 600
    assert np.array_equal(writers.shares(names[::-1], 2)[::-1], share)


# -------------------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def command(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: object) -> Result:
        return CliRunner().invoke(cli.main, ["import", *map(str, arguments)], env={"COLUMNS": "200"})

    return run_it


def table_row(result: Result, file: str) -> list[str]:
    """The counts in a file's line of the report."""
    return next(words[1:] for words in map(str.split, result.output.splitlines()) if len(words) == 6 and words[0] == file)


def test_the_command_reports_what_it_refused_and_why(command: Any, tmp_path: Path) -> None:
    fleet_file(tmp_path / "fleet.csv")
    result = command("fleet.csv", "--rejects", "rejects.csv")
    assert result.exit_code == 3
    assert table_row(result, "fleet.csv") == ["480", "478", "0", "0", "2"]
    assert "fleet.csv:102: /kwhDeliveredDc kwhDeliveredDc is 0 to 50 kWh" in result.output
    rejects = list(csv.DictReader((tmp_path / "rejects.csv").read_text().splitlines()))
    assert [(row["line"], row["code"], row["pointer"]) for row in rejects] == [
        ("102", "out_of_range", "/kwhDeliveredDc"),
        ("402", "missing_field", "/kwhDeliveredDc"),
    ]


def test_the_command_takes_gzip_and_parquet_and_finds_the_same_readings(command: Any, database_url: str, tmp_path: Path) -> None:
    good = [line(van, minute) for minute in range(3) for van in range(VANS)]
    text = "\n".join([HEADER, *good]).encode()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text))
    table = pa.csv.read_csv(pa.BufferReader(text))
    pa.parquet.write_table(table.set_column(3, "batteryTemp", table["batteryTemp"].cast(pa.float64())), tmp_path / "b.parquet")
    assert command("a.csv.gz").exit_code == 0
    result = command("b.parquet")
    assert (result.exit_code, table_row(result, "b.parquet")) == (0, ["24", "0", "24", "0", "0"])


def test_a_file_that_cannot_be_used_is_named_and_the_others_are_imported(command: Any, tmp_path: Path) -> None:
    fleet_file(tmp_path / "fleet.csv")
    (tmp_path / "torn.csv").write_text("vehicleId,soc\nvan-9,41\n")
    result = command("torn.csv", "fleet.csv")
    assert result.exit_code == 2
    assert "torn.csv: column kwhDeliveredDc and batteryTemp and timestamp missing" in result.output
    assert table_row(result, "fleet.csv") == ["480", "478", "0", "0", "2"]


def test_the_tests_own_recordings_are_imported(command: Any, project: Path) -> None:
    result = command(*sorted((project / "tests" / "data").glob("*.csv")), "--gently")
    assert result.exit_code == 3
    assert "vehicle.csv:5: /kwhDeliveredDc kwhDeliveredDc is missing" in result.output


def test_a_database_that_is_away_is_said_in_a_line(command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@/nothing?host={tmp_path}")
    result = command(fleet_file(tmp_path / "fleet.csv"))
    assert result.exit_code == 1
    assert "the database cannot be used" in result.output


def test_rejected_rows_are_written_once_by_an_import_that_goes_on(tmp_path: Path) -> None:
    from db.cli_import import _sink

    file, fault, other = tmp_path / "rejects.csv", Rejected(2, "out_of_range", "/soc", "soc is …"), Rejected(9, "conflict", "", "…")
    with _sink(file, goes_on=False) as sink:
        sink(Path("x.csv"), [fault])
    with _sink(file, goes_on=True) as sink:
        sink(Path("x.csv"), [fault, other])
    assert [row["line"] for row in csv.DictReader(file.read_text().splitlines())] == ["2", "9"]


@pytest.mark.slow
def test_kill_9_in_the_middle_loses_and_doubles_nothing(database_url: str, tmp_path: Path, project: Path) -> None:
    vans, minutes = 200, 1440
    rows = [line(van, minute - 1320) for minute in range(minutes) for van in range(vans)]
    (tmp_path / "fleet.csv").write_text("\n".join([HEADER, *rows]))
    again = [sys.executable, "-m", "db", "import", str(tmp_path / "fleet.csv")]
    environment = {**os.environ, "DATABASE_URL": database_url, "COLUMNS": "200"}
    process = subprocess.Popen(again, cwd=project, env=environment, stdout=subprocess.DEVNULL)
    with psycopg.connect(database_url, autocommit=True) as conn:
        while not conn.execute("SELECT 1 FROM import_progress WHERE accepted > 0").fetchone():
            assert process.poll() is None
            time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    begun = len(stored(database_url)[0])
    assert 0 < begun < vans * minutes
    said = subprocess.run(again, cwd=project, env=environment, capture_output=True, text=True, check=True).stdout
    assert "going on after" in said
    assert "288,000    288,000            0" in said
    assert len(stored(database_url)[0]) == vans * minutes
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        assert rollups.mismatches(conn, VEHICLE, NOW - timedelta(days=2), NOW + timedelta(hours=3)) == 0


def test_what_was_imported_is_what_was_posted(database_url: str, tmp_path: Path) -> None:
    imported(database_url, fleet_file(tmp_path / "fleet.csv"))
    found = stored(database_url)
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        conn.execute("TRUNCATE vehicle_history, vehicle_rollup, live_vehicle")
        at = {
            (van, n): int((NOW - timedelta(hours=2) + timedelta(minutes=n)).timestamp()) * 10**6
            for van in range(VANS)
            for n in range(MINUTES)
        }
        for bad in ((4, 12), (0, 50)):
            at.pop(bad)
        readings: list[ingest.Reading] = [(f"van-{van}", us, 100_000, 4100, None, None, None) for (van, _), us in at.items()]
        ingest.store(conn, VEHICLE, readings, NOW)
    assert stored(database_url) == found
