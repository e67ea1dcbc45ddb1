"""Days of history: made ahead, and on demand for days in the past, by create-then-attach, which never blocks an insert."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from db.engine import Conn

AHEAD = timedelta(days=7)
_PARTITION_LOCK = 4_096_115_002
_EPOCH = date(1970, 1, 1)
_TABLES = (
    ("vehicle_history", ""),
    ("meter_history", ""),
    ("vehicle_rollup", "WITH (fillfactor = 60)"),
    ("meter_rollup", "WITH (fillfactor = 60)"),
)
US_PER_DAY = 86_400_000_000


class TooManyOldDays(Exception):
    """More days of the past than an hour may open."""


def days_of(recorded_at_us: Iterable[int]) -> set[date]:
    """The UTC days that readings at these instants (µs since 1970) touch: midnight's belongs to this day and to the quarter before it."""
    numbers = {at // US_PER_DAY for at in recorded_at_us}
    numbers |= {(at - 1) // US_PER_DAY for at in recorded_at_us}
    return {_EPOCH + timedelta(days=n) for n in numbers}


def existing(conn: Conn) -> set[date]:
    """Days that have their tables."""
    return {row[0] for row in conn.execute("SELECT day FROM history_day") if isinstance(row[0], date)}


def ensure(conn: Conn, days: Iterable[date], now: datetime, old_days_per_hour: int | None = None) -> None:
    """Make what is missing of `days`, in the caller's transaction. Raises TooManyOldDays when more of the past than allowed would open."""
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (_PARTITION_LOCK,))
    missing = sorted(set(days) - existing(conn))
    yesterday = now.astimezone(UTC).date() - timedelta(days=1)
    old = [day for day in missing if day < yesterday]
    if old and old_days_per_hour is not None and _opened_last_hour(conn, now) + len(old) > old_days_per_hour:
        raise TooManyOldDays(f"{len(old)} more days of the past would have to be opened; {old_days_per_hour} an hour is the limit")
    for day in missing:
        _make(conn, day)
        conn.execute("INSERT INTO history_day VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", (day, now, day < yesterday))


def ensure_ahead(conn: Conn, now: datetime) -> None:
    """Yesterday to a week from now, so that normal running never waits for a table."""
    today = now.astimezone(UTC).date()
    ensure(conn, [today + timedelta(days=n) for n in range(-1, AHEAD.days + 1)], now)


def days_ahead(conn: Conn, now: datetime) -> int:
    """How many whole days after today have their tables without a gap."""
    have = existing(conn)
    day, count = now.astimezone(UTC).date() + timedelta(days=1), 0
    while day in have:
        day, count = day + timedelta(days=1), count + 1
    return count


def _opened_last_hour(conn: Conn, now: datetime) -> int:
    row = conn.execute("SELECT count(*) FROM history_day WHERE was_old AND created_at > %s", (now - timedelta(hours=1),)).fetchone()
    return int(str(row[0])) if row else 0


def _make(conn: Conn, day: date) -> None:
    for table, storage in _TABLES:
        name = f"{table}_{day:%Y%m%d}"
        conn.execute(f"CREATE TABLE IF NOT EXISTS {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS) {storage}")
        if conn.execute("SELECT 1 FROM pg_inherits WHERE inhrelid = %s::regclass", (name,)).fetchone() is None:
            first, after = f"{day} 00:00+00", f"{day + timedelta(days=1)} 00:00+00"
            conn.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{after}')")
