"""A limit in flight that fell is told by where calls are refused, and tried."""

from __future__ import annotations

from engine.llm.cap_trial import ALIKE, DOUBTED_S, REST_S, SHORT_REST_S, TRIAL_S, CapTrial

RATE = (10.0, 12.0, False, True)


def suspicious(in_service: int = 32) -> CapTrial:
    cap = CapTrial()
    for _ in range(ALIKE):
        cap.refused(in_service)
        cap.served(in_service - 1)
    return cap


def test_refusals_at_one_number_are_suspicious() -> None:
    assert suspicious().is_due(100.0)


def test_not_before_there_are_enough_of_them() -> None:
    cap = CapTrial()
    for _ in range(ALIKE - 1):
        cap.refused(32)
        assert not cap.is_due(100.0)


def test_not_where_they_are_spread() -> None:
    cap = CapTrial()
    for in_service in (40, 36, 32, 28):
        cap.refused(in_service)
    assert not cap.is_due(100.0)


def test_not_where_more_were_served_meanwhile() -> None:
    cap = suspicious()
    cap.served(33)
    assert not cap.is_due(100.0)


def test_what_was_served_before_says_nothing() -> None:
    cap = CapTrial()
    cap.served(64)
    for _ in range(ALIKE):
        cap.refused(32)
    assert cap.is_due(100.0)


def test_the_rate_holds_again_where_it_was_one() -> None:
    cap = suspicious()
    cap.begin(100.0, RATE)
    assert cap.end(101.0) == RATE
    assert cap.end(101.0) is None


def test_what_was_lifted_long_ago_is_forgotten() -> None:
    cap = suspicious()
    cap.begin(100.0, RATE)
    assert cap.end(101.0 + DOUBTED_S) is None


def test_a_trial_that_failed_is_put_off_longer_and_longer() -> None:
    cap, now, waits = CapTrial(), 0.0, []
    for _ in range(4):
        start = now  # and each trial ends at once
        for _ in range(ALIKE):
            cap.refused(32)
        while not cap.is_due(now):
            now += 0.5
        waits.append(now - start)
        cap.begin(now, RATE)
        cap.end(now)
    assert waits == [0.0, SHORT_REST_S + 0.5, REST_S + 0.5, 2 * REST_S + 0.5]
    cap.open_story(now + REST_S + 1, has_rate=False)  # one held
    for _ in range(ALIKE):
        cap.refused(32)
    assert cap.is_due(now + REST_S + 1)


def test_what_was_served_in_the_story_before_counts_as_well() -> None:
    cap = suspicious()
    assert cap.is_due(100.0)
    cap.open_story(100.0, has_rate=True)
    assert cap.is_due(100.0)
    cap.served(40)
    cap.open_story(200.0, has_rate=True)
    assert not cap.is_due(200.0)
    cap.open_story(300.0, has_rate=True)
    assert cap.is_due(300.0)


def test_a_refusal_just_below_the_number_means_a_bit_less() -> None:
    cap = suspicious()
    cap.begin(100.0, RATE)
    assert cap.is_near(100.1, 30, 32)
    assert not cap.is_near(100.1, 20, 32)
    assert not cap.is_near(100.1 + TRIAL_S, 30, 32)
    for _ in range(ALIKE):
        cap.refused(30)
    assert not cap.is_near(100.2, 30, 32)
