"""A backup holds everything that was answered before it began, and nobody takes a broken one for a whole one."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

import config
from dashboard.__main__ import CannotStart, open_database
from db import backup, backup_files, cli, ingest, partitions, restore, retention, schema
from db.backup_files import BadBackup, Manifest, Piece
from db.sides import SIDES, VEHICLE
from tests.keeping_support import MIDNIGHT, reading, writing
from tests.support import fresh_database

NOW = MIDNIGHT + timedelta(days=30)
MINUTES_A_DAY = 1440
SECRET = b"S3cret" * 5 + b"ab"


@pytest.fixture
def new_url(postgres_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database without any table beside the test's own."""
    with fresh_database(postgres_url, "template0", f"new_{request.node.name}") as url:
        yield url


def connect(url: str) -> Any:
    return psycopg.connect(url, autocommit=True, options=backup.OPTIONS)


def take(url: str, folder: Path, **how: Any) -> backup.Taken:
    with connect(url) as conn:
        return backup.take(conn, folder, lambda: NOW, lambda _: None, **how)


def bring_back(url: str, folder: Path, **how: Any) -> restore.Restored:
    with connect(url) as conn:
        return restore.restore(conn, url, folder, lambda: NOW, lambda _: None, **how)


@contextmanager
def filled(url: str, readings: int = 50, days: tuple[int, ...] = (0, 1, 2)) -> Iterator[Any]:
    """Some days of some devices with everything that happens to them: midnights, a gap, positions, late readings."""
    with psycopg.connect(url, options="-c TimeZone=UTC") as conn:
        partitions.ensure(conn, [(MIDNIGHT + timedelta(days=n)).date() for n in (-1, *days)], MIDNIGHT)
        for side in SIDES:
            for n in days:
                rows = [
                    reading(side, f"dev-{d}", n * MINUTES_A_DAY + m * 20, 1_000 * m, (525_000_000, 134_000_000) if d % 2 else (None, None))
                    for d in range(6)
                    for m in range(readings)
                ]
                ingest.store(conn, side, rows, MIDNIGHT)
        conn.execute("INSERT INTO site (site_id, name) VALUES ('depot', 'A depot with \"quotes\",\ta tab,\n a line and \\N')")
        conn.execute("INSERT INTO vehicle (vehicle_id, name, site_id) VALUES ('dev-1', 'van', 'depot')")
        conn.execute("INSERT INTO fleet_mapping VALUES (%s, %s)", ("dev-1", "dev-2"))
        conn.execute("INSERT INTO audit (at, by, action, subject) VALUES (now(), 'Ada', 'test', 'one'), (now(), 'Ada', 'test', 'two')")
        conn.commit()
        yield conn


def contents(url: str) -> dict[str, list[str]]:
    """Everything in the database but what a restore leaves to the server: which days are small."""
    with connect(url) as conn:
        tables = [*backup.plain_tables(conn), *partitions.PARENTS]
        found = {table: sorted(str(row) for row in conn.execute(f"SELECT t::text FROM {table} t").fetchall()) for table in tables}
        found["history_day"] = [
            str(row) for row in conn.execute("SELECT day, created_at, was_old, dropped_at FROM history_day ORDER BY day")
        ]
        return found


def test_c16_a_restored_database_holds_what_was_backed_up(database_url: str, new_url: str, tmp_path: Path) -> None:
    with filled(database_url):
        taken = take(database_url, tmp_path)
    restored = bring_back(new_url, tmp_path)
    assert (restored.readings, restored.days, restored.mended, restored.differences) == (2 * 3 * 6 * 50, 4, 0, [])
    assert contents(new_url) == contents(database_url)
    again = take(new_url, tmp_path / "again").manifest
    sums = [{p.name: (p.rows, p.content_sha256) for p in m.pieces if p.day} for m in (taken.manifest, again)]
    assert sums[0] == sums[1]
    with connect(new_url) as conn:  # numbers that the database gives go on
        conn.execute("INSERT INTO audit (at, by, action, subject) VALUES (now(), 'Ada', 'test', 'three')")


def test_every_table_is_in_a_backup_or_named_as_left_out(database_url: str, tmp_path: Path) -> None:
    tables = {piece.table for piece in take(database_url, tmp_path).manifest.pieces}
    with connect(database_url) as conn:
        every = {
            row[0]
            for row in conn.execute(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND NOT relispartition"
            )
        }
    assert every - tables == {*partitions.PARENTS, "alembic_version", "import_progress"}


def test_c16_what_was_answered_before_a_backup_is_in_it_while_readings_come_in(
    database_url: str, new_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_AT_ONCE", 100)  # a day in 24 statements, each with a snapshot of its own
    with filled(database_url) as conn, writing(database_url, 2) as waits:
        wait_for(lambda: conn.execute("SELECT count(*) FROM vehicle_history").fetchone()[0] > 1_000 or conn.rollback())
        conn.rollback()
        before = {side: conn.execute(f"SELECT {side.key}, recorded_at FROM {side.history}").fetchall() for side in SIDES}
        conn.rollback()
        taken = take(database_url, tmp_path)
    assert len(waits) > 0
    restored = bring_back(new_url, tmp_path)
    assert (restored.mended, restored.differences) == (0, [])
    assert any(piece.slices == 24 for piece in taken.manifest.pieces)
    with connect(new_url) as conn, connect(database_url) as origin:
        for side in SIDES:
            keys = f"SELECT {side.key}, recorded_at FROM {side.history}"
            stored = set(conn.execute(keys).fetchall())
            assert set(before[side]) <= stored <= set(origin.execute(keys).fetchall())


def wait_for(condition: Any, most_s: float = 30) -> None:
    ends = time.monotonic() + most_s
    while not condition():
        assert time.monotonic() < ends, "it did not come to that"
        time.sleep(0.02)


def test_the_next_backup_reads_only_days_that_changed(database_url: str, tmp_path: Path) -> None:
    with filled(database_url) as conn:
        first = take(database_url, tmp_path)
        plain = len([piece for piece in first.manifest.pieces if piece.day is None])
        assert take(database_url, tmp_path).read_anew == plain
        ingest.store(conn, VEHICLE, [reading(VEHICLE, "dev-1", 7)], MIDNIGHT)
        conn.commit()
    second = take(database_url, tmp_path)
    assert second.read_anew == plain + 1
    names = {path.name for path in (tmp_path / "pieces").iterdir()}
    assert names == {piece.file for piece in second.manifest.pieces}
    assert take(database_url, tmp_path, full=True).read_anew == len(second.manifest.pieces)


def test_a_backup_of_another_database_is_not_taken_for_this_ones(database_url: str, new_url: str, tmp_path: Path) -> None:
    with filled(database_url):
        first = take(database_url, tmp_path)
    bring_back(new_url, tmp_path)
    assert take(new_url, tmp_path).read_anew == len(first.manifest.pieces)


def test_sums_of_dropped_days_are_kept(database_url: str, new_url: str, tmp_path: Path) -> None:
    with filled(database_url), connect(database_url) as person:
        retention.drop(person, (MIDNIGHT + timedelta(days=2)).date(), NOW)
    take(database_url, tmp_path)
    restored = bring_back(new_url, tmp_path)
    assert (restored.readings, restored.differences) == (2 * 6 * 50, [])
    assert contents(new_url) == contents(database_url)
    assert partitions_begin(new_url) == (MIDNIGHT + timedelta(days=2)).date()


def partitions_begin(url: str) -> Any:
    with connect(url) as conn:
        return partitions.begins(conn)


def test_days_that_are_dropped_meanwhile_make_no_backup(database_url: str, tmp_path: Path) -> None:
    with filled(database_url), connect(database_url) as conn:

        def drop(line: str) -> None:
            if line.startswith("vehicle_history 2026-02-05"):
                with connect(database_url) as person:
                    retention.drop(person, (MIDNIGHT + timedelta(days=1)).date(), NOW)

        with pytest.raises(BadBackup, match="days were dropped"):
            backup.take(conn, tmp_path, lambda: NOW, drop)
        with pytest.raises(BadBackup, match="holds no complete backup; one was begun"):
            backup_files.read_manifest(tmp_path)
        backup.take(conn, tmp_path, lambda: NOW, lambda _: None)


@pytest.fixture
def whole(database_url: str, tmp_path: Path) -> tuple[Path, Manifest]:
    with filled(database_url, readings=5, days=(0,)):
        return tmp_path / "kept", take(database_url, tmp_path / "kept").manifest


def a_day(manifest: Manifest) -> Piece:
    return next(piece for piece in manifest.of("meter_history") if piece.rows)


def test_every_flipped_byte_of_a_file_is_found(whole: tuple[Path, Manifest], new_url: str) -> None:
    folder, manifest = whole
    path = folder / "pieces" / a_day(manifest).file
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert backup_files.damaged(folder, manifest) == [a_day(manifest)]
    with pytest.raises(BadBackup, match="1 files are missing or damaged"):
        bring_back(new_url, folder)
    for broken in (content[:-1], b""):
        path.write_bytes(broken)
        with pytest.raises(BadBackup, match="not what was written"):
            list(backup_files.read_piece(folder, a_day(manifest)))
    with connect(new_url) as conn:
        assert backup.plain_tables(conn) == []  # nothing was touched


def test_a_changed_manifest_is_found(whole: tuple[Path, Manifest]) -> None:
    path = whole[0] / "manifest.json"
    told = path.read_text()
    for wrong in (told.replace('"rows": 30', '"rows": 31'), told[:-20], "", "[]", '{"format": 1}'):
        path.write_text(wrong)
        with pytest.raises(BadBackup, match=r"damaged|cannot be read"):
            backup_files.read_manifest(whole[0])


def test_a_backup_of_another_format_or_of_a_newer_schema_says_so(whole: tuple[Path, Manifest], new_url: str) -> None:
    folder, manifest = whole
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 0}))
    with pytest.raises(BadBackup, match="format 0, this version reads format 1"):
        bring_back(new_url, folder)
    backup_files.write_manifest(folder, Manifest(manifest.began_at, "", "", "9999", manifest.pieces), finished=True)
    with pytest.raises(BadBackup, match="made by a newer version"):
        bring_back(new_url, folder)


def test_a_backup_of_an_older_schema_is_brought_to_this_one(empty_database_url: str, new_url: str, tmp_path: Path) -> None:
    schema.migrate(empty_database_url, schema.revisions()[-3])
    with connect(empty_database_url) as conn:
        conn.execute("INSERT INTO site (site_id, name) VALUES ('depot', 'old')")
    take(empty_database_url, tmp_path)
    assert bring_back(new_url, tmp_path).differences == []
    with connect(new_url) as conn:
        assert backup.schema_of(conn) == schema.revisions()[-1]
        assert conn.execute("SELECT name FROM site").fetchone() == ("old",)


def test_only_its_owner_can_read_a_backup(whole: tuple[Path, Manifest]) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in whole[0].rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert stat.S_IMODE(whole[0].stat().st_mode) == 0o700


def test_two_backups_into_one_folder_exclude_each_other(whole: tuple[Path, Manifest], database_url: str) -> None:
    with backup_files.alone(whole[0]), pytest.raises(BadBackup, match="another process"):
        take(database_url, whole[0])


def test_a_database_that_is_not_empty_or_in_use_is_left_alone(whole: tuple[Path, Manifest], database_url: str) -> None:
    before = contents(database_url)
    with pytest.raises(restore.NotRestored, match="not empty"):
        bring_back(database_url, whole[0])
    with psycopg.connect(database_url, application_name="voltledger-write"), pytest.raises(restore.NotRestored, match="in use"):
        bring_back(database_url, whole[0], replace=True)
    assert contents(database_url) == before
    with connect(database_url) as conn:
        conn.execute("DELETE FROM vehicle")
    assert bring_back(database_url, whole[0], replace=True).differences == []
    assert contents(database_url) == before


# ---------------------------------------------------------------------------------------------------- killed in the middle

CHILD = """
import os, sys
from db import cli_backup  # not db.cli: it takes seconds to load
{"backup": cli_backup.take, "restore": cli_backup.bring_back}[sys.argv[1]].main(sys.argv[2:], obj=lambda: os.environ["DATABASE_URL"])
"""


def killed(command: list[str], url: str, when: Any) -> int:
    """Run the command as a process of its own and kill it as soon as `when(line)` of what it says."""
    environment = {**os.environ, "DATABASE_URL": url, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([sys.executable, "-c", CHILD, *command], stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr
    with process, process.stderr as said:
        for line in said:
            if when(line):
                process.send_signal(signal.SIGKILL)
                break
        return process.wait(60)


def test_c16_a_backup_killed_in_the_middle_leaves_the_one_before_and_goes_on(database_url: str, new_url: str, tmp_path: Path) -> None:
    with filled(database_url) as conn:
        first = take(database_url, tmp_path).manifest
        for side in SIDES:
            ingest.store(conn, side, [reading(side, "dev-1", n * MINUTES_A_DAY + 7) for n in range(3)], MIDNIGHT)
        conn.commit()
    command = ["backup", str(tmp_path)]
    assert (
        killed(command, database_url, lambda line: "meter_history 2026-02-05" in line or "meter_history 2026-02-06" in line)
        == -signal.SIGKILL
    )
    assert backup_files.read_manifest(tmp_path) == first
    assert backup_files.damaged(tmp_path, first) == []
    second = take(database_url, tmp_path)
    plain = len([piece for piece in second.manifest.pieces if piece.day is None])
    assert second.read_anew < plain + 6  # some days were read before the kill
    assert bring_back(new_url, tmp_path).readings == 2 * 3 * (6 * 50 + 1)


@pytest.mark.parametrize("at", ["vehicle_history 2026-02-05", "meter_rollup 2026-02-04"])
def test_c16_a_restore_killed_in_the_middle_is_known_as_unfinished_and_goes_on(
    at: str, database_url: str, new_url: str, tmp_path: Path
) -> None:
    with filled(database_url):
        take(database_url, tmp_path)
    assert killed(["restore", str(tmp_path)], new_url, lambda line: at in line) == -signal.SIGKILL
    with pytest.raises(CannotStart, match="a restore of this database did not come to its end"), contextlib.ExitStack() as tree:
        open_database(config.Settings(_env_file=None, DATABASE_URL=new_url), tree)
    said: list[str] = []
    with connect(new_url) as conn:
        wait_for(lambda: not _others(conn))
        restored = restore.restore(conn, new_url, tmp_path, lambda: NOW, said.append)
    assert restored.differences == []
    assert not any(at in line for line in said[:1])
    assert contents(new_url) == contents(database_url)
    schema.migrate(new_url)


def _others(conn: Any) -> int:
    row = conn.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").fetchone()
    return int(row[0])


# ---------------------------------------------------------------------------------------------------------- on the command line


def command(url: str, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.setenv("DATABASE_URL", url)
    return CliRunner().invoke(cli.main, list(words))


def test_the_commands_say_whether_it_is_whole_and_show_no_secret(
    database_url: str, new_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(tmp_path / "kept")
    with filled(database_url, readings=5, days=(0,)) as conn:
        conn.execute(
            "INSERT INTO device_key (key_id, name, rights, binding, secret_hash, created_at, created_by, version) VALUES ('k', 'k', '{write}', 'gateway', %s, now(), 'Ada', 1)",
            (SECRET,),
        )
        conn.commit()
    missing = command(database_url, monkeypatch, "backup", folder, "--verify")
    assert (missing.exit_code, "holds no complete backup" in missing.output) == (1, True)
    said = [command(database_url, monkeypatch, "backup", folder), command(database_url, monkeypatch, "backup", folder, "--verify")]
    said.append(command(new_url, monkeypatch, "restore", folder))
    assert [one.exit_code for one in said] == [0, 0, 0], [one.output for one in said]
    assert "complete, as of" in said[0].output
    assert "whole, as of" in said[1].output
    assert "restored and proved: 60 readings" in said[2].output
    secret = SECRET.hex()
    assert not any(word in one.output for one in said for word in ("S3cret", secret, database_url))
    again = command(new_url, monkeypatch, "restore", folder)
    assert (again.exit_code, "not empty" in again.output, "not restored" in again.output) == (1, True, True)
