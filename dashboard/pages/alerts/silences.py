"""Which alerts nobody is told of, until when, why and by whom."""

from datetime import datetime, tzinfo
from typing import Any

from dash import html

from dashboard import format as fmt
from dashboard.components.card import card, empty, scrolling
from dashboard.pages.alerts import frame, words
from dashboard.pages.alerts.loading import MOST_PAST, Silences
from db.alert_people import Silence


def parts(o: Silences, zone_name: str) -> dict[str, Any]:
    """Every part by the id of its place."""
    tz = fmt.zone(zone_name)
    return {
        "silences-banner": frame.banner(o.evaluation, tz, zone_name),
        "silences-active": card("Holding now", f"as of {fmt.moment(o.now, tz)}, times in {zone_name}", _active(o, tz)),
        "silences-past": card("Over", f"the newest {MOST_PAST}, times in {zone_name}", _past(o, tz)),
    }


def _active(o: Silences, tz: tzinfo) -> Any:
    if not o.active:
        return empty(
            "No silence holds: notices go out for every alert. Make one here, or with the key s on an alert, for what you know of already."
        )
    found = [_row(one, tz, f"{fmt.moment(one.ends_at, tz)}, {fmt.age(one.ends_at - o.now)} more", _end(one)) for one in o.active]
    return _table("Silences that hold", found)


def _past(o: Silences, tz: tzinfo) -> Any:
    if not o.past:
        return empty("None yet. A silence that is over stays here, with who made it and why.")
    return _table("Silences that are over", [_row(one, tz, _over(one, o.now, tz), None) for one in o.past])


def _over(one: Silence, now: datetime, tz: tzinfo) -> str:
    if one.ended_at is not None:
        return f"ended {fmt.moment(one.ended_at, tz)} by {one.ended_by}"
    return f"ended {fmt.moment(one.ends_at, tz)}" if one.ends_at <= now else f"begins {fmt.moment(one.starts_at, tz)}"


def _end(one: Silence) -> html.Button:
    what = f"End now: {words.matcher(one)}"
    return html.Button("End now", type="button", className="button", **{"data-end-silence": str(one.silence_id), "aria-label": what})


_HEADS = ("Alerts", "Until", "Why", "Who", "")


def _row(one: Silence, tz: tzinfo, until: str, action: Any) -> html.Tr:
    who = [one.created_by, html.Small(f" {fmt.moment(one.created_at, tz)}")]
    cells = [words.matcher(one), until, one.reason, who, action]
    return html.Tr(
        [html.Td(cell, **{"data-label": name}) for name, cell in zip(_HEADS, cells, strict=True)],
        **{"data-row": f"silence-{one.silence_id}"},
    )


def _table(label: str, found: list[html.Tr]) -> html.Div:
    names = [html.Th(name or html.Span("Action", className="visually-hidden"), scope="col") for name in _HEADS]
    return scrolling(label, html.Table([html.Thead(html.Tr(names)), html.Tbody(found)], className="readings admin-rows silences"))
