"""`python -m db assign` does what the API's bulk form does, and says it to people."""

import getpass
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from db.assignment_changes import recorded
from db.cli_assign import assign


def run(url: str, file: Path, *options: str) -> Result:
    return CliRunner(env={"COLUMNS": "140"}).invoke(assign, [str(file), *options], obj=lambda: url)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "moves.csv"
    made.write_text("vehicle_id;meter_id;from\nvan-7;depot-2;2020-01-01T00:00:00Z\nvan-8;depot-3;\n")
    return made


def test_a_dry_run_shows_the_changes_and_the_run_makes_them(database_url: str, conn: psycopg.Connection, file: Path) -> None:
    conn.execute("INSERT INTO fleet_mapping VALUES ('van-7', 'depot-1')")
    conn.commit()
    tried = run(database_url, file, "--dry-run", "--unknown", "accept")
    assert (tried.exit_code, len(recorded(conn))) == (0, 1)
    conn.rollback()
    done = run(database_url, file, "--unknown", "accept", "--note", "they moved")
    assert (done.exit_code, done.output.partition("Done.")[0]) == (0, tried.output.partition("Nothing")[0])
    shown = [line.split() for line in done.output.splitlines()]
    assert ["2", "van-7", "2020-01-01", "00:00:00Z", "depot-1", "depot-2", "corrects", "the", "past"] in shown
    assert ["3", "van-8", "always", "none", "depot-3"] in shown
    assert "2 rows: 1 first, 0 changed, 1 corrected, 0 unchanged." in done.output
    assert {(one.changed_by, one.via, one.note) for one in recorded(conn, limit=2)} == {(getpass.getuser(), "cli", "they moved")}


def test_bad_rows_are_named_and_nothing_is_done(database_url: str, conn: psycopg.Connection, file: Path) -> None:
    got = run(database_url, file)
    assert got.exit_code == 1
    assert f"{file}:2: vehicle_id: the vehicle van-7 was never reported" in got.output
    assert f"{file}:3: meter_id: the meter depot-3" in got.output
    file.write_text("vehicle_id\nvan-7\n")
    assert f"{file}:1: meter_id: the column meter_id is missing" in run(database_url, file).output
    assert recorded(conn) == []


def test_a_database_that_is_away_is_said_plainly(file: Path) -> None:
    got = run("postgresql://nobody@127.0.0.1:1/none", file)
    assert (got.exit_code, "Nothing is changed." in got.output) == (1, True)
