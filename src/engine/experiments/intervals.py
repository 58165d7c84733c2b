"""Intervals and tests that do not overstate what is known.

The training parts of several seeds overlap, so the plain interval over seeds is too narrow: the corrected
resampled one is used (Nadeau and Bengio, Machine Learning 52, 2003). Utterances of one conversation
resemble each other, so the bootstrap draws conversations. Several tests are corrected by Holm's method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

_DRAWS = 2_000
_SEED = 42
_FEWEST_SPLITS = 5


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Answers:
    """Predictions on one test part, paired with the conversation of each, which is what is resampled."""

    gold: tuple[str, ...]
    predicted: tuple[str, ...]
    conversations: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on one test part. p values are two-sided and not yet corrected for several tests."""

    only_first_right: int
    only_second_right: int
    mcnemar_p: float
    f1_difference: float
    f1_interval: Interval
    f1_p: float


def resampled_interval(values: Sequence[float], *, test_to_train: float) -> Interval | None:
    """The mean's interval over random splits, None for fewer than five of them: it would span everything.

    `test_to_train` is the size of the test part over that of the training part.
    """
    from scipy.stats import t

    if len(values) < _FEWEST_SPLITS:
        return None
    error = stdev(values) * sqrt(1 / len(values) + test_to_train)
    reach = float(t.ppf(0.975, len(values) - 1)) * error
    return Interval(max(0.0, fmean(values) - reach), min(1.0, fmean(values) + reach))


def bootstrap_intervals(answers: Answers) -> tuple[Interval, Interval]:
    """(accuracy, macro-F1) of one test part, by drawing conversations."""
    accuracy, macro_f1 = _redrawn(answers, _weights(answers))
    return _percentiles(accuracy), _percentiles(macro_f1)


def compare(first: Answers, second: Answers) -> Comparison:
    """Exact McNemar test of the right answers; paired bootstrap of the difference in macro-F1."""
    from scipy.stats import binomtest

    if (first.gold, first.conversations) != (second.gold, second.conversations):
        raise ValueError("the two models were not tested on the same samples")
    right = [(a == g, b == g) for g, a, b in zip(first.gold, first.predicted, second.predicted, strict=True)]
    only_first, only_second = right.count((True, False)), right.count((False, True))
    differing = only_first + only_second
    p = float(binomtest(only_first, differing, 0.5).pvalue) if differing else 1.0
    weights = _weights(first)
    difference = _redrawn(first, weights)[1] - _redrawn(second, weights)[1]
    ones = _ones(first)
    observed = float((_redrawn(first, ones)[1] - _redrawn(second, ones)[1])[0])
    # Add-one, so that a finite number of draws never claims p = 0.
    beyond = min(int((difference <= 0).sum()), int((difference >= 0).sum()))
    f1_p = min(1.0, 2 * (beyond + 1) / (len(difference) + 1))
    return Comparison(only_first, only_second, p, observed, _percentiles(difference), f1_p)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values corrected for being several, in the order given."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, p_values[i] * (len(p_values) - rank)))
        corrected[i] = largest
    return corrected


def _weights(answers: Answers) -> Any:
    """(draws, conversations): how often each is drawn; the same for every model of a test part."""
    import numpy as np

    n = len(set(answers.conversations))
    return np.random.default_rng(_SEED).multinomial(n, [1 / n] * n, size=_DRAWS)


def _ones(answers: Answers) -> Any:
    import numpy as np

    return np.ones((1, len(set(answers.conversations))), dtype=int)


def _redrawn(answers: Answers, weights: Any) -> tuple[Any, Any]:
    """(accuracy, macro-F1), each of shape (draws,)."""
    import numpy as np

    row = {name: i for i, name in enumerate(dict.fromkeys(answers.conversations))}
    place = {label: i for i, label in enumerate(answers.labels)}
    none = len(place)
    # (conversations, right label, answered label or none)
    counts = np.zeros((len(row), none, none + 1), dtype=int)
    for name, gold, predicted in zip(answers.conversations, answers.gold, answers.predicted, strict=True):
        counts[row[name], place[gold], place.get(predicted, none)] += 1
    confusion = np.tensordot(weights, counts, axes=1)
    hits = np.diagonal(confusion[:, :, :none], axis1=1, axis2=2)
    marks = confusion.sum(axis=2) + confusion.sum(axis=1)[:, :none]
    f1 = np.divide(2 * hits, marks, out=np.zeros(hits.shape), where=marks > 0)
    occurring = np.maximum((marks > 0).sum(axis=1), 1)
    return hits.sum(axis=1) / confusion.sum(axis=(1, 2)), f1.sum(axis=1) / occurring


def _percentiles(values: Any) -> Interval:
    import numpy as np

    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))
