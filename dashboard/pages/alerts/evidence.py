"""The card of one alert: what happened, what it rests on, what to check, and everything that was done since."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any
from urllib.parse import quote

from dash import html

from dashboard import format as fmt
from dashboard.components.card import card, empty
from dashboard.components.empty import message
from dashboard.components.links import charger_link, listed, vehicle_link
from dashboard.components.quantity import facts, quantity
from dashboard.components.scale import scale
from dashboard.components.verdict import glyph
from dashboard.components.window_bars import window_bars
from dashboard.pages.alerts import frame, rows, words
from dashboard.pages.alerts.loading import BARS, Card, evidence_window
from dashboard.pages.alerts.words import number
from db.queries.alert_story import Action, Notice, Step
from db.queries.alerts import Episode


def parts(o: Card, zone_name: str) -> dict[str, Any]:
    """Every part by the id of its place."""
    tz, one = fmt.zone(zone_name), o.story.episode
    return {
        "alert-banner": frame.banner(o.evaluation, tz, zone_name),
        "alert-head": head(one, tz, zone_name),
        "alert-evidence": evidence(o, tz, zone_name),
        "alert-checks": card("What to check", words.SEVERITIES.get(one.severity, one.severity), _checks(one)),
        "alert-steps": card("What happened", f"times in {zone_name}", _timeline(o.story.steps, one, tz)),
        "alert-people": card("Who did what", f"times in {zone_name}", _people(o.story.actions, tz)),
        "alert-notices": card("Notices", f"times in {zone_name}", _notices(o, tz)),
        "alert-held": rows.behind(one.episode_id, *o.held, o.now, tz),
    }


def unknown(episode_id: str) -> html.Div:
    """No alert has this id."""
    return message(
        f"There is no alert {episode_id}",
        html.P("The address may have lost a digit. Alerts are never deleted: the history has them all."),
        html.P(html.A("See the history", href="/alerts/history", className="button", **{"data-nav": ""})),
    )


def head(one: Episode, tz: tzinfo, zone_name: str) -> html.Div:
    """Which alert this is; the browser finds by it what the dialogs are about."""
    name, over = words.subject(one), one.resolved_at
    since = f"since {fmt.moment(one.fired_at, tz)} {zone_name}"
    until = f", {one.resolved_because} at {fmt.moment(over, tz)}" if over else ""
    open_now = {"data-open": ""} if over is None else {}
    return html.Div(
        [
            html.Div([glyph(words.kind(one.severity)), html.H1(f"{words.rule(one.rule, one.subject_kind)}: {name}")], className="alert-title"),
            html.P(f"{words.SEVERITIES.get(one.severity, '')} · {words.where(one)} · {words.STATES.get(one.state, one.state)} {since}{until}", className="is-muted"),
            html.P(rows.badges(one, tz), className="alert-badges"),
            html.P(_held(one)) if one.held_back_by else None,
        ],
        **{
            "data-row": str(one.episode_id), "data-rule": one.rule, "data-kind": one.subject_kind, "data-subject": one.subject_id,
            "data-name": name, "data-site": one.site_id or "", **open_now,
        },
    )  # fmt: skip


def _held(one: Episode) -> list[Any]:
    link = html.A(f"alert {one.held_back_by}", href=f"/alerts/{one.held_back_by}", **{"data-nav": ""})
    return ["Held back: it is only a consequence of ", link, "."]


def evidence(o: Card, tz: tzinfo, zone_name: str) -> html.Section:
    """In words first, then in numbers."""
    one = o.story.episode
    body = [html.P(words.happened(one, tz, zone_name), className="reason"), _chart(o, tz), _facts(one, tz, zone_name), _links(one)]
    of = "of the newest step" if one.resolved_at is None else "of the last step"
    return card("Evidence", of, html.Div([part for part in body if part is not None], className="alert-evidence"))


def _chart(o: Card, tz: tzinfo) -> html.Div | None:
    one = o.story.episode
    window = evidence_window(one)
    if o.bins is None or window is None:
        return None
    ruler = scale(
        number(one.evidence, "efficiencyRatio"), number(one.evidence, "expected", "low"), number(one.evidence, "expected", "high")
    )
    return html.Div([ruler, window_bars(o.bins.bins, o.bins.bin_s, BARS, o.bins.end, window, tz)], className="alert-chart")


def _facts(one: Episode, tz: tzinfo, zone_name: str) -> html.Dl:
    return facts(*[(name, value) for name, value in _values(one, tz, zone_name) if value is not None])


def _values(one: Episode, tz: tzinfo, zone_name: str) -> list[tuple[str, Any]]:
    """Only what the evidence says; each with its unit."""
    e = one.evidence
    window = evidence_window(one)
    found: list[tuple[str, Any]] = [
        ("Window", f"{fmt.moment(window[0], tz)} to {fmt.moment(window[1], tz)} {zone_name}" if window else None),
        ("From the grid (AC)", _with(number(e, "acKwh"), "kWh", 3)),
        ("Into the battery (DC)", _with(number(e, "dcKwh"), "kWh", 3)),
        ("Lost", _with(number(e, "lossKwh"), "kWh", 3)),
        ("Efficiency", _percent(number(e, "efficiencyRatio"))),
        (
            "Held against the limit",
            _percent(number(e, "judgedRatio")) if number(e, "judgedRatio") != number(e, "efficiencyRatio") else None,
        ),
        ("Uncertainty", _with(_times(number(e, "uncertainty")), "points", 1)),
        ("Expected band", _band(one)),
        ("Threshold", _percent(number(e, "threshold"))),
        ("Margin", words.points(number(e, "margin")) or None),
        ("Vehicle readings", _coverage(number(e, "readings", "vehicle"), number(e, "coverage", "vehicle"))),
        ("Meter readings", _coverage(number(e, "readings", "meter"), number(e, "coverage", "meter"))),
        *_of_other_rules(one, tz, zone_name),
    ]
    return found


def _of_other_rules(one: Episode, tz: tzinfo, zone_name: str) -> list[tuple[str, Any]]:
    e = one.evidence
    instants = [
        ("Last reading received", "lastReceivedAt"),
        ("Last reading recorded", "lastRecordedAt"),
        ("Recorded", "recordedAt"),
        ("Since", "since"),
    ]
    spans = [("Silent for", "silentS"), ("One reading due every", "rhythmS"), ("Alert after", "alertAfterS")]
    examples = e.get("examples")
    return [
        ("Battery", _with(number(e, "batteryTempC"), "°C", 1)),
        ("Limit", _with(number(e, "limitC"), "°C", 0)),
        *((name, _span(number(e, key))) for name, key in spans),
        *((name, f"{fmt.moment(at, tz)} {zone_name}" if (at := words.instant(e, key)) else None) for name, key in instants),
        (
            "Devices silent",
            f"{fmt.number(number(e, 'silent'))} of {fmt.number(number(e, 'devices'))}" if number(e, "devices") is not None else None,
        ),
        ("Share", _percent(number(e, "share"))),
        ("Limit of the share", _percent(number(e, "limitShare"))),
        ("Among them", ", ".join(str(device) for device in examples) if isinstance(examples, list) and examples else None),
    ]


def _times(ratio: float | None) -> float | None:
    return None if ratio is None else ratio * 100


def _with(value: float | None, unit: str, digits: int) -> html.Span | None:
    return None if value is None else quantity(fmt.number(value, digits), unit)


def _percent(ratio: float | None) -> html.Span | None:
    return _with(_times(ratio), "%", 1)


def _span(seconds: float | None) -> str | None:
    return None if seconds is None else words.span(seconds)


def _band(one: Episode) -> str | None:
    low, high = number(one.evidence, "expected", "low"), number(one.evidence, "expected", "high")
    if low is None or high is None:
        return "plain threshold" if one.rule == "low_efficiency" else None
    source = {"default": "default", "peers": "learned from its model", "learned": "learned from this vehicle"}.get(str(one.evidence["expected"].get("source")), "")  # fmt: skip
    return f"{fmt.band(low, high)}{f' ({source})' if source else ''}"


def _coverage(readings: float | None, coverage: float | None) -> str | None:
    if readings is None:
        return None
    return fmt.number(readings) if coverage is None else f"{fmt.number(readings)} · {fmt.percent(coverage, 0)} of those due"


def _links(one: Episode) -> html.P:
    found: list[Any] = []
    if one.subject_kind == "vehicle":
        found.append(vehicle_link(one.subject_id, "Open the vehicle"))
    if one.subject_kind == "meter":
        found.append(charger_link(one.subject_id, "Open the charger"))
    found += [charger_link(str(meter), f"Charger {meter}") for meter in one.evidence.get("meterIds") or []]
    site = one.subject_id if one.subject_kind == "site" else one.site_id
    if site:
        found.append(html.A(f"Alerts of {one.site_name or site}", href=f"/alerts?site={quote(site, safe='')}", **{"data-nav": ""}))
    if one.subject_kind == "ingestion":
        found.append(html.A("Ingestion", href="/ingestion", **{"data-nav": ""}))
    return html.P(listed(found), className="alert-links")


def _checks(one: Episode) -> Any:
    return html.Ol([html.Li(check) for check in words.checks(one)], className="alert-check-list")


def _timeline(steps: Sequence[Step], one: Episode, tz: tzinfo) -> Any:
    if not steps:
        return empty("No step is recorded.")
    return html.Ol([_step(step, one, tz) for step in reversed(steps)], className="alert-story")


def _step(step: Step, one: Episode, tz: tzinfo) -> html.Li:
    said = words.STEPS.get((step.from_state, step.to_state), f"{words.STATES.get(step.from_state)} → {words.STATES.get(step.to_state)}")
    severe = f" ({words.SEVERITIES[step.severity].lower()})" if step.severity in words.SEVERITIES else ""
    much = ", ".join(part for part in words.measure(one.rule, step.evidence) if part)
    energies = " · ".join(
        f"{fmt.number(kwh, 2)} kWh {side}" for side, kwh in (("AC", number(step.evidence, "acKwh")), ("DC", number(step.evidence, "dcKwh"))) if kwh is not None
    )  # fmt: skip
    under = " · ".join(part for part in (much, energies) if part)
    return _told(step.at, tz, f"{said}{severe}", step.reason, under)


def _told(at: Any, tz: tzinfo, title: str, *lines: str | None) -> html.Li:
    when = html.Span(fmt.moment(at, tz), className="alert-at")
    return html.Li([when, html.Div([html.B(title), *(html.Small(text) for text in lines if text)])])


def _people(actions: Sequence[Action], tz: tzinfo) -> Any:
    if not actions:
        return empty("Nobody has done anything about it yet. Acknowledge it, so that others know that somebody does.")
    return html.Ol([_told(act.at, tz, f"{act.by}: {act.action}", act.note) for act in reversed(actions)], className="alert-story")


def _notices(o: Card, tz: tzinfo) -> Any:
    if o.story.notices:
        sent = [_told(n.created_at, tz, f"{n.channel} ({n.channel_kind}): {words.NOTICES.get(n.kind, n.kind)}", _fate(n, tz)) for n in reversed(o.story.notices)]  # fmt: skip
        return html.Ol(sent, className="alert-story")
    return empty(_why_none(o, tz))


def _fate(one: Notice, tz: tzinfo) -> str:
    if one.sent_at:
        return f"sent {fmt.moment(one.sent_at, tz)}"
    tries = f"{one.tries} {'try' if one.tries == 1 else 'tries'}"
    because = f": {one.last_error}" if one.last_error else ""
    if one.gave_up_at:
        return f"given up {fmt.moment(one.gave_up_at, tz)} after {tries}{because}"
    return f"not sent yet, {tries}{because}"


def _why_none(o: Card, tz: tzinfo) -> str:
    """Why nobody was told."""
    one = o.story.episode
    if one.silenced_until:
        return (
            f"Withheld: silenced until {fmt.moment(one.silenced_until, tz)} ({one.silenced_because}). Told after that, if it is still open."
        )
    if one.held_back_by:
        return "Withheld: it is only a consequence of another alert, of which people were told."
    if one.flapping:
        return "Withheld: it comes and goes, and people were told once."
    if not o.channels:
        return "Nobody could be told: no channel is set up. Add one, and test it, under Admin, Notices."
    return "None went out: no channel wants this severity, or it was withheld until it was over."
