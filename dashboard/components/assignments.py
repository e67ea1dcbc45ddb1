"""Which meter fed a vehicle from when to when, who said so, and what was corrected afterwards."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from dash import html

from charging.timeline import ALWAYS, FOREVER
from dashboard import format as fmt
from dashboard.components.card import empty, scrolling
from dashboard.components.links import charger_link
from db.assignment_changes import AssignmentChange
from db.assignments import Assignment


def assignment_timeline(assignments: Sequence[Assignment], changes: Sequence[AssignmentChange], now: datetime, tz: tzinfo) -> Any:
    """Newest first. `changes`, newest first, are the record; corrections that another one replaced since stand at the end."""
    if not assignments and not changes:
        return empty(
            "No meter was ever assigned to this vehicle, so nobody knows what its charging takes from the grid. "
            "PUT /v1/mappings/<vehicle> assigns one, also for the past."
        )
    made = [[change for change in changes if _made(change, one)] for one in assignments]
    told = {change.change_id for known in made for change in known}
    replaced = [change for change in changes if change.corrects_past and change.change_id not in told]
    rows = [_assignment(one, known, now, tz) for one, known in zip(assignments, made, strict=True)]
    lists = [html.Ol(rows[::-1], className="timeline-list")]
    if replaced:
        lists += [
            html.H4("Corrections that were replaced since"),
            html.Ul([html.Li(_stretch(c, tz)) for c in replaced], className="timeline-list"),
        ]
    return scrolling("Assignments", *lists, class_name="is-low")


def _made(change: AssignmentChange, one: Assignment) -> bool:
    """Whether this change made (a part of) this stretch what it is."""
    start, end = change.valid_from or ALWAYS, change.valid_to or FOREVER
    return change.meter_after == one.meter_id and start < (one.valid_to or FOREVER) and (one.valid_from or ALWAYS) < end


def _assignment(one: Assignment, made: Sequence[AssignmentChange], now: datetime, tz: tzinfo) -> html.Li:
    corrections = [change for change in made if change.corrects_past]
    tags = [
        html.Span(tag, className=f"tag {look}")
        for tag, look in ((_when(one, now), "is-live"), ("corrected" if corrections else "", "is-changed"))
        if tag
    ]
    told = corrections or made[:1]
    return html.Li(
        [
            html.Div([html.B(charger_link(one.meter_id) if one.meter_id else "no meter"), *tags], className="timeline-what"),
            html.Div(span(one.valid_from, one.valid_to, tz)),
            *(html.Div(said(change, tz), className="timeline-who") for change in told),
        ]
    )  # fmt: skip


def _when(one: Assignment, now: datetime) -> str:
    if one.valid_from is not None and one.valid_from > now:
        return "planned"
    return "now" if one.valid_to is None or one.valid_to > now else ""


def span(start: datetime | None, end: datetime | None, tz: tzinfo) -> str:
    """From when to when, in words; None is open."""
    since = "always" if start is None else fmt.moment(start, tz)
    return f"from {since} {'until changed' if end is None else f'to {fmt.moment(end, tz)}'}"


def said(change: AssignmentChange, tz: tzinfo) -> str:
    """Who, when, and why; a correction says what stood there before."""
    before = f"was {change.meter_before or 'no meter'} {span(change.valid_from, change.valid_to, tz)}; " if change.corrects_past else ""
    note = f": “{change.note}”" if change.note else ""
    verb = "corrected" if change.corrects_past else "assigned"
    return f"{before}{verb} by {change.changed_by} ({change.via}) on {fmt.moment(change.changed_at, tz)}{note}"


def _stretch(change: AssignmentChange, tz: tzinfo) -> str:
    return f"{change.meter_after or 'no meter'}: {said(change, tz)}"
