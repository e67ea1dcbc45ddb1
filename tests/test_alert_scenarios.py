"""Stories of alerts, in files that people can add to: see tests/scenarios/alerts/README.md."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from tests.alert_world import MINUTE, Fleet
from tests.session_support import charging_conn

__all__ = ["charging_conn"]

SCENARIOS = sorted((Path(__file__).parent / "scenarios" / "alerts").glob("*.txt"))


class Line(NamedTuple):
    minute: int
    happens: list[str]
    expected: list[str]


def read(file: Path) -> tuple[list[int], list[Line]]:
    """How many vehicles, how many of them in the south, and the lines in their order."""
    rows = [row for row in (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()) if row]
    lines = []
    for row in rows[1:]:
        minute, happens, expected = (part.strip() for part in (*row.split("|"), "", "")[:3])
        lines.append(Line(int(minute), _parts(happens), _parts(expected)))
    return [int(word) for word in rows[0].split() if word.isdigit()], lines


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


@pytest.fixture
def conn(charging_conn: psycopg.Connection) -> Iterator[psycopg.Connection]:
    charging_conn.rollback()
    yield charging_conn
    charging_conn.rollback()


@pytest.mark.slow
@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_scenario(file: Path, conn: psycopg.Connection) -> None:
    vehicles, lines = read(file)
    fleet, told = Fleet(conn, vehicles[0], sum(vehicles[1:])), 0
    for line in lines:
        fleet.run(line.minute - fleet.minute)
        for expected in line.expected:
            if expected.startswith("told:"):
                wanted = [one.strip() for one in expected.removeprefix("told:").split(",") if one.strip()]
                assert sorted(" ".join(one) for one in fleet.notices()[told:]) == sorted(wanted), f"minute {line.minute}"
                told = len(fleet.notices())
            else:
                rule, subject, state = expected.split()
                assert fleet.state(rule, subject) == state, f"minute {line.minute}: {rule} {subject}"
        for happens in line.happens:
            _do(fleet, happens)


def _do(fleet: Fleet, happens: str) -> None:
    for pattern, does in _WORDS:
        if found := re.fullmatch(pattern, happens):
            does(fleet, *found.groups())
            return
    raise ValueError(f"nobody knows what this means: {happens}")


def _charges(fleet: Fleet, vehicle: str, percent: str) -> None:
    fleet.charge(float(percent) / 100, vehicle)


def _stands(fleet: Fleet, vehicle: str) -> None:
    fleet.charge(None, vehicle)


def _has(fleet: Fleet, vehicle: str, temp_c: str) -> None:
    fleet.members[vehicle].temp_c = float(temp_c)


def _reports(fleet: Fleet, name: str, how: str) -> None:
    names = fleet.members if name == "all" else fleet.at_site(name) if name in ("north", "south") else [name]
    for member in fleet.of(names):
        member.reports = how == "reports"


def _clock(fleet: Fleet, minutes: str) -> None:
    fleet.clock_off = int(minutes) * MINUTE


def _switch(fleet: Fleet, rule: str, how: str) -> None:
    fleet.conn.execute(
        """INSERT INTO alert_setting VALUES (%s, 'all', '', jsonb_build_object('enabled', %s), %s, 'test')
           ON CONFLICT (rule, scope_kind, scope_id) DO UPDATE SET settings = excluded.settings""",
        (rule, how == "on", fleet.now),
    )


def _silence(fleet: Fleet, minutes: str) -> None:
    fleet.conn.execute(
        "INSERT INTO alert_silence (starts_at, ends_at, reason, created_at, created_by) VALUES (%(now)s, %(until)s, 'test', %(now)s, 'test')",
        {"now": fleet.now, "until": fleet.now + int(minutes) * MINUTE},
    )


def _restart(fleet: Fleet) -> None:
    fleet.restart()


_WORDS: list[tuple[str, Callable[..., None]]] = [
    (r"(\S+) charges at ([\d.]+) %", _charges),
    (r"(\S+) stands", _stands),
    (r"(\S+) has ([\d.]+) °C", _has),
    (r"(\S+) (is silent|reports)", _reports),
    (r"clock ([+-]\d+)", _clock),
    (r"(\S+) (on|off)", _switch),
    (r"silence (\d+)", _silence),
    (r"restart", _restart),
]
