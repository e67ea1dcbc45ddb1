"""Alerts as people ask for them: open ones, history, those of a device, what may become one, and how many there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import class_row, dict_row

from db.engine import Conn

State = Literal["firing", "recovering", "resolved", "open", "any"]

# What the subject is called, and where it is; an episode keeps the site it began at.
_NAMES = """
    LEFT JOIN vehicle v ON e.subject_kind = 'vehicle' AND v.vehicle_id = e.subject_id
    LEFT JOIN meter m ON e.subject_kind = 'meter' AND m.meter_id = e.subject_id"""
_NAME = "coalesce(v.name, m.name, CASE WHEN e.subject_kind = 'site' THEN s.name END)"

# A silence holds for what it names; a null names everything. Of several the one that lasts longest counts.
_SILENCES_OF = """
    SELECT silence_id, ends_at, reason FROM alert_silence
    WHERE ended_at IS NULL AND starts_at <= %(now)s AND ends_at > %(now)s
      AND coalesce(rule = e.rule, true)
      AND coalesce(subject_kind = e.subject_kind AND subject_id = e.subject_id, true)
      AND (site_id IS NULL OR site_id = e.site_id OR (e.subject_kind = 'site' AND site_id = e.subject_id))"""
_SILENCED = f"LEFT JOIN LATERAL ({_SILENCES_OF} AND e.resolved_at IS NULL ORDER BY ends_at DESC LIMIT 1) z ON true"

# An alert is held back only as long as the one that explains it is open; once it is over, that stays as its history.
_EPISODES = f"""
    SELECT e.episode_id, e.rule, e.subject_kind, e.subject_id, {_NAME} AS name, e.site_id, s.name AS site_name, e.severity,
           CASE WHEN e.resolved_at IS NOT NULL THEN 'resolved' ELSE coalesce(t.state, 'firing') END AS state,
           e.fired_at, e.resolved_at, e.resolved_because, e.reason, e.evidence,
           CASE WHEN e.resolved_at IS NOT NULL OR h.resolved_at IS NULL THEN h.episode_id END AS held_back_by, e.flapping,
           e.notified_severity, e.notified_at, e.acknowledged_at, e.acknowledged_by, e.acknowledged_note,
           z.silence_id, z.ends_at AS silenced_until, z.reason AS silenced_because
    FROM alert_episode e
    LEFT JOIN alert_standing t ON (t.rule, t.subject_kind, t.subject_id) = (e.rule, e.subject_kind, e.subject_id) AND t.episode_id = e.episode_id
    LEFT JOIN alert_episode h ON h.episode_id = e.held_back_by
    LEFT JOIN site s ON s.site_id = CASE WHEN e.subject_kind = 'site' THEN e.subject_id ELSE e.site_id END
    {_NAMES} {_SILENCED}"""


@dataclass(frozen=True, slots=True)
class Episode:
    """An alert from its first firing to its end; `evidence` is that of its newest step, as on the wire.

    `held_back_by`: the alert of which this one is only a consequence. `silence_id`, `silenced_until`: where notices are withheld now.
    `notified_severity`: the highest that people were told of.
    """

    episode_id: int
    rule: str
    subject_kind: str
    subject_id: str
    name: str | None
    site_id: str | None
    site_name: str | None
    severity: str
    state: str
    fired_at: datetime
    resolved_at: datetime | None
    resolved_because: str | None
    reason: str
    evidence: dict[str, Any]
    held_back_by: int | None
    flapping: bool
    notified_severity: str | None
    notified_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledged_note: str | None
    silence_id: int | None
    silenced_until: datetime | None
    silenced_because: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts; None leaves a thing open. `meter_id`: its own alerts and those whose evidence rests on it. `q`: text in id or name."""

    state: State = "open"
    rule: str | None = None
    severity: str | None = None
    site_id: str | None = None
    vehicle_id: str | None = None
    meter_id: str | None = None
    acknowledged: bool | None = None
    silenced: bool | None = None
    held_back: bool | None = None
    q: str | None = None


_CONDITIONS = {
    "rule": "rule = %(rule)s",
    "severity": "severity = %(severity)s",
    "site_id": "(site_id = %(site_id)s OR (subject_kind = 'site' AND subject_id = %(site_id)s))",
    "vehicle_id": "subject_kind = 'vehicle' AND subject_id = %(vehicle_id)s",
    "meter_id": "((subject_kind = 'meter' AND subject_id = %(meter_id)s) OR evidence->'meterIds' ? %(meter_id)s)",
    "acknowledged": "(acknowledged_at IS NOT NULL) = %(acknowledged)s",
    "silenced": "(silence_id IS NOT NULL) = %(silenced)s",
    "held_back": "(held_back_by IS NOT NULL) = %(held_back)s",
    "q": "(position(lower(%(q)s) IN lower(subject_id)) > 0 OR position(lower(%(q)s) IN lower(coalesce(name, ''))) > 0)",
}
_STATES: Mapping[State, str] = {
    "any": "true",
    "open": "resolved_at IS NULL",
    "resolved": "resolved_at IS NOT NULL",
    "firing": "resolved_at IS NULL AND state = 'firing'",
    "recovering": "resolved_at IS NULL AND state = 'recovering'",
}
_NEWEST, _WORST = "episode_id DESC", "(severity <> 'critical'), fired_at DESC, episode_id DESC"


def episodes(
    conn: Conn, wanted: Wanted, now: datetime, limit: int, before_id: int | None = None, worst_first: bool = False
) -> list[Episode]:
    """Those that are wanted, newest first; those before `before_id`, at most `limit`. `worst_first`: critical ones before the others."""
    more = {"before": before_id, "limit": limit, "now": now}
    page = " AND episode_id < %(before)s" if before_id is not None else ""
    order = _WORST if worst_first else _NEWEST
    return _read(conn, f"WHERE {_where(wanted)}{page} ORDER BY {order} LIMIT %(limit)s", {**_values(wanted), **more})


def _where(wanted: Wanted) -> str:
    asked = [condition for name, condition in _CONDITIONS.items() if getattr(wanted, name) is not None]
    return " AND ".join([_STATES[wanted.state], *asked])


def _values(wanted: Wanted) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in _CONDITIONS}


def _read(conn: Conn, rest: str, values: Mapping[str, Any]) -> list[Episode]:
    with conn.cursor(row_factory=class_row(Episode)) as cursor:
        return cursor.execute(f"SELECT * FROM ({_EPISODES}) e {rest}".encode(), values).fetchall()


def episode(conn: Conn, episode_id: int, now: datetime) -> Episode | None:
    """One; None if there is none with this id."""
    found = _read(conn, "WHERE episode_id = %(id)s", {"id": episode_id, "now": now})
    return found[0] if found else None


def of_subject(conn: Conn, kind: str, subject_id: str, now: datetime, limit: int) -> list[Episode]:
    """A device's or a site's, open ones first, newest first."""
    return _read(
        conn,
        "WHERE subject_kind = %(kind)s AND subject_id = %(id)s ORDER BY (resolved_at IS NOT NULL), episode_id DESC LIMIT %(limit)s",
        {"kind": kind, "id": subject_id, "now": now, "limit": limit},
    )


def touching(conn: Conn, kind: str, subject_id: str, start: datetime, end: datetime, now: datetime, limit: int) -> list[Episode]:
    """A device's that ran at any time of [start, end), the newest `limit`, in the order in which they began."""
    found = _read(
        conn,
        """WHERE subject_kind = %(kind)s AND subject_id = %(id)s AND fired_at < %(end)s AND (resolved_at IS NULL OR resolved_at > %(start)s)
           ORDER BY episode_id DESC LIMIT %(limit)s""",
        {"kind": kind, "id": subject_id, "start": start, "end": end, "now": now, "limit": limit},
    )
    return found[::-1]


def needing(conn: Conn, now: datetime, limit: int) -> list[Episode]:
    """Open ones that nobody has taken on yet, nothing else explains and nobody silenced: worst first."""
    return episodes(conn, Wanted(acknowledged=False, silenced=False, held_back=False), now, limit, worst_first=True)


def held_back(conn: Conn, by: Sequence[int], now: datetime, each: int) -> dict[int, tuple[int, list[Episode]]]:
    """By the alert that holds them back: how many open ones it does, and the newest of them, at most `each`."""
    if not by:
        return {}
    rest = """WHERE episode_id IN (
                  SELECT episode_id FROM (SELECT episode_id, row_number() OVER (PARTITION BY held_back_by ORDER BY episode_id DESC) AS n
                                          FROM alert_episode WHERE resolved_at IS NULL AND held_back_by = ANY(%(by)s)) x WHERE n <= %(each)s)
              ORDER BY episode_id DESC"""
    found: dict[int, tuple[int, list[Episode]]] = {
        int(row["by"]): (row["many"], [])
        for row in rows(
            conn,
            "SELECT held_back_by AS by, count(*) AS many FROM alert_episode WHERE resolved_at IS NULL AND held_back_by = ANY(%(by)s) GROUP BY 1",
            {"by": list(by)},
        )
    }
    for one in _read(conn, rest, {"by": list(by), "each": each, "now": now}):
        if one.held_back_by in found:
            found[one.held_back_by][1].append(one)
    return found


@dataclass(frozen=True, slots=True)
class Counts:
    """Open alerts. `shown` are those that no other explains; the rest of the numbers are of these."""

    open: int
    shown: int
    critical: int
    recovering: int
    acknowledged: int
    silenced: int
    needing: int
    pending: int


def counts(conn: Conn, now: datetime) -> Counts:
    """How many there are now; `pending`: what may become one, or not."""
    with conn.cursor(row_factory=class_row(Counts)) as cursor:
        found = cursor.execute(
            f"""SELECT count(*) AS open, count(*) FILTER (WHERE own) AS shown,
                       count(*) FILTER (WHERE own AND severity = 'critical') AS critical,
                       count(*) FILTER (WHERE own AND state = 'recovering') AS recovering,
                       count(*) FILTER (WHERE own AND acknowledged_at IS NOT NULL) AS acknowledged,
                       count(*) FILTER (WHERE own AND silenced) AS silenced,
                       count(*) FILTER (WHERE own AND acknowledged_at IS NULL AND NOT silenced) AS needing,
                       (SELECT count(*) FROM alert_standing WHERE state = 'pending') AS pending
                FROM (SELECT e.severity, t.state, e.acknowledged_at, h.episode_id IS NULL AS own,
                             CASE WHEN h.episode_id IS NULL THEN EXISTS ({_SILENCES_OF}) END AS silenced
                      FROM alert_episode e
                      LEFT JOIN alert_standing t ON (t.rule, t.subject_kind, t.subject_id) = (e.rule, e.subject_kind, e.subject_id)
                      LEFT JOIN alert_episode h ON h.episode_id = e.held_back_by AND h.resolved_at IS NULL
                      WHERE e.resolved_at IS NULL) e""".encode(),
            {"now": now},
        ).fetchone()
    assert found is not None
    return found


def mark(conn: Conn) -> str:
    """A word that changes with every step of an alert and with everything people do: what is shown is drawn anew when it does."""
    (row,) = rows(
        conn,
        """SELECT (SELECT coalesce(max(transition_id), 0) FROM alert_transition) AS t, (SELECT coalesce(max(action_id), 0) FROM alert_action) AS a,
                  (SELECT coalesce(max(notice_id), 0) FROM notice) AS n, (SELECT failed_at IS NOT NULL AND failed_at > coalesce(wall_at, '-infinity')
                   FROM alert_evaluation) AS f""",
        {},
    )
    return f"{row['t']}-{row['a']}-{row['n']}-{'f' if row['f'] else ''}"


@dataclass(frozen=True, slots=True)
class Pending:
    """A rule whose limit is crossed, not long enough yet to be an alert: `held_s` seconds of valid evaluations agreed."""

    rule: str
    subject_kind: str
    subject_id: str
    name: str | None
    site_id: str | None
    site_name: str | None
    since: datetime
    held_s: float
    severity: str | None
    reason: str | None


def pending(conn: Conn, wanted: Wanted, limit: int) -> list[Pending]:
    """What may become an alert, or not: newest first. Of `wanted` the state and what people did do not matter."""
    names = ("rule", "severity", "site_id", "vehicle_id", "q")
    where = " AND ".join(_CONDITIONS[name] for name in names if getattr(wanted, name) is not None) or "true"
    with conn.cursor(row_factory=class_row(Pending)) as cursor:
        return cursor.execute(
            f"""SELECT * FROM (
                    SELECT e.rule, e.subject_kind, e.subject_id, {_NAME} AS name, s.site_id, s.name AS site_name, e.since, e.held_s, n.severity, n.reason
                    FROM alert_standing e {_NAMES}
                    LEFT JOIN site s ON s.site_id = CASE WHEN e.subject_kind = 'site' THEN e.subject_id ELSE coalesce(v.site_id, m.site_id) END
                    LEFT JOIN LATERAL (
                        SELECT severity, reason FROM alert_transition n
                        WHERE n.subject_kind = e.subject_kind AND n.subject_id = e.subject_id AND n.rule = e.rule AND n.to_state = 'pending'
                        ORDER BY transition_id DESC LIMIT 1) n ON true
                    WHERE e.state = 'pending') e
                WHERE {where} ORDER BY since DESC, subject_kind, subject_id LIMIT %(limit)s""".encode(),
            {**_values(wanted), "limit": limit},
        ).fetchall()


def rows(conn: Conn, query: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a query of a few columns gives, by their names."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), values).fetchall()
