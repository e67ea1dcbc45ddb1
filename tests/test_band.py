"""What a vehicle has shown becomes what is expected of it: near the truth, blind to outliers, and never kinder than the default."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging.band import Learned, LossLine, band, default_band
from charging.evidence import Evidence, Stream
from charging.learning import (
    LEAST_DAYS,
    LEAST_SESSIONS,
    MOST_HOURS,
    Hour,
    Lesson,
    Plain,
    bins,
    is_frozen,
    learn,
    learn_peers,
    seen_to_give_w,
    spread,
    teaches,
)
from charging.verdict import Thresholds, Verdict, summarise

# kW at the meter: hours that a session takes, from and to.
SOCKETS = {2.3: (5, 10), 3.7: (4, 8), 7.4: (2, 5), 11.0: (1.5, 4), 50.0: (0.6, 1.2)}
DC_STEPS_WH = (1, 10, 100)
CARS = 40
QUARTER_S = 900


@dataclass
class Car:
    """A healthy one, as measured ones are: a and b within ADAC's pairs; its counters (Wh) go on from session to session."""

    chance: np.random.Generator
    kw: float
    dc_step_wh: int
    ac_step_wh: int = 1
    ac_wh: float = 0.0
    dc_wh: float = 0.0

    def __post_init__(self) -> None:
        at_dc = self.kw > 25
        self.share = self.chance.uniform(0.05, 0.09) if at_dc else self.chance.uniform(0.046, 0.078)
        self.overhead_kw = self.chance.uniform(0.2, 0.6) if at_dc else self.chance.uniform(0.134, 0.422)
        self.dc_wh = self.chance.uniform(0, 1000)

    @property
    def efficiency(self) -> float:
        """At its usual power."""
        return 1 - self.share - self.overhead_kw / self.kw

    def session(self, *, power: float = 1.0, taper: bool = False, more_loss: float = 0.0) -> list[Plain]:
        """Its quarters as counters show them; the vehicle's readings come up to a minute after the meter's."""
        quarters = int(4 * self.chance.uniform(*SOCKETS[self.kw]))
        kw = power * self.kw * self.chance.uniform(0.985, 1.0, quarters)
        if taper:
            kw *= np.minimum(1.0, np.linspace(1.6, 0.15, quarters))
        into_kw = kw * (1 - self.share - more_loss) - self.overhead_kw
        ac_wh = self.ac_wh + np.concatenate([[0.0], np.cumsum(kw * 250)])
        dc_wh = self.dc_wh + np.concatenate([[0.0], np.cumsum(into_kw * 250)])
        late_wh = into_kw[1:] / 3.6 * self.chance.uniform(0, 60)
        self.ac_wh, self.dc_wh = ac_wh[-1], dc_wh[-1]
        dc_wh[1:-1] -= late_wh
        did_ac = np.diff(np.floor(ac_wh / self.ac_step_wh)) * self.ac_step_wh * 1000
        did_dc = np.diff(np.floor(dc_wh / self.dc_step_wh)) * self.dc_step_wh * 1000
        return [
            Plain(ac, dc, QUARTER_S * 1_000_000) for ac, dc in zip(did_ac.astype(int).tolist(), did_dc.astype(int).tolist(), strict=True)
        ]

    @property
    def step_milliwh(self) -> int:
        return (self.ac_step_wh + self.dc_step_wh) * 1000

    def lessons(self, days: int = 25) -> list[Lesson]:
        """A session a day."""
        return [Lesson(day, 1, hours(bins(self.session(), self.step_milliwh))) for day in range(days)]

    def is_low(self, session: Sequence[Plain], learned: Learned) -> bool:
        """As a verdict would have it."""
        ac, dc, us = (sum(column) for column in zip(*session, strict=True))
        slack = self.step_milliwh / ac + 0.01
        return bool(dc / ac < band(ac / 1e6, us / 3.6e9, learned).low - slack)


def hours(of: Sequence[Plain]) -> tuple[Hour, ...]:
    return tuple(Hour(one.ac_milliwh / 1e6, one.dc_milliwh / 1e6, one.charging_us / 3.6e9) for one in of)


def cars(kw: float, dc_step_wh: int) -> Iterator[tuple[Car, Learned]]:
    for n in range(CARS):
        car = Car(np.random.default_rng((n, int(kw * 10), dc_step_wh)), kw, dc_step_wh)
        learned = learn(car.lessons(), is_dc=kw > 25)
        assert learned
        yield car, learned


every_counter = pytest.mark.parametrize("dc_step_wh", DC_STEPS_WH)
every_socket = pytest.mark.parametrize("kw", SOCKETS)


@every_socket
@every_counter
def test_the_learned_centre_is_within_0_7_points_of_the_truth(kw: float, dc_step_wh: int) -> None:
    off = [learned.line.efficiency(kw, 1) - car.efficiency for car, learned in cars(kw, dc_step_wh)]
    assert max(map(abs, off)) <= 0.007


@every_socket
@every_counter
def test_six_points_more_loss_are_found_and_healthy_sessions_are_not(kw: float, dc_step_wh: int) -> None:
    sick, healthy = list[bool](), list[bool]()
    for car, learned in cars(kw, dc_step_wh):
        sick += [car.is_low(car.session(more_loss=0.06), learned) for _ in range(10)]
        healthy += [car.is_low(car.session(), learned) for _ in range(20)]
        healthy += [car.is_low(car.session(taper=True), learned) for _ in range(10)]
        healthy += [car.is_low(car.session(power=0.5), learned) for _ in range(10)]
    assert sum(sick) >= 0.99 * len(sick)
    assert sum(healthy) <= 0.001 * len(healthy)


@every_socket
def test_a_tenth_of_damaged_hours_moves_nothing(kw: float) -> None:
    for n in range(CARS):
        chance = np.random.default_rng((n, 10))
        car = Car(chance, kw, 1)
        lessons = car.lessons(40)
        damaged = [replace(lesson, hours=tuple(broken(hour, chance) for hour in lesson.hours)) for lesson in lessons]
        whole, found = learn(lessons, is_dc=kw > 25), learn(damaged, is_dc=kw > 25)
        assert whole
        assert found
        assert found.line.efficiency(kw, 1) == pytest.approx(car.efficiency, abs=0.007)
        assert found.line.efficiency(kw, 1) == pytest.approx(whole.line.efficiency(kw, 1), abs=0.003)
        assert found.error <= 0.015


def broken(hour: Hour, chance: np.random.Generator) -> Hour:
    """One in ten: a side that lost readings, or a counter that jumped."""
    if chance.random() >= 0.1:
        return hour
    if chance.random() < 0.2:
        return hour._replace(ac_kwh=hour.ac_kwh * chance.uniform(5, 40))
    return hour._replace(dc_kwh=hour.dc_kwh * chance.uniform(0.5, 0.95))


def steady(days: int, sessions: int) -> list[Lesson]:
    """So many sessions at 11 kW over so many days, 90 % each."""
    each = [sessions // days + (day < sessions % days) for day in range(days)]
    return [Lesson(day, count, (Hour(11, 9.9, 1),) * count) for day, count in enumerate(each)]


def test_the_default_stands_under_seven_days_or_ten_sessions_and_not_from_there_on() -> None:
    assert learn(steady(LEAST_DAYS - 1, 12)) is None
    assert learn(steady(LEAST_DAYS, LEAST_SESSIONS - 1)) is None
    assert learn([*steady(LEAST_DAYS - 1, 12), Lesson(40, 0, ())]) is None, "a day without a session that was ok is no day"
    learned = learn(steady(LEAST_DAYS, LEAST_SESSIONS))
    assert learned
    assert (learned.days, learned.sessions, learned.observations, learned.source) == (7, 10, 10, "learned")
    assert learned.line.efficiency(11, 1) == pytest.approx(0.9, abs=0.001)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_lessons_does_not_matter(chance: Random) -> None:
    lessons = [Lesson(day % 20, 1, (Hour(11, 9.9 + chance.gauss(0, 0.1), 1), Hour(4, 3.5, 1))) for day in range(chance.choice((20, 90)))]
    assert learn(chance.sample(lessons, len(lessons))) == learn(lessons)


def test_a_band_never_reaches_more_than_three_points_below_the_default() -> None:
    """Learned from sessions at the very edge of ok, it would else call 3 points less ok, then 3 points less than that."""
    for kw in (2.3, 3.7, 7.4, 11.0, 22.0, 50.0):
        usual = default_band(kw, 1)
        learned = learn([Lesson(day, 1, (Hour(kw, kw * (usual.low - 0.02), 1),) * 4) for day in range(30)], is_dc=kw > 25)
        assert learned
        for hours_per_kwh in (0.5 / kw, 1 / kw, 2 / kw):
            found = band(1, hours_per_kwh, learned)
            assert found.low >= default_band(1, hours_per_kwh, learned.is_dc).low - 0.03 - 1e-12
            assert found.high >= found.low


def test_a_learned_band_is_the_fit_with_three_points_or_three_sigmas_on_either_side() -> None:
    for error, margin in ((0.004, 0.03), (0.01, 0.03), (0.02, 0.06)):
        found = band(11, 1, Learned(LossLine(0.05, 0.22), error, 1e-6, 0, 1e-6, 120, 30, 30))
        assert (found.low, found.high) == pytest.approx((0.93 - margin, 0.93 + margin))
        assert (found.observations, found.error) == (120, error)


def evidence(ratio: float, kw: float = 11, *, hours_known: bool = True) -> Evidence:
    ac, dc, s = round(4e6 * kw), round(4e6 * kw * ratio), 4 * 3600 if hours_known else None
    return Evidence(Stream(dc, 240, 240, 240, 1000), Stream(ac, 240, 240, 240, 1000), ("depot-1",), s, dc, ac, s)


def test_only_what_is_ok_teaches_and_no_less_than_the_default_calls_ok() -> None:
    plain, learned = Thresholds("plain"), learn([Lesson(n, 2, (Hour(11, 11 * 0.885, 1),) * 8) for n in range(20)])
    assert teaches(summarise(evidence(0.92)))
    assert not teaches(summarise(evidence(0.80)))
    assert not teaches(summarise(evidence(0.92, hours_known=False)))
    for thresholds, known in ((plain, None), (Thresholds(), learned)):
        assert teaches(summarise(evidence(0.92), thresholds, None, known))
        assert summarise(evidence(0.86), thresholds, None, known).verdict is Verdict.OK
        assert not teaches(summarise(evidence(0.86), thresholds, None, known)), "the default's lower edge is 88.4 %"


def test_a_bin_is_an_hour_and_the_rest_joins_the_last() -> None:
    quarter = Plain(2_750_000, 2_500_000, 900_000_000)
    assert [one.charging_us for one in bins([quarter] * 11, 2_000)] == [3_600_000_000, 7 * 900_000_000]
    assert bins([quarter] * 2, 2_000) == [Plain(5_500_000, 5_000_000, 1_800_000_000)]
    assert bins([], 2_000) == []
    assert bins([Plain(0, 40, 0)], 2_000) == []


def test_a_bin_is_longer_where_counters_are_coarse_up_to_four_hours() -> None:
    slow, fast = Plain(575_000, 500_000, 900_000_000), Plain(2_750_000, 2_500_000, 900_000_000)
    assert [len_h(one) for one in bins([fast] * 16, 100_000)] == [1, 1, 1, 1], "11 kWh are 110 steps"
    assert [len_h(one) for one in bins([fast] * 16, 200_000)] == [2, 2]
    assert [len_h(one) for one in bins([slow] * 40, 101_000)] == [4, 6]


def len_h(one: Plain) -> float:
    return one.charging_us / 3.6e9


def test_work_is_bounded_and_spread_over_the_whole_time() -> None:
    kept = spread(1000, MOST_HOURS)
    assert len(set(kept)) == MOST_HOURS
    assert kept[0] == 0
    assert abs(kept[MOST_HOURS // 2] - 500) < 10
    assert list(spread(100, MOST_HOURS)) == list(range(100))
    early, late = Hour(11, 10.2, 1), Hour(11, 10.0, 1)
    learned = learn([Lesson(day, 1, ((early if day < 50 else late),) * 10) for day in range(100)])
    assert learned
    assert learned.line.efficiency(11, 1) == pytest.approx(10.1 / 11, abs=0.002)


def test_a_model_is_known_from_three_vehicles_of_it() -> None:
    one = steady(3, 4)
    assert learn_peers([one, one]) is None
    assert learn_peers([one, one, []]) is None
    week = steady(7, 7)
    learned = learn_peers([week, week, week])
    assert learned
    assert learned.source == "peers"


def test_learning_rests_while_the_newest_session_that_could_be_judged_is_low() -> None:
    assert is_frozen([Verdict.LOW, Verdict.OK])
    assert is_frozen([Verdict.INSUFFICIENT_DATA, Verdict.LOW, Verdict.OK])
    assert not is_frozen([Verdict.OK, Verdict.LOW])
    assert not is_frozen([Verdict.CHARGED_ELSEWHERE])
    assert not is_frozen([])


def test_a_charger_has_given_what_more_than_one_session_saw() -> None:
    assert seen_to_give_w([]) is None
    assert seen_to_give_w([11_000]) is None
    assert seen_to_give_w([3_600, 11_000]) == 3_600
    assert seen_to_give_w([10_900, 11_000, 200_000]) == 11_000
    assert seen_to_give_w([*range(10_000, 10_100), 90_000, 90_000]) == 10_096


def test_the_line_is_what_the_hours_say_when_they_differ_in_power() -> None:
    line = LossLine(0.07, 0.2)
    seen = [Hour(kw, kw * line.efficiency(kw, 1), 1) for kw in (2.0, 4.0, 8.0, 11.0)]
    learned = learn([Lesson(day, 1, tuple(seen)) for day in range(30)])
    assert learned
    assert learned.line.share == pytest.approx(0.07, abs=0.002)
    assert learned.line.overhead_kw == pytest.approx(0.2, abs=0.01)
