"""Days of history: made ahead, and on demand for days in the past, by create-then-attach, which never blocks an insert."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import psycopg

from db.engine import Conn
from db.sides import SIDES

AHEAD = timedelta(days=7)
# Eleven years of days opened by late readings: with more tables every plan gets slow. Days that a person imports are not limited.
MOST_OLD_DAYS = 4_000
# Each day takes 26 locks, and the time grows with the square of the days in one transaction: 50 took 1.4 s, 400 took 41 s.
DAYS_AT_ONCE = 31
_PARTITION_LOCK = 4_096_115_002
# Attaching waits only for another attach, a detach or ANALYZE of the parent, and holds up nobody meanwhile: wait, but not for ever.
_LOCK_TIMEOUT_MS = 1_000
_TRIES = 3
_EPOCH = date(1970, 1, 1)
HISTORIES = tuple(side.history for side in SIDES)
ROLLUPS = tuple(side.rollup for side in SIDES)
PARENTS = (*HISTORIES, *ROLLUPS)
US_PER_DAY = 86_400_000_000


class TooManyOldDays(Exception):
    """More days of the past than may be opened in an hour, or at all."""


class DayClosed(Exception):
    """A person dropped the readings of this day or of later ones: it takes no more, or its sums would count them twice."""


def days_of(recorded_at_us: Iterable[int]) -> set[date]:
    """The UTC days that readings at these instants (µs since 1970) touch: midnight's belongs to this day and to the quarter before it."""
    numbers = {at // US_PER_DAY for at in recorded_at_us}
    numbers |= {(at - 1) // US_PER_DAY for at in recorded_at_us}
    return {_EPOCH + timedelta(days=n) for n in numbers}


def midnight_us(day: date) -> int:
    """The day's first instant, µs since 1970."""
    return (day - _EPOCH).days * US_PER_DAY


def table_of(parent: str, day: date) -> str:
    """The name of a day's table."""
    return f"{parent}_{day:%Y%m%d}"


def existing(conn: Conn) -> set[date]:
    """Days that have all their tables: asked of the catalogue, so that a table somebody took away is made again when a reading needs it."""
    return {row[0] for row in conn.execute(_EXISTING).fetchall() if isinstance(row[0], date)}


_EXISTING = f"""
    SELECT day FROM history_day JOIN (
        SELECT right(c.relname, 8) AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent IN ({", ".join(f"'{parent}'::regclass" for parent in PARENTS)}) AND NOT i.inhdetachpending
        GROUP BY 1 HAVING count(*) = {len(PARENTS)}) attached ON attached.name = to_char(day, 'YYYYMMDD')
    WHERE dropped_at IS NULL"""


def begins(conn: Conn) -> date | None:
    """The day at whose first instant kept readings begin: what is before it a person dropped. None: nothing was ever dropped."""
    row = conn.execute("SELECT max(day) FROM history_day WHERE dropped_at IS NOT NULL").fetchone()
    return row[0] + timedelta(days=1) if row and isinstance(row[0], date) else None


def hold(conn: Conn, shared: bool = False) -> None:
    """Until the transaction ends nobody else makes or closes days; `shared`: nobody closes one."""
    conn.execute(f"SELECT pg_advisory_xact_lock{'_shared' if shared else ''}(%s)", (_PARTITION_LOCK,))


def ensure(conn: Conn, days: Iterable[date], now: datetime, old_days_per_hour: int | None = None) -> int:
    """Make what is missing of `days`, DAYS_AT_ONCE at most, in the caller's transaction, which ends soon; how many are still missing.

    Where some are, commit and call again. Raises DayClosed; TooManyOldDays when more of the past than allowed would open;
    psycopg.errors.LockNotAvailable after three seconds.
    """
    hold(conn)
    wanted, first_kept = set(days), begins(conn)
    missing = [day for day in sorted(wanted - existing(conn)) if not _closed(day, wanted, first_kept)]
    yesterday = now.astimezone(UTC).date() - timedelta(days=1)
    old = [day for day in missing if day < yesterday]
    if old and old_days_per_hour is not None:
        _refuse_too_many(conn, len(old), now, old_days_per_hour)
    if missing:
        conn.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
    for day in missing[:DAYS_AT_ONCE]:
        _make_patiently(conn, day)
        conn.execute(
            "INSERT INTO history_day (day, created_at, was_old) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", (day, now, day < yesterday)
        )
    return max(0, len(missing) - DAYS_AT_ONCE)


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


def _closed(day: date, wanted: set[date], first_kept: date | None) -> bool:
    """Whether `day` is closed and yet may come along. Raises DayClosed if it may not.

    The quarter that midnight ends belongs to the day before: the last closed day keeps its rollups for the first kept day's midnight.
    """
    if first_kept is None or day >= first_kept:
        return False
    if day == first_kept - timedelta(days=1) and first_kept in wanted:
        return True
    raise DayClosed(f"readings before {first_kept} UTC were dropped: {day} takes no more")


def _refuse_too_many(conn: Conn, more: int, now: datetime, an_hour: int) -> None:
    row = conn.execute(
        "SELECT count(*) FILTER (WHERE created_at > %s), count(*) FROM history_day WHERE was_old", (now - timedelta(hours=1),)
    ).fetchone()
    of_this_hour, ever = (int(str(count)) for count in row or (0, 0))
    if of_this_hour + more > an_hour:
        raise TooManyOldDays(f"{more} more days of the past would have to be opened; {an_hour} an hour is the limit")
    if ever + more > MOST_OLD_DAYS:
        raise TooManyOldDays(f"{more} more days of the past would have to be opened; {MOST_OLD_DAYS} is the limit for late readings")


def _make_patiently(conn: Conn, day: date) -> None:
    for attempt in range(_TRIES):
        try:
            with conn.transaction():  # a savepoint
                for parent in PARENTS:
                    make_table(conn, parent, day)
            return
        except psycopg.errors.LockNotAvailable:
            if attempt == _TRIES - 1:
                raise


def make_table(conn: Conn, parent: str, day: date) -> None:
    """Make a day's table of `parent` and attach it, where that is still to be done. Who stores or reads waits for nothing."""
    name, storage = table_of(parent, day), "WITH (fillfactor = 60)" if parent in ROLLUPS else ""
    conn.execute(f"CREATE TABLE IF NOT EXISTS {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS) {storage}")
    if conn.execute("SELECT 1 FROM pg_inherits WHERE inhrelid = %s::regclass", (name,)).fetchone() is None:
        first, after = f"{day} 00:00+00", f"{day + timedelta(days=1)} 00:00+00"
        conn.execute(f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{after}')")
