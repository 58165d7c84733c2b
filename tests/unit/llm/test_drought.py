"""Holding while all is used up, the one call that tries, and what a window that opens again says."""

from __future__ import annotations

import pytest

from engine.llm.drought import LONGEST_ASKED_S, LONGEST_HOLD_S, PATIENCE_S, Drought
from engine.llm.pace import MARGIN, Pace


def accepted(calls: int, *, since: float = 0.0) -> Pace:
    """A rate that is not known, after so many calls within a second."""
    pace = Pace()
    for number in range(calls):
        pace.sent(since + number / calls)
    return pace


def test_each_hold_is_twice_as_long_up_to_a_bound() -> None:
    drought, pace = Drought(), accepted(100)
    holds = [drought.hold(100.0, pace, None) for _ in range(8)]
    assert holds[:3] == [0.25, 0.5, 1.0]
    assert holds[-1] == LONGEST_HOLD_S
    drought.holds = 0
    assert drought.hold(100.0, pace, None) == 0.25


@pytest.mark.parametrize(("asked_s", "held_s"), [(0.1, 0.25), (7.0, 7.0), (1e9, LONGEST_ASKED_S)])
def test_a_server_that_names_a_time_is_heard_within_bounds(asked_s: float, held_s: float) -> None:
    assert Drought().hold(100.0, accepted(100), asked_s) == held_s


def test_the_call_that_tries_is_served_when_no_refusal_has_come_in_time() -> None:
    drought = Drought()
    drought.hold(1.0, accepted(9), None)
    assert not drought.is_probe(1.5)
    drought.sent(2.0)
    assert drought.is_probe(2.0)
    assert not drought.is_probe(1.9)
    assert drought.patience_left_s(2.0) == pytest.approx(PATIENCE_S)
    drought.refused(2.0, 1.0)
    assert drought.patience_left_s(2.0) == pytest.approx(3.0)
    assert drought.end(6.0) == 5.0
    assert not drought.is_on
    assert not drought.is_probing


def test_the_first_window_holds_what_was_accepted_before_it() -> None:
    drought, pace = Drought(), accepted(120)
    drought.hold(2.0, pace, None)
    drought.open_window(61.0, pace)
    assert pace.is_windowed
    assert pace.rate == pytest.approx(120 / 60 * MARGIN)


def test_hardly_any_in_a_window_is_an_outage() -> None:
    drought, pace = Drought(), accepted(5)
    drought.hold(2.0, pace, None)
    drought.open_window(61.0, pace)
    assert not pace.is_windowed
    assert pace.is_known
