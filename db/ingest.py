"""A reading's way into the tables: one statement a side writes history, moves live forward and adds to the rollups."""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from charging.evidence import CHARGING_FLOOR_MILLIWH
from db.arrays import NULL_INT4, timestamps
from db.columns import Columns, Keys, Reading
from db.engine import Conn
from db.sides import Side, bucket_of

__all__ = ["Columns", "Outcome", "Reading", "rollup_columns", "rollup_select", "store", "store_columns"]


class Outcome(IntEnum):
    """What became of one reading."""

    ACCEPTED = 0
    DUPLICATE = 1
    CONFLICT = 2
    CLOSED = 3  # of a day whose readings a person dropped; given by those who look after days, never by `store`


_OUTCOMES = tuple(Outcome)
Outcomes = NDArray[np.int8]


def store(conn: Conn, side: Side, readings: Sequence[Reading], received_at: datetime) -> list[Outcome]:
    """Write readings of one side; the outcome of each, in their order. The caller commits, vehicles before meters.

    The first of two readings with the same id and instant stays; the other is a duplicate if equal, else a conflict.
    """
    if not readings:
        return []
    return [_OUTCOMES[n] for n in store_columns(conn, side, Columns.of(readings), received_at).tolist()]


def store_columns(conn: Conn, side: Side, columns: Columns, received_at: datetime) -> Outcomes:
    """The same for readings that are columns already; an `Outcome` of each, in their order."""
    outcomes: Outcomes = np.zeros(len(columns.ids), dtype=np.int8)
    if not columns.ids:
        return outcomes
    keys = Keys.of(columns)
    if len(keys.first) < len(columns.ids):
        again = np.ones(len(columns.ids), dtype=bool)
        again[keys.first] = False
        repeated = np.flatnonzero(again)
        outcomes[repeated] = _compared(columns.values[:, repeated], columns.values[:, keys.first[keys.slot[repeated]]])
    known = _insert(conn, side, columns, keys.first, received_at)
    if known:
        kept = np.full((len(columns.values), len(keys.first)), _NOBODYS, dtype=np.int64)
        kept[:, known] = _stored(conn, side, columns, keys.first[known])
        is_known = np.zeros(len(keys.first), dtype=bool)
        is_known[known] = True
        concerned = np.flatnonzero(is_known[keys.slot])
        outcomes[concerned] = _compared(columns.values[:, concerned], kept[:, keys.slot[concerned]])
    return outcomes


_NOBODYS = 2**40  # no value has it: a reading held against it is a conflict


def _compared(values: "NDArray[np.int32]", kept: "NDArray[np.signedinteger]") -> Outcomes:
    return np.where((values == kept).all(axis=0), Outcome.DUPLICATE, Outcome.CONFLICT).astype(np.int8)


def _insert(conn: Conn, side: Side, columns: Columns, chosen: NDArray[np.int64], received_at: datetime) -> list[int]:
    """Which of the chosen readings, counted from 0, were there already."""
    parameters = {**columns.parameters(side, chosen), "received_at": received_at}
    return [int(str(row[0])) - 1 for row in conn.execute(_insert_sql(side), parameters, prepare=True).fetchall()]


def _stored(conn: Conn, side: Side, columns: Columns, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """What history holds under the chosen readings' keys, in the form of `Columns.values`."""
    instants = columns.recorded_at_us[chosen]
    bounds = timestamps(np.array([instants.min(), instants.max()]))
    values = ", ".join((f"h.{side.energy}", *(f"coalesce(h.{name}, {NULL_INT4})" for name in side.nullable)))
    found = np.full((len(chosen), len(columns.values)), _NOBODYS, dtype=np.int64)
    _prefer_keys(conn, "off")
    # Never a prepared plan: one made without the keys reads whole days where nothing has been analysed yet (50 s instead of 0.25 s).
    rows = conn.execute(
        f"""SELECT k.n, {values} FROM unnest(%(ids)s, %(at)s) WITH ORDINALITY AS k({side.key}, recorded_at, n)
            JOIN {side.history} h USING ({side.key}, recorded_at)
            WHERE h.recorded_at BETWEEN (%(bounds)s)[1] AND (%(bounds)s)[2]""",
        {**columns.parameters(side, chosen), "bounds": bounds},
        prepare=False,
    ).fetchall()
    _prefer_keys(conn, "on")
    if rows:
        cells = np.array(rows, dtype=np.int64)
        found[cells[:, 0] - 1] = cells[:, 1:]
    return found.T


def _prefer_keys(conn: Conn, others: str) -> None:
    """A resend of thousands of readings is looked up key by key: the planner would rather read whole days (13 ms against 127 ms for 2,500)."""
    conn.execute("; ".join(f"SET LOCAL enable_{way} = {others}" for way in ("hashjoin", "mergejoin", "seqscan")))


@cache
def _insert_sql(side: Side) -> str:
    key, energy, nullable = side.key, side.energy, side.nullable
    columns = ", ".join((energy, *nullable))
    unnested = ", ".join(f"%({name})s" for name in (energy, *nullable))
    nulled = ", ".join(f"nullif({name}, {NULL_INT4})" for name in nullable)
    return f"""
    WITH input AS MATERIALIZED (
        SELECT * FROM unnest(%(ids)s, %(at)s, {unnested}) WITH ORDINALITY AS t({key}, recorded_at, {columns}, n)
    ), fresh AS (
        INSERT INTO {side.history} ({key}, recorded_at, received_at, {columns})
        SELECT {key}, recorded_at, %(received_at)s, {energy}, {nulled} FROM input
        ON CONFLICT DO NOTHING
        RETURNING {key}, recorded_at, {columns}
    ), newest AS (
        SELECT DISTINCT ON ({key}) *, lag(recorded_at) OVER of_device AS previous_at, min(recorded_at) OVER of_device AS oldest_at
        FROM fresh WINDOW of_device AS (PARTITION BY {key} ORDER BY recorded_at) ORDER BY {key}, recorded_at DESC
    ), placed AS (
        SELECT DISTINCT ON ({key}) {key}, recorded_at AS position_at, latitude_e7, longitude_e7
        FROM fresh WHERE latitude_e7 IS NOT NULL ORDER BY {key}, recorded_at DESC
    ), moved AS ({_live_sql(side)}
    ), added AS ({_rollup_sql(side)}
    )
    SELECT input.n FROM input LEFT JOIN fresh USING ({key}, recorded_at) WHERE fresh.{key} IS NULL"""


def _live_sql(side: Side) -> str:
    """Newest reading, the instant before it and the newest known position: the same whatever the order of arrival.

    `late_at` brings a batch's oldest instant, so that it can be held against the live row once that is locked.
    """
    key, values = side.key, (side.energy, *side.measures)
    columns = ", ".join(values)
    newer, nearer = "excluded.recorded_at > live.recorded_at", "(live.position_at IS NULL OR excluded.position_at > live.position_at)"
    moved = ", ".join(f"{name} = CASE WHEN {newer} THEN excluded.{name} ELSE live.{name} END" for name in ("received_at", *values))
    placed = ", ".join(
        f"{name} = CASE WHEN {nearer} THEN excluded.{name} ELSE live.{name} END" for name in ("latitude_e7", "longitude_e7", "position_at")
    )
    return f"""
        INSERT INTO {side.live} AS live ({key}, recorded_at, received_at, previous_at, {columns}, latitude_e7, longitude_e7, position_at, late_at)
        SELECT {key}, recorded_at, %(received_at)s, previous_at, {columns}, p.latitude_e7, p.longitude_e7, p.position_at, oldest_at
        FROM newest LEFT JOIN placed p USING ({key}) ORDER BY {key}
        ON CONFLICT ({key}) DO UPDATE SET
            recorded_at = greatest(live.recorded_at, excluded.recorded_at), {moved}, {placed},
            previous_at = greatest(least(live.recorded_at, excluded.recorded_at), live.previous_at, excluded.previous_at),
            late_at = CASE WHEN excluded.late_at <= live.recorded_at THEN excluded.received_at ELSE live.late_at END"""


def rollup_select(side: Side, source: str, where: str = "") -> str:
    """SELECT of a side's additive 15-minute sums out of `source`: what the write path adds and what a rebuild makes again."""
    charging = f"FILTER (WHERE {side.energy} > {CHARGING_FLOOR_MILLIWH})"
    measures = ", ".join(f"coalesce(sum({m}), 0), count({m}), min({m}), max({m})" for m in side.measures)
    return f"""
        SELECT {side.key}, {bucket_of("recorded_at")} AS bucket, count(*), count(*) {charging}, sum({side.energy}),
               min({side.energy}) FILTER (WHERE {side.energy} > 0), min(recorded_at), max(recorded_at),
               min(recorded_at) {charging}, max(recorded_at) {charging}, {measures}
        FROM {source} {where} GROUP BY 1, 2 ORDER BY 1, 2"""


def rollup_columns(side: Side) -> str:
    """The rollup table's columns, in the order of `rollup_select`."""
    measures = [f"{m}_{part}" for m in side.measures for part in ("sum", "count", "min", "max")]
    fixed = (
        side.key,
        "bucket",
        "readings",
        "charging_readings",
        side.energy,
        "smallest_milliwh",
        "first_at",
        "last_at",
        "charging_first_at",
        "charging_last_at",
    )
    return ", ".join((*fixed, *measures))


def _rollup_sql(side: Side) -> str:
    added = ("readings", "charging_readings", side.energy, *(f"{m}_{part}" for m in side.measures for part in ("sum", "count")))
    least = ("smallest_milliwh", "first_at", "charging_first_at", *(f"{m}_min" for m in side.measures))
    greatest = ("last_at", "charging_last_at", *(f"{m}_max" for m in side.measures))
    moves = [f"{c} = r.{c} + excluded.{c}" for c in added]
    moves += [f"{c} = least(r.{c}, excluded.{c})" for c in least]
    moves += [f"{c} = greatest(r.{c}, excluded.{c})" for c in greatest]
    return f"""
        INSERT INTO {side.rollup} AS r ({rollup_columns(side)}) {rollup_select(side, "fresh")}
        ON CONFLICT ({side.key}, bucket) DO UPDATE SET {", ".join(moves)}"""
