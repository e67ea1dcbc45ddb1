"""The alerts of one device, as a card of its page. A page includes it with one line: `of_subject.place("vehicle", vehicle_id)`."""

from typing import Any, Literal
from urllib.parse import quote

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html

from dashboard import format as fmt
from dashboard.components.card import card, empty
from dashboard.components.plain import plain
from dashboard.pages.alerts import rows
from db.queries import alerts
from db.queries.alerts import Episode

# A card of a page; the history has them all.
MOST = 10


def place(kind: Literal["vehicle", "meter"], subject_id: str) -> html.Div:
    """Where the card comes; it fills itself."""
    stores = [dcc.Store(id=f"subject-alerts-{name}") for name in ("due", "drawn", "painted")]
    about = dcc.Store(id="subject-alerts-of", data=[kind, subject_id])
    return html.Div([*stores, about, html.Div(id="subject-alerts", className="place-of-card")], className="when-known")


def register(app: Dash, services: Any) -> None:
    """What fills it, on whichever page it is."""

    def client(name: str, *inputs: Any) -> None:
        app.clientside_callback(ClientsideFunction("voltledgerAlerts", name), *inputs)

    due = State("subject-alerts-due", "data"), State("subject-alerts-due", "id")
    client("due", Output("subject-alerts-due", "data"), Input("clock", "n_intervals"), *due)
    client("painted", Output("subject-alerts-painted", "data"), Input("subject-alerts-drawn", "data"), State("subject-alerts-due", "id"))

    @app.callback(
        Output("subject-alerts-drawn", "data"),
        Input("subject-alerts-due", "data"),
        Input("viewer", "data"),
        State("subject-alerts-of", "data"),
    )
    def show_alerts(_: Any, viewer: dict[str, str], of: list[str]) -> dict[str, Any]:
        kind, subject_id = of
        now = services.now()
        with services.read() as conn:
            found = load(conn, kind, subject_id, now)
        return {"parts": {"subject-alerts": plain(drawn(found, kind, subject_id, now, viewer["zone"]))}}


def load(conn: Any, kind: str, subject_id: str, now: Any) -> list[Episode]:
    """Its alerts, open ones first."""
    return alerts.of_subject(conn, kind, subject_id, now, MOST)


def drawn(found: list[Episode], kind: str, subject_id: str, now: Any, zone_name: str) -> html.Section:
    """The newest of them; the rest by a link."""
    tz = fmt.zone(zone_name)
    more = html.A("All of them", href=f"/alerts/history?q={quote(subject_id, safe='')}", className="button is-plain", **{"data-nav": ""})
    of = f"as of {fmt.moment(now, tz)}, times in {zone_name}"
    if not found:
        return card(
            "Alerts", of, empty(f"This {'vehicle' if kind == 'vehicle' else 'charger'} never had one. An alert appears here by itself.")
        )
    return card("Alerts", of, html.Ul([rows.item(one, now, tz) for one in found], className="alert-items"), links=more)
