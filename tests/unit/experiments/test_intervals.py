"""Intervals are as wide as they should be, and tests find what is there."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from statistics import stdev

import pytest
from scipy.stats import t

from engine.experiments.intervals import Answers, bootstrap_intervals, compare, holm, resampled_interval

LABELS = ("a", "b")


def answers(right: int, of: int, *, per_conversation: int = 1) -> Answers:
    """The first `right` of `of` answers are right; gold alternates."""
    gold = tuple(LABELS[i % 2] for i in range(of))
    wrong = {"a": "b", "b": "a"}
    predicted = tuple(g if i < right else wrong[g] for i, g in enumerate(gold))
    return Answers(gold, predicted, tuple(f"c{i // per_conversation}" for i in range(of)), LABELS)


def test_interval_over_splits_is_wider_than_if_they_were_independent() -> None:
    values = [0.7, 0.72, 0.74, 0.69, 0.75]
    found = resampled_interval(values, test_to_train=1 / 8)
    assert found is not None
    reach = t.ppf(0.975, 4) * stdev(values) * sqrt(1 / 5 + 1 / 8)
    assert (found.high - found.low) / 2 == pytest.approx(reach)
    assert resampled_interval(values[:4], test_to_train=1 / 8) is None


def test_bootstrap_covers_the_score_and_widens_with_dependence() -> None:
    alone, _ = bootstrap_intervals(answers(150, 200))
    together, _ = bootstrap_intervals(answers(150, 200, per_conversation=10))
    assert alone.low < 0.75 < alone.high
    assert alone.high - alone.low == pytest.approx(4 * sqrt(0.75 * 0.25 / 200), rel=0.15)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_an_answer_that_is_no_label_is_wrong_in_the_bootstrap_too() -> None:
    given = answers(200, 200)
    accuracy, macro_f1 = bootstrap_intervals(replace(given, predicted=("?",) * 200))
    assert (accuracy.low, accuracy.high, macro_f1.high) == (0, 0, 0)


def test_a_clear_difference_is_found_and_none_is_not() -> None:
    found = compare(answers(180, 200), answers(120, 200))
    assert (found.only_first_right, found.only_second_right) == (60, 0)
    assert found.mcnemar_p < 1e-9
    assert found.f1_difference == pytest.approx(0.3)
    assert found.f1_p == pytest.approx(2 / 2001)
    same = compare(answers(150, 200), answers(150, 200))
    assert (same.mcnemar_p, same.f1_p, same.f1_difference) == (1, 1, 0)


def test_models_of_different_test_parts_are_not_compared() -> None:
    with pytest.raises(ValueError, match="not tested on the same samples"):
        compare(answers(10, 20), answers(10, 22))


def test_holms_correction_keeps_order_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
