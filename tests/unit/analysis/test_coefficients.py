"""Coefficients against published worked examples, against scikit-learn and SciPy, and by their laws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from engine.analysis.coefficients import (
    cohen_kappa,
    coincidences,
    fleiss_kappa,
    krippendorff_alpha,
    percent,
    spearman,
)

# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: four observers, twelve units.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
# Fleiss (1971), as reworked in many textbooks: ten subjects, fourteen raters, five categories.
SUBJECTS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip


def confusion(first: list[int], second: list[int], k: int) -> Any:
    table = np.zeros((k, k))
    np.add.at(table, (first, second), 1)
    return table


def units_of(raters: list[list[int | None]]) -> list[list[int]]:
    return [[value - 1 for value in column if value is not None] for column in zip(*raters, strict=True)]


def test_cohen_of_the_textbook_table() -> None:
    table = np.array([[20.0, 5.0], [10.0, 15.0]])
    assert percent(table) == pytest.approx(0.7)
    assert cohen_kappa(table) == pytest.approx(0.4)


def test_fleiss_of_the_worked_example() -> None:
    units = [[c for c, n in enumerate(row) for _ in range(n)] for row in SUBJECTS]
    assert float(fleiss_kappa(coincidences(units, 5))) == pytest.approx(0.210, abs=5e-4)


def test_alpha_of_the_worked_example() -> None:
    table = coincidences(units_of(OBSERVERS), 5)
    assert table.sum() == pytest.approx(40)
    assert float(krippendorff_alpha(table)) == pytest.approx(0.743, abs=5e-4)
    assert float(krippendorff_alpha(table, is_ordinal=True)) == pytest.approx(0.815, abs=5e-4)


ratings = st.integers(2, 5).flatmap(
    lambda k: st.tuples(
        st.just(k),
        st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=4, max_size=60),
    )
)


@settings(max_examples=60, deadline=None)
@given(ratings)
def test_kappa_and_spearman_equal_those_of_the_libraries(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    k, pairs = drawn
    first, second = ([pair[i] for pair in pairs] for i in (0, 1))
    table = confusion(first, second, k)
    if len(set(first)) > 1 and len(set(second)) > 1:
        labels = list(range(k))
        assert cohen_kappa(table) == pytest.approx(cohen_kappa_score(first, second, labels=labels))
        expected = cohen_kappa_score(first, second, labels=labels, weights="quadratic")
        assert cohen_kappa(table, is_quadratic=True) == pytest.approx(expected)
        assert spearman(table) == pytest.approx(spearmanr(first, second).statistic, abs=1e-9)


several = st.integers(2, 4).flatmap(
    lambda m: st.lists(st.lists(st.integers(0, 3), min_size=m, max_size=m), min_size=3, max_size=30)
)


@settings(max_examples=60, deadline=None)
@given(several, st.randoms(use_true_random=False))
def test_order_of_raters_changes_nothing(units: list[list[int]], random: Any) -> None:
    shuffled = [random.sample(unit, len(unit)) for unit in units]
    one, other = coincidences(units, 4), coincidences(shuffled, 4)
    for measure in (fleiss_kappa, krippendorff_alpha, lambda t: krippendorff_alpha(t, is_ordinal=True)):
        np.testing.assert_allclose(measure(one), measure(other))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=30), st.integers(2, 5))
def test_perfect_agreement_is_one_and_undefined_where_nothing_varies(given: list[int], m: int) -> None:
    table = confusion(given, given, 4)
    together = coincidences([[value] * m for value in given], 4)
    found = [
        cohen_kappa(table), cohen_kappa(table, is_quadratic=True), spearman(table), fleiss_kappa(together),
        krippendorff_alpha(together), krippendorff_alpha(together, is_ordinal=True),
    ]  # fmt: skip
    assert percent(table) == 1
    if len(set(given)) == 1:
        assert all(math.isnan(value) for value in found)
    else:
        assert [float(value) for value in found] == pytest.approx([1.0] * 6)


def test_chance_is_about_nothing() -> None:
    random = np.random.default_rng(7)
    first, second = random.integers(0, 4, (2, 20_000))
    table = confusion(list(first), list(second), 4)
    together = coincidences(random.integers(0, 4, (4_000, 3)).tolist(), 4)
    found = [
        cohen_kappa(table), cohen_kappa(table, is_quadratic=True), spearman(table),
        fleiss_kappa(together), krippendorff_alpha(together), krippendorff_alpha(together, is_ordinal=True),
    ]  # fmt: skip
    assert [abs(float(value)) < 0.03 for value in found] == [True] * 6


def test_tables_of_many_draws_at_once() -> None:
    tables = np.array([[[20.0, 5.0], [10.0, 15.0]], [[5.0, 0.0], [0.0, 0.0]]])
    kappa = cohen_kappa(tables)
    assert kappa[0] == pytest.approx(0.4)
    assert math.isnan(kappa[1])


def test_units_with_one_rater_count_nothing() -> None:
    assert coincidences([[0], [1], []], 2).sum() == 0
