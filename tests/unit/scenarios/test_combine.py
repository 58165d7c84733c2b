from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.scenarios.combine import all_rows, pairwise_rows

SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=5)


def pairs_of(rows: Sequence[Sequence[int]]) -> set[tuple[int, int, int, int]]:
    return {(a, row[a], b, row[b]) for row in rows for a, b in combinations(range(len(row)), 2)}


@given(SIZES, st.integers(0, 99))
def test_every_pair_of_every_two_factors_is_covered(sizes: list[int], seed: int) -> None:
    rows = pairwise_rows(sizes, seed)
    assert pairs_of(rows) == pairs_of(list(all_rows(sizes)))
    assert len(set(rows)) == len(rows) <= len(list(all_rows(sizes)))
    assert all(0 <= value < size for row in rows for value, size in zip(row, sizes, strict=True))
    assert rows == pairwise_rows(sizes, seed)


@pytest.mark.parametrize("levels", [(2, 2, 2), (3, 3), (2, 3, 4)])
def test_levels_are_fitted_into_profiles_times_scenarios(levels: tuple[int, ...]) -> None:
    """No more jobs than without behaviour: the two largest factors' product is the least there can be."""
    assert len(pairwise_rows((20, 22, *levels))) == 20 * 22


def test_rows_come_in_the_order_of_plans_and_the_seed_decides_the_rest() -> None:
    rows = pairwise_rows((5, 4, 2, 2), seed=1)
    assert [row[:2] for row in rows] == list(product(range(5), range(4)))
    assert rows != pairwise_rows((5, 4, 2, 2), seed=2)


def test_an_empty_factor_leaves_nothing() -> None:
    assert pairwise_rows((3, 0, 2)) == []
