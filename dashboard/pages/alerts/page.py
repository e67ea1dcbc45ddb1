"""The layouts of `/alerts`, its tabs and `/alerts/<id>`, and what fills them.

The server draws; the browser paints what changed, walks it by keyboard and asks the API when somebody does something. A list is drawn anew
when an alert took a step or somebody did something, which the live picture tells, and once a minute.
"""

from typing import Any
from urllib.parse import unquote

import dash
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, set_props

from dashboard.components import filters
from dashboard.components.empty import away, first_use
from dashboard.components.plain import plain
from dashboard.pages.alerts import asked, evidence, frame, history, inbox, loading, of_subject, silences, words

_CONTROLS = ("q", "state", "severity", "rule", "site")


def register(app: Dash, services: Any) -> None:
    """Put the pages at `/alerts…`."""
    dash.register_page("alerts", path="/alerts", title="Alerts · Voltledger", layout=layout)
    dash.register_page("alerts-history", path="/alerts/history", title="Alerts: history · Voltledger", layout=history_layout)
    dash.register_page("alerts-silences", path="/alerts/silences", title="Silences · Voltledger", layout=silences_layout)
    # Dash takes the first that fits in the order of these names: the one that fits everything comes last.
    dash.register_page("alerts-with-id", path_template="/alerts/<episode_id>", title="Alert · Voltledger", layout=alert_layout)
    for page in ("alerts", "history", "silences", "alert"):
        _in_the_browser(app, page)
    for page in ("alerts", "history"):
        controls = [Input(f"{page}-{name}", "value") for name in _CONTROLS]
        _client(
            app, "filtered", Output(f"{page}-filtered", "data"), *controls, State(f"{page}-due", "id"), State(f"{page}-filtered", "data")
        )
    _inbox(app, services)
    _history(app, services)
    _silences(app, services)
    _alert(app, services)
    of_subject.register(app, services)


def _client(app: Dash, name: str, *inputs: Any) -> None:
    app.clientside_callback(ClientsideFunction("voltledgerAlerts", name), *inputs)


def _in_the_browser(app: Dash, page: str) -> None:
    due = State(f"{page}-due", "data"), State(f"{page}-due", "id")
    _client(app, "due", Output(f"{page}-due", "data"), Input("clock", "n_intervals"), *due)
    _client(app, "painted", Output(f"{page}-painted", "data"), Input(f"{page}-drawn", "data"), State(f"{page}-due", "id"))


def _painted(parts: dict[str, Any], state: str) -> dict[str, Any]:
    """What the browser paints, and what the page is about."""
    set_props("callback-note", {"hidden": True})
    return {"state": state, "parts": {name: plain(part) for name, part in parts.items()}}


def _inbox(app: Dash, services: Any) -> None:
    controls = [Input(f"alerts-{name}", "value") for name in _CONTROLS]

    @app.callback(
        Output("alerts-drawn", "data"), Output("alerts-site", "data"), Input("alerts-due", "data"), *controls, Input("viewer", "data")
    )
    def show_inbox(
        _: Any, q: str | None, state: str | None, severity: str | None, rule: str | None, site: str | None, viewer: dict[str, str]
    ) -> Any:
        wanted, pending = asked.inbox(q, state, severity, rule, site), state == "pending"
        with services.read() as conn:
            found = loading.load_inbox(conn, wanted, pending, services.now())
        filtered = bool(q or state or severity or rule or site)
        drawn = inbox.parts(found, pending, filtered, viewer["zone"])
        return _painted(drawn, inbox.state(found, pending, filtered)), _sites(found.sites)


def _sites(known: loading.Sites) -> list[dict[str, str]]:
    return [{"value": site_id, "label": name} for site_id, name in known]


def _history(app: Dash, services: Any) -> None:
    controls = [Input(f"history-{name}", "value") for name in _CONTROLS]

    @app.callback(
        Output("history-drawn", "data"),
        Output("history-site", "data"),
        Input("history-due", "data"),
        *controls,
        Input("history-filtered", "data"),
        Input("viewer", "data"),
    )
    def show_history(
        _: Any,
        q: str | None,
        state: str | None,
        severity: str | None,
        rule: str | None,
        site: str | None,
        page: dict[str, Any] | None,
        viewer: dict[str, str],
    ) -> Any:
        before_id = asked.page_before((page or {}).get("before"))
        with services.read() as conn:
            found = loading.load_history(conn, asked.history(q, state, severity, rule, site), before_id, services.now())
        return _painted(history.parts(found, viewer["zone"]), "ready"), _sites(found.sites)


def _silences(app: Dash, services: Any) -> None:
    @app.callback(Output("silences-drawn", "data"), Input("silences-due", "data"), Input("viewer", "data"))
    def show_silences(_: Any, viewer: dict[str, str]) -> Any:
        with services.read() as conn:
            found = loading.load_silences(conn, services.now())
        return _painted(silences.parts(found, viewer["zone"]), "ready")


def _alert(app: Dash, services: Any) -> None:
    @app.callback(Output("alert-drawn", "data"), Input("alert-due", "data"), Input("viewer", "data"), State("alert-id", "data"))
    def show_alert(_: Any, viewer: dict[str, str], episode_id: str) -> Any:
        known = asked.page_before(episode_id)
        with services.read() as conn:
            found = loading.load_card(conn, known, services.now(), services.policies) if known else None
        if found is None:
            return _painted({"alert-head": evidence.unknown(episode_id)}, "unknown")
        over = "is-over" if found.story.episode.resolved_at else "is-open"
        return {**_painted(evidence.parts(found, viewer["zone"]), "ready"), "look": over}


def layout(q: str = "", state: str = "", severity: str = "", rule: str = "", site: str = "", vehicle: str = "", **_: Any) -> html.Div:
    """The open ones. `vehicle`: what older links call the search."""
    body = [
        _filters("alerts", q or vehicle, state, severity, rule, site, asked.OPEN_STATES),
        html.Div(id="alerts-counts", className="alert-counts", role="status"),
        html.Div(id="alerts-list", className="alert-groups"),
        html.Section(id="alerts-low", hidden=True, **{"aria-labelledby": "alerts-low-title"}),
    ]
    empty = [html.Div(away(), className="when-away"), html.Div(first_use(), className="when-empty")]
    return _page("alerts", frame.head("open"), empty, html.Div(body, className="when-ready stack"))


def history_layout(
    q: str = "", state: str = "", severity: str = "", rule: str = "", site: str = "", before: str | None = None, **_: Any
) -> html.Div:
    """What was."""
    file = html.Span(id="history-file")
    body = [
        _filters("history", q, state, severity, rule, site, asked.PAST_STATES, file),
        html.Div(id="history-list", className="alert-groups"),
        html.Div(id="history-foot", className="card-foot alert-foot"),
    ]
    filtered = {"before": before, "chosen": None}
    return _page("history", frame.head("history"), [], html.Div(body, className="stack"), filtered)


def silences_layout(**_: Any) -> html.Div:
    """Who is not told of what."""
    new = html.Button("New silence", type="button", className="button is-main", **{"data-new-silence": ""})
    note = html.P(["A silence withholds notices; alerts are recorded all the same. ", new], className="alert-note")
    places = [html.Div(id=f"silences-{name}", className="place-of-card") for name in ("active", "past")]
    return _page("silences", frame.head("silences"), [], html.Div([note, *places], className="stack"))


def alert_layout(episode_id: str = "", **_: Any) -> html.Div:
    """One alert."""
    acts = html.Div(
        [
            html.Button(["Acknowledge ", html.Kbd("a")], type="button", className="button is-main", **{"data-acknowledge": ""}),
            html.Button(["Silence ", html.Kbd("s")], type="button", className="button", **{"data-silence": ""}),
        ],
        className="alert-acts when-known",
    )
    crumb = html.A("Alerts", href="/alerts", className="crumb", **{"data-nav": ""})
    title = html.Div([crumb, html.Div(html.H1(f"Alert {unquote(episode_id)}"), id="alert-head")], className="grow")
    head = html.Div([title, acts], className="page-head is-row alert-page-head")
    left = [html.Div(id=f"alert-{name}", className="place-of-card") for name in ("evidence", "checks")]
    right = [html.Div(id=f"alert-{name}", className="place-of-card") for name in ("steps", "people", "notices")]
    held = html.Div(id="alert-held", className="when-known")
    columns = html.Div([html.Div(left, className="stack"), html.Div(right, className="stack")], className="alert-columns-page when-known")
    page = _page("alert", head, [], html.Div([held, columns], className="stack"))
    page.children.append(dcc.Store(id="alert-id", data=unquote(episode_id)))
    return page


def _page(name: str, head: html.Div, more: list[Any], body: html.Div, filtered: Any = None) -> html.Div:
    stores = [dcc.Store(id=f"{name}-{what}") for what in ("due", "drawn", "painted")]
    return html.Div(
        [
            *stores,
            dcc.Store(id=f"{name}-filtered", data=filtered),
            head,
            html.Div(id=f"{name}-banner", className="alert-banner"),
            *more,
            body,
        ],
        id=f"{name}-page",
        className="alerts",
        **{"data-state": "loading"},
    )


def _filters(page: str, q: str, state: str, severity: str, rule: str, site: str, states: dict[str, str], file: Any = None) -> html.Section:
    at = {"value": site, "label": site} if site else None
    control = filters.one(f"{page}-site", "Site", {}, None)
    control.data, control.value, control.searchable = [at] if at else [], site or None, True
    clear = html.Button("Clear", type="button", className="button is-plain", **{"data-clear-filters": page})
    return html.Section(
        [
            filters.search(f"{page}-q", q, "Vehicle, charger or site"),
            filters.one(f"{page}-state", "State", states, state),
            filters.one(f"{page}-severity", "Severity", words.SEVERITIES, severity),
            filters.one(f"{page}-rule", "Rule", words.RULES, rule),
            control,
            clear,
            file,
        ],
        className="filters",
        **{"aria-label": "Filter"},
    )  # fmt: skip
