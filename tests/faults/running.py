"""How a scenario runs: load, fault, recovery, verdict."""

import os

from proof.ledger import Ledger
from tests.faults.installation import Installation
from tests.faults.invariants import Findings, examine
from tests.faults.report import Row, keep

FULL = os.environ.get("FAULTS") == "full"


def scaled(quick: float, full: float) -> float:
    """A duration or a count: short in `make test`, longer in `make test-faults`."""
    return full if FULL else quick


def concluded(
    there: Installation,
    ledger: Ledger,
    code: str,
    injected: str,
    *,
    since: float | None = None,
    released: float | None = None,
    note: str = "",
) -> Findings:
    """Check I1 to I7 and keep the scenario's row. Recovery is the longest silence after `since`, or the time from `released` to an ack."""
    found = examine(ledger, there.database_url, there.logs, there.secrets)
    back = ledger.first_ack_after(released) if released is not None else ledger.silence_after(since) if since is not None else None
    counts = ledger.counts
    keep(
        Row(
            code, injected, ledger.acked, found.lost, found.twice, found.phantom, ledger.unknown, counts["duplicates"],
            counts["refused"], counts["errors_500"], back, note,
        )
    )  # fmt: skip
    found.assert_none()
    assert counts["without_retry_after"] == 0
    return found
