"""The open alerts as a list: critical ones first, those that another explains folded under it."""

from datetime import tzinfo
from typing import Any

from dash import html

from dashboard import format as fmt
from dashboard.components.empty import message
from dashboard.pages.alerts import frame, rows, words
from dashboard.pages.alerts.loading import MOST_SHOWN, Inbox
from db.queries.alerts import Counts


def parts(o: Inbox, pending: bool, filtered: bool, zone_name: str) -> dict[str, Any]:
    """Every part by the id of its place."""
    tz = fmt.zone(zone_name)
    return {
        "alerts-banner": frame.banner(o.evaluation, tz, zone_name),
        "alerts-counts": counted(o.counts),
        "alerts-list": waiting(o, tz, zone_name) if pending else listed(o, filtered, tz, zone_name),
    }


def state(o: Inbox, pending: bool, filtered: bool) -> str:
    """What the page is about: a list, or that nothing needs anybody."""
    return "ready" if o.shown or pending or filtered else "calm"


def counted(counts: Counts) -> list[Any]:
    """The open ones in numbers."""
    if not counts.open:
        return [html.Span(f"No open alert{_pending(counts)}")]
    named = [
        (counts.critical, "critical"), (counts.shown - counts.critical, "warning"), (counts.recovering, "recovering"),
        (counts.acknowledged, "acknowledged"), (counts.silenced, "silenced"), (counts.open - counts.shown, "held back"),
    ]  # fmt: skip
    told = ", ".join(f"{fmt.number(many)} {word}" for many, word in named if many)
    return [html.Span(f"{fmt.number(counts.shown)} open: {told}{_pending(counts)}")]


def _pending(counts: Counts) -> str:
    return f"; {fmt.number(counts.pending)} pending" if counts.pending else ""


def listed(o: Inbox, filtered: bool, tz: tzinfo, zone_name: str) -> Any:
    """A group for each severity."""
    if not o.shown:
        return _nothing(filtered)
    groups = [_group(o, severity, title, tz) for severity, title in words.SEVERITIES.items()]
    return [*(group for group in groups if group), _caption(len(o.shown), zone_name)]


def _group(o: Inbox, severity: str, title: str, tz: tzinfo) -> html.Section | None:
    mine = [one for one in o.shown if one.severity == severity]
    if not mine:
        return None
    items = [rows.item(one, o.now, tz, _behind(o, one.episode_id, tz)) for one in mine]
    head = html.H2([title, " ", html.Span(fmt.number(len(mine)), className="count")])
    return html.Section([head, html.Ul(items, className="card alert-items")])


def _behind(o: Inbox, episode_id: int, tz: tzinfo) -> Any:
    many, held = o.held.get(episode_id, (0, []))
    return rows.behind(episode_id, many, held, o.now, tz)


def _caption(shown: int, zone_name: str) -> html.P:
    more = f" The {MOST_SHOWN} worst are shown: narrow the filter for the others." if shown == MOST_SHOWN else ""
    return html.P(f"Times in {zone_name}.{more}", className="is-muted alert-caption")


def waiting(o: Inbox, tz: tzinfo, zone_name: str) -> Any:
    """What is pending."""
    if not o.pending:
        return html.P("Nothing is pending: no limit is crossed that is not an alert already.", className="card card-empty alert-none")
    items = html.Ul([rows.waiting(one, tz) for one in o.pending], className="card alert-items")
    head = html.H2(["Pending ", html.Span(fmt.number(len(o.pending)), className="count")])
    note = html.P("A limit is crossed; it becomes an alert when that holds for 15 minutes of evidence.", className="is-muted")
    return [html.Section([head, note, items]), _caption(len(o.pending), zone_name)]


def _nothing(filtered: bool) -> Any:
    if filtered:
        return html.P("No open alert matches. Clear the filter, or look into the history.", className="card card-empty alert-none")
    return message(
        "Nothing needs anyone",
        html.P("No alert is open. A vehicle that charges badly, a device that falls silent or a battery that gets hot appears here by itself."),
        html.P([html.A("See the fleet", href="/", className="button", **{"data-nav": ""}), " ", html.A("See what was", href="/alerts/history", className="button is-plain", **{"data-nav": ""})]),
        tone="is-calm",
    )  # fmt: skip
