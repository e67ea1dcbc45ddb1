"""The server we bring along fits the machine, and the container, it runs in."""

import contextlib
from pathlib import Path

import pytest

from config import Settings
from dashboard import __main__ as main
from db import machine
from db.embedded import EmbeddedPostgresError


@pytest.mark.parametrize(("memory_gb", "buffers_mb"), [(0.5, 128), (1, 128), (2, 256), (8, 1024), (16, 2048), (512, 2048)])
def test_the_server_takes_an_eighth_within_bounds(memory_gb: float, buffers_mb: int) -> None:
    assert machine.shared_buffers_mb(int(memory_gb * 1024**3)) == buffers_mb


@pytest.mark.parametrize(("limit", "counts"), [("268435456\n", True), ("max\n", False), ("9223372036854771712\n", False), (None, False)])
def test_a_containers_limit_counts_where_it_is_one(tmp_path: Path, limit: str | None, counts: bool) -> None:
    file = tmp_path / "memory.max"
    if limit:
        file.write_text(limit)
    assert (machine.memory_bytes((file,)) == 268435456) is counts


@pytest.mark.parametrize(("setting", "expected"), [(None, machine.shared_buffers_mb(machine.memory_bytes())), (96, 96)])
def test_the_setting_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: int | None, expected: int) -> None:
    asked: list[int] = []

    def no_server(_: Path, *, shared_buffers_mb: int, ballast_mb: int) -> None:
        asked.append(shared_buffers_mb)
        assert ballast_mb == settings.ballast_mb
        raise EmbeddedPostgresError("not in this test")

    monkeypatch.setattr(main, "EmbeddedPostgres", no_server)
    settings = Settings(_env_file=None, DATABASE_URL=None, data_dir=tmp_path, shared_buffers_mb=setting)
    with contextlib.ExitStack() as tree, pytest.raises(main.CannotStart):
        main.open_database(settings, tree)
    assert asked == [expected]
