"""Where the loss goes: the parts add up to it exactly, and each known cause shows in its own part."""

from collections.abc import Iterator
from dataclasses import astuple, replace
from datetime import timedelta

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.band import MIDDLE_DEFAULT
from charging.evidence import Apart, Evidence, Stream
from charging.losses import KNOWN, Losses, Price, losses
from charging.verdict import Summary, Thresholds, Verdict, nobodys, summarise
from db.queries import performance
from db.sides import METER, VEHICLE
from tests.session_support import DEPOT, VAN, World, at, charging_conn, flow

__all__ = ["charging_conn"]

KWH = 1_000_000


@pytest.fixture
def world(charging_conn: psycopg.Connection) -> Iterator[World]:
    charging_conn.rollback()
    found = World(charging_conn)
    found.assign(VAN, DEPOT)
    yield found
    charging_conn.rollback()


MILLIWH = st.integers(0, 60 * KWH)


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """Any: a sum of plain, cold, full and idle stretches, each with some energy and time."""
    plain, cold, full, idle = ((draw(MILLIWH), draw(MILLIWH), draw(st.integers(0, 86_400))) for _ in range(4))
    ac, dc = (sum(part[side] for part in (plain, cold, full, idle)) for side in (0, 1))
    return Evidence(
        Stream(dc, 600, 600, 600, draw(st.sampled_from((1_000, 100_000)))),
        Stream(ac, 600, 600, 600, draw(st.sampled_from((1_000, 100_000)))),
        draw(st.sampled_from((("depot-1",), ()))),
        draw(st.one_of(st.none(), st.just(plain[2] + cold[2] + full[2] + draw(st.integers(-1, 1))))),
        plain[1] + idle[1],
        plain[0] + idle[0],
        draw(st.one_of(st.none(), st.just(plain[2]))),
        draw(st.integers(0, 9)),
        apart=Apart(idle_dc=idle[1], idle_ac=idle[0], full_dc=full[1], full_ac=full[0], full_s=full[2]),
    )


@given(evidences(), st.sampled_from(KNOWN), st.sampled_from(("band", "plain")))
def test_the_parts_add_up_to_ac_minus_dc_exactly_whatever_the_evidence(evidence: Evidence, verdict: Verdict, use: str) -> None:
    summary = replace(summarise(evidence, Thresholds(use)), verdict=verdict)  # type: ignore[arg-type]  # one of the two
    found = losses(summary)
    if found is None:
        return
    total, *parts, avoidable = astuple(found)
    assert total == evidence.ac.energy_milliwh - evidence.dc.energy_milliwh == sum(parts)
    assert found.conditioning >= 0
    assert avoidable >= 0


def sample(**changes: object) -> Evidence:
    dc, ac = Stream(18_400_000, 110, 110, 110, 1_000), Stream(20 * KWH, 110, 110, 110, 1_000)
    whole = Evidence(dc, ac, ("depot-1",), 6_600, 18_400_000, 20 * KWH, 6_600)
    return replace(whole, **changes)  # type: ignore[arg-type]


def known(summary: Summary) -> Losses:
    found = losses(summary)
    assert found is not None
    return found


def test_a_healthy_charge_is_explained_by_electronics_and_conversion() -> None:
    found = known(summarise(sample()))
    hours = 6_600 / 3_600
    assert found.overhead == round(MIDDLE_DEFAULT.overhead_kw * hours * KWH) == 509_667
    assert found.conversion == round(MIDDLE_DEFAULT.share * 20 * KWH) == 1_240_000
    assert (found.conditioning, found.standby) == (0, 0)
    assert abs(found.unexplained) < 0.02 * 20 * KWH


@pytest.mark.parametrize("verdict", sorted(set(Verdict) - set(KNOWN)))
def test_a_loss_that_is_not_known_is_not_taken_apart(verdict: Verdict) -> None:
    assert losses(replace(summarise(sample()), verdict=verdict)) is None


def test_nothing_is_said_without_hours_of_charging_nor_of_a_group_nor_of_nobodys_energy() -> None:
    assert losses(summarise(sample(charging_s=None, plain_charging_s=None))) is None
    group = [sample(group=("van-1", "van-2")), sample(group=("van-1", "van-2"), dc=Stream(0, 110, 110, 110))]
    assert losses(summarise(group[0], Thresholds(), group)) is None
    assert losses(nobodys(sample())) is None


def test_parts_of_several_windows_add_up() -> None:
    one = known(summarise(sample()))
    assert one + one == Losses(*(2 * part for part in astuple(one)))


def test_a_kwh_costs_and_emits_what_its_site_says() -> None:
    price = Price(0.32, 0.38)
    assert price.cost(2_500_000) == pytest.approx(0.8)
    assert price.co2_kg(2_500_000) == pytest.approx(0.95)


def judged(world: World, hours: float = 12) -> Summary:
    return performance.summaries(world.conn, at(12), at(12) + timedelta(hours=hours), [VAN])[VAN]


def healthy(ac_kw: float) -> float:
    """What of this much reaches the battery in the middle of the default band."""
    return ac_kw * (1 - MIDDLE_DEFAULT.share) - MIDDLE_DEFAULT.overhead_kw


def test_a_charge_in_the_middle_of_the_band_leaves_nothing_unexplained(world: World) -> None:
    world.charge(at(18), 120, 11, healthy(11) / 11, soc=(40, 70), temp_c=20)
    found = known(judged(world))
    assert abs(found.unexplained) < 50_000
    assert (found.standby, found.conditioning) == (0, 0)
    assert found.total == pytest.approx(22 * KWH - 2 * healthy(11) * KWH, abs=10)


def test_two_hours_of_a_full_battery_on_the_charger_are_standby(world: World) -> None:
    world.charge(at(18), 120, 11, healthy(11) / 11, soc=(40, 98.9), temp_c=20)
    world.store(METER, flow(METER, DEPOT, at(20), 120, 0.3))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(20), 120, 0.05, soc=(100, 100), temp_c=25))
    found = known(judged(world))
    assert found.standby == pytest.approx(0.5 * KWH, abs=10)
    assert abs(found.unexplained) < 50_000
    assert found.overhead == pytest.approx(2 * MIDDLE_DEFAULT.overhead_kw * KWH, rel=0.03)
    assert found.conversion == pytest.approx(22 * MIDDLE_DEFAULT.share * KWH, abs=10)


def test_what_an_idle_charger_draws_all_night_is_standby(world: World) -> None:
    world.charge(at(13), 120, 11, healthy(11) / 11, soc=(40, 70), temp_c=20)
    world.idle(at(15), 540, watts=10, soc=70)
    found = known(judged(world))
    assert found.standby == pytest.approx(0.09 * KWH, abs=600)
    assert abs(found.unexplained) < 50_000


def test_the_heater_of_a_cold_start_is_conditioning(world: World) -> None:
    world.store(METER, flow(METER, DEPOT, at(18), 150, 11))
    heated = flow(VEHICLE, VAN, at(18), 30, healthy(11) - 3, soc=(40, 45), temp_c=2)
    world.store(VEHICLE, heated, flow(VEHICLE, VAN, at(18, 30), 120, healthy(11), soc=(45, 75), temp_c=15))
    found = known(judged(world))
    assert found.conditioning == pytest.approx(1.5 * KWH, rel=0.02)
    assert abs(found.unexplained) < 50_000
    assert found.standby == 0


def test_a_short_charge_that_is_all_warm_up_is_taken_apart_too(world: World) -> None:
    world.store(METER, flow(METER, DEPOT, at(18), 45, 11))
    world.store(VEHICLE, flow(VEHICLE, VAN, at(18), 45, healthy(11) - 3, soc=(40, 45), temp_c=2))
    summary = judged(world)
    found = known(summary)
    assert (summary.verdict, summary.band) == (Verdict.CONDITIONING, None)
    assert found.conditioning == pytest.approx(2.25 * KWH, rel=0.02)
    assert abs(found.unexplained) < 50_000


def test_under_plain_thresholds_the_default_says_what_is_expected() -> None:
    assert known(summarise(sample(), Thresholds("plain"))) == known(summarise(sample()))


def test_a_sick_charger_shows_as_unexplained_and_avoidable(world: World) -> None:
    world.charge(at(18), 120, 11, healthy(11) / 11 - 0.06, soc=(40, 70), temp_c=20)
    summary = judged(world)
    found = known(replace(summary, verdict=Verdict.LOW))
    assert found.unexplained == pytest.approx(0.06 * 22 * KWH, rel=0.05)
    assert found.avoidable > found.unexplained
    assert found.avoidable == round(22 * KWH * (summary.expected_high or 0)) - summary.evidence.dc.energy_milliwh
