"""What people may set of each rule: its defaults, its bounds, and which of several settings holds for a subject."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Rule = Literal["low_efficiency", "suspect_measurement", "device_silent", "battery_hot", "site_dark"]
RULES: tuple[Rule, ...] = ("low_efficiency", "suspect_measurement", "device_silent", "battery_hot", "site_dark")
Scope = Literal["all", "site", "vehicle", "meter"]

# From the widest to the narrowest: the narrower one holds.
SCOPES: tuple[Scope, ...] = ("all", "site", "vehicle", "meter")


@dataclass(frozen=True, slots=True)
class Number:
    """A setting that is a number within bounds, both included."""

    default: float
    least: float
    most: float
    unit: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A setting that is one of a few values."""

    default: object
    values: tuple[object, ...]


_SWITCH = Choice(True, (True, False))
# What low means stands with the verdict, which is used everywhere; here are the common thresholds alone.
SETTINGS: Mapping[Rule, Mapping[str, Number | Choice]] = {
    "low_efficiency": {
        "enabled": _SWITCH,
        "use": Choice(None, ("band", "plain")),
        "plainLow": Number(0.85, 0.01, 0.99, "ratio"),
        "plainCritical": Number(0.75, 0.01, 0.99, "ratio"),
    },
    "suspect_measurement": {"enabled": _SWITCH},
    "device_silent": {
        "enabled": _SWITCH,
        "afterRhythms": Number(15, 5, 1000, "rhythms", whole=True),
        "onlyWhileCharging": Choice(False, (True, False)),
    },
    "battery_hot": {"enabled": _SWITCH, "limitC": Number(55, 30, 100, "°C")},
    "site_dark": {"enabled": _SWITCH, "share": Number(0.20, 0.05, 0.95, "of a site's devices")},
}


def checked(rule: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a rule, without those that are null (the wider scope's then hold). Raises ValueError saying what is wrong and what would do."""
    known = SETTINGS.get(rule)  # type: ignore[call-overload]
    if known is None:
        raise ValueError(f"there is no rule {rule!r}: the rules are {', '.join(RULES)}")
    if unknown := sorted(set(settings) - set(known)):
        raise ValueError(f"{rule} has no setting {unknown[0]!r}: it has {', '.join(known)}")
    found = {name: _checked(name, known[name], value) for name, value in settings.items() if value is not None}
    low, critical = found.get("plainLow"), found.get("plainCritical")
    if low is not None and critical is not None and critical >= low:
        raise ValueError(f"plainCritical ({critical}) must be below plainLow ({low})")
    return found


def _checked(name: str, kind: Number | Choice, value: Any) -> Any:
    if isinstance(kind, Choice):
        # 1 is True in Python, but not here.
        if not any(value is one or (isinstance(one, str) and value == one) for one in kind.values):
            raise ValueError(f"{name} is one of {', '.join(_written(one) for one in kind.values)}, not {value!r}")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is a number, not {value!r}")  # noqa: TRY004 - what people wrote will not do, like any other value
    # Before asking whether it is whole: neither infinity nor NaN is, and neither can be asked.
    if not kind.least <= value <= kind.most:
        raise ValueError(f"{name} is from {kind.least:g} to {kind.most:g} {kind.unit}, not {value!s:.20}")
    if kind.whole and value != int(value):
        raise ValueError(f"{name} is a whole number, not {value!r}")
    return value


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class AlertSettings:
    """What was set, by rule, scope and id ("" for all)."""

    given: Mapping[tuple[str, str, str], Mapping[str, Any]] = field(default_factory=dict)

    def of(self, rule: Rule, name: str, kind: str, subject_id: str, site_id: str | None) -> Any:
        """A setting for a subject: its own, else its site's, else that of all, else the default. A site is its own site."""
        for scope, scope_id in ((kind, subject_id), ("site", site_id), ("all", "")):
            given = self.given.get((rule, scope, scope_id or ""))
            if given and name in given:
                return given[name]
        return SETTINGS[rule][name].default

    def is_on(self, rule: Rule, kind: str, subject_id: str, site_id: str | None) -> bool:
        """Whether people want this rule for this subject."""
        return bool(self.of(rule, "enabled", kind, subject_id, site_id))
