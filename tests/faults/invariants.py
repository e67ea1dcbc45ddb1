"""I1 to I7: what must hold after every scenario, worked out by the database from the ledger's two numbers for each device."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from db.sides import SIDES, Side
from proof.devices import ENERGIES, ENERGY_BY_DEVICE, ENERGY_BY_N
from proof.ledger import Ledger


@dataclass(slots=True)
class Findings:
    """All zero where nothing is wrong. `secrets` has what a log should not hold; `wrong_rollups` quarters whose sums are not history's."""

    lost: int = 0  # I1: acked and not stored
    phantom: int = 0  # I2: stored and never sent, or with another value
    twice: int = 0  # I3
    wrong_receipts: list[str] = field(default_factory=list)  # I4
    wrong_live: int = 0  # I5
    wrong_rollups: int = 0
    errors_500: list[str] = field(default_factory=list)  # I6
    secrets: list[str] = field(default_factory=list)  # I7
    rejected: list[tuple[Any, ...]] = field(default_factory=list)  # nothing the devices send is invalid
    stored: int = 0
    unknown_stored: int = 0  # sent, never acked, and there: allowed, a device would send it again

    def assert_none(self) -> None:
        """Raises AssertionError naming each invariant that does not hold."""
        wrong = {name: getattr(self, name) for name in Findings.__dataclass_fields__ if name not in ("stored", "unknown_stored")}
        assert not any(wrong.values()), {name: value for name, value in wrong.items() if value}


def examine(ledger: Ledger, database_url: str, logs: tuple[Path, ...] = (), secrets: tuple[str, ...] = ()) -> Findings:
    """Hold the ledger against the database, and the secrets against the logs."""
    found = Findings(wrong_receipts=ledger.wrong_receipts, errors_500=ledger.samples, rejected=list(ledger.rejected[:20]))
    with psycopg.connect(database_url) as conn:
        _remember(conn, ledger)
        for number, side in enumerate(SIDES):
            _history(conn, side, number, ledger, found)
            _live_and_rollups(conn, side, ledger, found)
    for log in logs:
        text = log.read_text(errors="replace")
        found.secrets += [f"{log.name} holds a secret: {secret[:4]}…" for secret in secrets if secret in text]
    return found


def _remember(conn: psycopg.Connection, ledger: Ledger) -> None:
    conn.execute("CREATE TEMP TABLE proof_device (id text PRIMARY KEY, number bigint, sent int, done int)")
    conn.execute("CREATE TEMP TABLE proof_rejected (number bigint, n int)")
    with conn.cursor().copy("COPY proof_device FROM STDIN") as copy:
        for number, (sent, done) in enumerate(zip(ledger.sent, ledger.done, strict=True)):
            copy.write_row((ledger.fleet.id_of(number), number, sent, done))
    with conn.cursor().copy("COPY proof_rejected FROM STDIN") as copy:
        for number, n, *_ in ledger.rejected:
            copy.write_row((number, n))


def _history(conn: psycopg.Connection, side: Side, number: int, ledger: Ledger, found: Findings) -> None:
    """One pass over what is stored of these devices, joined with every n that was sent."""
    statement = f"""
        WITH stored AS MATERIALIZED (
            SELECT d.number, d.sent, d.done, count(*) OVER (PARTITION BY h.{side.key}, h.recorded_at) AS times,
                   (extract(epoch FROM h.recorded_at) * 1000 - %(begin)s) / %(step)s AS n, h.{side.energy} AS energy
            FROM proof_device d JOIN {side.history} h ON h.{side.key} = d.id WHERE d.number %% 2 = %(odd)s
        ), judged AS (
            SELECT *, n = trunc(n) AND n >= 0 AND n < sent
                   AND energy = (n * {ENERGY_BY_N} + number * {ENERGY_BY_DEVICE})::bigint %% {ENERGIES} AS known FROM stored
        ), due AS (
            SELECT coalesce(sum(done), 0) - (SELECT count(*) FROM proof_rejected WHERE number %% 2 = %(odd)s) AS acked
            FROM proof_device WHERE number %% 2 = %(odd)s
        ), counted AS (
            SELECT count(*) AS stored, count(*) FILTER (WHERE NOT known) AS phantom, count(*) FILTER (WHERE times > 1) AS twice,
                   count(DISTINCT (number, n)) FILTER (WHERE known AND n < done AND (number, n::int) NOT IN (SELECT number, n FROM proof_rejected)) AS acked_stored,
                   count(*) FILTER (WHERE known AND n >= done) AS unknown_stored
            FROM judged
        )
        SELECT stored, phantom, twice, acked - acked_stored, unknown_stored FROM counted, due"""  # fmt: skip
    values = {"begin": ledger.fleet.begin_s * 1000, "step": ledger.fleet.step_ms, "odd": number}
    row = conn.execute(statement.encode(), values).fetchone()
    stored, phantom, twice, lost, unknown = (int(str(value)) for value in row or ())
    found.stored += stored
    found.phantom += phantom
    found.twice += twice
    found.lost += lost
    found.unknown_stored += unknown


def _live_and_rollups(conn: psycopg.Connection, side: Side, ledger: Ledger, found: Findings) -> None:
    """The live row is the newest of history; a quarter's sums are what history adds up to."""
    live = f"""
        SELECT count(*) FROM (
            SELECT DISTINCT ON ({side.key}) {side.key}, recorded_at, {side.energy}
            FROM {side.history} WHERE {side.key} IN (SELECT id FROM proof_device) ORDER BY {side.key}, recorded_at DESC) newest
        FULL JOIN (SELECT {side.key}, recorded_at, {side.energy} FROM {side.live} WHERE {side.key} IN (SELECT id FROM proof_device)) live
            USING ({side.key}, recorded_at, {side.energy})
        WHERE newest.{side.key} IS NULL OR live.{side.key} IS NULL"""  # fmt: skip
    rollups = f"""
        SELECT count(*) FROM (
            SELECT {side.key}, bucket, sum(readings) AS readings, sum({side.energy}) AS energy
            FROM {side.rollup} WHERE {side.key} IN (SELECT id FROM proof_device) GROUP BY 1, 2) kept
        FULL JOIN (
            SELECT {side.key}, date_bin('15 minutes', recorded_at - interval '1 microsecond', '2000-01-01 00:00+00') AS bucket,
                   count(*) AS readings, sum({side.energy}) AS energy
            FROM {side.history} WHERE {side.key} IN (SELECT id FROM proof_device) GROUP BY 1, 2) made
            USING ({side.key}, bucket)
        WHERE kept.readings IS DISTINCT FROM made.readings OR kept.energy IS DISTINCT FROM made.energy"""
    found.wrong_live += _count(conn, live)
    found.wrong_rollups += _count(conn, rollups)


def _count(conn: psycopg.Connection, statement: str) -> int:
    row = conn.execute(statement.encode()).fetchone()
    return int(row[0]) if row else 0
