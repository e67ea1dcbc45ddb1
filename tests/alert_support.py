"""Alerts written straight into their tables, as an evaluation would: for what people see of them and do with them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)


def evidence(now: datetime = NOW, ratio: float = 0.808, **changes: Any) -> dict[str, Any]:
    """Of low efficiency: 11 kWh in the hour before."""
    ac = 11.02
    found = {
        "windowFrom": (now - timedelta(minutes=62)).isoformat().replace("+00:00", "Z"),
        "windowTo": (now - timedelta(minutes=2)).isoformat().replace("+00:00", "Z"),
        "acKwh": ac, "dcKwh": round(ac * ratio, 4), "lossKwh": round(ac * (1 - ratio), 4), "efficiencyRatio": ratio, "judgedRatio": ratio,
        "uncertainty": 0.0102, "slack": 0.0102, "expected": {"low": 0.872, "high": 0.941, "source": "learned"}, "threshold": 0.872,
        "margin": round(ratio - 0.8618, 4), "coverage": {"vehicle": 0.983, "meter": 1.0}, "readings": {"vehicle": 59, "meter": 60},
        "meterIds": ["depot-1"], "verdict": "low", "severity": "warning", "reason": f"{ratio:.1%} is below the expected 87.2 %",
    }  # fmt: skip
    return {**found, **changes}


def episode(conn: "psycopg.Connection[Any]", subject_id: str = "van-7", now: datetime = NOW, **changes: Any) -> int:
    """An open episode of low efficiency that fired 20 minutes ago, with its standing; how `state` is given. Its id."""
    row: dict[str, Any] = {
        "rule": "low_efficiency", "subject_kind": "vehicle", "subject_id": subject_id, "site_id": None, "severity": "warning",
        "fired_at": now - timedelta(minutes=20), "reason": "80.8 % is below the expected 87.2 %", "evidence": evidence(now), **changes,
    }  # fmt: skip
    state = row.pop("state", "firing")
    row["evidence"] = Jsonb(row["evidence"])
    names = ", ".join(row)
    marks = ", ".join(f"%({name})s" for name in row)
    (episode_id,) = conn.execute(f"INSERT INTO alert_episode ({names}) VALUES ({marks}) RETURNING episode_id", row).fetchone() or (0,)
    if "resolved_at" not in row:
        standing(conn, row["rule"], row["subject_kind"], row["subject_id"], state, row["fired_at"], episode_id)
    return int(episode_id)


def standing(
    conn: "psycopg.Connection[Any]", rule: str, kind: str, subject_id: str, state: str, since: datetime, episode_id: int | None = None
) -> None:
    """Where a rule stands for a subject."""
    conn.execute("INSERT INTO alert_standing VALUES (%s, %s, %s, %s, %s, 240, 0, %s, %s)", (rule, kind, subject_id, state, since, since, episode_id))  # fmt: skip


def step(
    conn: "psycopg.Connection[Any]",
    episode_id: int | None,
    at: datetime,
    states: tuple[str, str],
    subject_id: str = "van-7",
    **changes: Any,
) -> None:
    """A transition from one state to another."""
    row: dict[str, Any] = {
        "at": at, "rule": "low_efficiency", "subject_kind": "vehicle", "subject_id": subject_id, "episode_id": episode_id,
        "from_state": states[0], "to_state": states[1], "severity": "warning", "reason": "80.8 % is below the expected 87.2 %",
        "evidence": Jsonb(evidence(at)), **changes,
    }  # fmt: skip
    conn.execute(f"INSERT INTO alert_transition ({', '.join(row)}) VALUES ({', '.join(f'%({name})s' for name in row)})", row)


def channel(conn: "psycopg.Connection[Any]", name: str = "ops", now: datetime = NOW) -> int:
    """A webhook."""
    made = conn.execute(
        "INSERT INTO notice_channel (name, kind, address, created_at, created_by) VALUES (%s, 'webhook', 'https://x.example', %s, 'ada') RETURNING channel_id",
        (name, now),
    ).fetchone()
    assert made
    return int(made[0])


def notice(conn: "psycopg.Connection[Any]", episode_id: int, channel_id: int, at: datetime = NOW, **changes: Any) -> None:
    """One that is on its way."""
    row: dict[str, Any] = {
        "idempotency_key": f"{episode_id}:{channel_id}:{changes.get('kind', 'firing')}", "channel_id": channel_id, "kind": "firing",
        "episode_id": episode_id, "body": Jsonb({}), "created_at": at, "next_try_at": at, **changes,
    }  # fmt: skip
    conn.execute(f"INSERT INTO notice ({', '.join(row)}) VALUES ({', '.join(f'%({name})s' for name in row)})", row)


def evaluated(
    conn: "psycopg.Connection[Any]", wall_at: datetime | None, failed_at: datetime | None = None, error: str | None = None
) -> None:
    """How the newest evaluation went."""
    conn.execute("UPDATE alert_evaluation SET wall_at = %s, evaluated_to = %s, failed_at = %s, error = %s", (wall_at, wall_at, failed_at, error))  # fmt: skip
