"""What takes in readings, put together from the settings: for the process that does nothing else, and for the one that has the pages too."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg_pool import ConnectionPool

import config
from api.committer import Committer
from api.intake import Intake, Limits
from api.intake_writer import IntakeWriter
from api.keys.gate import Gate
from api.keys.ring import Pace, Ring
from api.services import Services
from charging.losses import Price
from charging.verdict import Thresholds
from db.engine import Conn, connect, pool
from db.queries.fleet_window import FleetWindow
from db.queries.policies import Policies
from db.room import Room


@dataclass(frozen=True, slots=True)
class Receiving:
    """The intake of a process and what it shares with others there."""

    reading: "ConnectionPool[Conn]"
    writing: "ConnectionPool[Conn]"
    committer: Committer
    intake: Intake
    policies: Policies
    window: FleetWindow
    writer: IntakeWriter

    @staticmethod
    def begin(settings: config.Settings) -> "Receiving":
        """Connects and starts the committing threads. Raises SystemExit without a database."""
        if not settings.database_url:
            raise SystemExit("DATABASE_URL is not set: start with `python -m dashboard`, which brings its own PostgreSQL")
        policies = Policies(Thresholds(settings.thresholds, settings.plain_low, settings.plain_critical))
        reading = pool(settings.database_url, settings.read_connections, "read", settings.statement_timeout_s, generic_plans=True)
        writing = pool(settings.database_url, settings.committer_threads, "write", settings.statement_timeout_s, check=False)
        committer = Committer(
            writing,
            settings.committer_threads,
            settings.queue_readings,
            settings.commit_readings,
            settings.new_old_days_per_hour,
            server_now,
            settings.queue_requests,
            _short_of_room(settings),
        )
        intake = Intake(committer, _limits(settings), server_now, _gate(settings), settings.proxy_request_ids)
        writer = IntakeWriter(committer.tally, reading.connection).start()
        return Receiving(reading, writing, committer, intake, policies, FleetWindow(policies), writer)

    def services(self, settings: config.Settings) -> Services:
        """For the routes."""
        return Services(
            self.reading,
            self.intake,
            self.policies,
            server_now,
            self.window,
            settings.tick_s,
            Price(settings.tariff_per_kwh, settings.grid_co2_kg_per_kwh),
            settings.currency,
            settings.notices_to_private,
            settings.smtp_host is not None,
        )

    def end(self) -> None:
        """What was taken in is committed."""
        self.committer.close()
        self.writer.close()
        if self.intake.gate.ring:
            self.intake.gate.ring.close()
        for one in (self.reading, self.writing):
            one.close(timeout=2)


def server_now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


def _short_of_room(settings: config.Settings) -> Callable[[], str]:
    """Says nothing where nobody told us where the log is."""
    if settings.wal_dir is None:
        return str
    return Room(settings.wal_dir, settings.least_free_gb, settings.least_free_pct).short


def _limits(settings: config.Settings) -> Limits:
    return Limits(
        body_bytes=settings.body_bytes,
        inflated_bytes=settings.inflated_bytes,
        batch_readings=settings.batch_readings,
        clock_ahead_s=settings.clock_ahead_s,
        oldest_reading_days=settings.oldest_reading_days,
        commit_wait_s=settings.commit_wait_s,
    )


def _gate(settings: config.Settings) -> Gate:
    """Open unless keys are required."""
    if not settings.require_keys:
        return Gate()
    pace = Pace(settings.key_readings_per_min, settings.key_burst_readings, settings.gateway_readings_per_min)
    url, timeout_s = settings.database_url or "", settings.statement_timeout_s
    return Gate(Ring(lambda: connect(url, "keys", timeout_s), pace).start(), settings.proxies)
