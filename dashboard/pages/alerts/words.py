"""Alerts in words: rules, states, what happened, how far, and what to check. Evidence may lack anything: then it is not spoken of."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from dashboard import format as fmt
from db.queries.alerts import Episode

RULES = {
    "low_efficiency": "Low efficiency",
    "suspect_measurement": "Suspect measurement",
    "device_silent": "Device silent",
    "battery_hot": "Battery hot",
    "site_dark": "Site dark",
}
SEVERITIES = {"critical": "Critical", "warning": "Warning"}
STATES = {"ok": "fine", "pending": "pending", "firing": "firing", "recovering": "recovering", "resolved": "resolved"}
STEPS = {
    ("ok", "pending"): "Limit crossed: it becomes an alert if that holds",
    ("pending", "firing"): "Alert",
    ("ok", "firing"): "Alert",
    ("firing", "firing"): "More severe",
    ("firing", "recovering"): "Recovering: it is over if that holds",
    ("recovering", "firing"): "Back again",
    ("recovering", "ok"): "Resolved",
    ("firing", "ok"): "Closed",
    ("pending", "ok"): "Fine again, before it was an alert",
}
NOTICES = {
    "firing": "told of the alert", "escalated": "told that it is more severe", "resolved": "told that it is over", "flapping": "told that it comes and goes",
    "digest": "told in the daily digest", "test": "a test",
}  # fmt: skip


def rule(episode_rule: str, subject_kind: str) -> str:
    """The rule's name; a dark site of everything has one of its own."""
    return "All readings stopped" if subject_kind == "ingestion" else RULES.get(episode_rule, episode_rule)


def kind(severity: str | None) -> str:
    """Shape and colour: those of the verdicts, so that critical looks alike everywhere."""
    return "critical" if severity == "critical" else "low"


def subject(one: Any) -> str:
    """What it is about; `one` has subject_kind, subject_id and name."""
    return "Everything" if one.subject_kind == "ingestion" else one.name or one.subject_id


def where(one: Any) -> str:
    """What kind of thing it is, and where."""
    parts = [
        one.subject_kind if one.subject_kind != "ingestion" else None,
        one.subject_id if one.name and one.name != one.subject_id else None,
    ]
    if one.subject_kind != "site":
        parts.append(one.site_name or one.site_id)
    return " · ".join(part for part in parts if part)


def number(evidence: Mapping[str, Any], *path: str) -> float | None:
    """A number of the evidence, however deep; None where there is none."""
    found: Any = evidence
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def instant(evidence: Mapping[str, Any], name: str) -> datetime | None:
    """An instant of the evidence."""
    found = evidence.get(name)
    return fmt.instant(found) if isinstance(found, str) else None


def points(margin: float | None) -> str:
    """How far beyond the limit, or back within it."""
    if margin is None:
        return ""
    words = f"{fmt.number(abs(margin) * 100, 1)} points"
    return f"{words} short" if margin < 0 else f"{words} to the good"


def span(seconds: float | None) -> str:
    """Seconds in the units that matter."""
    return fmt.NONE if seconds is None else fmt.age(timedelta(seconds=seconds))


def measure(episode_rule: str, evidence: Mapping[str, Any]) -> tuple[str, str]:
    """The one number that says how bad it is, and what it is held against; ("", "") where it is not known."""
    if episode_rule in ("low_efficiency", "suspect_measurement"):
        ratio = number(evidence, "judgedRatio") if number(evidence, "judgedRatio") is not None else number(evidence, "efficiencyRatio")
        return (fmt.percent(ratio), points(number(evidence, "margin"))) if ratio is not None else ("", "")
    if episode_rule == "device_silent":
        silent = number(evidence, "silentS")
        return (span(silent), f"silent, one due every {span(number(evidence, 'rhythmS'))}") if silent is not None else ("", "")
    if episode_rule == "battery_hot":
        hot = number(evidence, "batteryTempC")
        return (f"{fmt.number(hot, 1)} °C", f"limit {fmt.number(number(evidence, 'limitC'), 0)} °C") if hot is not None else ("", "")
    silent, devices = number(evidence, "silent"), number(evidence, "devices")
    return (f"{fmt.number(silent)} of {fmt.number(devices)}", "devices silent") if silent is not None and devices else ("", "")


def happened(one: Episode, tz: tzinfo, zone_name: str) -> str:
    """What happened, for somebody who sees it for the first time."""
    by_rule = {"low_efficiency": _low, "suspect_measurement": _suspect, "device_silent": _silent, "battery_hot": _hot, "site_dark": _dark}
    words = by_rule[one.rule](one.evidence, tz, zone_name) if one.rule in by_rule else ""
    return words or one.reason


def _window(evidence: Mapping[str, Any], tz: tzinfo, zone_name: str) -> str:
    start, end = instant(evidence, "windowFrom"), instant(evidence, "windowTo")
    if start is None or end is None:
        return ""
    return f"between {fmt.moment(start, tz)} and {fmt.moment(end, tz)} {zone_name}"


def _low(evidence: Mapping[str, Any], tz: tzinfo, zone_name: str) -> str:
    ac, dc, ratio = (number(evidence, name) for name in ("acKwh", "dcKwh", "efficiencyRatio"))
    if ac is None or dc is None or ratio is None:
        return ""
    held, slack = number(evidence, "threshold"), number(evidence, "slack")
    plain = evidence.get("expected") is None
    limit = "" if held is None else f" {'The threshold is' if plain else 'At least'} {fmt.percent(held)}{'' if plain else ' was expected'}"
    less = f", less {fmt.number(slack * 100, 1)} points that the counters may be off" if limit and slack else ""
    return f"Of {fmt.number(ac, 2)} kWh from the grid {fmt.number(dc, 2)} kWh reached the battery {_window(evidence, tz, zone_name)}: {fmt.percent(ratio)}.{limit}{less}{'.' if limit else ''}"  # fmt: skip


def _suspect(evidence: Mapping[str, Any], tz: tzinfo, zone_name: str) -> str:
    ac, dc = number(evidence, "acKwh"), number(evidence, "dcKwh")
    if ac is None or dc is None:
        return ""
    return f"The two counters contradict each other {_window(evidence, tz, zone_name)}: {fmt.number(ac, 2)} kWh from the grid, {fmt.number(dc, 2)} kWh into the battery. One of them is wrong, so nothing is said about the efficiency."  # fmt: skip


def _silent(evidence: Mapping[str, Any], tz: tzinfo, zone_name: str) -> str:
    last = instant(evidence, "lastReceivedAt")
    since = f"The last reading came {fmt.moment(last, tz)} {zone_name}" if last else "No reading ever came"
    rhythm, after = number(evidence, "rhythmS"), number(evidence, "alertAfterS")
    due = "" if rhythm is None else f"; one is due every {span(rhythm)}"
    held = "" if after is None else f", and after {span(after)} without one somebody is told"
    charging = " It was charging." if evidence.get("charging") is True else ""
    return f"{since}{due}{held}.{charging}"


def _hot(evidence: Mapping[str, Any], tz: tzinfo, zone_name: str) -> str:
    hot, limit, at = number(evidence, "batteryTempC"), number(evidence, "limitC"), instant(evidence, "recordedAt")
    if hot is None:
        return ""
    when = f" at {fmt.moment(at, tz)} {zone_name}" if at else ""
    return f"The battery was {fmt.number(hot, 1)} °C{when}; the limit is {fmt.number(limit, 0)} °C."


def _dark(evidence: Mapping[str, Any], tz: tzinfo, zone_name: str) -> str:
    silent, devices, share = (number(evidence, name) for name in ("silent", "devices", "share"))
    if silent is None or devices is None:
        return ""
    since = instant(evidence, "since")
    from_when = f" since {fmt.moment(since, tz)} {zone_name}" if since else ""
    part = "" if share is None else f" ({fmt.percent(share, 0)}; limit {fmt.percent(number(evidence, 'limitShare'), 0)})"
    return f"{fmt.number(silent)} of {fmt.number(devices)} devices went silent together{from_when}{part}. That is one cause, not {fmt.number(silent)}: their own alerts are held back."  # fmt: skip


def checks(one: Episode) -> list[str]:
    """What to look at, in the order that finds it soonest."""
    name, meters = subject(one), ", ".join(str(meter) for meter in one.evidence.get("meterIds") or []) or "this charger"
    found = {
        "low_efficiency": [
            f"Charge {name} at another charger. Low there too points to the vehicle's on-board charger; normal there points to {meters} or its cable.",
            f"See whether other vehicles are low at {meters}.",
            "A loss that grows with power points to resistance: plug, cable, contacts. Feel for warmth.",
            "A loss that is the same at any power points to something that keeps drawing: heating, electronics, another load on the meter.",
        ],
        "suspect_measurement": [
            f"See whether {meters} really feeds {name}: a swapped assignment looks exactly like this.",
            "Compare both counters with their displays: one may have stopped, or count in other units.",
            "See whether the meter feeds only this vehicle; another load or a second plug makes the sum wrong.",
        ],
        "device_silent": [
            "See whether others at the same place report: if none does, look at the network and not at the device.",
            "See whether it has power and a connection; restart it, and look here again after two of its readings were due.",
            "A vehicle that is parked may be silent by design: the rule can be set to watch only while it charges.",
        ],
        "battery_hot": [
            "Let it rest: stop charging, keep it in the shade, and do not drive hard until it has cooled.",
            "See whether the cooling works: fan, pump, coolant.",
            "See whether only this vehicle is hot, or every one at this place today.",
        ],
        "site_dark": [
            "See whether the site has power and its connection works; ask somebody who is there.",
            "See whether a gateway or router that all of these devices use was changed or restarted.",
            "What the devices kept meanwhile arrives later by itself; nothing has to be sent again.",
        ],
    }.get(one.rule, [])  # fmt: skip
    if one.subject_kind == "ingestion":
        return ["See whether this server can be reached from outside: address, certificate, firewall, proxy.", "See on the ingestion page what came last, and what was rejected.", "What the devices kept meanwhile arrives later by itself."]  # fmt: skip
    urgent = {"low_efficiency": f"Take {name} off {meters} until it is found: so much heat goes somewhere.", "battery_hot": "Get people away from the vehicle first if it smokes, swells or smells."}  # fmt: skip
    return [urgent[one.rule], *found] if one.severity == "critical" and one.rule in urgent else found


def matcher(silence: Any) -> str:
    """What a silence covers."""
    about = f"{silence.subject_kind} {silence.subject_id}" if silence.subject_id else None
    at = f"at site {silence.site_id}" if silence.site_id else None
    named = RULES.get(silence.rule, silence.rule) if silence.rule else None
    found = " · ".join(part for part in (named, about, at) if part)
    return found or "Every alert"
