"""Readings of one side by column, as files hold them: many at a time without a Python object for each."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from db.arrays import NULL_INT4
from db.engine import Conn
from db.ingest import Reading, store
from db.sides import Side


@dataclass(frozen=True, slots=True)
class Columns:
    """`values` has a row for the energy, then one for each of `side.nullable`, NULL_INT4 where not measured; a column for each reading."""

    ids: list[str]
    recorded_at_us: NDArray[np.int64]
    values: NDArray[np.int32]


def store_columns(conn: Conn, side: Side, columns: Columns, received_at: datetime) -> NDArray[np.int8]:
    """Write readings of one side as `db.ingest.store` does; the `Outcome` of each, in their order. The caller commits."""
    values = [[None if value == NULL_INT4 else value for value in row] for row in columns.values.tolist()]
    readings: list[Reading] = list(zip(columns.ids, columns.recorded_at_us.tolist(), *values, strict=True))
    return np.array(store(conn, side, readings, received_at), dtype=np.int8)
