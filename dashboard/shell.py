"""What stands around every page: header, navigation, clock, stale banner, footer, and the one request per tick."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, dcc, html, set_props
from markupsafe import escape

ASSETS = Path(__file__).resolve().parent.parent / "assets"
log = logging.getLogger(__name__)

# No inline script: the colour scheme is set by a file of ours before the first paint.
INDEX = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>{%title%}</title>
    <link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
    {%css%}
    <script src="/assets/00-boot.js"></script>
  </head>
  <body>
    <a class="skip-link" href="#main">Skip to the content</a>
    {%app_entry%}
    {%config%}{%scripts%}{%renderer%}
  </body>
</html>"""

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# The kit's greys, light to dark, in the tones of assets/90-style.css.
_DARK = ["#e4e8ef", "#c3cad6", "#98a3b5", "#6f7a8c", "#364050", "#262d39", "#1b212b", "#151a22", "#0e1218", "#0a0d12"]
THEME = {
    "colors": {"dark": _DARK},
    "fontFamily": _FONT,
    "primaryColor": "indigo",
    "defaultRadius": "md",
    "fontSizes": {"xs": "12px", "sm": "13px", "md": "14px", "lg": "16px", "xl": "20px"},
}


def register(app: Dash, services: Any, openness: str, *, loud: bool) -> None:
    """Give the app its frame. Pages must have been registered before. `openness` says who is let in: `loud` in a banner, else in the footer."""
    app.index_string = INDEX
    app.layout = layout(services.settings.tick_s, openness, loud=loud)
    _on_the_clock(app)
    _choices(app)


def name_the_person(app: Dash, facts: Callable[[], Mapping[str, str]]) -> None:
    """Have every page know whoever opened it: `facts` become data-… of the document, for scripts and styles to read."""
    drawn = app.interpolate_index

    def with_person(**parts: Any) -> str:
        said = "".join(f' data-{name}="{escape(value)}"' for name, value in facts().items())
        return str(drawn(**parts)).replace('<html lang="en">', f'<html lang="en"{said}>', 1)

    app.interpolate_index = with_person  # type: ignore[method-assign, assignment]


def _on_the_clock(app: Dash) -> None:
    def client(name: str, *inputs: Any) -> None:
        app.clientside_callback(ClientsideFunction("voltledger", name), *inputs)

    client("tick", Input("clock", "n_intervals"))
    client("navigated", Output("shell-page", "data"), Input("_pages_location", "pathname"))
    client("viewer", Output("viewer", "data"), Input("mantine", "id"))


def _choices(app: Dash) -> None:
    app.clientside_callback(ClientsideFunction("voltledger", "chosenScheme"), Input("scheme-choice", "value"), prevent_initial_call=True)
    app.clientside_callback(ClientsideFunction("voltledger", "chosenZone"), Input("zone-choice", "value"), prevent_initial_call=True)


def on_error(error: Exception) -> None:
    """A callback failed: say so in the page's note and leave what it shows. The database being away is the ordinary case; the log has the trace."""
    log.error("callback failed", exc_info=error)
    set_props(
        "callback-note",
        {"children": "Something could not be loaded; what you see may be older. It is tried again with the next reading.", "hidden": False},
    )


def layout(tick_s: float, openness: str, *, loud: bool) -> dmc.MantineProvider:
    """The frame; no query here, since Dash also draws it once at the start to check it."""
    return dmc.MantineProvider(
        [
            dcc.Interval(id="clock", interval=round(tick_s * 1000)),
            dcc.Store(id="shell-page"),
            dcc.Store(id="viewer", data={"zone": "UTC", "scheme": "light"}),
            _header(),
            *([html.Div(openness, id="openness", className="banner is-quiet", role="note")] if loud else []),
            html.Div(
                [html.Span(className="icon icon-warning"), html.Span(className="banner-text")],
                id="stale-banner",
                className="banner",
                role="alert",
                hidden=True,
            ),
            html.Div(id="callback-note", className="banner is-quiet", role="status", hidden=True),
            html.Main(dash.page_container, id="main", tabIndex=-1),
            _footer(None if loud else openness),
        ],
        id="mantine",
        theme=THEME,
        defaultColorScheme="auto",
    )


def _header() -> html.Header:
    return html.Header(
        [
            html.A(
                [html.Span(className="logo", **{"aria-hidden": "true"}), html.Span("Voltledger")],
                href="/",
                className="brand",
                **{"data-nav": "", "aria-label": "Voltledger"},  # on phones the word is hidden
            ),
            html.Nav(
                [
                    _page("Fleet", "/"),
                    _page("Alerts", "/alerts", html.Span(id="nav-alerts-count", className="count", hidden=True)),
                    _page("Reports", "/reports", needs="export"),
                    _page("Ingestion", "/ingestion"),
                    _page("Admin", "/admin", needs="administer"),
                ],
                **{"aria-label": "Pages"},
            ),
            html.Div(
                [
                    html.Span(className="live-dot", **{"aria-hidden": "true"}),
                    html.Span("Connecting", className="live-word"),
                    html.Span(className="live-time"),
                ],
                id="live-state",
                className="live-state is-waiting",
            ),
            _display(),
            _person(),
        ],
        className="header",
    )


def _page(name: str, path: str, extra: Any = None, needs: str = "see") -> html.A:
    return html.A([name, extra], href=path, className="nav-link", **{"data-nav": "", "data-page": path, "data-needs": needs})


def _person() -> html.Details:
    """Who is logged in, in words of assets/36-person.js; not seen where nobody is."""
    button = html.Summary(
        html.Span(className="icon icon-person"),
        className="icon-button",
        title="Who you are",
        **{"aria-label": "Who you are: log out, password"},
    )
    panel = [
        html.Div([html.B(id="person-name"), html.Div(id="person-role", className="is-muted")]),
        html.A("Change the password", href="/password", className="button is-plain"),
        html.Button("Log out", type="button", className="button", **{"data-log-out": ""}),
    ]
    return html.Details([button, html.Div(panel, className="display-panel card person-panel")], className="display person")


def _choice(element_id: str, label: str, value: str, options: list[tuple[str, str]]) -> html.Div:
    control = dmc.SegmentedControl(
        id=element_id,
        value=value,
        data=[{"value": v, "label": text} for v, text in options],
        size="xs",
        fullWidth=True,
        **{"aria-label": label},
    )
    return html.Div([html.Div(label, className="figure-label"), control])


def _display() -> html.Details:
    """A disclosure and not the kit's popover, whose wrapper says aria-expanded where no screen reader may be told so. assets/35-display.js closes it."""
    panel = [
        _choice("scheme-choice", "Colours", "auto", [("auto", "System"), ("light", "Light"), ("dark", "Dark")]),
        _choice("zone-choice", "Times in", "viewer", [("viewer", "My time zone"), ("utc", "UTC")]),
    ]
    button = html.Summary(
        html.Span(className="icon icon-display"),
        className="icon-button",
        title="Colours and time zone",
        **{"aria-label": "Colours and time zone"},
    )
    return html.Details([button, html.Div(panel, className="display-panel card")], className="display")


def _footer(openness: str | None) -> html.Footer:
    def link(href: str, text: str) -> html.A:
        return html.A(text, href=href, target="_blank", rel="noreferrer")

    return html.Footer(
        [
            html.Span(
                [
                    "Map: ",
                    link("https://www.naturalearthdata.com/", "Natural Earth"),
                    " (public domain), places ",
                    link("https://www.geonames.org/", "GeoNames"),
                    " (CC BY 4.0)",
                ]
            ),
            html.Span([html.A("API", href="/api"), *([" · ", html.Span(openness, id="openness")] if openness else [])]),
        ],
        className="footer",
    )
