"""What was: a page of alerts of any state, newest first, and all of them as a file."""

from typing import Any
from urllib.parse import urlencode

from dash import html

from dashboard import format as fmt
from dashboard.components.card import csv_link
from dashboard.pages.alerts import frame, rows
from dashboard.pages.alerts.loading import History
from db.queries.alerts import Wanted

# The filter's names in the address of the page, which are those of the API.
_NAMES = {"state": "state", "rule": "rule", "severity": "severity", "site_id": "site", "q": "q"}


def parts(o: History, zone_name: str) -> dict[str, Any]:
    """Every part by the id of its place."""
    tz = fmt.zone(zone_name)
    items = [rows.item(one, o.now, tz) for one in o.page]
    return {
        "history-banner": frame.banner(o.evaluation, tz, zone_name),
        "history-list": html.Ul(items, className="card alert-items") if items else _nothing(o),
        "history-foot": _foot(o, zone_name),
        "history-file": csv_link("CSV of all that match", f"/v1/alerts?{_query(o.wanted, format='csv')}"),
    }


def _query(wanted: Wanted, **more: Any) -> str:
    """The filter as an address has it."""
    values = {name: getattr(wanted, field) for field, name in _NAMES.items() if getattr(wanted, field)}
    return urlencode({**values, **{name: value for name, value in more.items() if value}})


def _foot(o: History, zone_name: str) -> list[Any]:
    def link(words: str, before_id: int | None) -> html.A:
        return html.A(words, href=f"/alerts/history?{_query(o.wanted, before=before_id)}", className="button", **{"data-nav": ""})

    newest = link("Newest", None) if o.before_id else None
    older = link("Older", o.older) if o.older else None
    return [html.Span(f"Newest first, times in {zone_name}.", className="is-muted"), html.Span([newest, older], className="links")]


def _nothing(o: History) -> html.P:
    if o.wanted == Wanted("any"):
        return html.P("No alert has ever been. The first one stays here when it is over.", className="card card-empty alert-none")
    return html.P("No alert of the past matches. Clear the filter to see them all.", className="card card-empty alert-none")
