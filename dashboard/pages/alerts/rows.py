"""One alert as a line: what, how bad, since when, and what people did about it."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from dash import html

from dashboard import format as fmt
from dashboard.components.verdict import glyph
from dashboard.pages.alerts import words
from db.queries.alerts import Episode, Pending


def line(one: Episode, now: datetime, tz: tzinfo) -> html.A:
    """A link to the alert; its list names the zone of the times."""
    much, under = words.measure(one.rule, one.evidence)
    over = one.resolved_at
    lasted = fmt.age((over or now) - one.fired_at)
    return html.A(
        [
            glyph(words.kind(one.severity)),
            _two("alert-who", words.subject(one), words.where(one)),
            _two("alert-what", words.rule(one.rule, one.subject_kind), words.SEVERITIES.get(one.severity, one.severity)),
            _two("alert-much", much, under),
            _two(
                "alert-when",
                fmt.moment(one.fired_at, tz),
                f"for {lasted}" if over is None else f"lasted {lasted}",
                over and f"to {fmt.moment(over, tz)}",
            ),
            html.Span(badges(one, tz), className="alert-badges"),
        ],
        href=f"/alerts/{one.episode_id}",
        className="alert-line",
        **{"data-nav": ""},
    )


def _two(class_name: str, first: str, second: str, title: str | None = None) -> html.Span:
    return html.Span([html.B(first or " "), html.Small(second or " ")], className=class_name, **({"title": title} if title else {}))


def badges(one: Episode, tz: tzinfo) -> list[Any]:
    """What sets it apart from one that is simply open."""
    found: list[Any] = []
    if one.state == "recovering":
        found.append(html.Span("recovering", className="tag is-live"))
    if one.flapping:
        found.append(html.Span("flapping", className="tag", title="It comes and goes: one notice was sent, then quiet"))
    if one.acknowledged_by:
        found.append(html.Span(f"acknowledged by {one.acknowledged_by}", className="tag", title=one.acknowledged_note or ""))
    if one.silenced_until:
        found.append(html.Span(f"silenced until {fmt.moment(one.silenced_until, tz)}", className="tag", title=one.silenced_because or ""))
    if one.resolved_because and one.resolved_because != "recovered":
        found.append(html.Span(one.resolved_because, className="tag"))
    return found


def item(one: Episode, now: datetime, tz: tzinfo, *behind: Any) -> html.Li:
    """The line as part of a list that the keyboard walks; the browser finds by it what the dialogs are about."""
    about = {
        "data-row": str(one.episode_id), "data-rule": one.rule, "data-kind": one.subject_kind, "data-subject": one.subject_id,
        "data-name": words.subject(one), "data-site": one.site_id or "", "data-open": "" if one.resolved_at is None else None,
    }  # fmt: skip
    return html.Li(
        [line(one, now, tz), *behind], className=f"alert-item is-{one.severity}", **{k: v for k, v in about.items() if v is not None}
    )


def behind(holder: int, many: int, held: Sequence[Episode], now: datetime, tz: tzinfo) -> html.Details | None:
    """The alerts that are only a consequence of another one, folded."""
    if not many:
        return None
    rest = many - len(held)
    more = html.P(f"and {fmt.number(rest)} more", className="is-muted") if rest else None
    summary = html.Summary(
        [html.Span(className="chevron"), f"{fmt.number(many)} {'alert' if many == 1 else 'alerts'} held back by this one"]
    )
    return html.Details(
        [summary, html.Ul([item(one, now, tz) for one in held]), more], className="alert-behind", **{"data-key": f"held-{holder}"}
    )


def waiting(one: Pending, tz: tzinfo) -> html.Li:
    """What may become an alert."""
    href = {"vehicle": "/vehicles/", "meter": "/chargers/"}.get(one.subject_kind)
    cells = [
        glyph(words.kind(one.severity)),
        _two("alert-who", words.subject(one), words.where(one)),
        _two("alert-what", words.rule(one.rule, one.subject_kind), "not an alert yet"),
        _two("alert-much", "", ""),
        _two("alert-when", fmt.moment(one.since, tz), f"held for {round(one.held_s / 60)} min"),
        html.Span(one.reason or "", className="alert-badges is-muted"),
    ]
    same = {"className": "alert-line", "data-nav": ""}
    body = html.A(cells, href=href + one.subject_id, **same) if href else html.Div(cells, className="alert-line")
    return html.Li(body, className="alert-item is-pending", **{"data-row": f"{one.rule}-{one.subject_kind}-{one.subject_id}"})
