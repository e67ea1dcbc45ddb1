"""A reading's way into the tables: one statement a side writes history, moves live forward and adds to the rollups.

A reading is a tuple of ints and text: (id, recorded_at in µs since 1970, energy in thousandths of a Wh, measures…, latitude_e7, longitude_e7),
None where not measured; `db.sides.Side.nullable` names what follows the energy.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from functools import cache

from charging.evidence import CHARGING_FLOOR_MILLIWH
from db.arrays import NULL_INT4, int4s, texts, timestamps
from db.engine import Conn
from db.sides import Side, bucket_of

Reading = tuple[str, int, int, *tuple[int | None, ...]]


class Outcome(IntEnum):
    """What became of one reading."""

    ACCEPTED = 0
    DUPLICATE = 1
    CONFLICT = 2
    CLOSED = 3  # of a day whose readings a person dropped; given by those who look after days, never by `store`


def store(conn: Conn, side: Side, readings: Sequence[Reading], received_at: datetime) -> list[Outcome]:
    """Write readings of one side; the outcome of each, in their order. The caller commits, vehicles before meters.

    The first of two readings with the same id and instant stays; the other is a duplicate if equal, else a conflict.
    """
    outcomes = [Outcome.ACCEPTED] * len(readings)
    first: dict[tuple[str, int], int] = {}
    for i, reading in enumerate(readings):
        kept = first.setdefault((reading[0], reading[1]), i)
        if kept != i:
            outcomes[i] = Outcome.DUPLICATE if readings[kept][2:] == reading[2:] else Outcome.CONFLICT
    # One order of keys for everybody: unsorted batches deadlock each other.
    order = [first[key] for key in sorted(first)]
    known = _insert(conn, side, [readings[i] for i in order], received_at) if order else []
    for position, stored in _stored(conn, side, [(n, readings[order[n]]) for n in known]).items():
        i = order[position]
        outcomes[i] = Outcome.DUPLICATE if stored == readings[i][2:] else Outcome.CONFLICT
        _rejudge_repeats(readings, outcomes, first, i, stored)
    return outcomes


def _rejudge_repeats(
    readings: Sequence[Reading], outcomes: list[Outcome], first: dict[tuple[str, int], int], kept: int, stored: tuple[object, ...]
) -> None:
    key = (readings[kept][0], readings[kept][1])
    if len(first) == len(readings):
        return
    for i, reading in enumerate(readings):
        if i != kept and (reading[0], reading[1]) == key:
            outcomes[i] = Outcome.DUPLICATE if reading[2:] == stored else Outcome.CONFLICT


def _columns(side: Side, readings: Sequence[Reading]) -> dict[str, object]:
    ids, at, energy, *nullable = zip(*readings, strict=True)
    columns: dict[str, object] = {"ids": texts(list(ids)), "at": timestamps(list(at)), "energy": int4s(list(energy))}
    for name, values in zip(side.nullable, nullable, strict=True):
        columns[name] = int4s([NULL_INT4 if value is None else value for value in values])
    return columns


def _insert(conn: Conn, side: Side, readings: Sequence[Reading], received_at: datetime) -> list[int]:
    """Positions of the readings that were there already."""
    rows = conn.execute(_insert_sql(side), {**_columns(side, readings), "received_at": received_at}, prepare=True).fetchall()
    return [int(str(row[0])) - 1 for row in rows]


def _stored(conn: Conn, side: Side, wanted: list[tuple[int, Reading]]) -> dict[int, tuple[object, ...]]:
    """What history holds for these (position, reading): position → (energy, measures…, position)."""
    if not wanted:
        return {}
    instants = [r[1] for _, r in wanted]
    bounds = timestamps([min(instants), max(instants)])
    parameters = {"ids": texts([r[0] for _, r in wanted]), "at": timestamps(instants), "bounds": bounds}
    values = ", ".join(f"h.{name}" for name in (side.energy, *side.nullable))
    _prefer_keys(conn, "off")
    rows = conn.execute(
        f"""SELECT k.n, {values} FROM unnest(%(ids)s, %(at)s) WITH ORDINALITY AS k({side.key}, recorded_at, n)
            JOIN {side.history} h USING ({side.key}, recorded_at)
            WHERE h.recorded_at BETWEEN (%(bounds)s)[1] AND (%(bounds)s)[2]""",
        parameters,
    ).fetchall()
    _prefer_keys(conn, "on")
    return {wanted[int(str(row[0])) - 1][0]: tuple(row[1:]) for row in rows}


def _prefer_keys(conn: Conn, others: str) -> None:
    """A resend of thousands of readings is looked up key by key: the planner would rather read whole days (13 ms against 127 ms for 2,500)."""
    for way in ("hashjoin", "mergejoin", "seqscan"):
        conn.execute(f"SET LOCAL enable_{way} = {others}")


@cache
def _insert_sql(side: Side) -> str:
    key, energy, nullable = side.key, side.energy, side.nullable
    columns = ", ".join((energy, *nullable))
    unnested = ", ".join(f"%({name})s" for name in nullable)
    nulled = ", ".join(f"nullif({name}, {NULL_INT4})" for name in nullable)
    return f"""
    WITH input AS MATERIALIZED (
        SELECT * FROM unnest(%(ids)s, %(at)s, %(energy)s, {unnested}) WITH ORDINALITY AS t({key}, recorded_at, {columns}, n)
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
