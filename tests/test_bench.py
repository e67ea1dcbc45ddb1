"""The benchmark measures what it says, and does not rot."""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TypeVar

import psycopg
import pytest

from bench import batches, dataset, herd, singles, ui_beside, wire
from bench.__main__ import DOCUMENT, MEASUREMENTS, replaced
from bench.installation import BenchError, Installation, installation
from bench.readings import READINGS, SHAPES, CopyFormat, batch, body
from bench.swarm import next_beat
from bench.table import Line, Spread, markdown
from bench.ui_browser import Asked
from bench.ui_fleet import Filled
from db import partitions
from db.sides import SIDES

Test = TypeVar("Test", bound=Callable[..., None])
START = 29_500_000  # a minute of 2026, since 1970


def against_the_product(test: Test) -> Test:
    """Figures out of a started product; a lost or a refused reading raises."""
    marked: Test = pytest.mark.slow(pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")(test))
    return marked


@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_is_1000_readings_with_no_key_of_another_batch(shape: str) -> None:
    keys = [(key, minute) for n in range(60) for side in SIDES for key, minute, *_ in batch(shape, n, START).of(side)]
    assert len(keys) == len(set(keys)) == 60 * READINGS


@pytest.mark.parametrize("shape", SHAPES)
def test_raw_copy_stores_the_rows_that_the_same_body_says(conn: psycopg.Connection, shape: str) -> None:
    partitions.ensure_ahead(conn, datetime.fromtimestamp(START * 60, UTC))
    one, form = batch(shape, 0, START), CopyFormat(conn)
    for side, buffer in zip(SIDES, form.buffers(one), strict=True):
        with conn.cursor().copy(form.statement(side).encode()) as target:
            target.write(buffer)
    said = json.loads(body(one))
    assert _rows(conn, "vehicle_id, recorded_at, soc_pct, kwh_delivered_dc, battery_temp_c FROM vehicle_readings") == {
        (v["vehicleId"], v["timestamp"], v["soc"], v["kwhDeliveredDc"], v["batteryTemp"]) for v in said["vehicles"]
    }
    assert _rows(conn, "meter_id, recorded_at, kwh_consumed_ac, voltage_v FROM meter_readings") == {
        (m["meterId"], m["timestamp"], m["kwhConsumedAc"], m["voltage"]) for m in said["meters"]
    }


def _rows(conn: psycopg.Connection, what: str) -> set[tuple[object, ...]]:
    rows = conn.execute(f"SELECT {what}".encode()).fetchall()
    return {(key, f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", *map(float, values)) for key, at, *values in rows}


def test_a_ratio_is_the_median_of_neighbours_so_that_a_slow_minute_hits_both() -> None:
    ours, theirs = Spread((300.0, 50.0, 500.0)), Spread((100.0, 20.0, 200.0))
    assert Line("way in", ours, "readings/s", "peer", theirs, ratio_bar=2.6).ratio == 2.5
    assert "300 [50–500]" in markdown([Line("way in", ours, "readings/s")])


def test_less_time_is_a_greater_ratio() -> None:
    line = Line("way out", Spread((2.0,)), "ms", "peer", Spread((6.0,)), ratio_bar=2.5, less_is_better=True)
    assert (line.ratio, line.held) == (3.0, True)


def test_a_bar_is_not_held_when_there_is_nothing_to_compare_with() -> None:
    assert Line("way in", Spread((300.0,)), "readings/s", "peers not given", ratio_bar=2.5).held is None


def test_the_document_has_a_place_for_every_table() -> None:
    for name in (*MEASUREMENTS, "ui"):
        assert "new table" in replaced(DOCUMENT.read_text(), name, "new table")
    with pytest.raises(BenchError, match="not one place"):
        replaced(DOCUMENT.read_text(), "unheard-of", "")


def test_beside_viewers_every_device_reports_once_a_minute() -> None:
    filled = Filled(dataset.fleet(10_000, 1), "veh-00000", 0)
    sources = ui_beside._devices(filled)
    assert len(sources) == ui_beside.READINGS_PER_S
    bodies = [json.loads(wire.content(next(source))) for source in sources[:3] for _ in range(60)]
    assert len({body.get("vehicleId") or body["meterId"] for body in bodies}) == 180
    assert {len(body) for body in bodies} == {4, 5}, "vehicles and meters"


def test_beside_viewers_each_page_asks_for_its_own_vehicle_with_what_the_browser_sent() -> None:
    filled = Filled(dataset.fleet(20, 1), "veh-00000", 0)
    (part,) = ui_beside._pages(filled, [Asked("/_dash-update-component", '{"state":[{"value":"veh-00000"}]}')])
    assert [wire.content(next(page)) for page in part.sources][:2] == [
        b'{"state":[{"value":"veh-00000"}]}',
        b'{"state":[{"value":"veh-00001"}]}',
    ]
    assert len(part.sources) == ui_beside.ON_VEHICLES


@pytest.fixture(scope="module")
def target() -> Iterator[Installation]:
    """The product, started as a user starts it."""
    with installation() as running:
        yield running


@against_the_product
def test_batches_next_to_raw_copy(target: Installation) -> None:
    found = batches.lines(target, seconds=0.3, rounds=1, shapes=["minute"])
    assert [line.against for line in found] == ["raw COPY", "raw COPY"]
    assert all(line.ratio for line in found)


@against_the_product
def test_single_readings(target: Installation) -> None:
    if not singles.available():
        pytest.skip(singles.NO_WRK)
    (line,) = singles.lines(target, None, seconds=1, rounds=1)
    assert line.ours.median > 0
    assert line.held is None


@against_the_product
def test_a_herd_loses_nothing(target: Installation) -> None:
    took, memory = herd.lines(target, rounds=1, sockets=100, posts_each=3)
    assert took.ours.median > 0
    assert "none lost" in took.note
    assert memory.unit == "MB more"


@against_the_product
def test_the_cpu_of_all_parts_is_seen(target: Installation) -> None:
    used = target.cpu()
    assert min(used.web_s, used.postgres_s, used.driver_s) > 0


def test_devices_that_were_held_up_together_part_again() -> None:
    """Else a load that is meant to be even would come in one burst after every stall, and the server would look slow for it."""
    dues = [0.0, 0.1, 0.2]
    assert [round(next_beat(due, 0.3, now=5.0), 6) for due in dues] == [5.1, 5.2, 5.0]
    assert next_beat(4.9, 0.3, now=5.0) == pytest.approx(5.2)
