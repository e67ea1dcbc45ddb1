"""Readings leave the simulator as the contract wants them, and the faults happen to the wire, never to the content."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from simulator import faults, fleet
from simulator.feed import Delivery, Feed, batch_body
from simulator.fleet import METERS, VEHICLES

START = 20_650 * 1440 + 600
HOURS = 8
N = 40


def deliveries(assigned: faults.Faults, first: int = START, hours: int = HOURS, stopped: dict[str, float] | None = None) -> list[Delivery]:
    feed = Feed(fleet.build(N, seed=2), assigned, first, stopped or {})
    return [d for _ in range(hours * 60) for d in feed.next_minute()]


@pytest.fixture(scope="module")
def healthy() -> list[Delivery]:
    return deliveries(faults.none())


@pytest.fixture(scope="module")
def faulty() -> list[Delivery]:
    return deliveries(faults.assign(fleet.build(N, seed=2)))


def test_a_healthy_device_reports_once_a_minute(healthy: list[Delivery]) -> None:
    per_device = Counter(json.loads(d.body).get("vehicleId") or json.loads(d.body)["meterId"] for d in healthy)
    assert len(per_device) == 2 * N
    assert set(per_device.values()) <= {HOURS * 60 - 1, HOURS * 60}  # what is measured in the last half second is still under way


def test_readings_are_spread_over_the_minute(healthy: list[Delivery]) -> None:
    seconds = np.histogram([d.at_s % 60 for d in healthy], bins=6, range=(0, 60))[0]
    assert seconds.min() > len(healthy) / 24


def test_the_stream_is_ordered_by_the_moment_of_delivery(faulty: list[Delivery]) -> None:
    assert all(a.at_s <= b.at_s for a, b in pairwise(faulty))


def test_bodies_have_the_contracts_fields_and_resolution(healthy: list[Delivery]) -> None:
    for delivery in healthy[:400]:
        reading = json.loads(delivery.body)
        if delivery.stream == VEHICLES:
            assert list(reading) == ["vehicleId", "soc", "kwhDeliveredDc", "batteryTemp", "timestamp", "latitude", "longitude"]
            assert round(reading["soc"], 1) == reading["soc"]
            assert round(reading["batteryTemp"], 1) == reading["batteryTemp"]
        else:
            assert list(reading) == ["meterId", "kwhConsumedAc", "voltage", "timestamp"]
            assert round(reading["kwhConsumedAc"], 3) == reading["kwhConsumedAc"]
        assert reading["timestamp"].endswith("Z")


def test_nothing_is_delivered_before_it_was_measured(faulty: list[Delivery]) -> None:
    for delivery in faulty[::97]:
        measured = np.datetime64(json.loads(delivery.body)["timestamp"][:-1], "s").astype(int)
        assert delivery.at_s > measured


def test_about_one_in_a_hundred_comes_twice_and_two_come_late(faulty: list[Delivery]) -> None:
    copies = Counter(d.body for d in faulty)
    assert 0.005 < sum(n == 2 for n in copies.values()) / len(copies) < 0.015
    late = sum(d.at_s - np.datetime64(json.loads(d.body)["timestamp"][:-1], "s").astype(int) > 120 for d in faulty)
    assert 0.005 < late / len(faulty) < 0.03
    assert max(copies.values()) == 2


def test_a_later_start_sends_the_same_bytes(faulty: list[Delivery]) -> None:
    """So a resend after a restart is a duplicate, never a conflict."""
    later = deliveries(faults.assign(fleet.build(N, seed=2)), first=START + 180, hours=2)
    before = {d.body for d in faulty}
    assert {d.body for d in later if d.at_s < (START + HOURS * 60) * 60} <= before


def test_a_device_that_fell_silent_sends_nothing_more() -> None:
    stop_s = (START + 30) * 60.0
    sent = deliveries(faults.none(), hours=1, stopped={"ber-van-001": stop_s, "ham-depot-001": stop_s})
    for device, key in (("ber-van-001", "vehicleId"), ("ham-depot-001", "meterId")):
        times = [d.at_s for d in sent if json.loads(d.body).get(key) == device]
        assert 28 <= len(times) <= 31
        assert max(times) <= stop_s + 1.0


def test_a_vehicle_without_position_leaves_both_fields_out() -> None:
    nowhere = replace(faults.none(), members={"no_position": (0,)})
    sent = [json.loads(d.body) for d in deliveries(nowhere, hours=1) if d.stream == VEHICLES]
    assert all(("latitude" in r) == ("longitude" in r) == (r["vehicleId"] != "ber-van-001") for r in sent)


def test_a_batch_keeps_both_streams_in_order(healthy: list[Delivery]) -> None:
    batch = json.loads(batch_body(healthy[:50]))
    assert batch[VEHICLES] == [json.loads(d.body) for d in healthy[:50] if d.stream == VEHICLES]
    assert batch[METERS] == [json.loads(d.body) for d in healthy[:50] if d.stream == METERS]


def test_the_truth_names_everyone_who_is_not_well() -> None:
    made = fleet.build(N, seed=2)
    assigned = faults.assign(made)
    told = faults.truth(made, assigned, {})
    assert {f["kind"] for f in told["faults"]} == set(faults.ROLES_OF_200)
    sick = next(f for f in told["faults"] if f["kind"] == "sick_charger")
    entry = next(v for v in told["vehicles"] if v["vehicleId"] == sick["vehicleId"])
    assert sick["lostPoints"] == 18.0
    assert entry["efficiencyAtFullPower"] < 0.80
    json.dumps(told)
