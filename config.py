"""Every setting, read once from the environment (and `.env`), frozen, and passed down as plain values.

Nothing else in the project reads `os.environ`. The README's settings table is made from this file and compared with it by a test.
"""

import os
import sys
from pathlib import Path
from typing import Literal

import structlog
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024

PAGES_SOCKET = "VOLTLEDGER_PAGES_SOCKET"  # no setting: `python -m dashboard` tells its web processes in it where the pages are asked


class Settings(BaseSettings):
    """Names in the environment are VOLTLEDGER_ + the upper-case field name; DATABASE_URL stands without the prefix."""

    model_config = SettingsConfigDict(
        env_prefix="VOLTLEDGER_", env_file=".env", extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    database_url: str | None = Field(
        None, validation_alias="DATABASE_URL", description="PostgreSQL 15 or newer to use. Empty: the embedded server in the data folder."
    )
    data_dir: Path = Field(Path(".data"), description="What the embedded PostgreSQL keeps. Survives restarts; one installation per folder.")
    shared_buffers_mb: int | None = Field(
        None,
        ge=16,
        le=65_536,
        description="MB of its tables that the embedded PostgreSQL keeps in memory. Empty: an eighth of the machine's, from 128 to 2048.",
    )
    ballast_mb: int = Field(
        256,
        ge=0,
        description="MB that the embedded PostgreSQL sets aside on its disk and gives back to itself when it ended for want of room, so that it comes up again. 0: none.",
    )
    wal_dir: Path | None = Field(
        None,
        description="Folder on the volume of PostgreSQL's write-ahead log, where this machine can see it: PostgreSQL panics when it is full, so readings are refused before. Empty: the embedded server's own; with DATABASE_URL nobody looks.",
    )
    least_free_gb: float = Field(
        1.0,
        ge=0,
        description="GiB free there under which readings are refused with 503: a checkpoint's log and what others write meanwhile.",
    )
    least_free_pct: float = Field(
        5.0,
        ge=0,
        lt=100,
        description="The same as a share of that volume; more than 5 GiB is never asked for, the log's full size and a GiB.",
    )
    host: str = Field(
        "127.0.0.1", description="Address to listen on. Any but loopback is refused unless devices need keys or `INSECURE_OPEN` is set."
    )
    port: int = Field(8050, ge=0, le=65535, description="Port to listen on.")
    published_on: str | None = Field(
        None,
        description="In a container: the address its port is published on, which decides who can reach it. Empty: the one it listens on.",
    )
    insecure_open: bool = Field(
        False,
        validation_alias="INSECURE_OPEN",
        description="Start where others can reach us though nobody is asked who they are. Every page says so then.",
    )
    https_only: bool = Field(
        False,
        description="People reach the pages by https:// only, with a certificate that browsers accept: they are told to remember it for a year (HSTS).",
    )
    proxies: int = Field(
        0,
        ge=0,
        le=5,
        description="How many proxies of your own stand in front: so many entries of X-Forwarded-For are believed. 0: none is.",
    )

    web_processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Web processes. PostgreSQL is the only state they share, so more are safe. One takes in some 5,000 single readings a second and then uses half a core; on two cores a second one brought nothing.",
    )
    pages_processes: int = Field(
        1,
        ge=0,
        le=16,
        description="Processes that make the pages and answer all of the API but readings, so that no reading waits for a page. 0: the web processes do that themselves, which saves some 150 MB.",
    )
    web_threads: int = Field(
        64,
        ge=2,
        le=1024,
        description="Pages, exports and large batches a process can serve at once. Small batches and single readings are answered by the event loop and need none.",
    )
    committer_threads: int = Field(
        4,
        ge=1,
        le=16,
        description="Threads that commit readings, each with a connection: while one waits for the disk another prepares. Half of them only help where much waits: four for batches (a tenth more than two), two for single readings (a fifth more than four).",
    )
    queue_readings: int = Field(
        20_000,
        ge=5_000,
        description="Readings that may wait for a commit before the door says 503: at least the largest batch, small enough for memory.",
    )
    queue_requests: int = Field(
        2_500, ge=100, description="Requests that may wait for a commit: about a second's worth; what comes on top is told to come back."
    )
    commit_readings: int = Field(5_000, ge=1, description="Readings a transaction takes at most, so that no request waits for a giant.")
    commit_wait_s: float = Field(
        5.0, gt=0, description="Seconds a request waits for its commit before it is told that the outcome is not confirmed."
    )
    batch_readings: int = Field(5_000, ge=1, description="Readings in one request at most.")
    body_bytes: int = Field(5 * MIB, ge=1024, description="Size of a request body as sent.")
    inflated_bytes: int = Field(20 * MIB, ge=1024, description="Size of a gzip body once inflated: stops a bomb.")
    clock_ahead_s: int = Field(300, ge=0, description="How far a device's clock may be ahead of ours.")
    oldest_reading_days: int | None = Field(None, ge=1, description="Readings older than this are refused. Empty: the past is open.")
    new_old_days_per_hour: int = Field(
        400,
        ge=0,
        description="Days in the past that may get their first reading per hour: a broken clock must not make thousands of tables.",
    )
    statement_timeout_s: float = Field(5.0, gt=0, description="A statement of the write path or of a page is ended after this.")
    require_keys: bool = Field(
        False,
        description="Whether devices and programs need a key. Off: everybody who reaches the address may send, read and change everything.",
    )
    key_readings_per_min: float = Field(
        30.0,
        gt=0,
        description="Readings a minute that a key may send for each device it is bound to, in each web process: a device sends one, and after an outage what it kept.",
    )
    key_burst_readings: float = Field(
        60.0, ge=1, description="Readings that a key may send at once for each device, before its pace counts: an hour's worth."
    )
    gateway_readings_per_min: float = Field(
        0.0, ge=0, description="Readings a minute of a key that may write every device. 0: no limit, since nobody knows how many it serves."
    )
    simulator_key: SecretStr | None = Field(
        None,
        description="Key of the simulated fleet, where keys are required and it is not given with `--key`: for every device, with the rights write, read and admin. Never shown or logged.",
    )
    compact_after_hours: float = Field(
        6.0, ge=0, description="Hours after the end of a UTC day at which its tables are made small, once. 0: never by itself."
    )
    learn_after_hours: float = Field(
        6.0,
        ge=0,
        description="Hours after the end of a UTC day at which is learned from it what is normal for each vehicle: late readings are in by then. 0: never by itself.",
    )

    intake_kept_days: int = Field(
        30, ge=1, description="Days for which the counts of what came in are kept, by minute. Readings are kept for ever."
    )
    disk_gb: float | None = Field(
        None, gt=0, description="Size of the database's disk in GB, to say when history fills it. Empty: the ingestion page asks."
    )

    read_connections: int = Field(4, ge=1, description="Connections for pages and analytics, apart from those of the committer.")
    tick_s: float = Field(5.0, gt=0, description="How often the fleet's picture is made anew and open pages ask for it.")
    silent_after_s: int = Field(900, ge=60, description="A device that has not reported for this long is counted as silent.")

    thresholds: Literal["band", "plain"] = Field(
        "band", description="What low means: below the expected band, or below the plain thresholds."
    )
    plain_low: float = Field(0.85, gt=0, lt=1, description="Plain threshold under which an efficiency is low.")
    plain_critical: float = Field(0.75, gt=0, lt=1, description="Plain threshold under which a low efficiency is critical.")
    tariff_per_kwh: float = Field(0.30, ge=0, description="Price of a kWh from the grid, to say what the loss costs.")
    currency: str = Field("EUR", min_length=3, max_length=3, description="Currency of the tariff, ISO 4217.")
    grid_co2_kg_per_kwh: float = Field(0.35, ge=0, description="CO2 intensity of the grid, to say what the loss emits.")
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s]+$",
        description="Where people reach the pages, for the links in notices. Empty: notices have no link.",
    )
    notices_to_private: bool = Field(
        False,
        description="Whether notices may go to private addresses, like a receiver in your own network. Off: whoever may set a channel cannot make the server call what only it can reach.",
    )
    smtp_host: str | None = Field(None, description="The mail server that takes notices by e-mail. Empty: no e-mail.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Its port.")
    smtp_user: str | None = Field(None, description="Name to log in with there. Empty: no log-in.")
    smtp_password: SecretStr | None = Field(None, description="Its password. Never shown or logged.")
    smtp_from: str | None = Field(
        None,
        pattern=r"^[^\s<>,;\x00-\x1f]+@[^\s<>,;\x00-\x1f]+$",
        description="Sender of notices. Empty: the name to log in with where it is an address, else voltledger@ and the mail server.",
    )
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="How the way to the mail server is encrypted: after greeting (port 587), from the start (465), or not, for one on the same machine.",
    )

    map_tiles_url: str | None = Field(
        None, description="Online tiles under the map, as a Leaflet URL template. Empty: only our own base map, no outside request."
    )


def load() -> Settings:
    """The settings of this process. Raises pydantic.ValidationError naming each wrong value."""
    return Settings()


def debug_asked() -> bool:
    """Whether the environment asks Flask or Dash for their debug mode."""
    return any(os.environ.get(name, "").lower() not in ("", "0", "false", "no") for name in ("FLASK_DEBUG", "DASH_DEBUG"))


def start_logs() -> None:
    """How this process logs: one event a line, for people on a terminal, as JSON elsewhere; never the local variables of a traceback, which may hold secrets."""
    people = sys.stdout.isatty()
    renderers = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if people
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ]
    )


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment of a program of ours that shall use the same database and judge by the same thresholds."""
    said = {"thresholds": settings.thresholds, "plain_low": settings.plain_low, "plain_critical": settings.plain_critical}
    given = {f"VOLTLEDGER_{name.upper()}": str(value) for name, value in said.items()}
    return {**os.environ, **given, "DATABASE_URL": settings.database_url or ""}
