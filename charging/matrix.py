"""Vehicle or charger? What cells of a vehicles × chargers matrix say together, in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from charging.verdict import Summary, Verdict

Blame = Literal["none", "vehicle", "charger", "both", "unknown"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One vehicle at one charger, all its charging there together."""

    vehicle_id: str
    meter_id: str
    summary: Summary

    @property
    def low(self) -> bool:
        """Below what is expected."""
        return self.summary.verdict is Verdict.LOW

    @property
    def judged(self) -> bool:
        """Whether there is evidence enough."""
        return self.summary.verdict in (Verdict.OK, Verdict.LOW)


@dataclass(frozen=True, slots=True)
class Reading:
    """Where the loss sits as far as the cells tell: `subject` is a vehicle's or a charger's id."""

    subject: str
    blame: Blame
    words: str


def read_vehicle(vehicle_id: str, cells: Iterable[Cell]) -> Reading:
    """What the matrix says about a vehicle. `cells` hold its own and those of the others on its chargers."""
    return _read(vehicle_id, [(c.vehicle_id, c.meter_id, c.low) for c in cells if c.judged], _VEHICLE)


def read_charger(meter_id: str, cells: Iterable[Cell]) -> Reading:
    """What the matrix says about a charger. `cells` hold its own and those of its vehicles at other chargers."""
    return _read(meter_id, [(c.meter_id, c.vehicle_id, c.low) for c in cells if c.judged], _CHARGER)


@dataclass(frozen=True, slots=True)
class _Kind:
    name: Blame
    partner: Blame
    at: str
    partners: str
    others: str


_VEHICLE = _Kind("vehicle", "charger", "at", "chargers", "vehicles")
_CHARGER = _Kind("charger", "vehicle", "with", "vehicles", "chargers")


def _read(subject: str, known: Sequence[tuple[str, str, bool]], kind: _Kind) -> Reading:
    """`known`: (subject, partner, whether low) of every judged cell; the same rule from either side."""
    own = {partner: low for one, partner, low in known if one == subject}
    lows, fine = sorted(p for p, low in own.items() if low), sorted(p for p, low in own.items() if not low)
    if not own:
        return Reading(subject, "unknown", f"not enough evidence {kind.at} any of its {kind.partners}")
    if not lows:
        return Reading(subject, "none", f"as expected {kind.at} {_listed(fine)}")
    others = {partner: _others(subject, partner, known) for partner in lows}
    excused = [partner for partner, (low, ok) in others.items() if low and not ok]
    if len(excused) == len(lows):
        them = sum(others[partner][0] for partner in excused)
        more = f" and as expected {kind.at} {_listed(fine)}" if fine else ""
        words = f"low {kind.at} {_listed(lows)}, where {_counted(them, kind.others)} low too{more}: it is the {kind.partner}"
        return Reading(subject, kind.partner, words)
    ok = sum(as_expected for _, as_expected in others.values())
    return _some_low(subject, lows, fine, ok, kind) if fine else _all_low(subject, lows, excused, ok, kind)


def _some_low(subject: str, lows: Sequence[str], fine: Sequence[str], ok: int, kind: _Kind) -> Reading:
    """Low with some partners, as expected with others; `ok` others are as expected where it is low."""
    elsewhere = f"as expected {kind.at} {_listed(fine)}"
    if not ok:
        return Reading(subject, kind.partner, f"low {kind.at} {_listed(lows)} only, {elsewhere}: look at the {kind.partner} first")
    there = f"{_counted(ok, kind.others)} as expected there"
    return Reading(
        subject, "both", f"low {kind.at} {_listed(lows)}, though {there}, and {elsewhere}: it is the two together, a cable or a setting"
    )


def _all_low(subject: str, lows: Sequence[str], excused: Sequence[str], ok: int, kind: _Kind) -> Reading:
    """Low with every partner; with the excused ones all others are low too."""
    every = f"low {kind.at} {f'all of {_listed(lows)}' if len(lows) > 1 else lows[0]}"
    if excused:
        return Reading(subject, "both", f"{every}; {kind.at} {_listed(excused)} others are low too: both may be at fault")
    if len(lows) > 1 or ok:
        where = f", where {_counted(ok, kind.others)} as expected" if ok else ""
        return Reading(subject, kind.name, f"{every}{where}: it is the {kind.name}")
    words = f"{every}, the only one of its {kind.partners}, and no other {kind.name} was there: not enough overlap to say"
    return Reading(subject, "unknown", words)


def _others(subject: str, partner: str, known: Sequence[tuple[str, str, bool]]) -> tuple[int, int]:
    """How many others are low and how many are as expected with this partner."""
    found = [low for one, other, low in known if other == partner and one != subject]
    return sum(found), len(found) - sum(found)


def _counted(many: int, what: str) -> str:
    return f"{many} other {what} are" if many > 1 else f"another {what[:-1]} is"


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
