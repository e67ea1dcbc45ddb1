"""`python -m db verify`: says what differs between history, live rows, rollups and days, and mends it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from db import cli, ingest, mending, partitions, retention, verify
from db.ingest import Reading
from db.sides import METER, SIDES, VEHICLE, Side
from db.verify import Difference
from tests import keeping_support
from tests.keeping_support import MIDNIGHT as START
from tests.keeping_support import writing

END = START + timedelta(hours=2)


def reading(side: Side, device_id: str, minute: int, placed: bool = False) -> Reading:
    """A reading so many minutes after midnight, with a position if asked."""
    return keeping_support.reading(side, device_id, minute, position=(525_000_000 + minute, 134_000_000) if placed else (None, None))


@pytest.fixture
def db(database_url: str) -> Iterator[Any]:
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        partitions.ensure(conn, [date(2026, 2, 3), date(2026, 2, 4)], START)
        for side in SIDES:
            ingest.store(conn, side, [reading(side, f"dev-{d}", m, m % 10 == 0) for d in range(3) for m in range(-20, 50)], START)
        conn.commit()
        yield conn


def found(conn: Any, start: datetime | None = START - timedelta(hours=1), end: datetime | None = END) -> list[Difference]:
    return list(verify.differences(conn, start, end))


def test_what_came_in_by_the_door_agrees(db: Any) -> None:
    assert found(db) == []
    assert found(db, None, None) == []


QUARTER = datetime(2026, 2, 4, 0, 15, tzinfo=UTC)
NEWEST = datetime(2026, 2, 4, 0, 49, tzinfo=UTC)
WRONG: dict[str, tuple[str, list[Difference]]] = {
    "a missing quarter": (
        "DELETE FROM vehicle_rollup WHERE vehicle_id = 'dev-1' AND bucket = '2026-02-04 00:15+00'",
        [Difference("rollup", "vehicle", "dev-1", QUARTER, "missing")],
    ),
    "an extra quarter": (
        "UPDATE meter_rollup SET bucket = '2026-02-04 01:30+00' WHERE meter_id = 'dev-1' AND bucket = '2026-02-04 00:15+00'",
        [
            Difference("rollup", "meter", "dev-1", QUARTER, "missing"),
            Difference("rollup", "meter", "dev-1", QUARTER + timedelta(minutes=75), "extra"),
        ],
    ),
    "columns": (
        "UPDATE vehicle_rollup SET dc_milliwh = dc_milliwh + 1, soc_centi_pct_min = NULL WHERE vehicle_id = 'dev-1' AND bucket = '2026-02-04 00:15+00'",
        [Difference("rollup", "vehicle", "dev-1", QUARTER, "different", ("dc_milliwh", "soc_centi_pct_min"))],
    ),
    "no live row": ("DELETE FROM live_meter WHERE meter_id = 'dev-2'", [Difference("live", "meter", "dev-2", NEWEST, "no live row")]),
    "live values": (
        "UPDATE live_vehicle SET soc_centi_pct = 1, previous_at = NULL WHERE vehicle_id = 'dev-0'",
        [Difference("live", "vehicle", "dev-0", NEWEST, "not what history says", ("soc_centi_pct", "previous_at"))],
    ),
    "a live row of the future": (
        "UPDATE live_vehicle SET recorded_at = recorded_at + interval '7 s' WHERE vehicle_id = 'dev-0'",
        [Difference("live", "vehicle", "dev-0", NEWEST + timedelta(seconds=7), "no such reading in history")],
    ),
    "a position": (
        "UPDATE live_meter SET latitude_e7 = 0 WHERE meter_id = 'dev-0'",
        [Difference("live", "meter", "dev-0", NEWEST, "not what history says", ("latitude_e7",))],
    ),
    "a position of an instant without one": (
        "UPDATE live_meter SET position_at = '2026-02-04 00:41:01+00' WHERE meter_id = 'dev-0'",
        [Difference("live", "meter", "dev-0", NEWEST, "not what history says", ("position_at", "latitude_e7", "longitude_e7"))],
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_somebody_changed_is_named_exactly_and_mended(db: Any, database_url: str, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    statement, expected = WRONG[wrong]
    before = [db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in ("vehicle_rollup", "meter_rollup")]
    db.execute(statement)
    db.commit()
    assert found(db) == expected
    assert verified(database_url, monkeypatch, "--repair").exit_code == 0
    assert found(db) == []
    assert [db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in ("vehicle_rollup", "meter_rollup")] == before


def test_live_rows_that_are_behind_are_named_once_a_piece_of_history_and_mended(db: Any) -> None:
    db.execute(
        """UPDATE live_vehicle l SET recorded_at = h.recorded_at, received_at = h.received_at, previous_at = '2026-02-04 00:09+00', position_at = h.recorded_at,
           latitude_e7 = h.latitude_e7 FROM vehicle_history h WHERE h.vehicle_id = l.vehicle_id AND h.recorded_at = '2026-02-04 00:10+00' AND l.vehicle_id = 'dev-2'"""
    )
    db.commit()
    assert found(db) == [Difference("live", "vehicle", "dev-2", NEWEST, "not the newest reading")]
    mending.mend_live(db, VEHICLE, ["dev-2"], lambda: END)
    assert found(db) == []
    assert db.execute("SELECT late_at, position_at, previous_at FROM live_vehicle WHERE vehicle_id = 'dev-2'").fetchone() == (
        END,
        datetime(2026, 2, 4, 0, 40, tzinfo=UTC),
        NEWEST - timedelta(minutes=1),
    )


def test_a_live_row_that_history_knows_nothing_of_goes(db: Any) -> None:
    db.execute("UPDATE live_meter SET meter_id = 'ghost' WHERE meter_id = 'dev-1'")
    db.commit()
    assert [(d.device_id, d.what) for d in found(db)] == [("dev-1", "no live row"), ("ghost", "no such reading in history")]
    mending.mend_live(db, METER, ["ghost", "dev-1"], lambda: END)
    assert found(db) == []


def test_days_without_tables_and_tables_without_days_are_named_and_mended(db: Any) -> None:
    partitions.ensure(db, [date(2026, 2, 8), date(2026, 2, 9), date(2026, 2, 10)], START)
    db.execute("DROP TABLE vehicle_history_20260208")
    db.execute("ALTER TABLE meter_rollup DETACH PARTITION meter_rollup_20260209")
    db.execute("DELETE FROM history_day WHERE day = '2026-02-10'")
    db.commit()
    assert [(d.side, d.at, d.what) for d in found(db)] == [
        ("vehicle_history", date(2026, 2, 8), "has no table"),
        ("meter_rollup", date(2026, 2, 9), "has a table that is not attached"),
        *((parent, date(2026, 2, 10), "has a table but is not in history_day") for parent in sorted(partitions.PARENTS)),
    ]
    assert mending.mend_days(db, START) == 2
    assert {d.at for d in found(db)} == {date(2026, 2, 10)}
    partitions.ensure(db, [date(2026, 2, 10)], START)
    db.commit()
    assert found(db) == []


def test_dropped_days_contradict_nothing_and_their_rollups_are_left_alone(db: Any, database_url: str) -> None:
    old = [(f"old-{n}", *reading(VEHICLE, "", -10 - n)[1:]) for n in range(3)]
    parked = [reading(VEHICLE, "parked", -15, placed=True), reading(VEHICLE, "parked", 3)]
    ingest.store(db, VEHICLE, [*old, *parked], START)
    db.commit()
    sums = db.execute("SELECT * FROM vehicle_rollup ORDER BY 1, 2").fetchall()
    db.commit()
    with psycopg.connect(database_url, autocommit=True) as person:
        retention.drop(person, date(2026, 2, 4), START + timedelta(days=30))
    assert found(db, None, None) == []
    assert [mending.rebuild(db, side, START - timedelta(hours=2), END, lambda: END) for side in SIDES] == [0, 0]
    live = "SELECT vehicle_id, to_jsonb(l) - 'late_at' FROM live_vehicle l ORDER BY 1"
    before = db.execute(live).fetchall()
    mending.mend_live(db, VEHICLE, [str(row[0]) for row in before], lambda: END)
    assert db.execute(live).fetchall() == before
    assert db.execute("SELECT * FROM vehicle_rollup ORDER BY 1, 2").fetchall() == sums


def verified(url: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setenv("DATABASE_URL", url)
    return CliRunner().invoke(cli.main, ["verify", "--from", "2026-02-03 23:00", "--to", "2026-02-04 02:00", *arguments])


def test_the_command_counts_everything_shows_samples_and_answers_by_its_exit_code(
    db: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = verified(database_url, monkeypatch)
    assert (clean.exit_code, "agree" in clean.stdout) == (0, True)
    db.execute("UPDATE vehicle_rollup SET readings = 0")
    db.commit()
    wrong = verified(database_url, monkeypatch, "--samples", "2")
    assert wrong.exit_code == 1
    assert wrong.stdout.splitlines() == [
        "rollup vehicle dev-0 2026-02-03T23:30:00+00:00: different: readings",
        "rollup vehicle dev-0 2026-02-03T23:45:00+00:00: different: readings",
        "… and 16 more",
        "18 × rollup vehicle: different",
        "18 differences",
    ]
    monkeypatch.setenv("DATABASE_URL", database_url)
    checked = CliRunner().invoke(cli.main, ["rollup", "--from", "2026-02-03 23:00", "--to", "2026-02-04 02:00", "--check"])
    assert "vehicle_rollup: 18 quarters differ" in checked.stdout
    made = CliRunner().invoke(cli.main, ["rollup", "--from", "2026-02-03 23:00", "--to", "2026-02-04 02:00"])
    assert "vehicle_rollup: 18 quarters made again" in made.stdout
    assert verified(database_url, monkeypatch).exit_code == 0


def test_no_snapshot_is_held_between_two_pieces(db: Any) -> None:
    db.execute("UPDATE vehicle_rollup SET readings = 0")
    db.commit()
    for _ in verify.differences(db, START, END):
        assert db.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_readings_that_come_in_meanwhile_never_look_like_differences(db: Any, database_url: str) -> None:
    with writing(database_url, 2) as waits:
        wrong = [difference for _ in range(15) for difference in found(db)]
    assert (wrong, found(db)) == ([], [])
    assert waits
