"""Alerts as the live picture has them: how many are open, those that need someone, and a mark that changes when anything about them does."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from db.engine import Conn
from db.queries import alerts
from db.queries.alerts import Episode

# The fleet page's panel; the alerts page has them all.
MOST = 50
# What an alert rests on that the panel shows.
_EVIDENCE = ("efficiencyRatio", "margin")


@dataclass(frozen=True, slots=True)
class AlertsNow:
    """`rows` are those that need someone, worst first."""

    figures: dict[str, int]
    rows: list[dict[str, Any]]
    mark: str


def alerts_now(conn: Conn, now: datetime) -> AlertsNow:
    """Read at every tick, once for all viewers."""
    counts = alerts.counts(conn, now)
    figures = {"alerts": counts.shown, "critical": counts.critical, "alertsToDo": counts.needing}
    needing = alerts.needing(conn, now, MOST) if counts.needing else []
    return AlertsNow(figures, [_row(one) for one in needing], alerts.mark(conn))


def _row(one: Episode) -> dict[str, Any]:
    known = {name: one.evidence.get(name) for name in _EVIDENCE}
    return {
        "episodeId": one.episode_id,
        "rule": one.rule,
        "kind": one.subject_kind,
        "subjectId": one.subject_id,
        "name": one.name,
        "site": one.site_name,
        "severity": one.severity,
        "state": one.state,
        "firedAt": one.fired_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        **{name: round(value, 4) if isinstance(value, int | float) else None for name, value in known.items()},
    }
