"""The command that people run against their own installation: its verdict is right, and so is its exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proof.check import Verdict, check
from proof.ledger import Ledger
from tests.faults.installation import Installation
from tests.faults.load import sending, singles

pytestmark = pytest.mark.slow


def _run(project: Path, *arguments: str, key: str = "") -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "VOLTLEDGER_PROOF_KEY": key}
    return subprocess.run(
        [sys.executable, "-m", "proof", *arguments], cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_the_command_says_what_it_writes_and_that_it_holds(there: Installation, project: Path) -> None:
    said = _run(project, "--url", there.url, "--devices", "20", "--seconds", "2", "--rate", "40", "--yes", key=there.key)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "will be stored" in said.stdout
    assert "It holds" in said.stdout
    assert there.key.partition(".")[2] not in said.stdout + said.stderr
    wrong = _run(project, "--url", there.url, "--seconds", "1", "--settle", "1", "--yes", key="nobody.knows-this-one")
    assert wrong.returncode == 2
    assert "401" in wrong.stdout + wrong.stderr


def test_what_is_lost_and_what_is_made_up_is_found(there: Installation) -> None:
    with sending(singles(there.url, there.key, devices=4, readings_per_s=100)) as load:
        load.wait_acked(40)
    ledger = load.ledger
    assert check(there.url, there.key, ledger).holds
    with there.connect() as conn:
        conn.execute("DELETE FROM vehicle_history WHERE vehicle_id = %s AND recorded_at = to_timestamp(%s)", _first(ledger, 0))
        conn.execute("UPDATE meter_history SET ac_milliwh = 7 WHERE meter_id = %s AND recorded_at = to_timestamp(%s)", _first(ledger, 1))
        conn.execute("UPDATE live_meter SET recorded_at = recorded_at - interval '1 s' WHERE meter_id = %s", [ledger.fleet.id_of(3)])
    found = check(there.url, there.key, ledger)
    assert found == Verdict(ledger.acked, ledger.acked - 1, 0, lost=2, phantom=1, stale=1)
    assert not found.holds


def _first(ledger: Ledger, device: int) -> tuple[str, int]:
    return ledger.fleet.id_of(device), ledger.fleet.begin_s
