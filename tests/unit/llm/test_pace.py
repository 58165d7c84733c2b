"""The pace: never faster than its rate, slower at each refusal, faster again when all goes well."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.llm.pace import CUTS, STORED_S, Pace


def at_rate(rate: float, *, ceiling: float | None = None) -> Pace:
    pace = Pace()
    pace.sent(0.0)
    pace.set(0.0, rate, ceiling=ceiling)
    return pace


def run(pace: Pace, since: float, until: float) -> int:
    """Send and answer as fast as the pace lets; the number of calls."""
    now, calls = since, 0
    while True:
        now += max(0.0, pace.wait_s(now))
        if now >= until:
            return calls
        pace.sent(now)
        pace.replied(now, is_saturated=True)
        calls += 1


@given(st.floats(0.1, 1_000), st.lists(st.floats(0, 2), min_size=1, max_size=200))
def test_never_faster_than_its_rate(rate: float, lateness_s: list[float]) -> None:
    pace = at_rate(rate)
    now = 0.0
    for late_s in lateness_s:
        now += max(0.0, pace.wait_s(now)) + late_s / rate
        pace.sent(now)
    assert len(lateness_s) <= rate * now + max(1.0, STORED_S * rate) + 1e-6


def test_no_rate_means_no_wait() -> None:
    pace = Pace()
    pace.sent(5.0)
    assert pace.wait_s(5.0) == -math.inf
    assert not pace.is_used(5.0)


def test_refusals_that_follow_each_other_cut_deeper() -> None:
    pace = at_rate(100.0, ceiling=100.0)
    shares = []
    for nth in range(1, len(CUTS) + 1):
        before = pace.rate
        pace.cut(1.0, nth=nth, since=1.0)
        shares.append(1 - pace.rate / before)
    assert shares == pytest.approx(CUTS)


def test_after_many_refusals_what_is_accepted_counts() -> None:
    pace = at_rate(100.0, ceiling=100.0)
    for tenth in range(50):
        pace.sent(tenth / 10)
    pace.sent(5.0)
    pace.refused(5.0)
    pace.cut(5.0, nth=len(CUTS) + 1, since=0.0)
    assert pace.rate == pytest.approx(0.97 * 10.0, rel=0.05)


def test_recovers_to_the_ceiling_and_grows_slowly_beyond() -> None:
    pace = at_rate(50.0, ceiling=100.0)
    run(pace, 0.0, 31.0)
    assert 95 <= pace.rate <= 102


def meet_again(pace: Pace) -> None:
    """Refuse one call at about the known ceiling, after many that were served."""
    for _ in range(30):
        pace.sent(0.0)
    pace.refused(0.0)
    pace.set(0.0, pace.rate, ceiling=pace.rate)


def test_each_step_beyond_the_ceiling_is_twice_the_last() -> None:
    pace = at_rate(50.0, ceiling=50.0)
    meet_again(pace)
    assert pace.is_confirmed
    run(pace, 0.0, 16.0)
    slow = pace.rate
    assert 51 <= slow <= 53
    run(pace, 16.0, 60.0)
    assert pace.rate >= 2 * slow


def test_steps_after_a_refusal_take_calls_as_well_as_time() -> None:
    pace = at_rate(5.0, ceiling=5.0)
    meet_again(pace)
    run(pace, 0.0, 60.0)
    assert 5.0 < pace.rate <= 5.1


def test_the_first_refusal_undoes_the_last_step() -> None:
    pace = at_rate(50.0, ceiling=50.0)
    run(pace, 0.0, 45.0)
    before, now = pace.rate, 45.0
    while pace.rate == before:
        pace.sent(now)
        pace.replied(now, is_saturated=True)
        now += 1 / pace.rate
    assert pace.rate > 1.2 * before
    pace.refused(now)
    pace.cut(now, nth=1, since=now)
    assert pace.rate == pytest.approx((1 - CUTS[0]) * before)


def test_a_ceiling_that_was_met_once_is_soon_left_behind() -> None:
    pace = at_rate(5.0, ceiling=5.0)
    assert not pace.is_confirmed
    run(pace, 0.0, 90.0)
    assert pace.rate >= 50


@pytest.mark.parametrize("rate", [0.05, 0.5, 5.0])
@pytest.mark.parametrize("is_windowed", [False, True])
@pytest.mark.parametrize("is_confirmed", [False, True])
def test_any_rate_grows_back_within_a_bounded_time(
    rate: float, is_confirmed: bool, is_windowed: bool
) -> None:
    pace = at_rate(rate, ceiling=rate)
    pace.is_windowed, pace.is_confirmed = is_windowed, is_confirmed
    now = 0.0
    while pace.rate < 100 * rate and now < 1_800:
        run(pace, now, now + 60)
        now += 60
    assert pace.rate >= 100 * rate


def test_what_refuses_all_the_time_is_no_ceiling() -> None:
    pace = at_rate(50.0, ceiling=50.0)
    for _ in range(10):
        pace.sent(0.0)
        pace.refused(0.0)
        pace.set(0.0, pace.rate, ceiling=0.9 * pace.rate)
    assert not pace.is_confirmed


def test_an_unused_rate_does_not_grow() -> None:
    pace = at_rate(50.0, ceiling=50.0)
    for second in range(300):
        pace.sent(second)
        pace.replied(second, is_saturated=True)
    assert pace.rate == 50.0


def test_a_short_past_is_no_low_rate() -> None:
    pace = Pace()
    for tenth in range(20):
        pace.sent(7.0 + tenth / 10)
    assert pace.recent_rate(9.0, 10) == pytest.approx(10.0)


def test_counts_what_was_accepted_in_the_last_minute() -> None:
    pace = Pace()
    for second in range(100):
        pace.sent(second + 0.5)
        pace.sent(second + 0.6)
        pace.refused(second + 0.7)
    assert pace.in_window == 60
    assert pace.recent(10) == 10
    assert pace.recent_rate(99.9, 10) == pytest.approx(1.0, rel=0.02)
    pace.sent(1_000.0)
    assert pace.in_window == 1
    assert pace.total == 101
