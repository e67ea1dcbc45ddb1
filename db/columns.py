"""Readings of one side by column: many at a time without a Python object for each value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from db.arrays import NULL_INT4, Parameters, int4s, texts, timestamps
from db.sides import Side

# (id, recorded_at in µs since 1970, energy in thousandths of a Wh, measures…, latitude_e7, longitude_e7), None where not measured;
# `Side.nullable` names what follows the energy.
Reading = tuple[str, int, int, *tuple[int | None, ...]]


@dataclass(frozen=True, slots=True)
class Columns:
    """`values` has a row for the energy, then one for each of `side.nullable`, NULL_INT4 where not measured; a column for each reading."""

    ids: list[str]
    recorded_at_us: NDArray[np.int64]
    values: NDArray[np.int32]

    @classmethod
    def of(cls, readings: Sequence[Reading]) -> Self:
        """The same readings by column; there must be at least one."""
        ids, at, energy, *nullable = zip(*readings, strict=True)
        rows = [energy, *([NULL_INT4 if value is None else value for value in values] for values in nullable)]
        return cls(list(ids), np.array(at, dtype=np.int64), np.array(rows, dtype=np.int32))

    def parameters(self, side: Side, chosen: NDArray[np.int64]) -> Parameters:
        """The chosen readings as arrays for PostgreSQL: `ids`, `at` and one by the name of each value's column."""
        values = {name: int4s(row[chosen]) for name, row in zip((side.energy, *side.nullable), self.values, strict=True)}
        ids = self.ids
        return {"ids": texts([ids[n] for n in chosen.tolist()]), "at": timestamps(self.recorded_at_us[chosen]), **values}


@dataclass(frozen=True, slots=True)
class Keys:
    """Which readings have the same key. `first` are the positions of each key's first reading, in the order of the keys; `slot` tells for
    each reading which of these is its own.
    """

    first: NDArray[np.int64]
    slot: NDArray[np.int64]

    @classmethod
    def of(cls, columns: Columns) -> Self:
        """Sorted by (id, instant): one order of keys for everybody, since unsorted batches deadlock each other."""
        rank = {name: n for n, name in enumerate(sorted(set(columns.ids)))}
        device = np.array([rank[name] for name in columns.ids], dtype=np.int64)
        order = np.lexsort((columns.recorded_at_us, device))  # stable: of equal keys the first to come stays first
        device, at = device[order], columns.recorded_at_us[order]
        new = np.ones(len(order), dtype=bool)
        new[1:] = (device[1:] != device[:-1]) | (at[1:] != at[:-1])
        slot = np.empty(len(order), dtype=np.int64)
        slot[order] = np.cumsum(new) - 1
        return cls(order[new], slot)
