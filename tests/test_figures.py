"""The vehicle's charts as functions of data."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

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
