"""The charger page's cards as functions of data: what each says, and what it says where it knows nothing."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import plotly.graph_objects as go
import pytest

from charging.matrix import Cell
from charging.timeline import ALWAYS, FOREVER, Occupied
from dashboard import charger_figure, figures
from dashboard.charger_figure import ChargerTimeline
from dashboard.components.charger_matrix import charger_or_vehicles
from dashboard.components.occupation import occupation_timeline
from dashboard.components.plain import plain
from dashboard.components.sessions import charger_session_table
from dashboard.figures import Timeline
from dashboard.over import CHOSEN, LONGEST, over
from dashboard.pages.charger import drawing
from dashboard.view import Asked
from db.queries.chargers import Place, Rating
from db.queries.meter_energy import MeterEnergy
from tests import charger_support
from tests.browser_support import FakeFleet, summary

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
VIEWER = {"zone": "UTC", "scheme": "light"}
KWH = 1_000_000
DAY = over("24h", None, None, NOW)


@pytest.fixture(scope="module")
def row() -> dict[str, Any]:
    return next(row for row in FakeFleet(200, NOW).rows if row["severity"])


def _text(component: Any) -> str:
    return json.dumps(component, default=lambda part: part.to_plotly_json(), ensure_ascii=False)


# ----------------------------------------------------------------------------------------------------------------------- window


def test_the_window_is_a_range_up_to_now_or_the_two_instants_of_the_address() -> None:
    assert (DAY.start, DAY.end, DAY.fixed, DAY.like.bin_s) == (NOW - timedelta(days=1), NOW, False, 3600)
    own = over(CHOSEN, "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", NOW)
    assert (own.start.day, own.end.day, own.fixed, own.like.bucket) == (20, 21, True, "15m")
    assert over("7d", "2026-11-20T00:00:00Z", None, NOW).start == NOW - timedelta(days=7)  # the viewer chose another range since
    assert over(CHOSEN, "nonsense", None, NOW) == DAY
    assert over("nonsense", None, None, NOW) == DAY


@pytest.mark.parametrize(("days", "bin_s", "bucket"), [(1, 3600, "15m"), (7, 3600, "1h"), (31, 21_600, "1h"), (120, 86_400, "1d")])
def test_longer_windows_are_shown_coarser(days: int, bin_s: int, bucket: str) -> None:
    start = f"{NOW - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
    assert (over(CHOSEN, start, None, NOW).like.bin_s, over(CHOSEN, start, None, NOW).like.bucket) == (bin_s, bucket)


def test_instants_in_the_wrong_order_and_windows_too_long_or_empty_are_made_good() -> None:
    turned = over(CHOSEN, "2026-11-21T00:00:00Z", "2026-11-20T00:00:00Z", NOW)
    assert (turned.start.day, turned.end.day) == (20, 21)
    long = over(CHOSEN, "2020-01-01T00:00:00Z", None, NOW)
    assert (long.end - long.start, long.shortened) == (LONGEST, True)
    same = over(CHOSEN, "2026-11-20T00:00:00Z", "2026-11-20T00:00:00Z", NOW)
    assert same.start < same.end


# ------------------------------------------------------------------------------------------------------------------------ chart


def _figure(*energy: MeterEnergy, scheme: figures.Scheme = "light") -> figures.Figure:
    bins = [(DAY.start + timedelta(hours=n), one) for n, one in enumerate(energy)]
    return charger_figure.charger(ChargerTimeline(Timeline(DAY.start, NOW, [], 3600, [], [], 900), bins), "UTC", scheme, "r")


def _trace(figure: figures.Figure, name: str) -> Any:
    return next(trace for trace in figure["data"] if trace.get("name") == name)


def test_plotly_accepts_the_figure(row: dict[str, Any]) -> None:
    data = charger_support.window(row, DAY).timeline
    for scheme in ("light", "dark"):
        go.Figure(charger_figure.charger(data, "Europe/Berlin", scheme, "r"))
    go.Figure(_figure())


def test_what_nobody_received_is_marked_at_the_top_of_what_was_given_and_is_no_loss() -> None:
    """10 kWh given, 6 of them while a vehicle was there, which got 5."""
    figure = _figure(MeterEnergy(ac=10 * KWH, dc=5 * KWH, ac_nobody=3 * KWH, ac_unknown=KWH))
    nobody, silent, lost = (_trace(figure, name) for name in ("Received by nobody", "Vehicle silent", "Lost"))
    assert _trace(figure, "AC from the grid")["y"] == [10]
    assert (nobody["base"], nobody["y"]) == ([6], [3])
    assert (silent["base"], silent["y"]) == ([9], [1])
    assert (lost["base"], lost["y"]) == ([5], [1])


def test_a_bin_in_which_everything_was_received_has_no_mark() -> None:
    assert _trace(_figure(MeterEnergy(ac=10 * KWH, dc=9 * KWH)), "Received by nobody")["x"] == []


def test_all_rows_have_one_time_axis(row: dict[str, Any]) -> None:
    figure = charger_figure.charger(charger_support.window(row, DAY).timeline, "UTC", "light", "r")
    assert {trace["yaxis"] for trace in figure["data"]} == {"y", "y2", "y3", "y4"}
    assert [name for name in figure["layout"] if name.startswith("xaxis")] == ["xaxis"]
    assert figure["layout"]["xaxis"]["anchor"] == "y4"


# ------------------------------------------------------------------------------------------------------------------------ cards


def test_the_energy_card_takes_apart_what_was_given() -> None:
    text = _text(drawing._energy(MeterEnergy(ac=20 * KWH, dc=9 * KWH, ac_nobody=5 * KWH, ac_not_received=2 * KWH, ac_unknown=3 * KWH)))
    assert all(part in text for part in ('"20.00"', '"9.00"', '"1.00"', " (10.0 %)", '"7.00"', '"5.00"', '"2.00"', '"3.00"'))
    assert "assign it for that time" in text
    assert "Nothing was reported in this window" in _text(drawing._energy(MeterEnergy()))


def test_the_files_are_of_the_window_on_the_screen(row: dict[str, Any]) -> None:
    own = over(CHOSEN, "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", NOW)
    found = charger_support.window(row, own)
    view = Asked(CHOSEN, None, ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z")).view(NOW)
    cards = drawing.window(found, VIEWER) | drawing.chart(found.timeline, row["meterId"], view, VIEWER)[1]
    where = f"/v1/meters/{row['meterId']}"
    span = "format=csv&from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z"
    assert f"{where}/history?{span}&bucket=15m" in _text(cards["history"])
    assert f"{where}/energy?{span}&bin=1h" in _text(cards["bars"])
    assert f"{where}/sessions?{span}" in _text(cards["sessions"])
    assert "Energy, charts and sessions are of 20 Nov 2026, 00:00 to 21 Nov 2026, 00:00 UTC" in _text(cards["past"])


def test_the_verdict_answers_before_it_explains(row: dict[str, Any]) -> None:
    cards = drawing.judged(charger_support.judged(row, NOW), VIEWER)
    text = _text(cards["verdict"])
    assert text.index("It is the charger") < text.index("This charger: low with all of")
    assert "2 of 2 vehicles with enough evidence, expected" in text
    assert '"72.5"' in text  # the two together
    assert "/v1/analytics/matrix?meterId=" in _text(cards["matrix"])
    unknown = drawing.judged(replace(charger_support.judged(row, NOW), cells=[]), VIEWER)
    assert "Not enough to say" in _text(unknown["verdict"])
    assert "no vehicle was alone at this charger" in _text(unknown["matrix"])
    many = replace(charger_support.judged(row, NOW), cells=None, why="Too many to show: 3000 pairs.")
    assert "Too many to show" in _text(drawing.judged(many, VIEWER)["verdict"])


def test_the_matrix_names_the_charger_first_and_links_its_vehicles() -> None:
    cells = [
        Cell("van-7", "d-1", summary(60, 0.9, 6)),
        Cell("van-8", "d-1", summary(60, 0.9, 6)),
        Cell("van-8", "a-2", summary(60, 0.9, 6)),
    ]
    text = _text(charger_or_vehicles(cells, "", "d-1"))
    assert "This charger: " in text
    assert text.index('"children": "d-1"') < text.index("/chargers/a-2")
    assert "/vehicles/van-7" in text
    assert "/chargers/d-1" not in text


@pytest.mark.parametrize(
    ("rating", "words"),
    [
        (Rating(11.0, 21.0), "11.0 kW, 11 kW class (described)"),
        (Rating(None, 10.9), "11 kW class (learned: gave up to 10.9 kW)"),
        (Rating(60.0), "60.0 kW, DC class (described)"),
        (Rating(), "class not known yet"),
    ],
)
def test_the_head_says_the_class_and_how_it_is_known(row: dict[str, Any], rating: Rating, words: str) -> None:
    loaded = replace(charger_support.live(row, NOW), rating=rating)
    assert words in _text(drawing.live(loaded, row["meterId"], VIEWER)[0])


def test_every_value_now_says_its_age_or_why_there_is_none(row: dict[str, Any]) -> None:
    whole = charger_support.live(row, NOW)
    meter = replace(whole.meter, recorded_at=NOW - timedelta(seconds=42), voltage_v=None)
    text = _text(drawing.live(replace(whole, meter=meter), "m", VIEWER)[1])
    assert "42 s ago" in text
    assert "not measured" in text
    assert "as described" in text
    sent = replace(whole, place=Place("reading", NOW - timedelta(minutes=3)))
    assert "sent by the meter, 3 min ago" in _text(drawing.live(sent, "m", VIEWER)[1])
    never = replace(whole.meter, recorded_at=None, power_kw=None, voltage_v=None, latitude=None, longitude=None)
    text = _text(drawing.live(replace(whole, meter=never, place=None), "m", VIEWER)[1])
    assert text.count("never reported") == 2
    assert "not sent and not described" in text


def test_who_is_assigned_stands_with_link_and_state_or_that_nobody_is(row: dict[str, Any]) -> None:
    whole = charger_support.live(row, NOW)
    text = _text(drawing._occupants(whole))
    assert f"/vehicles/{row['id']}" in text
    assert "kW into the battery" in text
    assert "nobody knows who receives what it gives" in _text(drawing._occupants(replace(whole, occupants=[], many=0)))
    assert "and 29 more, which share this meter" in _text(drawing._occupants(replace(whole, many=30)))


def test_an_unknown_charger_says_what_would_make_it_appear() -> None:
    head, *_, state = drawing.live(None, "nobody", VIEWER)
    assert (state, "Nobody has heard of charger nobody" in _text(head)) == ("unknown", True)


def test_sessions_name_and_link_every_vehicle_and_say_where_there_was_none(row: dict[str, Any]) -> None:
    text = _text(charger_session_table(charger_support.window(row, DAY).sessions, UTC, "UTC", "24 hours"))
    assert f"/vehicles/{row['id']}" in text
    assert "nobody assigned" in text
    assert '"Vehicle"' in text
    assert "No charging session ended at this charger in the 24 hours" in _text(charger_session_table([], UTC, "UTC", "24 hours"))


def test_the_assignments_mark_what_was_shared_and_who_corrected_what(row: dict[str, Any]) -> None:
    loaded = charger_support.judged(row, NOW)
    text = _text(occupation_timeline(loaded.stretches, loaded.changes, loaded.meter_id, NOW, UTC))
    assert text.count('"shared"') == 1
    assert text.count('"now"') == 1
    assert text.index('"now"') < text.index('"shared"') < text.index("from always to")
    assert "corrected by anna (api)" in text
    assert "“plugged in earlier”" in text
    assert "PUT /v1/mappings" in _text(occupation_timeline([], [], "m", NOW, UTC))
    planned = [Occupied(NOW + timedelta(days=1), FOREVER, ("van-7",)), Occupied(ALWAYS, NOW - timedelta(days=1), ("van-8",))]
    assert '"planned"' in _text(occupation_timeline(planned, [], "m", NOW, UTC))


def test_every_card_can_be_plain(row: dict[str, Any]) -> None:
    """Nothing in them needs the framework."""
    for some in {one["verdict"]: one for one in FakeFleet(200, NOW).rows if one["meterId"]}.values():
        _, now, readings, _ = drawing.live(charger_support.live(some, NOW), some["meterId"], VIEWER)
        found = charger_support.window(some, DAY)
        cards = drawing.window(found, VIEWER) | drawing.chart(found.timeline, some["meterId"], Asked().view(NOW), VIEWER)[1]
        known = [now, readings, *cards.values(), *drawing.judged(charger_support.judged(some, NOW), VIEWER).values()]
        assert all(plain(part) for part in known if part is not None)
