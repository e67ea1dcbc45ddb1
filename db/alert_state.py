"""Where every rule stands, its episodes and every step: read and written within one evaluation's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from charging.alert_rules import Device, Subject
from charging.alert_settings import AlertSettings, Rule
from charging.alerting import Standing, Step
from charging.evidence import CHARGING_FLOOR_MILLIWH, UNKNOWN_RHYTHM_S
from db.engine import Conn
from db.sides import METER, VEHICLE

# One evaluation at a time, whoever leads.
_EVALUATION_LOCK = 4_096_115_009


class Key(NamedTuple):
    """What an alert is of."""

    rule: Rule
    kind: str
    id: str

    @property
    def subject(self) -> Subject:
        return Subject(self.kind, self.id)


@dataclass(frozen=True, slots=True)
class Kept:
    """A standing as it is kept: with the newest evidence that counted, and its open episode."""

    standing: Standing
    seen: datetime | None
    episode_id: int | None


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode, and of a running one where its rule stands, and since when."""

    episode_id: int
    key: Key
    site_id: str | None
    severity: str
    fired_at: datetime
    reason: str
    evidence: dict[str, Any]
    held_back_by: int | None
    flapping: bool
    notified_severity: str | None
    state: str
    since: datetime | None = None


def begin(conn: Conn) -> tuple[bool, datetime | None]:
    """Whether this transaction may evaluate (no other one is at it), and the server's clock at the evaluation before."""
    row = conn.execute("SELECT pg_try_advisory_xact_lock(%s), (SELECT wall_at FROM alert_evaluation)", (_EVALUATION_LOCK,)).fetchone()
    assert row
    return bool(row[0]), row[1]  # type: ignore[return-value]


def done(conn: Conn, now: datetime, to: datetime, took_ms: int, subjects: int) -> None:
    """This evaluation went well."""
    conn.execute(
        "UPDATE alert_evaluation SET wall_at = %s, evaluated_to = %s, took_ms = %s, subjects = %s, failed_at = NULL, error = NULL",
        (now, to, took_ms, subjects),
    )


def failed(conn: Conn, now: datetime, error: str) -> None:
    """An evaluation did not come to its end; what it had written is undone. Since when is kept."""
    conn.execute("UPDATE alert_evaluation SET failed_at = coalesce(failed_at, %s), error = %s", (now, error[:500]))


def devices(conn: Conn, now: datetime) -> list[Device]:
    """Every device that ever reported. Its site is its own, or that of the meter it is on."""
    found = []
    for kind, (statement, is_vehicle) in {"vehicle": (_VEHICLES, True), "meter": (_METERS, False)}.items():
        for row in conn.execute(statement, {"now": now}).fetchall():
            device_id, site_id, received_at, recorded_at, rhythm_s, milliwh, late_at = row[:7]
            temp = row[7] if is_vehicle else None
            found.append(
                Device(
                    Subject(kind, device_id),  # type: ignore[arg-type]
                    site_id,  # type: ignore[arg-type]
                    received_at,  # type: ignore[arg-type]
                    recorded_at,  # type: ignore[arg-type]
                    rhythm_s,  # type: ignore[arg-type]
                    milliwh > CHARGING_FLOOR_MILLIWH,  # type: ignore[operator]
                    temp,  # type: ignore[arg-type]
                    late_at,  # type: ignore[arg-type]
                )
            )
    return found


_VEHICLES = f"""
    WITH assigned AS (SELECT DISTINCT ON (vehicle_id) vehicle_id, meter_id FROM assignment WHERE valid_from <= %(now)s ORDER BY vehicle_id, valid_from DESC)
    SELECT l.vehicle_id, coalesce(v.site_id, m.site_id), l.received_at, l.recorded_at, coalesce(l.rhythm_s, {UNKNOWN_RHYTHM_S}), l.{VEHICLE.energy}, l.late_at,
           l.battery_temp_centi_c
    FROM live_vehicle l LEFT JOIN vehicle v USING (vehicle_id) LEFT JOIN assigned a USING (vehicle_id) LEFT JOIN meter m ON m.meter_id = a.meter_id"""
_METERS = f"""
    SELECT l.meter_id, m.site_id, l.received_at, l.recorded_at, coalesce(l.rhythm_s, {UNKNOWN_RHYTHM_S}), l.{METER.energy}, l.late_at
    FROM live_meter l LEFT JOIN meter m USING (meter_id)"""


def settings(conn: Conn) -> AlertSettings:
    """What people have set."""
    rows = conn.execute("SELECT rule, scope_kind, scope_id, settings FROM alert_setting").fetchall()
    return AlertSettings({(str(rule), str(kind), str(scope)): given for rule, kind, scope, given in rows})  # type: ignore[misc]


def standings(conn: Conn) -> dict[Key, Kept]:
    """All that are not simply fine."""
    rows = conn.execute(
        "SELECT rule, subject_kind, subject_id, state, since, held_s, nothing_s, seen, episode_id FROM alert_standing"
    ).fetchall()
    return {
        Key(rule, kind, subject): Kept(Standing(state, since, held_s, nothing_s), seen, episode_id)  # type: ignore[arg-type]
        for rule, kind, subject, state, since, held_s, nothing_s, seen, episode_id in rows
    }


def keep(conn: Conn, kept: Mapping[Key, Kept]) -> None:
    """These stand so now."""
    with conn.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO alert_standing (rule, subject_kind, subject_id, state, since, held_s, nothing_s, seen, episode_id)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (rule, subject_kind, subject_id) DO UPDATE SET state = excluded.state, since = excluded.since,
                   held_s = excluded.held_s, nothing_s = excluded.nothing_s, seen = excluded.seen, episode_id = excluded.episode_id""",
            [
                (*key, s.state, s.since, s.held_s, s.nothing_s, one.seen, one.episode_id)
                for key, one in sorted(kept.items())
                for s in (one.standing,)
            ],
        )


def drop(conn: Conn, keys: Iterable[Key]) -> None:
    """These are fine again."""
    with conn.cursor() as cursor:
        cursor.executemany("DELETE FROM alert_standing WHERE rule = %s AND subject_kind = %s AND subject_id = %s", sorted(keys))


@dataclass(frozen=True, slots=True)
class Transition:
    """A step of one alert with what was known then."""

    key: Key
    step: Step
    severity: str
    reason: str
    evidence: dict[str, Any]


def record(conn: Conn, at: datetime, transitions: Sequence[tuple[Transition, int | None]]) -> None:
    """Every step, with its episode where it has one."""
    with conn.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO alert_transition (at, rule, subject_kind, subject_id, episode_id, from_state, to_state, severity, reason, evidence)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
            [
                (at, *t.key, episode_id, t.step.source, t.step.target, t.severity, f"{t.step.because}: {t.reason}", Jsonb(t.evidence))
                for t, episode_id in transitions
            ],
        )


def fire(conn: Conn, at: datetime, t: Transition, site_id: str | None, flapping_within: timedelta, flapping_cycles: int) -> int:
    """Begin an episode; its id. It is flapping where it is the one after so many that recovered within that time."""
    row = conn.execute(
        """INSERT INTO alert_episode (rule, subject_kind, subject_id, site_id, severity, fired_at, reason, evidence, flapping)
           SELECT %(rule)s, %(kind)s, %(id)s, %(site_id)s, %(severity)s, %(at)s, %(reason)s, %(evidence)s, count(*) >= %(cycles)s
           FROM alert_episode WHERE rule = %(rule)s AND subject_kind = %(kind)s AND subject_id = %(id)s
                AND resolved_at > %(since)s AND resolved_because = 'recovered'
           RETURNING episode_id""",
        {
            **t.key._asdict(),
            "site_id": site_id,
            "severity": t.severity,
            "at": at,
            "reason": t.reason,
            "evidence": Jsonb(t.evidence),
            "cycles": flapping_cycles,
            "since": at - flapping_within,
        },
    ).fetchone()
    assert row
    return int(row[0])  # type: ignore[call-overload, no-any-return]


def update(conn: Conn, evidence: Sequence[tuple[int, str, str, dict[str, Any]]]) -> None:
    """What is known of running episodes now: id, severity, reason, evidence. A severity only rises."""
    with conn.cursor() as cursor:
        cursor.executemany(
            """UPDATE alert_episode SET severity = CASE WHEN severity = 'critical' THEN severity ELSE %s END, reason = %s, evidence = %s
               WHERE episode_id = %s""",
            [(severity, reason, Jsonb(found), episode_id) for episode_id, severity, reason, found in evidence],
        )


def resolve(conn: Conn, at: datetime, episode_id: int, because: str) -> None:
    """End an episode. Where our clock went back, it ends at the instant at which it began."""
    conn.execute(
        "UPDATE alert_episode SET resolved_at = greatest(%s, fired_at), resolved_because = %s WHERE episode_id = %s AND resolved_at IS NULL",
        (at, because, episode_id),
    )


_EPISODE = """e.episode_id, e.rule, e.subject_kind, e.subject_id, e.site_id, e.severity, e.fired_at, e.reason, e.evidence, e.held_back_by,
    e.flapping, e.notified_severity, coalesce(s.state, 'ok'), s.since"""


def open_episodes(conn: Conn) -> list[Episode]:
    """All that are not over, in the order in which they began."""
    rows = conn.execute(
        f"SELECT {_EPISODE} FROM alert_episode e LEFT JOIN alert_standing s USING (episode_id) WHERE e.resolved_at IS NULL ORDER BY e.episode_id"
    ).fetchall()
    return [_episode(row) for row in rows]


def episodes(conn: Conn, ids: Sequence[int]) -> list[Episode]:
    """These, over or not."""
    rows = conn.execute(
        f"SELECT {_EPISODE} FROM alert_episode e LEFT JOIN alert_standing s USING (episode_id) WHERE e.episode_id = ANY(%s) ORDER BY e.episode_id",
        (list(ids),),
    ).fetchall()
    return [_episode(row) for row in rows]


def _episode(row: Any) -> Episode:
    episode_id, rule, kind, subject, *more = row
    return Episode(episode_id, Key(rule, kind, subject), *more)


def hold_back(conn: Conn, held: Sequence[tuple[int | None, int]]) -> None:
    """Which episode holds back which (held_back_by, episode_id); None lets it go."""
    with conn.cursor() as cursor:
        cursor.executemany("UPDATE alert_episode SET held_back_by = %s WHERE episode_id = %s", held)


def settle(conn: Conn, episode_ids: Sequence[int]) -> None:
    """These came and went, and now stay: they are no longer flapping, and people are to be told of them as of any other."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "UPDATE alert_episode SET flapping = false, notified_severity = NULL WHERE episode_id = %s", [(one,) for one in episode_ids]
        )


def notified(conn: Conn, at: datetime, episode_id: int, severity: str) -> None:
    """People were told of it, or need not be."""
    conn.execute("UPDATE alert_episode SET notified_severity = %s, notified_at = %s WHERE episode_id = %s", (severity, at, episode_id))


def was_called_flapping(conn: Conn, key: Key, since: datetime, but: int) -> bool:
    """Whether people were told since then that this alert comes and goes."""
    row = conn.execute(
        """SELECT count(*) FROM alert_episode WHERE rule = %(rule)s AND subject_kind = %(kind)s AND subject_id = %(id)s
           AND flapping AND notified_at > %(since)s AND episode_id <> %(but)s""",
        {**key._asdict(), "since": since, "but": but},
    ).fetchone()
    assert row
    return bool(row[0])


@dataclass(frozen=True, slots=True)
class Silence:
    """A matcher; None matches everything."""

    rule: str | None
    kind: str | None
    id: str | None
    site_id: str | None

    def matches(self, key: Key, site_id: str | None) -> bool:
        """Whether notices of this alert are withheld."""
        return (
            self.rule in (None, key.rule)
            and (self.kind is None or (self.kind, self.id) == (key.kind, key.id))
            and self.site_id in (None, key.id if key.kind == "site" else site_id)
        )


def silences(conn: Conn, now: datetime) -> list[Silence]:
    """Those in force."""
    rows = conn.execute(
        "SELECT rule, subject_kind, subject_id, site_id FROM alert_silence WHERE starts_at <= %(now)s AND ends_at > %(now)s AND ended_at IS NULL",
        {"now": now},
    ).fetchall()
    return [Silence(*row) for row in rows]  # type: ignore[arg-type]


def names(conn: Conn, subjects: Iterable[Subject], site_ids: Iterable[str]) -> dict[Subject, str]:
    """What people call them, where they have a name of their own."""
    by_kind: dict[str, list[str]] = {"vehicle": [], "meter": [], "site": list(site_ids)}
    for kind, subject_id in subjects:
        by_kind.setdefault(kind, []).append(subject_id)
    found = {}
    for kind in ("vehicle", "meter", "site"):
        rows = conn.execute(f"SELECT {kind}_id, name FROM {kind} WHERE {kind}_id = ANY(%s) AND name IS NOT NULL", (by_kind[kind],))
        found.update({Subject(kind, str(subject_id)): str(name) for subject_id, name in rows})
    return found
