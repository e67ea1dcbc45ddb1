"""How every vehicle is judged, as the database says, kept in memory as long as nobody changed it."""

import threading
from typing import Any

from charging.band import Learned, LossLine, Source
from charging.charger import DC_CLASS, charger_class
from charging.policy import Policy
from charging.verdict import Thresholds
from db import expectation_version
from db.engine import Conn

_UNKNOWN = -1


class Policies:
    """Thread-safe; one in each process. `thresholds` are those of the settings, where people have set nothing for all, a site or a vehicle."""

    def __init__(self, thresholds: Thresholds = Thresholds()) -> None:
        self._thresholds = thresholds
        self._lock = threading.Lock()
        self._version, self._policy = _UNKNOWN, Policy(thresholds)

    def current(self, conn: Conn) -> Policy:
        """As of now."""
        return self.at(conn, expectation_version.current(conn))

    def at(self, conn: Conn, version: int) -> Policy:
        """As of this version at least, which a statement has just read."""
        if version == self._version:
            return self._policy
        with self._lock:
            if version > self._version or self._version == _UNKNOWN:
                # The version first: what changes after it is read again.
                version = expectation_version.current(conn)
                self._policy = _read(conn, self._thresholds)
                self._version = version
            return self._policy

    def as_seen(self, conn: Conn) -> Policy:
        """As this transaction sees it, also where it is about to be undone: for trying a change. Nothing of it is kept."""
        return _read(conn, self._thresholds)

    @property
    def common(self) -> Thresholds:
        """Those of the settings, which hold where people have set nothing."""
        return self._thresholds


# What both tables of bands hold after whose band it is.
LEARNED = "charger_class, share, overhead_kw, error, variance_share, covariance, variance_overhead, observations, sessions, days"


def _read(conn: Conn, thresholds: Thresholds) -> Policy:
    thresholds = _of_all(conn, thresholds)
    own = conn.execute(f"SELECT vehicle_id, {LEARNED} FROM learned_band").fetchall()
    peers = conn.execute(f"SELECT model, {LEARNED} FROM peer_band").fetchall()
    chargers = conn.execute(
        "SELECT meter_id, coalesce(m.rated_w, c.peak_w) FROM meter m FULL JOIN learned_charger c USING (meter_id)"
    ).fetchall()
    vehicles = conn.execute(_OWN_THRESHOLDS).fetchall()
    models = conn.execute("SELECT vehicle_id, model FROM vehicle WHERE model IS NOT NULL").fetchall() if peers else []
    return Policy(
        thresholds,
        vehicles={str(row[0]): _thresholds(row[1:], thresholds) for row in vehicles},
        charger_classes={str(row[0]): charger_class(row[1] / 1000) for row in chargers if row[1]},  # type: ignore[operator]
        learned={(str(row[0]), str(row[1])): learned_of(row[1:], "learned") for row in own},
        models={str(row[0]): str(row[1]) for row in models},
        peers={(str(row[0]), str(row[1])): learned_of(row[1:], "peers") for row in peers},
    )


def _of_all(conn: Conn, common: Thresholds) -> Thresholds:
    """What people have set for all comes before the settings of the environment."""
    row = conn.execute(
        """SELECT settings ->> 'use', (settings ->> 'plainLow')::float8, (settings ->> 'plainCritical')::float8
           FROM alert_setting WHERE rule = 'low_efficiency' AND scope_kind = 'all'"""
    ).fetchone()
    return _thresholds(row, common) if row else common


# A vehicle's own come before its site's, and these before those of all.
_OWN_THRESHOLDS = """
    SELECT vehicle_id, coalesce(v.thresholds, s.thresholds), coalesce(v.plain_low, s.plain_low), coalesce(v.plain_critical, s.plain_critical)
    FROM vehicle v LEFT JOIN site s USING (site_id)
    WHERE coalesce(v.thresholds, s.thresholds) IS NOT NULL OR coalesce(v.plain_low, s.plain_low) IS NOT NULL
       OR coalesce(v.plain_critical, s.plain_critical) IS NOT NULL"""


def _thresholds(row: Any, common: Thresholds) -> Thresholds:
    use, low, critical = row
    low = common.plain_low if low is None else low
    # One of the two may be a wider scope's: critical is never above low.
    return Thresholds(use or common.use, low, min(low, common.plain_critical if critical is None else critical))


def learned_of(row: Any, source: Source) -> Learned:
    """A row of LEARNED."""
    kind, share, overhead_kw, error, variance_share, covariance, variance_overhead, observations, sessions, days = row
    line = LossLine(share, overhead_kw)
    return Learned(line, error, variance_share, covariance, variance_overhead, observations, sessions, days, source, kind == DC_CLASS)
