"""`python -m db keys`: the first key is made here, before anybody can log in."""

import re
from collections.abc import Callable

import psycopg
import pytest
from click.testing import CliRunner, Result

from api.keys.secret import hash_of
from db.cli_keys import keys

Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str) -> Run:
    """The command with these words; the key alone stands on standard output."""
    return lambda *words: CliRunner().invoke(keys, list(words), obj=lambda: database_url)


def test_s3_a_key_is_printed_once_alone_on_standard_output(run: Run, database_url: str) -> None:
    made = run("create", "Depot", "--meter", "depot-1")
    assert made.exit_code == 0
    shown = made.stdout.strip()
    assert re.fullmatch(r"[0-9a-f]{12}\.[A-Za-z0-9_-]{43}", shown)
    assert "shown this once" in made.stderr
    with psycopg.connect(database_url) as conn:
        row = conn.execute("SELECT secret_hash, rights, binding, meter_ids, name FROM device_key").fetchone()
    assert row == (hash_of(shown[13:]), ["write"], "device", ["depot-1"], "Depot")
    listed = run("list").stdout
    assert shown[:12] in listed
    assert shown[13:] not in listed


def test_s2_rotating_and_revoking_from_the_command_line(run: Run, database_url: str) -> None:
    first = run("create", "Gate", "--gateway", "--right", "read", "--right", "admin").stdout.strip()
    second = run("rotate", first[:12], "--both-hours", "0").stdout.strip()
    assert second[:13] == first[:13]
    assert run("revoke", first[:12]).exit_code == 0
    with psycopg.connect(database_url) as conn:
        row = conn.execute("SELECT rights, secret_hash, previous_until = rotated_at, revoked_at IS NOT NULL FROM device_key").fetchone()
        assert row == (["admin", "read", "write"], hash_of(second[13:]), True, True)
        assert [one[0] for one in conn.execute("SELECT action FROM audit ORDER BY audit_id")] == [
            "key created",
            "key rotated",
            "key revoked",
        ]
    assert "revoked or expired" in run("rotate", first[:12]).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create", "x"], "rights"),
        (["create", "x", "--gateway", "--vehicle", "v"], "not two of them"),
        (["create", "x", "--site", "nowhere"], "there is no site nowhere"),
        (["create", "x", "--vehicle", "<img>"], "vehicleIds"),
        (["create", "", "--gateway"], "name"),
        (["revoke", "0123456789ab"], "there is no key"),
    ],
)
def test_what_cannot_be_is_said_in_a_line_and_nothing_is_made(run: Run, database_url: str, words: list[str], said: str) -> None:
    result = run(*words)
    assert result.exit_code != 0
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert "no key yet" in run("list").stdout
