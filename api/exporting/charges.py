"""The report with a row per charging session."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from api.exporting.columns import Column, loss_columns
from api.exporting.window import Window
from api.services import Services
from charging.losses import Losses, losses
from charging.sessions import Session
from db.engine import Conn
from db.queries import sessions


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What a row is made of."""

    session: Session
    parts: Losses | None
    window: Window
    computed_at: datetime


SESSION_COLUMNS = [
    Column(
        "vehicle_ids", "texts", "", "who was assigned to the meter: one, several that share it, or nobody", lambda f: f.session.vehicle_ids
    ),
    Column("meter_id", "text", "", "the meter; empty for a vehicle without one", lambda f: f.session.meter_id),
    Column("start_utc", "instant", "", "when energy began to flow", lambda f: f.session.start),
    Column("end_utc", "instant", "", "when it ended, or the newest reading of one that runs", lambda f: f.session.end),
    Column("duration_s", "count", "s", "the time between them", lambda f: round((f.session.end - f.session.start).total_seconds())),
    Column("running", "flag", "", "whether it may go on", lambda f: f.session.running),
    Column("ac_kwh", "number", "kWh", "what the meter took from the grid", lambda f: f.session.summary.ac_kwh),
    Column("dc_kwh", "number", "kWh", "what reached the battery, or the batteries", lambda f: f.session.summary.dc_kwh),
    Column("efficiency", "number", "ratio", "DC ÷ AC", lambda f: f.session.summary.ratio),
    Column(
        "loss_kwh",
        "number",
        "kWh",
        "AC − DC; empty where no efficiency is known and on a shared meter",
        lambda f: f.session.summary.loss_kwh,
    ),
    Column("mean_kw", "number", "kW", "mean power at the meter, into the battery where there is none", lambda f: f.session.mean_kw),
    Column("peak_kw", "number", "kW", "the highest mean of a quarter of an hour", lambda f: f.session.peak_kw),
    Column("soc_from_pct", "number", "%", "state of charge at the start, of one vehicle alone", lambda f: f.session.soc_from_pct),
    Column("soc_to_pct", "number", "%", "at the end", lambda f: f.session.soc_to_pct),
    Column(
        "avg_battery_temp_c", "number", "°C", "mean of the measured battery temperatures", lambda f: f.session.summary.avg_battery_temp_c
    ),
    Column(
        "uncertainty",
        "number",
        "ratio",
        "of the efficiency, from the counters' steps and the meters' class",
        lambda f: f.session.summary.uncertainty,
    ),
    Column("expected_low", "number", "ratio", "lower edge of the expected band", lambda f: f.session.summary.expected_low),
    Column("expected_high", "number", "ratio", "its upper edge", lambda f: f.session.summary.expected_high),
    Column(
        "expected_from",
        "text",
        "",
        "what the band rests on: default, peers (its model) or learned (this vehicle)",
        lambda f: f.session.summary.band.source if f.session.summary.band else None,
    ),
    Column(
        "coverage_vehicle",
        "number",
        "0…1",
        "readings received ÷ due from the vehicle while charging",
        lambda f: f.session.summary.coverage_vehicle,
    ),
    Column("coverage_meter", "number", "0…1", "likewise from the meter", lambda f: f.session.summary.coverage_meter),
    Column("verdict", "text", "", "what may be said about the efficiency", lambda f: f.session.summary.verdict.value),
    Column("severity", "text", "", "warning or critical where the verdict is low", lambda f: f.session.summary.severity),
    Column("reason", "text", "", "why, in words", lambda f: f.session.summary.reason),
    *loss_columns(),
    Column(
        "expected_observations",
        "count",
        "",
        "hours of charging that a learned band rests on",
        lambda f: f.session.summary.band.observations if f.session.summary.band else None,
    ),
    Column("readings_vehicle", "count", "", "readings of the vehicle", lambda f: f.session.summary.vehicle_readings),
    Column("readings_meter", "count", "", "readings of the meter", lambda f: f.session.summary.meter_readings),
    Column("zone", "text", "", "the IANA name of the zone of the local columns", lambda f: f.window.zone.key),
    Column(
        "start_local", "text", "", "start_utc on that zone's clocks, RFC 3339 with their offset", lambda f: f.window.local(f.session.start)
    ),
    Column("end_local", "text", "", "end_utc likewise", lambda f: f.window.local(f.session.end)),
    Column("from_utc", "instant", "", "where the report's window begins: sessions that ended after it", lambda f: f.window.start),
    Column("to_utc", "instant", "", "where it ends: and not after this", lambda f: f.window.end),
    Column("window_hours", "number", "h", "its length; a local day with a change of the clocks has 23 or 25", lambda f: f.window.hours),
    Column("computed_at_utc", "instant", "", "when the row was worked out", lambda f: f.computed_at),
]


def session_facts(services: Services, window: Window, vehicle_ids: Sequence[str] | None) -> Generator[SessionFacts, None, None]:
    """Every session that ended in the window, each once, in no particular order; those of the named vehicles unless that is None. Raises Problem 503."""
    with services.reading() as conn:
        for session in _sessions(conn, services, window, vehicle_ids):
            parts = losses(session.summary) if session.summary.loss_kwh is not None else None
            yield SessionFacts(session, parts, window, services.now())


def _sessions(conn: Conn, services: Services, window: Window, vehicle_ids: Sequence[str] | None) -> Iterator[Session]:
    if vehicle_ids is None:
        yield from sessions.of_everyone(conn, window.start, window.end, services.now(), services.policies)
        return
    had: set[str] = set()
    for vehicle_id in sorted(set(vehicle_ids)):
        for session in sessions.of_vehicles(conn, [vehicle_id], window.start, window.end, services.now(), services.policies):
            if had.isdisjoint(session.vehicle_ids):  # a session at a shared meter is each of its vehicles'
                yield session
        had.add(vehicle_id)
