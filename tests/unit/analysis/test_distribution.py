"""A distribution counted by value gives what the values themselves would."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.distribution import Distribution


def distribution(values: list[int]) -> Distribution:
    found = Distribution()
    for value in values:
        found.add(value)
    return found


@given(st.lists(st.integers(0, 5_000), min_size=2, max_size=60))
def test_it_agrees_with_the_values(values: list[int]) -> None:
    found = distribution(values)
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.sd == pytest.approx(statistics.stdev(values), abs=1e-6)
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    assert [found.quantile(share) for share in (0.25, 0.5, 0.75)] == pytest.approx(quartiles)
    assert (found.quantile(0), found.quantile(1)) == (min(values), max(values))


@given(st.lists(st.integers(0, 99)), st.lists(st.integers(0, 99)))
def test_parts_make_the_whole(some: list[int], others: list[int]) -> None:
    merged = distribution(some)
    merged.merge(distribution(others))
    assert merged.counts == distribution(some + others).counts


def test_nothing_has_no_mean_to_fail_on() -> None:
    nothing = Distribution()
    assert (nothing.n, nothing.mean, nothing.sd, nothing.quantile(0.5)) == (0, 0.0, 0.0, 0.0)
    assert nothing.as_dict() == {"n": 0}
    assert distribution([4]).as_dict()["p50"] == 4
