"""Readings are refused before the log's volume is full, and a server that ended for want of room gets some back."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from api.committer import Committer, NotStored
from db.room import GIB, MIB, Room, ballast_of, drop_ballast, lay_ballast


class Volume(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def volume(monkeypatch: pytest.MonkeyPatch) -> list[Volume]:
    """What the disk says, for tests to change."""
    says = [Volume(100 * GIB, 0, 100 * GIB)]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: says[0])
    return says


def test_c14_room_is_short_under_a_gigabyte_or_a_twentieth(volume: list[Volume]) -> None:
    def short(free: float, total: float = 100, least_gb: float = 1.0, least_pct: float = 5.0) -> str:
        volume[0] = Volume(int(total * GIB), 0, int(free * GIB))
        return Room(Path(), least_gb, least_pct).short()

    assert short(0.9, total=10) == "the database's disk has 922 MB left, and 1,024 MB are kept free"
    assert not short(1.1, total=10)
    assert short(4.9)
    assert not short(5.1)
    assert not short(6, total=2000)  # of a large volume no more than 5 GiB
    assert not short(0.01, least_gb=0, least_pct=0)


def test_c14_it_looks_twice_a_second_and_sees_room_again(volume: list[Volume]) -> None:
    now = [100.0]
    looking = Room(Path(), 1.0, 5.0, lambda: now[0])
    assert not looking.short()
    volume[0] = Volume(10 * GIB, 0, 100 * MIB)
    assert not looking.short()
    now[0] += 0.6
    assert looking.short()
    volume[0] = Volume(10 * GIB, 0, 9 * GIB)
    now[0] += 0.6
    assert not looking.short()


def test_a_folder_that_cannot_be_looked_at_refuses_nothing(tmp_path: Path) -> None:
    assert not Room(tmp_path / "gone", 1e9, 99).short()


def test_c14_a_committer_short_of_room_takes_nothing() -> None:
    words = ["no room"]
    committer = Committer(None, 1, 10, 10, 10, short_of_room=lambda: words[0])  # type: ignore[arg-type]
    with pytest.raises(NotStored, match="no room") as refusal:
        committer.refuse_early()
    assert refusal.value.kind == "storage_full"
    words[0] = ""
    committer.refuse_early()


def test_the_ballast_is_laid_once_where_there_is_plenty_and_given_up_where_there_is_none(tmp_path: Path, volume: list[Volume]) -> None:
    path = tmp_path / "ballast"
    volume[0] = Volume(10 * MIB, 0, 7 * MIB)
    lay_ballast(path, 2)
    assert not path.exists()
    volume[0] = Volume(10 * MIB, 0, 8 * MIB)
    lay_ballast(path, 2)
    assert path.stat().st_size == 2 * MIB
    volume[0] = Volume(GIB, 0, 65 * MIB)
    assert not drop_ballast(path)
    volume[0] = Volume(GIB, 0, 63 * MIB)
    assert drop_ballast(path)
    assert not path.exists()
    assert not drop_ballast(path)


def test_the_ballast_lies_in_the_data_folder_where_the_log_is_there_too(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "pg_wal").mkdir(parents=True)
    assert ballast_of(tmp_path, tmp_path / "postgres" / "pg_wal") == tmp_path / "ballast"
