"""Components and pages as functions of data, without a browser."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from charging.verdict import Verdict
from config import Settings
from dashboard.components.day_bars import day_bars
from dashboard.components.empty import first_use
from dashboard.components.quantity import quantity
from dashboard.components.readings import readings_table
from dashboard.components.scale import scale
from dashboard.components.verdict import KINDS, badge, kind_of
from dashboard.over import RANGES
from dashboard.pages import alerts, fleet, vehicle
from dashboard.pages.vehicle import drawing
from dashboard.shell import layout as shell_layout
from dashboard.view import Asked
from db.queries.devices import LatestReading
from tests.browser_support import FakeFleet, chart, live, summary, window

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
VIEWER = {"zone": "UTC", "scheme": "light"}


def _text(component: Any) -> str:
    return json.dumps(component, default=lambda part: part.to_plotly_json(), ensure_ascii=False)


def _row(**changes: Any) -> dict[str, Any]:
    return {**next(row for row in FakeFleet(200, NOW).rows if row["severity"]), **changes}


def test_every_verdict_has_a_look() -> None:
    """And `critical` one of its own."""
    assert set(KINDS) == {str(verdict) for verdict in Verdict} | {"critical"}


def test_no_two_verdicts_share_a_shape() -> None:
    """Colour alone is not enough."""
    assert len({kind.shape for kind in KINDS.values()}) == len(KINDS)


def test_browser_and_server_agree_on_verdicts(project: Path) -> None:
    """Order, label and shape."""
    script = (project / "assets" / "10-kinds.js").read_text(encoding="utf-8")
    found = re.findall(r'\{ kind: "(\w+)", label: "([^"]+)", shape: "(\w+)" \}', script)
    assert found == [(name, kind.label, kind.shape) for name, kind in KINDS.items()]


def test_critical_is_told_from_low() -> None:
    """By severity."""
    assert (kind_of("low", "critical"), kind_of("low", "warning"), kind_of("ok", None)) == ("critical", "low", "ok")
    assert "Critically low" in _text(badge("low", "critical"))


def test_a_missing_value_has_no_unit() -> None:
    """A dash with a unit would be chart junk."""
    assert _text(quantity("–", "kWh")).count("kWh") == 0


def test_the_ruler_never_leaves_its_ends() -> None:
    """A ratio of 1.4 or 0.1 stands at the edge."""
    assert '"100.0%"' in _text(scale(1.4, 0.8, 0.9))
    assert '"left": "0.0%"' in _text(scale(0.1, 0.8, 0.9))


def test_hours_without_readings_are_gaps() -> None:
    """One hour known, 23 gaps."""
    bars = _text(day_bars([(NOW - timedelta(hours=3), summary(9.2, 0.9, 1.0))], NOW, UTC))
    assert (bars.count("is-gap"), bars.count("hour-mark")) == (23, 1)


def test_readings_show_both_clocks() -> None:
    """Recorded and received, and the delay between."""
    reading = LatestReading(NOW - timedelta(hours=2), NOW, 0.1612, None, 21.5)
    table = _text(readings_table([reading], UTC, "UTC"))
    assert all(
        part in table for part in ("24 Nov 2026, 10:00:00", "24 Nov 2026, 12:00:00", "2 h 0 min", "0.1612", "–", "21.5", "times in UTC")
    )


def test_the_empty_page_shows_the_command_for_the_first_reading() -> None:
    """Complete but for the address, which the browser knows."""
    page = _text(first_use())
    assert "/v1/telemetry/vehicle" in page
    assert "data-origin" in page
    assert "kwhDeliveredDc" in page


def test_layouts_need_no_database() -> None:
    """Dash draws each once at the start to check it."""
    for layout in (fleet.layout, vehicle.layout, alerts.layout, lambda: shell_layout(5.0, "Open", loud=False)):
        assert layout()


def test_the_filter_of_the_address_is_in_the_controls() -> None:
    """Unknown values are dropped."""
    page = _text(fleet.layout(q="van", verdict="low,nonsense", site=["Oslo"], state="silent"))
    assert '"value": "van"' in page
    assert '"value": ["low"]' in page
    assert '"value": ["Oslo"]' in page
    assert '"value": "silent"' in page


def test_vehicle_page_tells_verdict_reason_and_numbers() -> None:
    """With the window and both energies."""
    row = _row()
    head, now, readings, state = drawing.live(live(row, NOW), row["id"], None, VIEWER)
    verdict, *_ = drawing.window(window(row, RANGES["24h"], NOW), VIEWER)
    view = Asked().view(NOW)
    figure, _, file = drawing.chart(chart(row, view.start, view.end), row["id"], view, VIEWER)
    assert state == "ready"
    assert figure["data"]
    assert readings is not None
    assert all(part in _text(head) for part in (row["name"], "as of 24 Nov 2026, 12:00:00"))
    assert "State of charge" in _text(now)
    assert all(part in _text(verdict) for part in ("is below", "From the grid (AC)", "kWh", "24 hours to 24 Nov 2026, 12:00:00"))
    assert "history?format=csv&from=2026-11-23T12:00:00Z&to=2026-11-24T12:00:00Z&bucket=15m" in _text(file)


def test_a_past_window_says_so_and_leads_back() -> None:
    """`?at=` shows what was, with its zone."""
    row, at = _row(), datetime(2016, 6, 27, 0, 14, tzinfo=UTC)
    head, *_ = drawing.live(live(row, NOW), row["id"], (at - timedelta(hours=24), at), VIEWER)
    assert "You are looking at the past: 26 Jun 2016, 00:14 to 27 Jun 2016, 00:14 UTC" in _text(head)
    assert "to=2016-06-27T00:14:00Z" in _text(drawing.window(window(row, RANGES["24h"], at), VIEWER))


def test_an_unknown_vehicle_is_no_error() -> None:
    """The page says what would make it appear."""
    head, now, readings, state = drawing.live(None, "nobody", None, VIEWER)
    assert (state, now, readings) == ("unknown", None, None)
    assert "Nobody has heard of nobody" in _text(head)


def test_names_are_text() -> None:
    """No component is allowed to take HTML, whatever a name looks like."""
    row = _row(name="<script>alert(1)</script>")
    head, *_ = drawing.live(live(row, NOW), row["id"], None, VIEWER)
    assert "dangerously" not in _text(head)
    assert "<script>alert(1)</script>" in _text(head)


@pytest.mark.parametrize("pattern", [r"\beval\(", r"new Function", r"innerHTML", r"outerHTML", r"insertAdjacentHTML", r"document\.write"])
def test_our_scripts_make_no_code_or_html_from_text(project: Path, pattern: str) -> None:
    """A strict policy passes and a name stays a name."""
    scripts = sorted((project / "assets").glob("*.js"))
    assert scripts
    assert not [script.name for script in scripts if re.search(pattern, script.read_text(encoding="utf-8"))]


def test_nothing_of_ours_points_to_another_host(project: Path) -> None:
    """Links people may follow are all there is."""
    # The last is what an empty field suggests.
    allowed = {"https://www.naturalearthdata.com/", "https://www.geonames.org/", "http://www.w3.org/2000/svg", "https://…"}
    files = [path for path in (project / "assets").rglob("*") if path.suffix in (".js", ".css", ".svg")]
    found = {url for path in files for url in re.findall(r"https?://[^\s\"'`)]+", path.read_text(encoding="utf-8"))}
    assert found <= allowed


def test_the_base_map_stays_small(project: Path) -> None:
    """It travels before anything is seen on the map."""
    assert sum(path.stat().st_size for path in (project / "assets" / "map").iterdir()) < 1_000_000


def test_settings_make_no_outside_request_by_default() -> None:
    """Tiles are a choice."""
    assert Settings(_env_file=None).map_tiles_url is None
