"""The ingestion page's cards as functions of data, without a browser and without a database; and what it loads from a real one."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.schemas import REFUSED
from dashboard.components.plain import plain
from dashboard.pages import ingestion
from dashboard.pages.ingestion import chart, drawing, words
from dashboard.pages.ingestion.loading import DAY, Loading, lags
from dashboard.remembered import Remembered
from db import intake_log
from db.engine import Conn
from db.intake_log import MinuteCounts
from tests.ingestion_support import device, devices, overview
from tests.support import NOW, api, van


def _text(component: Any) -> str:
    return json.dumps(component, default=lambda part: part.to_plotly_json(), ensure_ascii=False)


def _words(component: Any) -> str:
    """What a person reads."""

    def inside(part: Any) -> str:
        return part if isinstance(part, str) else "".join(inside(one) for one in part[2]) if part else ""

    return inside(plain(component))


def test_every_code_of_the_api_has_words_that_help(project: Path) -> None:
    """Every reason for which a reading or a request is refused."""
    source = "".join((project / "api" / f"{name}.py").read_text() for name in ("body", "committer", "intake", "schemas"))
    codes = set(re.findall(r'Problem\(\d+, "(\w+)"', source)) | set(re.findall(r'NotStored\(\s*"(\w+)"', source))
    codes |= set(re.findall(r'_fault\((?:\s*[^,]+),\s*"(\w+)"', source)) | {code for code, _ in REFUSED.values()}
    assert len(codes) > 20
    assert codes - set(words.MEND) == set()


def test_the_answer_is_yes_only_where_every_device_reports() -> None:
    """One that is described and never sent anything is none that does."""
    found = overview(devices(NOW), NOW)
    assert "Of 122 devices 3 are silent, 1 is stale, 1 never reported." in _words(drawing.head(found, UTC, "UTC"))
    one_never = overview([device(1, NOW), device(2, NOW, recorded_at=None, received_at=None)], NOW)
    assert "Of 2 devices 1 never reported." in _words(drawing.head(one_never, UTC, "UTC"))
    assert "Yes, 1 device, all of them." in _words(drawing.head(overview([device(1, NOW)], NOW), UTC, "UTC"))
    assert "None is known yet." in _words(drawing.head(overview([], NOW), UTC, "UTC"))


def test_the_rates_and_rejects_are_of_what_came() -> None:
    found = overview(devices(NOW), NOW)
    cards = _words(drawing.now(found))
    assert "Vehicles reporting93.3 %56 of 60, 1 stale, 3 silent, 1 never reported" in cards
    assert "60 a minute" in cards
    assert "Rejected13 readings0.01 % of what came in 24 h" in cards


def test_the_quietest_device_stands_first() -> None:
    """Then those that never reported."""
    table = drawing.silent(overview(devices(NOW), NOW), "", UTC)
    assert re.findall(r'"href": "/vehicles/([\w-]+)"', _text(table)) == ["veh-002", "veh-001", "veh-000", "veh-004", "veh-900"]


def test_what_never_happened_is_a_sentence() -> None:
    """An empty database: no card is blank, and none divides by nothing."""
    empty = overview([], NOW)
    shown = {name: _words(part) for name, part in drawing.parts(empty, "UTC", None).items()}
    assert all(shown.values())
    assert "no reading was counted yet" in shown["ingestion-now"]
    assert "No day has readings yet" in shown["ingestion-days"]


@pytest.mark.parametrize(("disk_gb", "said"), [(None, "Give the size of the disk"), (3.8, "fills a disk of 4 GB in 1 days"), (3, "more than a disk of 3 GB holds")])  # fmt: skip
def test_growth_says_when_the_disk_is_full(disk_gb: float | None, said: str) -> None:
    """Nine days of 0.38 GB."""
    words_said = drawing.growth(overview(devices(NOW), NOW), disk_gb)
    assert "3.4 GB in all, 0.380 GB more a day" in words_said
    assert said in words_said


def test_a_step_in_which_nothing_came_is_zero_and_one_before_the_counting_is_not_drawn() -> None:
    """Two hours known of a day."""
    at = NOW - timedelta(hours=1)
    figure = chart.readings_a_minute(
        [(at, "vehicle", MinuteCounts(50, 5, 1, 4, late=20))], NOW - timedelta(hours=2), NOW - DAY, NOW, "UTC", "light"
    )
    vehicles, _, late, twice, lost = figure["data"]
    assert len(vehicles["y"]) == 24
    assert (sum(vehicles["y"]), sum(late["y"]), sum(twice["y"]), sum(lost["y"])) == (6, 4, 1, 1)
    assert chart.readings_a_minute([], None, NOW - DAY, NOW, "UTC", "dark")["data"][0]["x"] == []


def test_right_after_the_start_it_is_said_when_the_first_mean_comes() -> None:
    """Not a rate of nothing: five minutes have to be whole, and two more to pass."""
    since = NOW + timedelta(minutes=1)  # so NOW+5 to NOW+10 are the first whole five minutes
    for minutes, words_said in ((3, "counted for 2 min; the first mean of 5 min comes in 9 min"), (12, "mean of 5 min, 2 min ago")):
        at = NOW + timedelta(minutes=minutes)
        found = replace(overview([device(1, at)], at), since=since)
        assert words_said in _words(drawing.now(found))
        drawn = chart.readings_a_minute([], since, at - DAY, at - timedelta(minutes=2), "UTC", "light")
        told = [one["text"] for one in drawn["layout"].get("annotations", [])]
        assert [text.endswith("are drawn at 12:12.") for text in told] == ([True] if minutes == 3 else [])
    nothing = chart.readings_a_minute([], None, NOW - DAY, NOW, "UTC", "light")
    assert "/v1/telemetry" in nothing["layout"]["annotations"][0]["text"]


def test_lags_are_robust_to_clocks_ahead() -> None:
    """Less than no time is no time."""
    assert lags([]) is None
    assert lags([-30.0]) == (0.0, 0.0)
    assert lags([float(n) for n in range(101)]) == (50.0, 95.0)


def _made(made: list[float], at: float) -> int:
    made.append(at)
    return len(made)


def test_what_is_remembered_is_made_once_and_again_when_it_is_old() -> None:
    """And what failed is not kept."""
    now, made = [0.0], list[float]()
    kept: Remembered[int] = Remembered(60, lambda: now[0])
    for at in (0, 59, 61):
        now[0] = at
        kept.get("a", lambda at=at: _made(made, at))  # type: ignore[misc]
    assert made == [0, 61]
    with pytest.raises(ZeroDivisionError):
        kept.get("b", lambda: 1 // 0)
    assert kept.get("b", lambda: 7) == 7


def test_layout_needs_no_database_and_keeps_the_address() -> None:
    """Filters, page and disk; nonsense is dropped."""
    shown = _text(ingestion.layout(side="meter", site="north", q="cp", page="3", disk="500"))
    assert all(part in shown for part in ('"value": "meter"', '"value": "north"', '"value": "cp"', '"data": {"page": 3}', '"value": 500.0'))
    assert '"data": {"page": 1}' in _text(ingestion.layout(side="x", page="-4", disk="1e9"))


def test_a_real_database_is_read_and_fits_the_page(database_url: str) -> None:
    """One van, counted, on the calendar; the same devices and sums are not read twice in a minute."""
    with api(database_url) as client:
        client.put("/v1/sites/north", json={"name": "North"})
        client.put("/v1/vehicles/van-7", json={"siteId": "north"})
        client.post("/v1/telemetry/vehicle", json=[van(timestamp=f"{NOW - timedelta(minutes=n):%FT%TZ}") for n in range(90)])
    asked: list[str] = []
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        intake_log.add(conn, {(intake_log.minute_of(NOW) - 5, "vehicle"): MinuteCounts(accepted=90)}, {})

        @contextmanager
        def read() -> Iterator[Conn]:
            asked.append("")
            yield conn

        loading = Loading(read)
        found = loading.overview(NOW)
        assert (found.day.accepted, found.states, loading.sites()) == (90, {"vehiclevan-7": "reporting"}, [("north", "North")])
        assert [day.day for day in found.days if day.readings or day.history_bytes][-1] == NOW.date()
        shown = loading.calendar(NOW, "vehicle", "north", "VAN", 1)
        assert (shown.devices, [one.readings[-2:] for one in shown.rows]) == (1, [[30, 60]])
        conn.execute("DELETE FROM live_vehicle")
        assert loading.calendar(NOW + timedelta(seconds=1), "vehicle", None, "", 1).devices == 1
        assert loading.calendar(NOW, "meter", None, "", 1).rows == []


def test_answers_are_kept_for_a_while_and_old_ones_let_go() -> None:
    """A search that nobody repeats does not stay in memory for ever."""
    at = [0.0]
    kept: Remembered[int] = Remembered(60, lambda: at[0])
    made: list[str] = []

    def make(key: str) -> int:
        made.append(key)
        return len(made)

    for second, key in ((0, "a"), (59, "a"), (60, "a"), (61, "b"), (200, "c")):
        at[0] = second
        kept.get(key, partial(make, key))
    assert made == ["a", "a", "b", "c"]
    assert set(kept._kept) == {"c"}
