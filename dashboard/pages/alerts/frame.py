"""What stands around every alerts page: title, tabs, and whether alerts are evaluated at all."""

from datetime import tzinfo
from typing import Any

from dash import html

from dashboard import format as fmt
from db.queries.alert_story import Evaluation

# Name → what it is called, and its address. A page of its own each, so that every tab can be linked to.
TABS = {
    "open": ("Open", "/alerts"),
    "history": ("History", "/alerts/history"),
    "silences": ("Silences", "/alerts/silences"),
    "rules": ("Rules", "/alerts/rules"),
}


def head(chosen: str) -> html.Div:
    """Title and tabs."""
    links = [
        html.A(name, href=href, className="admin-tab", **{"data-nav": "", **({"aria-current": "page"} if tab == chosen else {})})
        for tab, (name, href) in TABS.items()
    ]
    keys = html.Button(
        ["Keys ", html.Kbd("?")], type="button", className="button is-plain alert-keys", **{"data-alert-keys": "", "aria-label": "Keyboard"}
    )
    return html.Div(
        [html.H1("Alerts"), html.Nav(links, className="admin-tabs", **{"aria-label": "Alerts"}), keys],
        className="page-head is-row admin-head",
    )


def banner(evaluation: Evaluation, tz: tzinfo, zone_name: str) -> Any:
    """Where alerts are not up to date, since when; nothing otherwise. Who reads "no alerts" must know whether anybody looked."""
    if evaluation.state == "fine":
        return None
    if evaluation.state == "never" or evaluation.since is None:
        said = "Alerts have not been evaluated yet. The first time is a minute or two after the start"
        return _banner(f"{said}; if this stays, see whether `python -m alerting` runs.")
    when = f"{fmt.moment(evaluation.since, tz)} {zone_name}"
    if evaluation.state == "failed":
        return _banner(f"Alerts were last evaluated at {when}, then it failed: {evaluation.error or 'see the log'}. Nothing is resolved meanwhile; it is tried again every minute.")  # fmt: skip
    return _banner(f"Alerts were last evaluated at {when}. Nothing is resolved meanwhile; see whether `python -m alerting` runs.")


def _banner(text: str) -> html.Div:
    return html.Div([html.Span(className="icon icon-warning"), html.Span(text)], className="banner", role="status")
