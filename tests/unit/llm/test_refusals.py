"""Refusals by number: dense or scattered, explained by chance or not, and what a trial decides."""

from __future__ import annotations

from random import Random

import pytest

from engine.llm.refusals import Refusals, Trial


def after(refused: list[int], sent: int) -> Refusals:
    """`sent` calls, one a second, of which those of these numbers (from 1) came back refused at once."""
    refusals = Refusals()
    for number in range(1, sent + 1):
        refusals.sent(float(number))
        if number in refused:
            refusals.refused(float(number))
    return refusals


def test_three_together_are_a_limit_and_three_apart_are_not() -> None:
    assert after([10, 12, 14], 20).is_dense
    assert not after([10, 40, 70], 80).is_dense
    assert after([10, 40, 70], 80).are_enough
    assert after([10, 40, 70], 80).share == pytest.approx(2 / 60)


def test_calls_that_were_sent_meanwhile_do_not_change_a_refusals_number() -> None:
    refusals = Refusals()
    for time in (1.0, 2.0, 3.0, 4.0):
        refusals.sent(time)
    refusals.refused(2.0)
    assert refusals.last == 2


def test_a_run_is_nothing_but_refusals() -> None:
    assert after([10, 11, 12, 13], 20).is_run(4)
    assert not after([10, 12, 14, 16], 20).is_run(4)


def test_chance_explains_its_share_and_no_more() -> None:
    random = Random(1)
    refusals = Refusals()
    refusals.settle_background(0.02)
    unexplained = 0
    for number in range(50_000):
        refusals.sent(float(number))
        if random.random() < 0.02:
            refusals.refused(float(number))
            unexplained += not refusals.is_explained()
    assert unexplained <= 5
    for number in range(50_000, 50_020):
        refusals.sent(float(number))
        refusals.refused(float(number))
    assert not [refusals.is_explained() for _ in range(12)][-1]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_a_trial_tells_chance_from_load(share: float) -> None:
    wrong = 0
    for seed in range(200):
        for is_chance in (True, False):
            random, trial, sent = Random(seed), Trial(share, 0), 0
            while trial.verdict(sent) is None:
                sent += 1
                if is_chance and random.random() < share:
                    trial.refuse()
            wrong += trial.verdict(sent) is not is_chance
    assert wrong <= 0.03 * 400
