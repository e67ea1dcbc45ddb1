"""Which vehicles a charger fed from when to when, which stretches they shared, who said so, and what was corrected afterwards."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from dash import html

from charging.timeline import ALWAYS, FOREVER, Occupied
from dashboard.components.assignments import said, span
from dashboard.components.card import empty, scrolling
from dashboard.components.links import listed, vehicle_link
from db.assignment_changes import AssignmentChange


def occupation_timeline(
    stretches: Sequence[Occupied], changes: Sequence[AssignmentChange], meter_id: str, now: datetime, tz: tzinfo
) -> Any:
    """Newest first. `stretches` in order of time, `changes` of this meter newest first."""
    if not stretches:
        return empty(
            "No vehicle was ever assigned to this charger, so nobody knows who received what it gave. "
            "PUT /v1/mappings/<vehicle> assigns it, also for the past."
        )
    rows = [_stretch(one, [c for c in changes if _made(c, one, meter_id)], now, tz) for one in reversed(stretches)]
    return scrolling("Assignments", html.Ol(rows, className="timeline-list"), class_name="is-low")


def _made(change: AssignmentChange, one: Occupied, meter_id: str) -> bool:
    """Whether this change put one of the stretch's vehicles here."""
    start, end = change.valid_from or ALWAYS, change.valid_to or FOREVER
    return change.meter_after == meter_id and change.vehicle_id in one.vehicle_ids and start < one.end and one.start < end


def _stretch(one: Occupied, made: Sequence[AssignmentChange], now: datetime, tz: tzinfo) -> html.Li:
    corrections = [change for change in made if change.corrects_past]
    tags = ((_when(one, now), "is-live"), ("shared" if len(one.vehicle_ids) > 1 else "", "is-shared"), ("corrected" if corrections else "", "is-changed"))  # fmt: skip
    start, end = None if one.start == ALWAYS else one.start, None if one.end == FOREVER else one.end
    return html.Li(
        [
            html.Div(
                [html.B(listed([vehicle_link(v) for v in one.vehicle_ids])), *(html.Span(t, className=f"tag {look}") for t, look in tags if t)],
                className="timeline-what",
            ),
            html.Div(span(start, end, tz)),
            *(html.Div([f"{change.vehicle_id}: ", said(change, tz)], className="timeline-who") for change in corrections or made[:1]),
        ]
    )  # fmt: skip


def _when(one: Occupied, now: datetime) -> str:
    return "planned" if one.start > now else "now" if one.end > now else ""
