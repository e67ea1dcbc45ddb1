"""What the database knows of how the installation is, for whoever watches it: some milliseconds, whatever is stored."""

from dataclasses import dataclass
from datetime import datetime

from db import partitions
from db.engine import Conn

# Who leads the alerting holds this lock: see alerting.leader. A number above 2^31 stands in `objid` alone.
ALERTING_LOCK = 4_096_115_010


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whole days after today that have tables, and whether the database takes what is written."""

    days_ahead: int
    writable: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the whole installation, so the same whichever process asks. Ages are seconds by our clock; `evaluated_age_s` None: never yet.

    `clock_ahead_s`: by how much the database's clock is before ours. `given_up`: notices given up in the last 24 hours.
    """

    ready: Readiness
    clock_ahead_s: float
    connections: int
    most_connections: int
    leaders: int
    evaluated_age_s: float | None
    evaluation_s: float | None
    evaluation_failed: bool
    open_alerts: dict[str, int]
    notices_waiting: int
    notices_failing: int
    oldest_notice_age_s: float
    notices_given_up: int


def readiness(conn: Conn, now: datetime) -> Readiness:
    """Whether traffic is welcome as far as the database is concerned."""
    row = conn.execute("SELECT current_setting('transaction_read_only')").fetchone()
    return Readiness(partitions.days_ahead(conn, now), row == ("off",))


def facts(conn: Conn, now: datetime) -> Facts:
    """All of them."""
    server = _row(conn, _SERVER)
    judged = _row(conn, _JUDGED)
    waiting, failing, oldest, given_up = _row(conn, _NOTICES, {"now": now})
    wall_at, failed_at = judged[0], judged[2]
    return Facts(
        ready=readiness(conn, now),
        clock_ahead_s=-_age_s(server[0], now),
        connections=int(str(server[1])),
        most_connections=int(str(server[2])),
        leaders=int(str(server[3])),
        evaluated_age_s=_age_s(wall_at, now) if wall_at else None,
        evaluation_s=None if judged[1] is None else int(str(judged[1])) / 1000,
        evaluation_failed=isinstance(failed_at, datetime) and (not isinstance(wall_at, datetime) or failed_at > wall_at),
        open_alerts={"warning": int(str(judged[3])), "critical": int(str(judged[4]))},
        notices_waiting=int(str(waiting)),
        notices_failing=int(str(failing)),
        oldest_notice_age_s=max(0.0, _age_s(oldest, now)) if oldest else 0.0,
        notices_given_up=int(str(given_up)),
    )


_SERVER = f"""
    SELECT clock_timestamp(), (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database), current_setting('max_connections'),
           (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = {ALERTING_LOCK} AND objsubid = 1
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""
_JUDGED = """
    SELECT wall_at, took_ms, failed_at, open.warning, open.critical
    FROM (SELECT count(*) FILTER (WHERE severity = 'warning') AS warning, count(*) FILTER (WHERE severity = 'critical') AS critical
          FROM alert_episode WHERE resolved_at IS NULL) open LEFT JOIN alert_evaluation ON true"""
_NOTICES = """
    SELECT w.*, (SELECT count(*) FROM notice WHERE last_error IS NOT NULL AND gave_up_at > %(now)s - interval '24 hours')
    FROM (SELECT count(*), count(*) FILTER (WHERE last_error IS NOT NULL), min(created_at)
          FROM notice WHERE sent_at IS NULL AND gave_up_at IS NULL) w"""


def _row(conn: Conn, statement: str, parameters: dict[str, object] | None = None) -> tuple[object, ...]:
    row = conn.execute(statement.encode(), parameters).fetchone()
    assert row
    return row


def _age_s(at: object, now: datetime) -> float:
    assert isinstance(at, datetime)
    return (now - at).total_seconds()
