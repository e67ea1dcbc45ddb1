"""The tables of what was learned and of what it was learned from: read whole, written in one transaction."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from charging.band import Learned
from charging.learning import LEARNED_FROM_DAYS, Hour
from db.engine import Conn
from db.queries.policies import LEARNED, learned_of

# Late readings and a corrected past may ask for days again that are just too old to be learned from.
KEPT_DAYS = LEARNED_FROM_DAYS + 7
Key = tuple[str, str]


class Taken(NamedTuple):
    """What a vehicle's day at a meter taught: energies in thousandths of a watt-hour, `sessions` that were ok, `peaks_w` of all judged."""

    vehicle_id: str
    day: date
    meter_id: str
    sessions: int
    ac_milliwh: list[int]
    dc_milliwh: list[int]
    charging_s: list[int]
    peaks_w: list[int]
    newest_at: datetime
    newest_is_low: bool

    def hour(self, n: int) -> Hour:
        """The n-th, in the words of the rule."""
        return Hour(self.ac_milliwh[n] / 1_000_000, self.dc_milliwh[n] / 1_000_000, self.charging_s[n] / 3600)


@dataclass(frozen=True, slots=True)
class Known:
    """A band as it stands."""

    learned: Learned
    learned_at: datetime
    frozen_since: datetime | None = None


@dataclass(slots=True)
class Changes:
    """What one night changes: bands by vehicle or model and class, since when vehicles' bands are frozen (None: no more), chargers' W."""

    bands: dict[Key, Learned]
    frozen: dict[Key, datetime | None]
    peers: dict[Key, Learned]
    chargers: dict[str, int]

    def __bool__(self) -> bool:
        return bool(self.bands or self.frozen or self.peers or self.chargers)


# ----------------------------------------------------------------------------------------------------------------------- lessons


def replace_lessons(conn: Conn, days: Sequence[date], vehicle_ids: Sequence[str], taken: Sequence[Taken]) -> None:
    """These are the lessons of these vehicles on these days, whatever was there."""
    conn.execute("DELETE FROM lesson WHERE day = ANY(%s) AND vehicle_id = ANY(%s)", (list(days), list(vehicle_ids)))
    with conn.cursor() as cursor:
        cursor.executemany(f"INSERT INTO lesson VALUES ({', '.join(['%s'] * len(Taken._fields))}) ON CONFLICT DO NOTHING", taken)


def lessons(conn: Conn, day: date, vehicles_at_once: int) -> Iterator[list[Taken]]:
    """What may be learned from at the end of this day, vehicle by vehicle, so many at a time."""
    ids = [str(row[0]) for row in conn.execute(_VEHICLES, _window(day)).fetchall()]
    for first in range(0, len(ids), vehicles_at_once):
        parameters = {**_window(day), "ids": ids[first : first + vehicles_at_once]}
        cursor: Any = conn.cursor(binary=True)  # half the time of text, for arrays
        yield [Taken(*row) for row in cursor.execute(_LESSONS, parameters).fetchall()]


_WITHIN = "day > %(after)s AND day <= %(day)s"
_VEHICLES = f"SELECT DISTINCT vehicle_id FROM lesson WHERE {_WITHIN} ORDER BY 1"
_LESSONS = (
    f"""SELECT {", ".join(Taken._fields)} FROM lesson WHERE vehicle_id = ANY(%(ids)s) AND {_WITHIN} ORDER BY vehicle_id, day, meter_id"""
)


def _window(day: date) -> dict[str, object]:
    return {"day": day, "after": day - timedelta(days=LEARNED_FROM_DAYS)}


def peaks_w(conn: Conn, day: date) -> dict[str, list[int]]:
    """Of every meter without a described rating: the peaks of its sessions that could be judged."""
    rows: Any = conn.execute(
        f"""SELECT l.meter_id, array_agg(peak) FROM lesson l LEFT JOIN meter m USING (meter_id), unnest(l.peaks_w) AS peak
            WHERE m.rated_w IS NULL AND {_WITHIN} GROUP BY 1""",
        _window(day),
    ).fetchall()
    return dict(rows)


# ------------------------------------------------------------------------------------------------------------------------- bands


def assigned_vehicles(conn: Conn) -> list[str]:
    """Everyone who ever had a meter."""
    rows = conn.execute("SELECT DISTINCT vehicle_id FROM assignment WHERE meter_id IS NOT NULL ORDER BY 1").fetchall()
    return [str(row[0]) for row in rows]


def alerted_since(conn: Conn) -> dict[str, datetime]:
    """Vehicles with an open alert of low efficiency, and since when."""
    rows: Any = conn.execute(
        "SELECT subject_id, fired_at FROM alert_episode WHERE rule = 'low_efficiency' AND subject_kind = 'vehicle' AND resolved_at IS NULL"
    ).fetchall()
    return dict(rows)


def models(conn: Conn) -> dict[str, str]:
    """Of each vehicle that has one described."""
    rows: Any = conn.execute("SELECT vehicle_id, model FROM vehicle WHERE model IS NOT NULL").fetchall()
    return dict(rows)


def bands(conn: Conn) -> dict[Key, Known]:
    """Each vehicle's, by vehicle and class of charger."""
    rows: Any = conn.execute(f"SELECT learned_at, frozen_since, vehicle_id, {LEARNED} FROM learned_band").fetchall()
    return {(row[2], row[3]): Known(learned_of(row[3:], "learned"), row[0], row[1]) for row in rows}


def peer_bands(conn: Conn) -> dict[Key, Known]:
    """Each model's, by model and class of charger."""
    rows: Any = conn.execute(f"SELECT learned_at, model, {LEARNED} FROM peer_band").fetchall()
    return {(row[1], row[2]): Known(learned_of(row[2:], "peers"), row[0]) for row in rows}


def chargers(conn: Conn) -> dict[str, int]:
    """What meters were seen to give, in W."""
    rows: Any = conn.execute("SELECT meter_id, peak_w FROM learned_charger").fetchall()
    return dict(rows)


def rated_w(conn: Conn) -> dict[str, int]:
    """What meters are described to give, in W."""
    rows: Any = conn.execute("SELECT meter_id, rated_w FROM meter WHERE rated_w IS NOT NULL").fetchall()
    return dict(rows)


def write(conn: Conn, changes: Changes, learned_at: datetime) -> None:
    """Within the caller's transaction, so that readers see all of it or nothing."""
    with conn.cursor() as cursor:
        cursor.executemany(_upsert("learned_band", "vehicle_id"), _rows(changes.bands, learned_at))
        cursor.executemany(_upsert("peer_band", "model"), _rows(changes.peers, learned_at))
        cursor.executemany(
            "UPDATE learned_band SET frozen_since = %s WHERE vehicle_id = %s AND charger_class = %s",
            [(since, *key) for key, since in sorted(changes.frozen.items())],
        )
        cursor.executemany(
            """INSERT INTO learned_charger AS c (meter_id, peak_w, learned_at) VALUES (%s, %s, %s)
               ON CONFLICT (meter_id) DO UPDATE SET peak_w = excluded.peak_w, learned_at = excluded.learned_at""",
            [(meter_id, peak_w, learned_at) for meter_id, peak_w in sorted(changes.chargers.items())],
        )


def forget(conn: Conn, day: date, ends: datetime) -> int:
    """What has become too old at the end of this day; how many bands (frozen ones wait for better days)."""
    conn.execute("DELETE FROM lesson WHERE day <= %s", (day - timedelta(days=KEPT_DAYS),))
    old = ends - timedelta(days=LEARNED_FROM_DAYS)
    own = conn.execute("DELETE FROM learned_band WHERE learned_at < %s AND frozen_since IS NULL RETURNING vehicle_id", (old,)).fetchall()
    peers = conn.execute("DELETE FROM peer_band WHERE learned_at < %s RETURNING model", (old,)).fetchall()
    return len(own) + len(peers)


def rewind(conn: Conn, begins: datetime) -> None:
    """Forget what was learned from days that began then or later: they are gone through once more, in their order."""
    conn.execute("DELETE FROM learned_band WHERE learned_at > %s", (begins,))
    conn.execute("DELETE FROM peer_band WHERE learned_at > %s", (begins,))
    conn.execute("UPDATE learned_band SET frozen_since = NULL WHERE frozen_since > %s", (begins,))
    renew(conn)


def renew(conn: Conn) -> None:
    """What is expected is not what it was."""
    conn.execute("UPDATE expectation_version SET version = version + 1")


def _upsert(table: str, whose: str) -> str:
    columns = LEARNED.split(", ")
    moved = ", ".join(f"{name} = excluded.{name}" for name in (*columns[1:], "learned_at"))
    return f"""INSERT INTO {table} ({whose}, {LEARNED}, learned_at) VALUES ({", ".join(["%s"] * (len(columns) + 2))})
               ON CONFLICT ({whose}, charger_class) DO UPDATE SET {moved}"""


def _rows(found: Mapping[Key, Learned], learned_at: datetime) -> list[tuple[object, ...]]:
    return [
        (
            *key,
            one.line.share,
            one.line.overhead_kw,
            one.error,
            one.variance_share,
            one.covariance,
            one.variance_overhead,
            one.observations,
            one.sessions,
            one.days,
            learned_at,
        )
        for key, one in sorted(found.items())
    ]


# -------------------------------------------------------------------------------------------------------------------------- days


def days_not_taken(conn: Conn, first: date, last: date) -> list[date]:
    """Days with readings in [first, last] that nothing was learned from yet, oldest first."""
    rows = conn.execute(
        "SELECT day FROM history_day LEFT JOIN lesson_taken t USING (day) WHERE t.day IS NULL AND day BETWEEN %s AND %s ORDER BY day",
        (first, last),
    ).fetchall()
    return [row[0] for row in rows if isinstance(row[0], date)]


def days_taken(conn: Conn, first: date, last: date) -> set[date]:
    """Days in [first, last] that were learned from."""
    rows = conn.execute("SELECT day FROM lesson_taken WHERE day BETWEEN %s AND %s", (first, last)).fetchall()
    return {row[0] for row in rows if isinstance(row[0], date)}


def newest_taken(conn: Conn) -> date | None:
    """The last day that was learned from."""
    row = conn.execute("SELECT max(day) FROM lesson_taken").fetchone()
    return row[0] if row and isinstance(row[0], date) else None


def taken_at(conn: Conn, day: date) -> datetime | None:
    """When this day was learned from."""
    row = conn.execute("SELECT taken_at FROM lesson_taken WHERE day = %s", (day,)).fetchone()
    return row[0] if row and isinstance(row[0], datetime) else None


def mark_taken(conn: Conn, day: date, now: datetime) -> None:
    """The day is through."""
    conn.execute(
        "INSERT INTO lesson_taken VALUES (%s, %s) ON CONFLICT (day) DO UPDATE SET taken_at = excluded.taken_at",
        (day, now),
    )
