"""A small fleet that reports minute by minute, and an evaluation as often: every instant is the test's own."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

from alerting.evaluate import Report, evaluate
from db import ingest, partitions
from db.ingest import Reading
from db.queries.lookback import Lookback
from db.queries.policies import Policies
from db.sides import METER, VEHICLE
from tests.session_support import DAY, us

MINUTE = timedelta(minutes=1)
KW = 11.0


@dataclass
class Member:
    """A vehicle or a meter: what its next readings say. `efficiency` None: it does not charge."""

    reports: bool = True
    efficiency: float | None = None
    temp_c: float = 20.0
    rhythm_min: int = 1


@dataclass
class Fleet:
    """Vehicles van-1… on meters depot-1…, the first `size - south` of site `north`. `minute` is the devices' time, `clock_off` how far ours is from it."""

    conn: psycopg.Connection
    size: int = 1
    south: int = 0
    minute: int = 0
    clock_off: timedelta = timedelta()
    start: datetime = DAY + timedelta(hours=6)
    members: dict[str, Member] = field(default_factory=dict)
    lookback: Lookback = field(default_factory=Lookback)
    policies: Policies = field(default_factory=Policies)
    reports: list[Report] = field(default_factory=list)

    def __post_init__(self) -> None:
        partitions.ensure(self.conn, [(DAY + timedelta(days=n)).date() for n in range(-1, 4)], DAY)
        for site in ("north", "south"):
            self.conn.execute("INSERT INTO site (site_id, name, latitude_e7, longitude_e7, time_zone) VALUES (%s, %s, 1, 1, 'UTC')", (site, site.title()))  # fmt: skip
        self.conn.execute("INSERT INTO notice_channel (name, kind, address, created_at, created_by) VALUES ('all', 'webhook', 'https://x.example', %s, 'test')", (DAY,))  # fmt: skip
        for n in range(1, self.size + 1):
            site = "north" if n <= self.size - self.south else "south"
            self.conn.execute("INSERT INTO meter (meter_id, site_id) VALUES (%s, %s)", (f"depot-{n}", site))
            self.conn.execute("INSERT INTO vehicle (vehicle_id, site_id) VALUES (%s, %s)", (f"van-{n}", site))
            self.conn.execute("INSERT INTO assignment VALUES (%s, '-infinity', %s)", (f"van-{n}", f"depot-{n}"))
            self.members |= {f"van-{n}": Member(), f"depot-{n}": Member()}

    @property
    def at(self) -> datetime:
        """The devices' time."""
        return self.start + self.minute * MINUTE

    @property
    def now(self) -> datetime:
        """Our clock."""
        return self.at + self.clock_off

    def of(self, names: Iterable[str]) -> list[Member]:
        return [self.members[name] for name in names]

    def at_site(self, site: str) -> list[str]:
        """Who belongs to `north` or `south`."""
        border = self.size - self.south
        return [name for name in self.members if (int(name.partition("-")[2]) <= border) == (site == "north")]

    def charge(self, efficiency: float | None, *vehicles: str) -> None:
        """From now on; None: no more."""
        for member in self.of(vehicles or ["van-1"]):
            member.efficiency = efficiency

    def run(self, minutes: int) -> None:
        """So many minutes: readings, then an evaluation."""
        for _ in range(minutes):
            self.report()
            self.evaluate()

    def report(self) -> None:
        """The next minute's readings of all who report."""
        self.minute += 1
        self.store(self.at)

    def store(self, at: datetime) -> None:
        """Readings of the minute up to `at`."""
        for side, prefix in ((VEHICLE, "van"), (METER, "depot")):
            readings: list[Reading] = []
            for n in range(1, self.size + 1):
                member, van = self.members[f"{prefix}-{n}"], self.members[f"van-{n}"]
                if not member.reports or self.minute % member.rhythm_min:
                    continue
                energy = (
                    0 if van.efficiency is None else round(KW / 60 * 1e6 * (van.efficiency if side is VEHICLE else 1) * member.rhythm_min)
                )
                measures = (5_000, round(member.temp_c * 100)) if side is VEHICLE else (23_000,)
                readings.append((f"{prefix}-{n}", us(at), energy, *measures, None, None))
            ingest.store(self.conn, side, readings, self.now)

    def evaluate(self) -> None:
        if report := evaluate(self.conn, self.lookback, self.policies, self.now):
            self.reports.append(report)

    def restart(self) -> None:
        """What is in memory is gone."""
        self.lookback, self.policies = Lookback(), Policies()

    # --------------------------------------------------------------------------------------------------------- what became of it

    def state(self, rule: str, subject: str) -> str:
        row = self.conn.execute("SELECT state FROM alert_standing WHERE rule = %s AND subject_id = %s", (rule, subject)).fetchone()
        return str(row[0]) if row else "ok"

    def notices(self) -> list[tuple[str, str, str]]:
        """(kind, rule, subject) of every notice, in their order."""
        rows = self.conn.execute("SELECT kind, body->>'rule', body->'subject'->>'id' FROM notice ORDER BY notice_id").fetchall()
        return [(str(kind), str(rule), str(subject)) for kind, rule, subject in rows]

    def told(self, rule: str) -> list[str]:
        """The kinds of a rule's notices."""
        return [kind for kind, of, _ in self.notices() if of == rule]

    def episodes(self) -> list[tuple[Any, ...]]:
        return self.conn.execute(
            """SELECT e.rule, e.subject_id, e.severity, e.fired_at, e.resolved_at, e.resolved_because, e.reason, e.evidence, h.rule, e.flapping,
                      e.notified_severity, e.notified_at
               FROM alert_episode e LEFT JOIN alert_episode h ON h.episode_id = e.held_back_by ORDER BY e.fired_at, e.rule, e.subject_id"""
        ).fetchall()

    def transitions(self) -> list[tuple[Any, ...]]:
        return self.conn.execute(
            """SELECT at, rule, subject_id, from_state, to_state, severity, reason, evidence FROM alert_transition ORDER BY at, rule, subject_id"""
        ).fetchall()

    def outbox(self) -> list[tuple[Any, ...]]:
        """Notices without ids."""
        return self.conn.execute(
            "SELECT kind, created_at, body - 'episodeId' - 'path' FROM notice ORDER BY created_at, kind, body->>'rule', body->'subject'->>'id'"
        ).fetchall()
