"""The ingestion page's parts as functions of what was loaded: no database, no clock."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import quote

from dash import html

from charging.reporting import SILENT_RHYTHMS, STALE_RHYTHMS, Device, State, unheard_first
from dashboard import format as fmt
from dashboard.components.card import card, csv_link, empty, scrolling
from dashboard.components.quantity import now_card
from dashboard.pages.ingestion.loading import SETTLED, STEP, Overview, first_mean_at, growth_bytes, total_bytes
from dashboard.pages.ingestion.words import mend
from db.intake_log import MinuteCounts, Rejected
from db.queries.calendar import Calendar
from db.retention import Day

# What a card can carry; the file has them all.
MOST_ROWS, MOST_DAYS = 50, 31
GB = 1_000_000_000
STATE_WORDS: dict[State, str] = {
    "reporting": "reporting", "late": "sends old readings", "stale": "stale", "silent": "silent", "never": "never reported",
}  # fmt: skip


def parts(o: Overview, zone_name: str, disk_gb: float | None) -> dict[str, Any]:
    """Every card by the id of its place."""
    tz = fmt.zone(zone_name)
    of = f"as of {fmt.moment(o.now, tz)}, times in {zone_name}"
    return {
        "ingestion-head": head(o, tz, zone_name),
        "ingestion-now": now(o),
        "ingestion-rejects": rejects(o, tz, zone_name),
        "ingestion-silent": silent(o, of, tz),
        "ingestion-skewed": skewed(o, of, tz),
        "ingestion-new": new(o, of, tz),
        "ingestion-days": days(o, disk_gb, tz, zone_name),
    }


def head(o: Overview, tz: tzinfo, zone_name: str) -> list[Any]:
    """The question and its answer."""
    return [html.H1("Are devices reporting?"), html.P(f"{_answer(o)} As of {fmt.moment(o.now, tz, seconds=True)} {zone_name}.", className="is-muted")]  # fmt: skip


def _answer(o: Overview) -> str:
    """Yes only where every device does, those that are described or assigned and never reported too."""
    silent, stale, never, late = (len(o.of(state)) for state in ("silent", "stale", "never", "late"))
    faults = [
        f"{fmt.number(silent)} {_is(silent)} silent" if silent else "",
        f"{fmt.number(stale)} {_is(stale)} stale" if stale else "",
        f"{fmt.number(late)} {'sends' if late == 1 else 'send'} old readings only" if late else "",
        f"{fmt.number(never)} never reported" if never else "",
    ]
    said = ", ".join(filter(None, faults))
    return f"Of {_devices(len(o.devices))} {said}." if said else f"Yes, {_devices(len(o.devices))}, all of them." if o.devices else "None is known yet."  # fmt: skip


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _devices(count: int) -> str:
    return f"{fmt.number(count)} device{'' if count == 1 else 's'}"


def now(o: Overview) -> list[Any]:
    """What comes in now, who reports, how long readings take, what is rejected."""
    cards = [_side_card(o, side, name) for side, name in (("vehicle", "Vehicles"), ("meter", "Meters"))]
    rates = [_rate_card(o, side, name) for side, name in (("vehicle", "From vehicles"), ("meter", "From meters"))]
    return [*cards, *rates, _lag_card(o), _rejected_card(o)]


def _side_card(o: Overview, side: str, name: str) -> html.Div:
    by_state = o.count(side)
    reporting, known = by_state["reporting"], sum(by_state.values()) - by_state["never"]
    share = fmt.number(100 * reporting / known, 0 if reporting == known else 1) if known else fmt.NONE
    others = [f"{fmt.number(by_state[state])} {STATE_WORDS[state]}" for state in ("late", "stale", "silent", "never") if by_state[state]]
    return now_card(f"{name} reporting", share, "%", ", ".join([f"{fmt.number(reporting)} of {fmt.number(known)}", *others]))


def _rate_card(o: Overview, side: str, name: str) -> html.Div:
    """The last whole five minutes, since every process writes but once a minute."""
    wait = until_mean(o)
    if wait is not None:
        return now_card(name, fmt.NONE, "a minute", wait)
    counts = o.recent.get(side) or MinuteCounts()
    minutes = STEP / timedelta(minutes=1)
    a_minute = (counts.accepted - counts.late) / minutes
    more = {"older than 15 min": counts.late, "sent twice": counts.duplicates}
    again = "".join(f", {fmt.number(count / minutes)} {words}" for words, count in more.items() if count)
    note = f"mean of 5 min, {fmt.number(SETTLED / timedelta(minutes=1))} min ago{again}"
    return now_card(name, fmt.number(a_minute, 0 if not a_minute or a_minute >= 10 else 1), "a minute", note)


def until_mean(o: Overview) -> str | None:
    """Why there is no mean of five minutes yet, and when there will be; None where there is one."""
    if o.since is None:
        return "no reading was counted yet; the first mean comes some 10 min after the first reading"
    first = first_mean_at(o.since)
    return f"counted for {fmt.age(o.now - o.since)}; the first mean of 5 min comes in {fmt.age(first - o.now)}" if first > o.now else None


def _lag_card(o: Overview) -> html.Div:
    median, most = o.lags_s or (None, None)
    return now_card("Recorded to received", _seconds(median), "s", f"median; 95 % within {_seconds(most)} s" if o.lags_s else "no device reports")  # fmt: skip


def _seconds(value: float | None) -> str:
    return fmt.number(value, 0 if value is None or value >= 10 else 1)


def _rejected_card(o: Overview) -> html.Div:
    lost = o.day.rejected + o.day.conflicts
    came = o.day.accepted + o.day.duplicates + lost
    share = f"{fmt.percent(lost / came, 2)} of what came in 24 h" if came else "in 24 h"
    return now_card("Rejected", fmt.number(lost), "readings", share)


# ---------------------------------------------------------------------------------------------------------------- rejects


def rejects(o: Overview, tz: tzinfo, zone_name: str) -> html.Section:
    """Codes with cases and what to do."""
    window = f"24 hours to {fmt.moment(o.now, tz)}, times in {zone_name}"
    start, end = _z(o.now - timedelta(hours=24)), _z(o.now + timedelta(minutes=1))
    link = csv_link("CSV", f"/v1/ingestion/rejects?format=csv&from={start}&to={end}")
    if not o.rejected:
        return card("What was rejected", window, empty("Nothing. Readings that are refused appear here by reason, with the devices that sent them."))  # fmt: skip
    items = [_reject(one, tz) for one in o.rejected]
    return card("What was rejected", window, html.Ul(items, className="reject-list"), links=link)


def _reject(one: Rejected, tz: tzinfo) -> html.Li:
    unit = "reading" if one.what == "reading" else "request"
    summary = html.Summary(
        [
            html.B(one.code, className="mono"),
            html.Span(f"{fmt.number(one.count)} {unit}{'' if one.count == 1 else 's'}", className="reject-count"),
            html.Span(f"last {fmt.moment(one.last_at, tz)}", className="is-muted"),
            html.Span(className="chevron"),
        ]
    )
    cases = [_case(at, sample, tz) for at, sample in one.samples]
    shown = html.Ul(cases, className="reject-cases") if cases else None
    return html.Li(html.Details([summary, html.P(mend(one.code)), shown]), key=f"{one.what} {one.code}")


def _case(at: datetime, sample: dict[str, str | None], tz: tzinfo) -> html.Li:
    who = sample.get("deviceId") or "no valid id"
    words = [html.B(who), f" {sample.get('pointer') or ''}: {sample.get('detail') or ''} ", html.Span(fmt.moment(at, tz), className="is-muted")]  # fmt: skip
    return html.Li(words)


# ---------------------------------------------------------------------------------------------------------------- devices


def silent(o: Overview, of: str, tz: tzinfo) -> html.Section:
    """Quiet for more than five rhythms of their own, the longest first, then those that never reported."""
    found = unheard_first(o.of("stale", "silent", "never"))
    words = f"stale after {STALE_RHYTHMS} of its own rhythms, silent after {SILENT_RHYTHMS}; {of}"
    if not found:
        return card("Silent devices", words, empty("None: every device reports at its own rhythm."))
    columns = ("Device", "State", "Last received", "Quiet for", "Rhythm")
    rows = [
        (_who(d), _state(o.states[d.side + d.device_id]), fmt.moment(d.received_at, tz), fmt.age(o.now - d.received_at if d.received_at else None), _rhythm(d))
        for d in found[:MOST_ROWS]
    ]  # fmt: skip
    links = [csv_link(f"{STATE_WORDS[s].capitalize()} as CSV", f"/v1/ingestion/devices?format=csv&state={s}") for s in ("silent", "stale")]
    return card("Silent devices", words, _table("Silent devices", columns, rows, len(found), numbers=(3, 4)), links=html.Span(links, className="links"))  # fmt: skip


def skewed(o: Overview, of: str, tz: tzinfo) -> html.Section:
    """Clocks that are ahead, and devices whose newest readings are old."""
    ahead = sorted((d for d in o.devices if d.is_ahead), key=lambda d: (d.lag or timedelta(), d.device_id))
    late = sorted(o.of("late"), key=lambda d: (-(d.lag or timedelta()), d.device_id))
    found = [*ahead, *late]
    if not found:
        return card("Clocks", of, empty("No clock is more than 5 seconds ahead, and no device sends old readings only."))
    rows = [(_who(d), _clock(d), fmt.moment(d.recorded_at, tz, seconds=True), fmt.moment(d.received_at, tz, seconds=True)) for d in found[:MOST_ROWS]]  # fmt: skip
    columns = ("Device", "Its clock", "Recorded", "Received")
    links = [csv_link("Ahead as CSV", "/v1/ingestion/devices?format=csv&ahead=true"), csv_link("Old as CSV", "/v1/ingestion/devices?format=csv&state=late")]  # fmt: skip
    note = html.P("Late: its clock is behind, or it sends what it kept while it was offline.", className="card-note")
    return card("Clocks", of, note, _table("Clocks", columns, rows, len(found)), links=html.Span(links, className="links"))


def _clock(device: Device) -> str:
    lag = device.lag or timedelta()
    return f"{fmt.age(-lag)} ahead" if lag < timedelta() else f"{fmt.age(lag)} late"


def new(o: Overview, of: str, tz: tzinfo) -> html.Section:
    """Devices that report and that nobody described or assigned."""
    found = [d for d in o.devices if d.is_new]
    if not found:
        return card("New devices", of, empty("None: every device that reports is described or assigned."))
    rows = [(_link(d), "vehicle" if d.side == "vehicle" else "meter", fmt.moment(d.received_at, tz)) for d in found[:MOST_ROWS]]
    link = csv_link("CSV", "/v1/ingestion/devices?format=csv&new=true")
    note = html.P(
        "They report, and nobody described them or assigned a meter: a mistyped id, or a device to welcome.", className="card-note"
    )
    return card("New devices", of, note, _table("New devices", ("Device", "Kind", "Last received"), rows, len(found)), links=link)


def _link(device: Device) -> html.A:
    return html.A(device.name or device.device_id, href=device_href(device), title=device.device_id, **{"data-nav": ""})


def _who(device: Device) -> list[Any]:
    return [_link(device), html.Small(device.site_name)] if device.site_name else [_link(device)]


def device_href(device: Device) -> str:
    """The page of a vehicle or a charger."""
    return f"/{'vehicles' if device.side == 'vehicle' else 'chargers'}/{quote(device.device_id, safe='')}"


def _state(state: State) -> html.Span:
    return html.Span(STATE_WORDS[state], className=f"report-state is-{state}")


def _rhythm(device: Device) -> str:
    return f"{fmt.age(device.rhythm)}{'' if device.rhythm_s else ' assumed'}"


def _table(label: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], many: int, numbers: Sequence[int] = ()) -> html.Div:
    head = [html.Th(name, scope="col", className="is-number" if i in numbers else "") for i, name in enumerate(columns)]
    body = [html.Tr([html.Td(value, className="is-number" if i in numbers else "") for i, value in enumerate(row)]) for row in rows]
    left_out = f"The first {len(rows)} of {fmt.number(many)}; the file has them all" if many > len(rows) else f"{fmt.number(many)} in all"
    table = html.Table([html.Caption(left_out), html.Thead(html.Tr(head)), html.Tbody(body)], className="readings")
    return scrolling(label, table, class_name="is-low")


# ------------------------------------------------------------------------------------------------------------------- days


def days(o: Overview, disk_gb: float | None, tz: tzinfo, zone_name: str) -> html.Section:
    """Size of history by day, how fast it grows, and when the disk is full."""
    link = csv_link("CSV", "/v1/ingestion/days?format=csv")
    shown = [day for day in o.days if day.readings or day.dropped_at or day.history_bytes > MOST_EMPTY_BYTES][::-1]
    rows = [_day(day, tz) for day in shown[:MOST_DAYS]]
    columns = ("Day (UTC)", "Readings", "Readings, MB", "15-minute sums, MB", "Bytes a reading", "State")
    of = f"history and its sums, at most 5 minutes old at {fmt.moment(o.now, tz)} {zone_name}"
    body = [html.P(growth(o, disk_gb), className="card-note")]
    body.append(_table("Size of history", columns, rows, len(shown), numbers=(1, 2, 3, 4)) if rows else empty("No day has readings yet."))
    return card("Size of history", of, *body, links=link)


# The tables of a day without readings are some pages all the same.
MOST_EMPTY_BYTES = 300_000


def _day(day: Day, tz: tzinfo) -> tuple[str, ...]:
    size = day.history_bytes + day.rollup_bytes
    each = fmt.number(size / day.readings) if day.readings else fmt.NONE
    state = f"readings dropped {fmt.moment(day.dropped_at, tz)}" if day.dropped_at else "compacted" if day.compacted_at else "as it came in"
    return (f"{day.day:%-d %b %Y}", fmt.number(day.readings), fmt.number(day.history_bytes / 1e6, 1), fmt.number(day.rollup_bytes / 1e6, 1), each, state)  # fmt: skip


def growth(o: Overview, disk_gb: float | None) -> str:
    """In words: how large, how fast, until when."""
    total, a_day = total_bytes(o.days), growth_bytes(o.days, o.now)
    words = f"{_gb(total)} in all"
    if a_day is None:
        return f"{words}. How fast it grows is known after the first whole day."
    words += f", {_gb(a_day)} more a day (mean of the last whole days, {_gb(a_day * 365)} a year)."
    if disk_gb is None:
        return f"{words} Give the size of the disk to see when it is full."
    left = disk_gb * GB - total
    if left <= 0:
        return f"{words} That is more than a disk of {fmt.number(disk_gb)} GB holds."
    until = left / max(a_day, 1)
    if until > 36_500:
        return f"{words} A disk of {fmt.number(disk_gb)} GB lasts for more than a hundred years."
    at = o.now + timedelta(days=until)
    return f"{words} History alone fills a disk of {fmt.number(disk_gb)} GB in {fmt.number(until)} days, about {at:%-d %b %Y}; keep 10 GB free."


def _gb(size: float) -> str:
    return f"{fmt.number(size / GB, 1 if size >= GB else 3)} GB"


# --------------------------------------------------------------------------------------------------------------- calendar


def calendar(found: Calendar, page: int, pages: int) -> dict[str, Any]:
    """What the browser draws: hours since 1970 in ms, and for each device its readings and the parts of those due in %, -1 where not known."""
    rows = [
        {
            "name": row.device.name or row.device.device_id,
            "id": row.device.device_id,
            "href": device_href(row.device),
            "site": row.device.site_name,
            "rhythmS": round(row.device.rhythm.total_seconds()),
            "readings": [-1 if one is None else one for one in row.readings],
            "due": [-1 if one is None else int(one * 100) for one in row.shares],
        }
        for row in found.rows
    ]
    return {"start": round(found.start.timestamp() * 1000), "now": round(found.now.timestamp() * 1000), "rows": rows, "page": page, "pages": pages, "devices": found.devices}  # fmt: skip


def _z(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}Z"
