"""Pages without data say what to do next."""

from typing import Any

from dash import html

_READING = """curl -X POST {origin}/v1/telemetry/vehicle \\
  -H 'Content-Type: application/json' \\
  -d '{{"vehicleId": "van-7", "soc": 62.5, "kwhDeliveredDc": 0.17, "batteryTemp": 24.5,
       "latitude": 52.3731, "longitude": 4.8926, "timestamp": "'$(date -u +%FT%TZ)'"}}'"""
_METER = """curl -X POST {origin}/v1/telemetry/meter \\
  -H 'Content-Type: application/json' \\
  -d '{{"meterId": "depot-1", "kwhConsumedAc": 0.19, "voltage": 231,
       "timestamp": "'$(date -u +%FT%TZ)'"}}'"""
_MAPPING = """curl -X PUT {origin}/v1/mappings/van-7 \\
  -H 'Content-Type: application/json' -d '{{"meterId": "depot-1"}}'"""

_SIMULATE = "python -m simulator run --url {origin} --vehicles 40"
_IMPORT = "python -m db import vehicles.csv meters.csv"


def message(title: str, *body: Any, tone: str = "", alone: bool = False) -> html.Div:
    """A calm card in the middle of the page; its title is the page's where it stands there `alone`."""
    return html.Div([(html.H1 if alone else html.H2)(title), *body], className=f"card message {tone}".strip())


def command(template: str, element_id: str) -> html.Div:
    """A command to copy; `{origin}` becomes the address this page came from."""
    before, *after = template.replace("{{", "{").replace("}}", "}").split("{origin}")
    code: list[Any] = [before, *(part for text in after for part in (html.Span("http://127.0.0.1:8050", **{"data-origin": ""}), text))]
    copy = html.Button("Copy", type="button", className="button copy", **{"data-copy": element_id, "aria-label": "Copy the command"})
    return html.Div([html.Pre(html.Code(code, id=element_id), tabIndex=0), copy], className="command")


def with_a_key() -> html.P:
    """Where keys are required: what each of the commands needs besides."""
    head = html.Code("-H 'Authorization: Bearer <key>'")
    return html.P(
        ["Keys are required here: add ", head, " to each command, with a key from ", html.A("Admin, Keys", href="/admin/keys"), "."]
    )


def first_use(*, keys: bool = False) -> html.Div:
    """No vehicle yet: the commands that bring the first reading. The page fills by itself when it arrives. `keys`: they are required."""
    return message(
        "No vehicle has reported yet",
        html.P("Send the first reading and this page fills by itself, without a reload:"),
        with_a_key() if keys else None,
        command(_READING, "curl-vehicle"),
        html.P("For an efficiency it takes the other side of the cable too: the meter's reading, and which meter feeds the vehicle."),
        command(_METER, "curl-meter"),
        command(_MAPPING, "curl-mapping"),
        html.P("Or look around first: a simulated fleet of 40 vehicles with their last 24 hours. Better in a database you can throw away."),
        command(_SIMULATE, "simulate-fleet"),
        html.P("Or bring what was recorded elsewhere, CSV or Parquet in the names of the API:"),
        command(_IMPORT, "import-files"),
        html.P(["Everything a device or program can call is described at ", html.A("/api", href="/api"), "."]),
    )


def first_charger() -> html.Div:
    """No charger yet: the command that sends a meter's first reading, and the one that says whose charger it is."""
    return message(
        "No charger has reported yet",
        html.P("A charger is known by its meter. Send the first reading and this page fills by itself, without a reload:"),
        command(_METER, "curl-charger"),
        html.P("Which vehicle it feeds, for an efficiency:"),
        command(_MAPPING, "curl-charger-mapping"),
        html.P(["Everything a device or program can call is described at ", html.A("/api", href="/api"), "."]),
    )


def away() -> html.Div:
    """The database cannot be reached and nothing was loaded before."""
    return message(
        "The database cannot be reached",
        html.P("There are no earlier figures to show. This page fills by itself as soon as it is back."),
        tone="is-away",
    )
