"""One alert with everything that happened to it: its steps, what people did and which notices went out; and how the newest evaluation went."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg.rows import class_row

from db.engine import Conn
from db.queries.alerts import Episode, episode, rows

# An evaluation is due every minute: three without one is no hiccup.
LATE_AFTER = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Step:
    """A transition of an alert, with the evidence it rests on."""

    at: datetime
    from_state: str
    to_state: str
    severity: str | None
    reason: str
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody did."""

    at: datetime
    by: str
    action: str
    silence_id: int | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice of an alert on its way through a channel."""

    kind: str
    channel: str
    channel_kind: str
    created_at: datetime
    tries: int
    sent_at: datetime | None
    gave_up_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """An episode with all that happened to it, oldest first; `steps` begin with the one that made it pending."""

    episode: Episode
    steps: Sequence[Step]
    actions: Sequence[Action]
    notices: Sequence[Notice]


# Of one episode; a flapping one of weeks may have more steps than a page can show.
MOST_STEPS = MOST_NOTICES = 500


def story(conn: Conn, episode_id: int, now: datetime) -> Story | None:
    """Everything about one episode; None if there is none with this id."""
    one = episode(conn, episode_id, now)
    return Story(one, _steps(conn, one), _actions(conn, one), _notices(conn, one)) if one else None


def _steps(conn: Conn, one: Episode) -> list[Step]:
    """Its own newest ones, and before them what led to it: from ok to pending, of which no episode existed yet."""
    values = {"id": one.episode_id, "rule": one.rule, "kind": one.subject_kind, "subject": one.subject_id, "most": MOST_STEPS}
    with conn.cursor(row_factory=class_row(Step)) as cursor:
        return cursor.execute(
            """WITH own AS (SELECT * FROM alert_transition WHERE episode_id = %(id)s ORDER BY transition_id DESC LIMIT %(most)s),
                    led AS (SELECT * FROM alert_transition
                            WHERE subject_kind = %(kind)s AND subject_id = %(subject)s AND rule = %(rule)s AND episode_id IS NULL
                              AND transition_id < (SELECT min(transition_id) FROM alert_transition WHERE episode_id = %(id)s)
                            ORDER BY transition_id DESC LIMIT 1)
               SELECT at, from_state, to_state, severity, reason, evidence
               FROM (SELECT * FROM own UNION ALL SELECT * FROM led WHERE to_state = 'pending') x ORDER BY transition_id""",
            values,
        ).fetchall()


def _actions(conn: Conn, one: Episode) -> list[Action]:
    """On the episode, and on the silences that were made because of it."""
    with conn.cursor(row_factory=class_row(Action)) as cursor:
        return cursor.execute(
            """SELECT at, by, action, silence_id, note FROM alert_action
               WHERE episode_id = %(id)s
                  OR silence_id IN (SELECT silence_id FROM alert_action WHERE episode_id = %(id)s AND silence_id IS NOT NULL)
               ORDER BY action_id LIMIT %(most)s""",
            {"id": one.episode_id, "most": MOST_STEPS},
        ).fetchall()


def _notices(conn: Conn, one: Episode) -> list[Notice]:
    with conn.cursor(row_factory=class_row(Notice)) as cursor:
        return cursor.execute(
            """SELECT n.kind, c.name AS channel, c.kind AS channel_kind, n.created_at, n.tries, n.sent_at, n.gave_up_at, n.last_error
               FROM notice n JOIN notice_channel c USING (channel_id)
               WHERE n.episode_id = %s ORDER BY notice_id LIMIT %s""",
            (one.episode_id, MOST_NOTICES),
        ).fetchall()


def channels(conn: Conn) -> int:
    """How many channels notices could go out by."""
    (row,) = rows(conn, "SELECT count(*) AS many FROM notice_channel WHERE enabled AND deleted_at IS NULL", {})
    return int(row["many"])


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How the newest evaluation went. `since`: when the last one that went well did, or when it failed first where none ever did."""

    state: Literal["fine", "late", "failed", "never"]
    since: datetime | None
    evaluated_to: datetime | None
    took_ms: int | None
    subjects: int | None
    error: str | None


def evaluation(conn: Conn, now: datetime) -> Evaluation:
    """Late after LATE_AFTER without one, failed where the newest attempt did, never where there was none at all."""
    found = rows(conn, "SELECT wall_at, evaluated_to, took_ms, subjects, failed_at, error FROM alert_evaluation", {})
    row = found[0] if found else dict.fromkeys(("wall_at", "evaluated_to", "took_ms", "subjects", "failed_at", "error"))
    wall_at, failed_at = row["wall_at"], row["failed_at"]
    failed = failed_at is not None and (wall_at is None or failed_at > wall_at)
    state: Literal["fine", "late", "failed", "never"] = "fine"
    if failed:
        state = "failed"
    elif wall_at is None:
        state = "never"
    elif now - wall_at > LATE_AFTER:
        state = "late"
    since = wall_at or failed_at
    return Evaluation(state, since, row["evaluated_to"], row["took_ms"], row["subjects"], row["error"] if failed else None)
