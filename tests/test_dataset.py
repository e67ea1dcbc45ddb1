"""The benchmarks' fleet is plausible, valid, and the same for the same seed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from api.importing.writers import Writers
from api.schemas import METER_WIRE, VEHICLE_WIRE
from bench import dataset
from db import rollups
from db.arrays import NULL_INT4
from db.sides import SIDES

ENDS = datetime(2026, 2, 4, 12, 7, 31, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def day() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(vehicles', meters') readings of 200 devices in a day, by column."""
    pairs = list(dataset.jobs(dataset.fleet(200, 1), ENDS - DAY, ENDS))
    sides = []
    for side in (0, 1):
        columns = [pair[side].columns for pair in pairs]
        ids = np.array([name for c in columns for name in c.ids])
        at_us = np.concatenate([c.recorded_at_us for c in columns])
        sides.append({"id": ids, "at_us": at_us, "values": np.concatenate([c.values for c in columns], axis=1)})
    return sides[0], sides[1]


def test_there_is_a_reading_a_minute_less_some_gaps_and_none_twice(day: tuple[dict[str, np.ndarray], ...]) -> None:
    for side in day:
        assert 0.985 < len(side["id"]) / (200 * 1440) < 1
        keys = set(zip(side["id"].tolist(), side["at_us"].tolist(), strict=True))
        assert len(keys) == len(side["id"])
        assert side["at_us"].min() > (ENDS - DAY).timestamp() * 1e6
        assert side["at_us"].max() <= ENDS.timestamp() * 1e6


def test_every_value_is_one_that_a_device_may_send(day: tuple[dict[str, np.ndarray], ...]) -> None:
    for side, wire in zip(day, (VEHICLE_WIRE, METER_WIRE), strict=True):
        numbers = sorted(wire.numbers, key=lambda number: number.nullable)
        for values, number in zip(side["values"], numbers, strict=True):
            scale = 1e7 if number.name in ("latitude", "longitude") else 100 if number.nullable else 1e6
            known = values[values != NULL_INT4] / scale
            assert not len(known) or number.low <= known.min() <= known.max() <= number.high


def test_about_a_third_charge_and_one_in_a_hundred_loses_far_more() -> None:
    cars = dataset.fleet(10_000, 1)
    assert 0.25 < (cars.lasts_min / 1440).mean() < 0.4
    assert cars.lasts_min.max() < 1440
    assert 0.005 < (cars.loss_share > 0.25).mean() < 0.015
    assert 0.86 < np.median(1 - cars.loss_share) < 0.93


def test_energy_and_state_of_charge_agree(day: tuple[dict[str, np.ndarray], ...]) -> None:
    vehicles, meters = day
    assert 0.8 < vehicles["values"][0].sum() / meters["values"][0].sum() < 0.95


def test_the_same_seed_is_the_same_fleet_and_another_is_not() -> None:
    def first(seed: int) -> Any:
        pair = next(dataset.jobs(dataset.fleet(20, seed), ENDS - DAY, ENDS))
        return pair[0].columns.values.tolist()

    assert first(1) == first(1) != first(2)


def test_what_is_loaded_has_its_rollups_and_its_sizes(database_url: str) -> None:
    cars = dataset.fleet(20, 1)
    with psycopg.connect(database_url, options="-c TimeZone=UTC") as conn:
        dataset.describe(conn, cars)
        with Writers(database_url) as writers:
            for pair in dataset.jobs(cars, ENDS - timedelta(hours=2), ENDS):
                for number, job in enumerate(pair):
                    writers.put(number, job)
        assert [rollups.mismatches(conn, side, ENDS - DAY, ENDS + DAY) for side in SIDES] == [0, 0]
        assert conn.execute("SELECT count(*), max(received_at) <= %s FROM live_vehicle", (ENDS,)).fetchone() == (20, True)
        assert dataset.sizes(conn).row_count == 6
