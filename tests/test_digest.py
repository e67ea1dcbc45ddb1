"""One digest a day and channel, at its local time, through both changes of the clocks; and what it says."""

import itertools
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from psycopg.types.json import Jsonb

from alerting import digest, words
from db import outbox
from db.engine import Conn
from db.queries.digest import Wanting
from tests.notice_support import LOW, NOW, channel

ZONES = ["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC", "America/St_Johns"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", [time(0, 0), time(2, 30), time(7, 0), time(23, 59)])
@pytest.mark.parametrize("begin", [date(2026, 3, 27), date(2026, 10, 23), date(2026, 4, 3), date(2026, 10, 2), date(2026, 12, 30)])
def test_p9_every_local_day_has_exactly_one_due_instant(zone: str, at: time, begin: date) -> None:
    """Looked at every ten minutes for four days: days come one after the other, none twice, none left out, each at its local time."""
    wants = Wanting(1, at, zone, "warning")
    start = datetime(begin.year, begin.month, begin.day, tzinfo=UTC)
    seen: list[tuple[str, datetime]] = []
    for step in range(4 * 144):
        found = digest.due(wants, start + timedelta(minutes=10 * step))
        if not seen or seen[-1] != found:
            seen.append(found)
    days = [date.fromisoformat(day) for day, _ in seen]
    assert days == [days[0] + timedelta(days=n) for n in range(len(days))]
    assert len(days) in (4, 5)
    for day, instant in seen:
        wall = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert timedelta(0) <= wall - datetime.combine(date.fromisoformat(day), at) <= timedelta(hours=1)


def _bodies(conn: Conn) -> list[dict[str, Any]]:
    return [one.body for one in outbox.notices(conn) if one.kind == "digest"][::-1]


def test_it_is_written_once_a_day_however_often_it_is_looked_at(conn: Conn) -> None:
    """Over the night in which 02:30 does not exist, and the one that has it twice."""
    channel(conn, "https://a.example/", digest_at=time(2, 30), digest_zone="Europe/Berlin")
    for begin in (datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)):
        before = len(_bodies(conn))
        for step in range(2 * 96):
            digest.write_due(conn, begin + timedelta(minutes=15 * step))
        assert len(_bodies(conn)) - before == 3  # the one before, and one for each of two nights
    days = [one["day"] for one in _bodies(conn)]
    assert days == ["2026-03-28", "2026-03-29", "2026-03-30", "2026-10-24", "2026-10-25", "2026-10-26"]


def test_digests_follow_each_other_without_gap_or_overlap(conn: Conn) -> None:
    channel(conn, "https://a.example/", digest_at=time(7), digest_zone="Europe/Berlin")
    for step in range(4 * 24):
        digest.write_due(conn, NOW + timedelta(hours=step, minutes=3))
    bodies = _bodies(conn)
    assert all(one["to"] == after["from"] for one, after in itertools.pairwise(bodies))
    assert len(bodies) == 5


def test_who_wants_none_or_is_off_gets_none(conn: Conn) -> None:
    channel(conn, "https://a.example/")
    channel(conn, "https://b.example/", digest_at=time(7), enabled=False)
    assert digest.write_due(conn, NOW) == 0


def _episode(conn: Conn, subject_id: str, fired_h: float, resolved_h: float | None = None, severity: str = "warning") -> None:
    conn.execute(
        """INSERT INTO alert_episode (rule, subject_kind, subject_id, severity, fired_at, resolved_at, resolved_because, reason, evidence)
           VALUES ('battery_hot', 'vehicle', %s, %s, %s, %s, %s, 'hot', %s)""",
        (
            subject_id,
            severity,
            NOW - timedelta(hours=fired_h),
            None if resolved_h is None else NOW - timedelta(hours=resolved_h),
            None if resolved_h is None else "recovered",
            Jsonb({}),
        ),
    )


def test_it_says_what_is_open_began_ended_is_silenced_and_which_channel_failed(conn: Conn) -> None:
    channel(conn, "https://a.example/", "office", digest_at=time(12))
    broken = channel(conn, "https://b.example/s3cr3t", "broken")
    conn.execute("INSERT INTO vehicle (vehicle_id, name) VALUES ('van-1', 'Van <1>')")
    _episode(conn, "van-1", 30, severity="critical")
    _episode(conn, "van-2", 2)
    _episode(conn, "van-3", 40, 3)
    _episode(conn, "van-4", 90, 80)
    conn.execute(
        """INSERT INTO alert_silence (subject_kind, subject_id, starts_at, ends_at, reason, created_at, created_by)
           VALUES ('vehicle', 'van-2', %(now)s, %(now)s + interval '1 hour', 'in repair', %(now)s, 'Ada')""",
        {"now": NOW},
    )
    outbox.put(conn, broken, "firing", "firing:1", LOW, NOW)
    claimed = outbox.claim(conn, broken, NOW, timedelta(minutes=1))
    assert claimed is not None
    outbox.failed(conn, claimed.notice_id, "it answered 500", NOW)
    assert digest.write_due(conn, NOW) == 1
    (body,) = _bodies(conn)
    counts = {name: body[name] for name in ("open", "critical", "silenced", "acknowledged", "fired", "resolved")}
    assert counts == {"open": 2, "critical": 1, "silenced": 1, "acknowledged": 0, "fired": 1, "resolved": 1}
    assert body["failed"] == [{"channel": "broken", "times": 1, "error": "it answered 500"}]
    said = words.text(body)
    assert "• [critical] Battery hot: Van <1> (van-1), since 2026-02-03 06:00 UTC" in said
    assert "2 open alerts, 1 of them critical, 1 silenced, 0 acknowledged. 1 began and 1 ended since the last digest." in said
    assert "The channel broken failed 1 times, last: it answered 500" in said
    assert words.subject(body) == "Voltledger, 2026-02-04: 2 open alerts"


def test_a_quiet_day_is_said_to_be_one(conn: Conn) -> None:
    channel(conn, "https://a.example/", digest_at=time(12), least_severity="critical")
    _episode(conn, "van-2", 2)
    digest.write_due(conn, NOW)
    (body,) = _bodies(conn)
    assert body["open"] == 0
    assert words.subject(body) == "Voltledger, 2026-02-04: no open alerts"


def test_a_zone_that_is_not_known_any_more_is_taken_as_utc() -> None:
    assert digest.due(Wanting(1, time(7), "Mars/Olympus", "warning"), NOW)[1] == datetime(2026, 2, 4, 7, tzinfo=UTC)
