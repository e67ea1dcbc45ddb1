"""The vehicle's charts as functions of data."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from charging.sessions import Session
from dashboard import figures
from dashboard.components.verdict import KINDS
from db.queries.history import MeterPoint, VehiclePoint
from tests.browser_support import summary

END = datetime(2026, 3, 29, 12, tzinfo=UTC)
START = END - timedelta(hours=24)
HOUR = timedelta(hours=1)


def _timeline(**changes: Any) -> figures.Timeline:
    bins = [
        (START, summary(9.2, 0.91, 1.0)),
        (START + HOUR, summary(9.2, 0.76, 1.0)),
        (START + 2 * HOUR, summary(0.4, 0.9, 0.1)),
        (START + 6 * HOUR, summary(9.2, 0.9, 1.0)),
    ]
    vehicle = [VehiclePoint(START, 2.1, 50.0, 20.0, 15), VehiclePoint(START + HOUR, 2.1, None, 21.0, 15)]
    meter = [MeterPoint(START, 2.3, 230.0, 15)]
    return figures.Timeline(
        **{"start": START, "end": END, "bins": bins, "bin_s": 3600, "vehicle": vehicle, "meter": meter, "point_s": 900, **changes}
    )


def _trace(figure: figures.Figure, name: str) -> Any:
    return next(trace for trace in figure["data"] if trace.get("name") == name)


def _drawn(**changes: Any) -> figures.Figure:
    return figures.timeline(_timeline(**changes), "UTC", "light", "r")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_plotly_accepts_the_figure(scheme: figures.Scheme) -> None:
    """Drawn as plain dictionaries for speed; the library validates them here."""
    go.Figure(figures.timeline(_timeline(), "Europe/Berlin", scheme, "r"))
    go.Figure(figures.timeline(_timeline(bins=[], vehicle=[], meter=[]), "UTC", scheme, "r"))


def test_efficiency_shows_only_judged_bins_in_percent() -> None:
    """The bin without enough energy is not among them."""
    assert _trace(_drawn(), "Efficiency")["y"] == pytest.approx([91.0, 76.0, 90.0])


def test_a_bin_without_evidence_is_shown_as_such_and_not_as_a_number() -> None:
    """It stands on the floor of the chart and says why."""
    without = _trace(_drawn(), "No efficiency")
    assert (len(without["x"]), without["customdata"], without["y"][0] > 60) == (1, ["Too little evidence"], True)


def test_a_gap_is_a_gap() -> None:
    """Between 02:00 and 06:00 nothing was judged: the line breaks."""
    line = next(trace for trace in _drawn()["data"] if trace.get("mode") == "lines")
    assert None in line["y"]


def test_a_value_that_was_not_measured_is_a_hole() -> None:
    """Null state of charge is no zero."""
    assert _trace(_drawn(), "State of charge")["y"][-1] is None


def test_loss_stands_on_dc_up_to_ac() -> None:
    """Base DC, height AC − DC."""
    lost, dc, ac = (_trace(_drawn(), name) for name in ("Lost", "DC into the battery", "AC from the grid"))
    assert [b + y for b, y in zip(lost["base"], lost["y"], strict=True)] == pytest.approx(ac["y"])
    assert lost["base"] == dc["y"]


def test_power_is_energy_over_the_width() -> None:
    """2.3 kWh in a quarter of an hour is 9.2 kW."""
    assert _trace(_drawn(), "AC power")["y"][0] == pytest.approx(9.2)


def test_the_bucket_that_is_still_open_counts_only_its_own_time() -> None:
    """Five minutes of 9.2 kW are 9.2 kW, not a third of it."""
    last = MeterPoint(END - timedelta(minutes=5), 9.2 / 12, 230.0, 5)
    assert _trace(_drawn(meter=[last]), "AC power")["y"] == pytest.approx([9.2])


def test_the_axis_has_one_offset_and_names_it() -> None:
    """Across the change to summer time no hour appears twice or is missing: the offset is the one at the window's end."""
    layout = figures.timeline(_timeline(), "Europe/Berlin", "light", "r")["layout"]
    first, last = layout["xaxis"]["autorangeoptions"].values()
    assert (last - first, layout["xaxis"]["title"]["text"]) == (86_400_000, "Europe/Berlin (UTC+2)")


def test_every_time_is_written_out_since_a_browser_moves_numbers_by_its_own_zone() -> None:
    """Noon in Berlin stands at 14:00 in March's last hours, wherever the browser is."""
    figure = figures.timeline(_timeline(sessions=[_session()]), "Europe/Berlin", "light", "r")
    assert all(isinstance(x, str) for trace in figure["data"] for x in trace["x"])
    assert _trace(figure, "State of charge")["x"][0] == "2026-03-28 14:07:30"
    assert figure["layout"]["meta"] == {"offsetMs": 7_200_000}


# ---------------------------------------------------------------------------------------------------------------- readings, marks


def _raw(*minutes: float, kwh: float = 0.15) -> list[VehiclePoint]:
    return [VehiclePoint(START + timedelta(minutes=m), kwh, 50.0 + m, None, 1) for m in minutes]


def _session(**changes: Any) -> Session:
    return replace(Session(("v",), "m", START - HOUR, START + HOUR, False, 9.3, 11.2, 34.0, 96.0, summary(18.6, 0.9, 2.0)), **changes)


def test_a_readings_energy_flowed_since_the_one_before_which_may_lie_before_the_window() -> None:
    """0.15 kWh in a minute are 9 kW; only what lies in the window is drawn."""
    power = _trace(_drawn(bucket="raw", vehicle=_raw(-1, 1, 2, 3)), "DC power")
    assert power["y"] == pytest.approx([4.5, 9.0, 9.0])
    assert power["x"][0] == "2026-03-28 12:01:00"


def test_missing_readings_are_a_gap_and_their_energy_is_no_power() -> None:
    figure = _drawn(bucket="raw", vehicle=_raw(0, 1, 2, 3, 20, 21, 22))
    assert _trace(figure, "DC power")["y"] == pytest.approx([9, 9, 9, None, None, 9, 9])
    assert _trace(figure, "State of charge")["y"] == [51, 52, 53, None, 70, 71, 72]


def test_clocks_that_are_not_exact_make_no_gaps() -> None:
    """18 to 131 s apart, as a real car reports."""
    assert None not in _trace(_drawn(bucket="raw", vehicle=_raw(0, 1, 1.3, 2.3, 4.48, 5.5)), "State of charge")["y"]


def test_a_value_that_stands_alone_is_a_dot() -> None:
    alone = _trace(
        _drawn(vehicle=[VehiclePoint(START, 2.1, 50.0, 20.0, 15), VehiclePoint(START + 3 * HOUR, 2.1, 60.0, 21.0, 15)]), "Battery"
    )
    assert [size for size, y in zip(alone["marker"]["size"], alone["y"], strict=True) if y is not None] == [4, 4]


def test_a_session_is_marked_where_it_lies_in_the_window_and_says_what_it_was() -> None:
    low = _session(start=START + 3 * HOUR, end=START + 5 * HOUR, summary=summary(18.6, 0.6, 2.0))
    figure = _drawn(sessions=[_session(), low, _session(start=END + HOUR, end=END + 2 * HOUR)])
    bars = _trace(figure, "Charging")
    shapes = figure["data"][figure["data"].index(bars) + 1]["marker"]
    assert (bars["width"], bars["x"]) == ([3_600_000, 7_200_000], ["2026-03-28 12:30:00", "2026-03-28 16:00:00"])
    assert bars["customdata"][0][0] == "11:00 to 13:00<br>18.60 kWh from the grid, 16.74 kWh into the battery<br>90.0 % ± 1.0 % As expected"
    assert bars["customdata"][0][1] == "2026-03-28T11:00:00Z/2026-03-28T13:00:00Z"
    assert len(set(shapes["symbol"])) == len(set(shapes["color"])) == 2


def test_many_sessions_as_expected_are_bars_without_shapes_on_one_another() -> None:
    day = timedelta(minutes=20)
    many = [_session(start=START + n * day, end=START + n * day + day / 2) for n in range(70)]
    bars = _trace(figure := _drawn(sessions=[*many, replace(many[3], summary=summary(18.6, 0.6, 2.0))]), "Charging")
    assert (len(bars["x"]), len(figure["data"][figure["data"].index(bars) + 1]["x"])) == (71, 1)


def test_what_was_the_matter_lies_under_the_sessions_until_the_windows_end_where_it_still_is() -> None:
    marks = [figures.Mark(START + HOUR, None, "critical", "Far below", "/alerts/1"), figures.Mark(START - 2 * HOUR, START - HOUR, "warning", "over", "/alerts/2")]  # fmt: skip
    figure = _drawn(marks=marks, sessions=[_session()])
    bars = _trace(figure, "Alert")
    assert (bars["width"], bars["customdata"]) == ([23 * 3_600_000], [["Far below", "", "/alerts/1"]])
    assert (figure["layout"]["yaxis7"]["range"], "alerts" in figure["layout"]["annotations"][-1]["text"]) == ([-1.1, 1], True)
    assert "alerts" not in _drawn()["layout"]["annotations"][-1]["text"]
    go.Figure(figure)


def test_nothing_can_be_sent_to_a_cloud() -> None:
    """Plotly 7 brings a button that uploads the chart."""
    assert "sendChartToCloud" in figures.CONFIG["modeBarButtonsToRemove"]


def test_low_efficiency_lowers_the_floor() -> None:
    """No point is cut off."""
    floor = _drawn(bins=[(START, summary(9.2, 0.42, 1.0))])["layout"]["yaxis"]["range"][0]
    assert floor < 42


@pytest.mark.parametrize(
    ("scheme", "selector"), [("light", r":root \{(.*?)\n\}"), ("dark", r'\[data-mantine-color-scheme="dark"\] \{(.*?)\n\}')]
)
def test_charts_and_style_sheet_agree_on_every_verdicts_colour(project: Path, scheme: str, selector: str) -> None:
    """The same meaning has the same colour everywhere."""
    sheet = (project / "assets" / "90-style.css").read_text(encoding="utf-8")
    found = re.search(selector, sheet, re.DOTALL)
    assert found
    tokens = dict(re.findall(r"--kind-([a-z-]+): (#[0-9a-f]{6})", found[1]))
    assert tokens == {kind.replace("_", "-"): figures.COLOURS[scheme][kind] for kind in KINDS}
