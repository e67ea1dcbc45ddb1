"""A report's columns: what each is called, what it holds, and how it comes about. The files and docs/reports.md follow this one list."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from charging.losses import Losses
from charging.units import to_kwh

# text · texts (ids, none of which holds a space) · number (64-bit float) · count (64-bit integer) · flag · instant (in UTC)
Kind = Literal["text", "texts", "number", "count", "flag", "instant"]
Row = Sequence[Any]
Block = list[Row]
# Rows handed on together: one by one each costs a pass through the server.
ROWS_AT_ONCE = 500
# Or after this long: over a year a statement reads few vehicles, and nobody shall wait a minute for the first byte.
BLOCK_S = 1.0


@dataclass(frozen=True, slots=True)
class Column:
    """`of` finds its value in what a row is made of; None where it is not known. `unit`: "" where it has none."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    of: Callable[[Any], Any]

    @property
    def key(self) -> str:
        """Its name in JSON: totalAcKwh for total_ac_kwh."""
        first, *rest = self.name.split("_")
        return first + "".join(part.capitalize() for part in rest)


def blocks(columns: Sequence[Column], facts: Iterable[object]) -> Iterator[Block]:
    """The rows of these facts, some at a time, and never none."""
    finders = [column.of for column in columns]
    block: Block = []
    began_s = time.monotonic()
    for one in facts:
        block.append([find(one) for find in finders])
        if len(block) >= ROWS_AT_ONCE or time.monotonic() - began_s > BLOCK_S:
            yield block
            block, began_s = [], time.monotonic()
    if block:
        yield block


def loss_columns() -> list[Column]:
    """Where the loss goes, of facts whose `parts` are `Losses` or None."""
    return [
        _part("overhead", "what the electronics draw while they charge"),
        _part("conversion", "what grows with the energy"),
        _part("conditioning", "what warming a cold battery took beyond these"),
        _part("standby", "what flowed to a full battery or an idle charger"),
        _part("unexplained", "the rest; negative where it went better than expected. The five parts add up to loss_kwh"),
        _part("avoidable", "of loss_kwh: what would not have been lost at the upper edge of the expected band"),
    ]


def _part(name: str, meaning: str) -> Column:
    def of(fact: Any) -> float | None:
        parts: Losses | None = fact.parts
        return None if parts is None else to_kwh(getattr(parts, name))

    return Column(f"loss_{name}_kwh", "number", "kWh", meaning, of)
