"""What people do with alerts: take one on, and keep quiet for a while those they know of. Each leaves a row in the record."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import args_row

from db.alert_actions import record
from db.engine import Conn

MOST_NOTE = MOST_REASON = 2000  # characters, as in the tables
# Longer is no silence but a rule that nobody wants: switch it off instead.
MOST_SILENCE = timedelta(days=366)


class UnknownEpisode(LookupError):
    """No episode has this id."""


class Resolved(ValueError):
    """The episode is over: nothing is left to take on."""


class UnknownSilence(LookupError):
    """No silence has this id."""


class WrongEnd(ValueError):
    """A silence that ends before it begins, or lasts longer than MOST_SILENCE."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """Which alerts; None matches any. `subject_kind` and `subject_id` come together."""

    rule: str | None = None
    subject_kind: str | None = None
    subject_id: str | None = None
    site_id: str | None = None

    @property
    def of_everything(self) -> bool:
        """Whether no alert escapes it."""
        return self == Matcher()


@dataclass(frozen=True, slots=True)
class Silence:
    """No notices for what matches, from `starts_at` until `ends_at`, or until somebody ended it before. Episodes go on being recorded."""

    silence_id: int
    rule: str | None
    subject_kind: str | None
    subject_id: str | None
    site_id: str | None
    starts_at: datetime
    ends_at: datetime
    reason: str
    created_at: datetime
    created_by: str
    ended_at: datetime | None
    ended_by: str | None

    def active(self, now: datetime) -> bool:
        """Whether it holds now."""
        return self.ended_at is None and self.starts_at <= now < self.ends_at


_COLUMNS = "silence_id, rule, subject_kind, subject_id, site_id, starts_at, ends_at, reason, created_at, created_by, ended_at, ended_by"


def acknowledge(conn: Conn, episode_id: int, by: str, note: str | None, now: datetime) -> bool:
    """Somebody takes it on; whether that is new. The first one stays; a further note only joins the record. Raises UnknownEpisode, Resolved."""
    found = conn.execute(
        "SELECT resolved_at, acknowledged_at, acknowledged_by, acknowledged_note FROM alert_episode WHERE episode_id = %s FOR UPDATE",
        (episode_id,),
    ).fetchone()
    if found is None:
        raise UnknownEpisode(episode_id)
    resolved_at, *before = found
    if resolved_at is not None:
        raise Resolved(episode_id)
    if before[0] is not None:
        _note_again(conn, episode_id, by, note, before, now)
        return False
    conn.execute(
        "UPDATE alert_episode SET acknowledged_at = %s, acknowledged_by = %s, acknowledged_note = %s WHERE episode_id = %s",
        (now, by, note, episode_id),
    )
    record(conn, now, by, "acknowledged", episode_id=episode_id, note=note)
    return True


def _note_again(conn: Conn, episode_id: int, by: str, note: str | None, before: list[object], now: datetime) -> None:
    """A request that was sent twice says nothing new; a new note does."""
    if note and [by, note] != before[1:]:
        record(conn, now, by, "noted", episode_id=episode_id, note=note)


def silence(conn: Conn, matcher: Matcher, ends_at: datetime, reason: str, by: str, now: datetime, episode_id: int | None = None) -> Silence:
    """Keep quiet about what matches from now on. `episode_id`: the alert that made somebody do so. Raises WrongEnd."""
    if not now < ends_at <= now + MOST_SILENCE:
        raise WrongEnd(ends_at)
    with conn.cursor(row_factory=args_row(Silence)) as cursor:
        made = cursor.execute(
            f"""INSERT INTO alert_silence (rule, subject_kind, subject_id, site_id, starts_at, ends_at, reason, created_at, created_by)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING {_COLUMNS}""".encode(),
            (matcher.rule, matcher.subject_kind, matcher.subject_id, matcher.site_id, now, ends_at, reason, now, by),
        ).fetchone()
    assert made is not None
    record(conn, now, by, "silenced", episode_id=episode_id, silence_id=made.silence_id, subject=in_words(matcher), note=reason)
    return made


def in_words(matcher: Matcher) -> str:
    """The matcher as one line: "low_efficiency, vehicle van-7", or "every alert"."""
    subject = matcher.subject_id and f"{matcher.subject_kind} {matcher.subject_id}"
    site = matcher.site_id and f"site {matcher.site_id}"
    return ", ".join(part for part in (matcher.rule, subject, site) if part) or "every alert"


def end_silence(conn: Conn, silence_id: int, by: str, now: datetime) -> Silence:
    """It holds no longer; one that is over already stays as it is. Raises UnknownSilence."""
    found = silences(conn, silence_id=silence_id, lock=True)
    if not found:
        raise UnknownSilence(silence_id)
    one = found[0]
    if one.ended_at is not None or one.ends_at <= now:
        return one
    conn.execute("UPDATE alert_silence SET ended_at = %s, ended_by = %s WHERE silence_id = %s", (now, by, silence_id))
    matcher = Matcher(one.rule, one.subject_kind, one.subject_id, one.site_id)
    record(conn, now, by, "silence ended", silence_id=silence_id, subject=in_words(matcher))
    return silences(conn, silence_id=silence_id)[0]


def silences(
    conn: Conn,
    active_at: datetime | None = None,
    silence_id: int | None = None,
    before_id: int | None = None,
    limit: int | None = None,
    lock: bool = False,
) -> list[Silence]:
    """Newest first: all of them, those that hold at an instant, or the one with this id; those before `before_id`, at most `limit`."""
    wanted = {
        "ended_at IS NULL AND starts_at <= %(at)s AND ends_at > %(at)s": active_at,
        "silence_id = %(id)s": silence_id,
        "silence_id < %(before)s": before_id,
    }
    where = " AND ".join(condition for condition, value in wanted.items() if value is not None) or "true"
    locking = "FOR UPDATE" if lock else ""
    with conn.cursor(row_factory=args_row(Silence)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM alert_silence WHERE {where} ORDER BY silence_id DESC LIMIT %(limit)s {locking}".encode(),
            {"at": active_at, "id": silence_id, "before": before_id, "limit": limit},
        ).fetchall()
