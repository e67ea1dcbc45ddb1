"""A notice in words that people act on: what is wrong with what, in numbers with units, over which window, what to check, and where to look.

Pure: from the notice's body alone. Names may be any text: control characters, line breaks and signs that turn the reading direction are
taken out here; what a channel takes for markup is escaped or replaced for it.
"""

import html as markup
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

Body = Mapping[str, Any]

MOST_LINE = 200  # characters of a name or a subject: a mail's subject line, a phone's notification
MOST_LISTED = 20  # alerts a digest names; the page has them all
RULES = {
    "low_efficiency": "Low efficiency",
    "suspect_measurement": "Suspect measurement",
    "device_silent": "Device silent",
    "battery_hot": "Battery hot",
    "site_dark": "Site dark",
}
_CHECKS = {
    "low_efficiency": "Check the cable and its plugs, the on-board charger, and whether the vehicle is assigned to the charger it stands at.",
    "suspect_measurement": "Check which charger is assigned to the vehicle, whether another one draws from it, and what meter and vehicle count.",
    "device_silent": "Check that the device has power and a network, and that its key and address are right.",
    "battery_hot": "Let the vehicle stop charging and cool down, and have the battery's cooling looked at.",
    "site_dark": "Check the site's power and its way to the internet. The alerts of single devices there are held back meanwhile.",
    "ingestion": "Check that readings can reach the server: network, proxy and the page Ingestion. All other alerts are held back meanwhile.",
}
# Line breaks and paragraph marks, control and format characters (which turn or hide text), surrogates, what is unassigned.
_UNWANTED = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_HARMLESS = str.maketrans("<>[]`", "‹›()'")


def line(text: object, most: int = MOST_LINE) -> str:
    """Any text as one harmless line of `most` characters."""
    plain = "".join(" " if unicodedata.category(one) in _UNWANTED else one for one in str(text))
    plain = " ".join(plain.split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def without_markup(text: str) -> str:
    """The text for chats that read markup, links and calls to everybody out of it."""
    broken = text.translate(_HARMLESS)
    return broken.replace("@", "@\u200b")


def subject(body: Body) -> str:
    """One line: severity, rule, name; or what else it is."""
    return line(_SUBJECTS[str(body.get("kind"))](body)) if body.get("kind") in _SUBJECTS else "Voltledger: notice"


def text(body: Body, link: str | None = None) -> str:
    """Some lines of plain text; the link, where there is one, is the last."""
    found = [*_lines(body)]
    return "\n".join([*found, "", link] if link else found)


def html(body: Body, link: str | None = None) -> str:
    """The same for e-mail, every text escaped."""
    paragraphs = "".join(f"<p>{markup.escape(one)}</p>" for one in _lines(body) if one)
    way = f'<p><a href="{markup.escape(link)}">Open in Voltledger</a></p>' if link and link.startswith(("https://", "http://")) else ""
    return f'<!doctype html><html lang="en"><body><h2>{markup.escape(subject(body))}</h2>{paragraphs}{way}</body></html>'


def instant(at: datetime) -> str:
    """An instant in UTC as RFC 3339 writes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def moment(at: object) -> str:
    """An instant of the wire for people: 2026-02-04 10:00 UTC. What is none stays as it is."""
    try:
        return f"{datetime.fromisoformat(str(at)).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError):
        return line(at)


def name(body: Body) -> str:
    """What the alert is about: its name and, where that differs, its id."""
    one = body.get("subject") or {}
    known, its_id = line(one.get("name") or ""), line(one.get("id") or "", 64)
    return known if not its_id or known == its_id else f"{known} ({its_id})" if known else its_id


def rule(body: Body) -> str:
    """The rule in words; everything dark is the same rule under another name."""
    if _is_ingestion(body):
        return "All readings stopped"
    return RULES.get(str(body.get("rule")), line(body.get("rule")))


def _is_ingestion(body: Body) -> bool:
    return (body.get("subject") or {}).get("kind") == "ingestion"


def _about(body: Body) -> str:
    return rule(body) if _is_ingestion(body) else f"{rule(body)}: {name(body)}"


_SUBJECTS: dict[str, Callable[[Body], str]] = {
    "firing": lambda body: f"[{_severity(body)}] {_about(body)}",
    "escalated": lambda body: f"[now {_severity(body)}] {_about(body)}",
    "resolved": lambda body: f"[resolved] {_about(body)}",
    "flapping": lambda body: f"[unsteady] {_about(body)}",
    "digest": lambda body: f"Voltledger, {line(body.get('day'))}: {_many(body.get('open'), 'open alert')}",
    "test": lambda _: "Test from Voltledger",
}


def _severity(body: Body) -> str:
    return "critical" if body.get("severity") == "critical" else "warning"


def _lines(body: Body) -> Iterator[str]:
    kind = body.get("kind")
    if kind == "digest":
        yield from _digest(body)
    elif kind == "test":
        yield f"{line(body.get('by') or 'Somebody')} asked for a test of the channel {line(body.get('channel'))} on {moment(body.get('at'))}."
        yield "It has arrived, and so will alerts. Nothing has to be done."
    else:
        yield from _alert(body)


def _alert(body: Body) -> Iterator[str]:
    yield f"{_about(body)}."
    yield _state(body)
    if body.get("reason"):
        yield line(body["reason"], 500)
    yield from _facts(body)
    site = body.get("site") or {}
    if site:
        yield f"Site: {line(site.get('name') or site.get('id'))}"
    if body.get("kind") != "resolved":
        yield _CHECKS.get("ingestion" if _is_ingestion(body) else str(body.get("rule")), "")


def _state(body: Body) -> str:
    since = moment(body.get("firedAt"))
    if body.get("kind") == "resolved":
        return f"Over since {moment(body.get('resolvedAt'))} ({line(body.get('because') or 'recovered')}); it began {since}."
    if body.get("kind") == "flapping":
        return f"It has come and gone several times since {since}. You will hear of it again when it is quiet or critical, not each time."
    return f"Severity {_severity(body)}, since {since}."


def _facts(body: Body) -> Iterator[str]:
    """The evidence in numbers with units; what is missing is left out."""
    evidence = body.get("evidence") or {}
    makers = {
        "low_efficiency": _energy_facts,
        "suspect_measurement": _energy_facts,
        "device_silent": _silent_facts,
        "battery_hot": _hot_facts,
        "site_dark": _dark_facts,
    }
    make = makers.get(str(body.get("rule")))
    if make:
        yield from make(evidence)


def _energy_facts(e: Body) -> Iterator[str]:
    if _number(e.get("efficiencyRatio")):
        expected = e.get("expected") or {}
        known = _number(expected.get("low")) and _number(expected.get("high"))
        band = f"; expected {_percent(expected['low'])} to {_percent(expected['high'])}" if known else ""
        edge = f"; held against {_percent(e['threshold'])}" if _number(e.get("threshold")) else ""
        unsure = f" ± {_points(e['uncertainty'])}" if _number(e.get("uncertainty")) else ""
        yield f"Efficiency {_percent(e['efficiencyRatio'])}{unsure}{band}{edge}."
    if _number(e.get("acKwh")) and _number(e.get("dcKwh")):
        loss = f", {e['lossKwh']:.2f} kWh lost" if _number(e.get("lossKwh")) else ""
        yield f"{e['acKwh']:.2f} kWh drawn (AC), {e['dcKwh']:.2f} kWh delivered (DC){loss}."
    if e.get("windowFrom") and e.get("windowTo"):
        yield f"Window: {moment(e['windowFrom'])} to {moment(e['windowTo'])}."
    covered = e.get("coverage") or {}
    if _number(covered.get("vehicle")) and _number(covered.get("meter")):
        yield f"Of the readings expected in it {_percent(covered['vehicle'])} of the vehicle's and {_percent(covered['meter'])} of the meter's are there."
    if e.get("meterIds"):
        yield f"Charger: {', '.join(line(one, 64) for one in e['meterIds'][:5])}."


def _silent_facts(e: Body) -> Iterator[str]:
    if _number(e.get("silentS")):
        rhythm = f"; it usually reports every {_duration(e['rhythmS'])}" if _number(e.get("rhythmS")) else ""
        yield f"Silent for {_duration(e['silentS'])}{rhythm}."
    if e.get("lastReceivedAt"):
        yield f"Last heard of: {moment(e['lastReceivedAt'])}."


def _hot_facts(e: Body) -> Iterator[str]:
    if _number(e.get("batteryTempC")):
        limit = f"; the limit is {e['limitC']:.1f} °C" if _number(e.get("limitC")) else ""
        yield f"Battery at {e['batteryTempC']:.1f} °C{limit}."
    if e.get("recordedAt"):
        yield f"Measured: {moment(e['recordedAt'])}."


def _dark_facts(e: Body) -> Iterator[str]:
    if _number(e.get("silent")) and _number(e.get("devices")):
        share = f" ({_percent(e['share'])})" if _number(e.get("share")) else ""
        yield f"{e['silent']:.0f} of {e['devices']:.0f} devices{share} fell silent."
    if e.get("since"):
        yield f"Since {moment(e['since'])}."
    if e.get("examples"):
        yield f"Among them: {', '.join(line(one, 64) for one in e['examples'][:5])}."


def _digest(body: Body) -> Iterator[str]:
    yield f"From {moment(body.get('from'))} to {moment(body.get('to'))}."
    yield (
        f"{_many(body.get('open'), 'open alert')}, {body.get('critical', 0)} of them critical, {body.get('silenced', 0)} silenced, "
        f"{body.get('acknowledged', 0)} acknowledged. {body.get('fired', 0)} began and {body.get('resolved', 0)} ended since the last digest."
    )
    alerts = body.get("alerts") or []
    yield from (f"• [{_severity(one)}] {_about(one)}, since {moment(one.get('firedAt'))}" for one in alerts[:MOST_LISTED])
    if int(body.get("open") or 0) > len(alerts[:MOST_LISTED]):
        yield f"… and {int(body['open']) - len(alerts[:MOST_LISTED])} more."
    for one in body.get("failed") or []:
        yield f"The channel {line(one.get('channel'))} failed {one.get('times')} times, last: {line(one.get('error') or 'unknown')}"
    if body.get("evaluated") is not None:
        yield f"Last looked at: {moment(body['evaluated'])}."


def _many(count: object, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count or 'no'} {what}s"


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value  # noqa: PLR0124 -- NaN is not


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.1f} %"


def _points(ratio: float) -> str:
    return f"{ratio * 100:.1f} points"


def _duration(seconds: float) -> str:
    """1 min, 90 min, 26 h: in the unit in which people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
