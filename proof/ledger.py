"""What was sent, what was acked and what became of neither: the memory that the database is held against.

A device sends reading 0, then 1, then 2 …, and never the next before this one is decided. So two numbers say everything about it: of its
readings n < `done` each is acked (or stands in `rejected`), those from `done` to `sent` are of unknown outcome: sent, never decided.
"""

import itertools
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from proof.devices import Fleet

SAMPLES = 20  # of each kind of trouble kept word for word
PER_DECADE = 50  # classes of durations: 4.7 % wide
ACKS_PER_S = 10


@dataclass(slots=True)
class Ledger:
    """`counts` by name: answers, acked, duplicates, resent, refused, errors_500, broken, unanswered, without_retry_after, and `refused:<kind>`.

    `took` and `refusals_took` count durations by class (see `quantile_ms`); `acks` counts acked readings by tenth of a second of the
    monotonic clock, which all processes of a machine share; `cut_off` has the instants of requests whose connection ended unanswered.
    """

    fleet: Fleet
    sent: list[int]
    done: list[int]
    rejected: list[tuple[int, int, int, str]] = field(default_factory=list)  # device, n, status, code
    counts: Counter[str] = field(default_factory=Counter)
    took: Counter[int] = field(default_factory=Counter)
    refusals_took: Counter[int] = field(default_factory=Counter)
    acks: Counter[int] = field(default_factory=Counter)
    cut_off: list[float] = field(default_factory=list)
    wrong_receipts: list[str] = field(default_factory=list)  # I4
    samples: list[str] = field(default_factory=list)  # of errors 500

    @classmethod
    def of(cls, fleet: Fleet, devices: int) -> "Ledger":
        """An empty one."""
        return cls(fleet, [0] * devices, [0] * devices)

    def as_dict(self) -> dict[str, Any]:
        """For a file or a pipe."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"fleet": self.fleet.as_dict()}

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> "Ledger":
        """What `as_dict` made, also after a way through JSON."""
        numbered = {name: Counter({int(key): n for key, n in kept[name].items()}) for name in ("took", "refusals_took", "acks")}
        rejected = [tuple(one) for one in kept["rejected"]]
        return cls(**{**kept, **numbered, "fleet": Fleet(**kept["fleet"]), "counts": Counter(kept["counts"]), "rejected": rejected})

    @property
    def acked(self) -> int:
        """Readings answered 2xx and not listed as an error there."""
        return sum(self.done) - len(self.rejected)

    @property
    def unknown(self) -> int:
        """Readings sent and never decided."""
        return sum(self.sent) - sum(self.done)

    def first_ack_after(self, instant: float) -> float | None:
        """Seconds from an instant of the monotonic clock until readings were acked again, to a tenth; None: never."""
        later = [tenth for tenth in self.acks if tenth / ACKS_PER_S >= instant]
        return min(later) / ACKS_PER_S - instant if later else None

    def silence_after(self, instant: float) -> float:
        """The longest time between two acks of which the second came after an instant of the monotonic clock; seconds."""
        pairs = itertools.pairwise(sorted(self.acks))
        return max((b - a for a, b in pairs if b / ACKS_PER_S > instant), default=0) / ACKS_PER_S


def duration_class(seconds: float) -> int:
    """The class a duration is counted in."""
    return round(math.log10(max(seconds, 1e-5)) * PER_DECADE)


def quantile_ms(took: Counter[int], share: float) -> float:
    """The duration that this share of the counted ones does not exceed, to 5 %; 0 where none was counted."""
    wanted, seen = share * took.total(), 0
    for each in sorted(took):
        seen += took[each]
        if seen >= wanted:
            return float(10 ** (each / PER_DECADE) * 1000)
    return 0.0
