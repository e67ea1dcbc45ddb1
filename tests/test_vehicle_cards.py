"""The vehicle page's cards as functions of data: what each says, and what it says where it knows nothing."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dash import html

from charging.band import Band, LossLine, default_band
from charging.evidence import Evidence, Stream
from charging.losses import Price, losses
from charging.matrix import Cell
from charging.sessions import Session
from charging.verdict import Summary, summarise
from dashboard.components.assignments import assignment_timeline
from dashboard.components.charger_matrix import MOST_VEHICLES, vehicle_or_charger
from dashboard.components.expected import basis, expected
from dashboard.components.losses import loss_parts
from dashboard.components.plain import plain
from dashboard.components.sessions import MOST_ROWS, session_table
from dashboard.over import RANGES
from dashboard.pages.vehicle import drawing
from dashboard.pages.vehicle.loading import Window
from db.assignment_changes import AssignmentChange
from db.assignments import Assignment
from tests.browser_support import FakeFleet, chargers, live, summary, window

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
VIEWER = {"zone": "UTC", "scheme": "light"}
PRICE = Price(0.3, 0.5)
NAMED: Any = {"data-n": "1", "aria-label": "l"}


def _text(component: Any) -> str:
    return json.dumps(component, default=lambda part: part.to_plotly_json(), ensure_ascii=False)


def _session(hours_ago: int = 10, judged: Summary | None = None, **changes: Any) -> Session:
    start = NOW - timedelta(hours=hours_ago)
    whole = Session(
        ("van-7",),
        "depot-1",
        start,
        start + timedelta(hours=5, minutes=16),
        False,
        9.3,
        11.2,
        34.4,
        96.0,
        judged or summary(48.0, 0.9, 5.2),
    )
    return replace(whole, **changes)


def _table(*sessions: Session) -> str:
    return _text(session_table(sessions, "van-7", UTC, "UTC", "24 hours to now"))


# ------------------------------------------------------------------------------------------------------------------- expected


@pytest.mark.parametrize(
    ("band", "words"),
    [
        (default_band(60, 6), "default: nothing learned yet"),
        (Band(0.88, 0.94, LossLine(0.07, 0.2), "learned", 214, 0.005), "learned from 214 hours of this vehicle, ±0.5 points"),
        (Band(0.88, 0.94, LossLine(0.07, 0.2), "learned", 1, 0.005), "learned from 1 hour of this vehicle, ±0.5 points"),
        (Band(0.88, 0.94, LossLine(0.07, 0.2), "peers", 1204, 0.012), "learned from its model, 1,204 hours, ±1.2 points"),
        (Band(0.88, 0.94, LossLine(0.07, 0.2), "peers"), "learned from its model"),
    ],
)
def test_the_band_says_what_it_rests_on(band: Band, words: str) -> None:
    assert basis(band) == words


def test_the_band_stands_before_its_basis_and_no_band_is_said_to_be_none() -> None:
    assert expected(Band(0.88, 0.941, LossLine(0.07, 0.2))) == "expected 88.0–94.1 % (default: nothing learned yet)"
    assert expected(None) == "no expected band for this window"


def test_the_page_says_it_too() -> None:
    row = next(row for row in FakeFleet(200, NOW).rows if row["severity"])
    assert "(default: nothing learned yet), measured ± 1.0 %" in _text(drawing.window(window(row, RANGES["24h"], NOW), VIEWER))


# ------------------------------------------------------------------------------------------------------------------- sessions


def test_sessions_stand_newest_first_with_their_numbers() -> None:
    text = _table(_session(30), _session(10, running=True))
    assert text.index("24 Nov 2026, 02:00") < text.index("23 Nov 2026, 06:00")
    assert all(
        part in text
        for part in ("5 h 16 min", "48.00", "43.20", "90.0", " ± 1.0", "4.80", "9.3, 11.2", "34 → 96", "depot-1", "As expected")
    )
    assert text.count("running") == 1
    assert "2 sessions, newest first, times in UTC" in text
    assert _session().summary.reason in text


def test_a_session_without_evidence_has_neither_efficiency_nor_loss() -> None:
    text = _table(_session(judged=summary(0.4, 0.9, 0.1)))
    assert "Too little evidence" in text
    assert "90.0" not in text
    assert "0.04" not in text


def test_what_a_session_does_not_know_is_one_dash() -> None:
    text = _table(_session(mean_kw=None, peak_kw=None, soc_from_pct=None, soc_to_pct=None, meter_id=None))
    assert "–, –" not in text
    assert "– → –" not in text
    assert "no meter assigned" in text


def test_a_shared_charge_names_who_shared_it() -> None:
    text = _table(_session(vehicle_ids=("van-7", "van-8", "van-9")))
    assert "with " in text
    assert text.index("/vehicles/van-8") < text.index("/vehicles/van-9")
    assert "/vehicles/van-7" not in text


def test_more_sessions_than_a_page_carries_are_counted() -> None:
    text = _table(*(_session(hours) for hours in range(MOST_ROWS + 40, 0, -1)))
    assert f"The newest {MOST_ROWS} of 240 sessions, all of them in the file" in text
    assert text.count('"Tr"') == MOST_ROWS + 1


def test_no_session_is_a_sentence() -> None:
    assert "No charging session ended in the 24 hours to now" in _table()


def test_the_file_holds_the_very_window_on_the_screen() -> None:
    row = next(row for row in FakeFleet(200, NOW).rows if row["severity"])
    *_, sessions = drawing.window(window({**row, "id": "a/b"}, RANGES["7d"], NOW), VIEWER)
    assert "/v1/vehicles/a%2Fb/sessions?format=csv&from=2026-11-17T12:00:00Z&to=2026-11-24T12:00:00Z" in _text(sessions)
    assert "7 days to 24 Nov 2026, 12:00:00" in _text(sessions)


# --------------------------------------------------------------------------------------------------------------------- losses


def _parts(found: Summary | None) -> str:
    return _text(loss_parts(found, PRICE, "EUR"))


def test_the_loss_is_taken_apart_in_kwh_money_and_co2() -> None:
    found = summary(60.0, 0.85, 6.0)
    parts = losses(found)
    assert parts
    text = _parts(found)
    assert all(name in text for name in ("Electronics", "Conversion", "Conditioning", "Standby", "Unexplained", "Lost in all", "Avoidable"))
    assert '"9.00"' in text
    assert '"2.70"' in text  # EUR
    assert '"4.50"' in text  # kg
    assert f'"{parts.avoidable / 1e6:.2f}"' in text
    assert "at 0.30 EUR and 0.50 kg CO₂ a kWh" in text
    assert "not lost at the upper edge of the expected band, 94.1 %" in text


def test_the_bar_is_as_long_as_its_parts_and_is_read_out() -> None:
    text = _parts(summary(60.0, 0.85, 6.0))
    widths = [float(part.split("%")[0]) for part in text.split('"width": "')[1:]]
    assert sum(widths) == pytest.approx(100, abs=0.05)
    assert "Parts of the loss: Electronics" in text
    assert "part-saved" not in text


def test_a_loss_smaller_than_expected_is_shown_as_such() -> None:
    found = summary(60.0, 0.97, 6.0)
    parts = losses(found)
    assert parts
    assert parts.unexplained < 0
    text = _parts(found)
    assert f"−{-parts.unexplained / 1e6:.2f}" in text
    assert "better than expected" in text
    assert f"Not lost: {-parts.unexplained / 1e6:.2f} kWh" in text


def _evidence(**changes: Any) -> Evidence:
    both = {"readings": 60, "received": 60, "due": 60, "smallest_milliwh": 1000}
    known = Evidence(Stream(9_000_000, **both), Stream(10_000_000, **both), ("depot-1",), 3600, 9_000_000, 10_000_000, 3600)
    return replace(known, **changes)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "no meter was assigned and no reading came"),
        (summarise(_evidence(meter_ids=())), "no meter is assigned to this vehicle"),
        (summary(0.4, 0.9, 0.1), "0.40 kWh from the grid is too little to judge"),
        (summarise(_evidence(charging_s=None, plain_charging_s=None)), "single readings do not say for how many hours"),
    ],
)
def test_where_the_loss_is_unknown_it_says_why_and_shows_no_zero(found: Summary | None, why: str) -> None:
    text = _parts(found)
    assert why in text
    assert "Electronics" not in text
    assert "0.00" not in text


# ---------------------------------------------------------------------------------------------------------- vehicle or charger


def _cell(vehicle_id: str, meter_id: str, ratio: float, ac_kwh: float = 60.0) -> Cell:
    return Cell(vehicle_id, meter_id, summary(ac_kwh, ratio, ac_kwh / 10))


def test_the_reading_of_the_matrix_stands_above_it() -> None:
    cells = [_cell("van-7", "d-1", 0.7), _cell("van-7", "d-2", 0.7), _cell("van-8", "d-1", 0.92), _cell("van-8", "d-3", 0.92, 0.5)]
    text = _text(vehicle_or_charger(cells, "", "van-7"))
    assert "low at all of d-1, d-2, where another vehicle is as expected: it is the vehicle" in text
    assert "Charger d-1: " in text
    assert "Charger d-3: " not in text  # not one of its chargers
    assert all(part in text for part in ("70.0 %", "92.0 %", "60.0 kWh", "too little evidence"))
    assert "/vehicles/van-8" in text
    assert "/vehicles/van-7" not in text


def test_one_vehicle_at_one_charger_needs_no_table() -> None:
    text = _text(vehicle_or_charger([_cell("van-7", "d-1", 0.7)], "", "van-7"))
    assert "would tell the two apart" in text
    assert '"Table"' not in text


def test_no_cell_of_its_own_and_too_many_cells_say_so() -> None:
    assert "Stretches on a shared meter are left out" in _text(vehicle_or_charger([_cell("van-8", "d-1", 0.9)], "", "van-7"))
    assert "Too many to show" in _text(vehicle_or_charger(None, "Too many to show: 3000 pairs.", "van-7"))


def test_a_matrix_larger_than_a_person_reads_says_what_is_left_out() -> None:
    cells = [_cell("van-7", "d-1", 0.9), *(_cell(f"van-{n}", "d-1", 0.9) for n in range(100, 130))]
    text = _text(vehicle_or_charger(cells, "", "van-7"))
    assert f"{31 - MOST_VEHICLES} more vehicles are in the file" in text
    assert text.index('"van-7"') < text.index('"van-100"')


# ---------------------------------------------------------------------------------------------------------------- assignments


def _change(number: int, start: datetime | None, end: datetime | None, before: str | None, after: str | None, corrects: bool, note: str | None = None) -> AssignmentChange:  # fmt: skip
    return AssignmentChange(
        number, NOW - timedelta(days=9 - number), f"person-{number}", "api", "van-7", start, end, before, after, corrects, note
    )


def test_assignments_stand_newest_first_with_who_corrected_what() -> None:
    first, second = NOW - timedelta(days=20), NOW - timedelta(days=10)
    known = [Assignment("van-7", "d-1", None, first), Assignment("van-7", "d-2", first, second), Assignment("van-7", None, second, None)]
    changes = [
        _change(3, first, second, "d-1", "d-2", True, "wrong box"),
        _change(2, second, None, "d-1", None, False),
        _change(1, first, second, "d-1", "d-9", True),
    ]
    text = _text(assignment_timeline(known, changes, NOW, UTC))
    assert text.index("no meter") < text.index('"d-2"') < text.index('"d-1"')
    assert "from always to 4 Nov 2026, 12:00" in text
    assert "from 14 Nov 2026, 12:00 until changed" in text
    assert "was d-1 from 4 Nov 2026, 12:00 to 14 Nov 2026, 12:00; corrected by person-3 (api) on 18 Nov 2026, 12:00: “wrong box”" in text
    assert "assigned by person-2 (api) on 17 Nov 2026, 12:00" in text
    assert text.count('"corrected"') == 1
    assert text.index("Corrections that were replaced since") < text.index("d-9: was d-1")


def test_an_assignment_to_come_is_planned_and_none_at_all_says_what_to_do() -> None:
    text = _text(assignment_timeline([Assignment("van-7", "d-1", NOW + timedelta(days=1), None)], [], NOW, UTC))
    assert "planned" in text
    assert '"now"' not in text
    assert "/v1/mappings/" in _text(assignment_timeline([], [], NOW, UTC))


def test_a_vehicle_that_was_never_heard_of_draws_an_empty_window() -> None:
    empty = FakeFleet(0, NOW).load_window(None, "nobody", RANGES["24h"], NOW)
    assert isinstance(empty, Window)
    assert "No efficiency" in _text(drawing.window(empty, VIEWER))


# ---------------------------------------------------------------------------------------------------------------------- plain


def test_a_component_becomes_plain_data_and_its_text_stays_text() -> None:
    part = html.Td(
        ["a", None, html.B("<i>", className="x", style={"width": "3%"}, hidden=False), 5],
        tabIndex=0,
        key="k",
        **NAMED,
    )
    assert plain(part) == ["td", {"tabindex": 0, "data-key": "k", "data-n": "1", "aria-label": "l"}, ["a", ["b", {"class": "x", "style": {"width": "3%"}}, ["<i>"]], "5"]]  # fmt: skip
    assert plain([html.B("x"), None]) == ["", {}, [["b", {}, ["x"]]]]


def test_every_card_can_be_plain() -> None:
    """Nothing in them needs the framework."""
    for row in {row["verdict"]: row for row in FakeFleet(200, NOW).rows}.values():
        now = drawing.live(live(row, NOW), row["id"], None, VIEWER)
        parts = (
            *now[1:3],
            *drawing.window(window(row, RANGES["7d"], NOW), VIEWER)[1:],
            *drawing.chargers(chargers(row, NOW, NOW), VIEWER),
        )
        assert all(plain(part) for part in parts)
        assert plain(drawing.window(window(row, RANGES["24h"], NOW), VIEWER)[0])


def test_what_an_element_may_not_have_is_refused() -> None:
    """A handler, for instance."""
    with pytest.raises(KeyError):
        plain(html.B("x", n_clicks=1))
