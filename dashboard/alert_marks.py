"""A device's alerts as marks in its charts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from dashboard.figures import Mark
from dashboard.pages.alerts import words
from db.engine import Conn
from db.queries import alerts

# More cannot be told apart in a chart; the history has them all.
MOST = 100


def read(conn: Conn, kind: Literal["vehicle", "meter"], device_id: str, start: datetime, end: datetime, now: datetime) -> Sequence[Mark]:
    """Those that ran within (start, end], each with the page that tells more."""
    found = alerts.touching(conn, kind, device_id, start, end, now, MOST)
    return [
        Mark(e.fired_at, e.resolved_at, e.severity, f"{words.rule(e.rule, e.subject_kind)}: {e.reason}", f"/alerts/{e.episode_id}")
        for e in found
    ]
