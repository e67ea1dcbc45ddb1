"""S16: the first administrator and the first key, by the command line and by the settings, and never with a weak password."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

import config
from api.keys.secret import made
from api.people import first
from api.people.passwords import Passwords
from dashboard.__main__ import CannotStart, let_somebody_in, simulator_environment
from db import device_keys, people
from db.cli import main
from tests.people_support import CHEAP, PASSWORD

EMAIL = "boss@example.org"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `.env` of whoever runs the tests, and cheap passwords."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(first, "Passwords", lambda: CHEAP)


def run(url: str, *arguments: str, typed: str | None = PASSWORD, **environment: str) -> Result:
    given = {"DATABASE_URL": url, "VOLTLEDGER_ADMIN_EMAIL": "", "VOLTLEDGER_ADMIN_PASSWORD": "", **environment}
    return CliRunner().invoke(main, ["admin", *arguments], input=None if typed is None else typed + "\n", env=given)


def everybody(url: str) -> list[people.Person]:
    with psycopg.connect(url) as conn:
        return people.people(conn)


def test_s16_the_command_makes_the_first_administrator_and_the_first_key(database_url: str) -> None:
    done = run(database_url, "--email", EMAIL.upper(), "--name", "The Boss")
    assert done.exit_code == 0, done.output
    found = everybody(database_url)
    assert [(one.email, one.name, one.role, one.one_time_until) for one in found] == [(EMAIL, "The Boss", "admin", None)]
    with psycopg.connect(database_url) as conn:
        keys, lock = device_keys.keys(conn), people.lock_of(conn, EMAIL)
    assert [(key.name, sorted(key.rights), key.binding) for key in keys] == [("First key", ["read", "write"], "gateway")]
    assert done.stdout.strip().startswith(keys[0].key_id + "."), "the key alone, for a script to take"
    assert lock is not None
    assert Passwords().verify(lock.password_hash, PASSWORD)
    assert PASSWORD not in done.output


def test_s16_once_more_it_is_the_way_back_in_and_makes_no_other_key(database_url: str) -> None:
    assert run(database_url, "--email", EMAIL).exit_code == 0
    with psycopg.connect(database_url) as conn:
        found = people.people(conn)[0]
        people.change(conn, found, people.Wanted(EMAIL, "x", "viewer", active=False), "test", found.created_at)  # type: ignore[arg-type]
    again = run(database_url, "--email", EMAIL, typed=None, VOLTLEDGER_ADMIN_PASSWORD="nine red vans at dusk")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "another password" in again.stderr
    assert [(one.role, one.active) for one in everybody(database_url)] == [("admin", True)]


WEAK_TYPED = [(EMAIL, "admin"), (EMAIL, "password1234"), (EMAIL, ""), ("boss", PASSWORD), (" ", PASSWORD)]


def test_s16_the_command_refuses_what_is_weak_in_a_line_and_makes_nothing(database_url: str) -> None:
    for email, password in WEAK_TYPED:
        refused = run(database_url, "--email", email, typed=password)
        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
        assert not password or password not in refused.output
    assert everybody(database_url) == []


def settings(**chosen: Any) -> config.Settings:
    return config.Settings(_env_file=None, require_login=True, require_keys=True, **chosen)


def test_s16_it_does_not_start_while_nobody_could_log_in(database_url: str) -> None:
    with pytest.raises(CannotStart, match="python -m db admin"):
        let_somebody_in(settings(), database_url)
    let_somebody_in(config.Settings(_env_file=None), database_url)
    assert everybody(database_url) == []


def test_s16_settings_name_the_first_administrator_and_key_once(database_url: str) -> None:
    new = made()
    chosen = settings(admin_email=EMAIL, admin_password=PASSWORD, first_key=new.shown)
    let_somebody_in(chosen, database_url)
    with psycopg.connect(database_url) as conn:
        key, before = device_keys.key(conn, new.key_id), people.lock_of(conn, EMAIL)
    assert key is not None
    let_somebody_in(settings(admin_email=EMAIL, admin_password="nine red vans at dusk", first_key=made().shown), database_url)
    with psycopg.connect(database_url) as conn:
        assert (people.lock_of(conn, EMAIL), len(device_keys.keys(conn))) == (before, 1), "what is there stays as it is"


WEAK = [
    {"admin_email": EMAIL, "admin_password": "changeme"},
    {"admin_email": EMAIL, "admin_password": "voltledger-admin"},
    {"admin_email": EMAIL, "admin_password": PASSWORD, "first_key": "secret"},
    {"admin_email": EMAIL, "admin_password": PASSWORD, "first_key": f"{'0' * 12}.{'a' * 43}"},
]


def test_s16_weak_or_example_secrets_are_refused_in_one_line(database_url: str) -> None:
    for chosen in WEAK:
        with pytest.raises(CannotStart) as refused:
            let_somebody_in(settings(**chosen), database_url)
        assert "\n" not in str(refused.value)
        assert all(value not in str(refused.value) for name, value in chosen.items() if name != "admin_email")
    assert everybody(database_url) == []


def test_the_simulated_fleet_gets_a_key_of_its_own_at_every_start(database_url: str) -> None:
    """So that `--simulate` works where keys are required; the one of the start before opens nothing, and it is nobody's first key."""
    settings = config.Settings(_env_file=None, require_keys=True)
    before, now = (simulator_environment(settings, database_url) for _ in range(2))
    assert before
    assert now
    shown = [one["VOLTLEDGER_SIMULATOR_KEY"] for one in (before, now)]
    with psycopg.connect(database_url) as conn:
        state = {one.key_id: (one.binding, set(one.rights), one.revoked_at is None) for one in device_keys.keys(conn)}
        assert first.key(conn, "test", datetime.now(UTC)) is not None
    assert [state[one.partition(".")[0]][2] for one in shown] == [False, True]
    assert state[shown[1].partition(".")[0]][:2] == ("gateway", {"read", "write", "admin"})
    assert simulator_environment(config.Settings(_env_file=None), database_url) is None
    assert simulator_environment(config.Settings(_env_file=None, require_keys=True, simulator_key="x.y"), database_url) is None
