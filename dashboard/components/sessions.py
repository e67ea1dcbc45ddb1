"""Charging sessions of a vehicle or at a charger, newest first."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from dash import html

from charging.sessions import Session
from charging.verdict import Verdict
from dashboard import format as fmt
from dashboard.components.card import empty, scrolling
from dashboard.components.links import charger_link, listed, vehicle_link
from dashboard.components.verdict import badge

# What a page can carry; a month of a vehicle rarely has a third of it, and the file has them all.
MOST_ROWS = 200
_BEFORE = (("Start", ""), ("Duration", ""), ("From the grid", "kWh"), ("Into the battery", "kWh"), ("Efficiency", "%"), ("Lost", "kWh"),
           ("Mean, peak", "kW"), ("Charge", "%"))  # fmt: skip
_MARGIN = timedelta(minutes=20)
_WORDS = {"Start", "Charger", "Vehicle", "Verdict"}
Partner = Callable[[Session], Any]  # the other end of the cable


def session_table(sessions: Sequence[Session], vehicle_id: str, tz: tzinfo, zone_name: str, window: str, *, in_chart: bool = False) -> Any:
    """A vehicle's, ordered by end. Times in `tz`, which the caption names; `window`: the range in words. `in_chart`: with links into the page's charts."""
    if not sessions:
        return empty(
            f"No charging session ended in the {window}. One appears here as soon as the vehicle or its meter reports that energy flows; "
            "an earlier one is in a longer range."
        )
    return _table(sessions, "Charger", lambda session: _charger(session, vehicle_id), tz, zone_name, in_chart=in_chart)


def charger_session_table(sessions: Sequence[Session], tz: tzinfo, zone_name: str, window: str, *, in_chart: bool = False) -> Any:
    """The same at one charger: every vehicle's, and what no vehicle was assigned to."""
    if not sessions:
        return empty(
            f"No charging session ended at this charger in the {window}. One appears here as soon as the meter or a vehicle assigned to it "
            "reports that energy flows; an earlier one is in a longer range."
        )
    return _table(sessions, "Vehicle", _vehicles, tz, zone_name, in_chart=in_chart)


def _table(sessions: Sequence[Session], partner_name: str, partner: Partner, tz: tzinfo, zone_name: str, *, in_chart: bool = False) -> Any:
    names = (*_BEFORE, (partner_name, ""), ("Verdict", ""))
    head = [
        html.Th(
            [name, html.Span(f" {unit}", className="unit")] if unit else name, scope="col", className="" if name in _WORDS else "is-number"
        )
        for name, unit in names
    ]
    rows = [_row(session, names, partner, tz, in_chart) for session in reversed(sessions[-MOST_ROWS:])]
    table = html.Table(
        [html.Caption(_caption(sessions, zone_name)), html.Thead(html.Tr(head)), html.Tbody(rows)], className="readings sessions"
    )
    return scrolling("Charging sessions", table)


def _caption(sessions: Sequence[Session], zone_name: str) -> str:
    many = len(sessions)
    counted = f"{fmt.number(many)} session{'' if many == 1 else 's'}"
    shown = counted if many <= MOST_ROWS else f"The newest {MOST_ROWS} of {counted}, all of them in the file"
    return f"{shown}, newest first, times in {zone_name}"


def _row(session: Session, names: Sequence[tuple[str, str]], partner: Partner, tz: tzinfo, in_chart: bool) -> html.Tr:
    s = session.summary
    known = s.verdict is not Verdict.INSUFFICIENT_DATA  # half a charge is neither an efficiency nor a loss
    values = (
        _started(session, tz, in_chart), fmt.age(session.end - session.start), fmt.number(s.ac_kwh, 2), fmt.number(s.dc_kwh, 2),
        _efficiency(session) if known else fmt.NONE, fmt.number(s.loss_kwh, 2) if known else fmt.NONE,
        _both(session.mean_kw, session.peak_kw, ", ", 1), _both(session.soc_from_pct, session.soc_to_pct, " → ", 0), partner(session), _verdict(session),
    )  # fmt: skip
    cells = [
        html.Td(value, className="" if name in _WORDS else "is-number", **{"data-label": f"{name} {unit}".strip()})
        for (name, unit), value in zip(names, values, strict=True)
    ]
    key = " ".join((session.meter_id or "", *session.vehicle_ids, session.start.isoformat()))
    return html.Tr(cells, key=key, **{"data-session": _span(session.start, session.end)} if in_chart else {})


def _both(first: float | None, second: float | None, between: str, digits: int) -> str:
    """Two values of a kind; one dash where neither is known."""
    if first is None and second is None:
        return fmt.NONE
    return f"{fmt.number(first, digits)}{between}{fmt.number(second, digits)}"


def _started(session: Session, tz: tzinfo, in_chart: bool) -> Any:
    words = html.Span(fmt.moment(session.start, tz), title=f"to {fmt.moment(session.end, tz)}")
    tag = html.Span("running", className="tag is-live") if session.running else None
    return [words, tag, _in_chart(session, tz) if in_chart else None]


def _in_chart(session: Session, tz: tzinfo) -> html.A:
    """With a little of what was before and after it."""
    more = max(_MARGIN, (session.end - session.start) / 8)
    span = _span(session.start - more, session.end + more)
    since, until = span.split("/")
    label = f"Show in chart: {fmt.moment(session.start, tz)}"
    return html.A("Show in chart", href=f"?from={since}&to={until}", className="in-chart", **{"data-zoom": span, "aria-label": label})


def _span(start: datetime, end: datetime) -> str:
    return f"{start:%Y-%m-%dT%H:%M:%SZ}/{end:%Y-%m-%dT%H:%M:%SZ}"


def _efficiency(session: Session) -> Any:
    s = session.summary
    if s.ratio is None:
        return fmt.NONE
    return [fmt.number(s.ratio * 100, 1), html.Span(f" ± {fmt.number((s.uncertainty or 0) * 100, 1)}", className="is-muted")]


def _charger(session: Session, vehicle_id: str) -> Any:
    others = [vehicle_link(one) for one in session.vehicle_ids if one != vehicle_id]
    name = charger_link(session.meter_id) if session.meter_id else "no meter assigned"
    return [name, html.Small(["with ", *listed(others)])] if others else name


def _vehicles(session: Session) -> Any:
    return listed([vehicle_link(one) for one in session.vehicle_ids]) or "nobody assigned"


def _verdict(session: Session) -> html.Details:
    s = session.summary
    return html.Details([html.Summary([badge(s.verdict, s.severity), html.Span(className="chevron")]), html.P(s.reason)], className="why")
