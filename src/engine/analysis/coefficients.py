"""Coefficients of agreement, as functions of small tables of counts.

Every coefficient here depends on its data through a table alone: the confusion matrix of two raters, or the
coincidences of any number of them. Tables of single conversations add up, so that one call computes a
coefficient for a thousand resampled datasets: all functions take tables (..., k, k) and give (...). Where a
coefficient is not defined (no units, or one category only) it is NaN, never a made-up 1.

Written out here because each is a few lines, the ready package for Krippendorff's alpha has a licence that
does not fit, and none of the ready ones takes tables. Tests compare with published worked examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# numpy, an optional extra, is imported where it is used; arrays are named in docstrings.
Array = Any


def percent(confusion: Array) -> Array:
    """Share of units on which two raters agree. `confusion`: (..., k, k) counts."""
    return _divided(_trace(confusion), confusion.sum(axis=(-2, -1)))


def cohen_kappa(confusion: Array, *, is_quadratic: bool = False) -> Array:
    """Cohen's kappa (1960); `is_quadratic` weighs disagreement by its squared distance (1968)."""
    weights = _distances(confusion, is_quadratic=is_quadratic)
    rows, columns = confusion.sum(axis=-1), confusion.sum(axis=-2)
    expected = rows[..., :, None] * columns[..., None, :]
    n = confusion.sum(axis=(-2, -1))
    return 1 - _divided((weights * confusion).sum(axis=(-2, -1)) * n, (weights * expected).sum(axis=(-2, -1)))


def spearman(confusion: Array) -> Array:
    """Spearman's rank correlation of two raters' ordered categories, ties at their middle ranks."""
    rows, columns = confusion.sum(axis=-1), confusion.sum(axis=-2)
    n = confusion.sum(axis=(-2, -1))[..., None]
    first, second = _middle_ranks(rows) - n / 2, _middle_ranks(columns) - n / 2
    covariance = (first[..., :, None] * second[..., None, :] * confusion).sum(axis=(-2, -1))
    spread = (first**2 * rows).sum(axis=-1) * (second**2 * columns).sum(axis=-1)
    return _divided(covariance, spread**0.5)


def coincidences(units: Sequence[Sequence[int]], k: int) -> Array:
    """(k, k): how often two categories were given to the same unit, each unit's pairs weighing m in all.

    `units`: the categories (0 to k - 1) that each unit was given; units with fewer than two count nothing.
    """
    import numpy as np

    table = np.zeros((k, k))
    for given in units:
        if len(given) < 2:
            continue
        counts = np.bincount(np.asarray(given), minlength=k)
        table += (np.outer(counts, counts) - np.diag(counts)) / (len(given) - 1)
    return table


def fleiss_kappa(table: Array) -> Array:
    """Fleiss' kappa (1971) from coincidences of units that all have the same number of raters."""
    n = table.sum(axis=(-2, -1))
    shares = _divided(table.sum(axis=-1), n[..., None])
    chance = (shares**2).sum(axis=-1)
    return _divided(_divided(_trace(table), n) - chance, 1 - chance)


def krippendorff_alpha(table: Array, *, is_ordinal: bool = False) -> Array:
    """Krippendorff's alpha from coincidences, nominal or ordinal; units may have any number of raters."""
    n_c = table.sum(axis=-1)
    n = n_c.sum(axis=-1)
    if is_ordinal:
        ranks = _middle_ranks(n_c)
        distances = (ranks[..., :, None] - ranks[..., None, :]) ** 2
    else:
        distances = _distances(table, is_quadratic=False)
    observed = (table * distances).sum(axis=(-2, -1))
    expected = (n_c[..., :, None] * n_c[..., None, :] * distances).sum(axis=(-2, -1))
    return 1 - _divided((n - 1) * observed, expected)


def _middle_ranks(counts: Array) -> Array:
    return counts.cumsum(axis=-1) - counts / 2


def _trace(table: Array) -> Array:
    import numpy as np

    return np.trace(table, axis1=-2, axis2=-1)


def _distances(table: Array, *, is_quadratic: bool) -> Array:
    import numpy as np

    k = table.shape[-1]
    places = np.arange(k)
    apart = places[:, None] - places[None, :]
    return (apart**2 if is_quadratic else apart != 0).astype(float)


def _divided(numerator: Array, denominator: Array) -> Array:
    import numpy as np

    # A difference of almost equal floats is no denominator.
    zero = np.abs(denominator) < 1e-12
    return np.where(zero, np.nan, numerator / np.where(zero, 1.0, denominator))
