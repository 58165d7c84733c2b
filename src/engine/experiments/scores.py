"""Scores of one set of predictions. An answer that is no label counts as wrong, and is counted apart.

Macro-F1 is scikit-learn's: the mean over the labels that occur in the gold or in the predicted answers; an
answer that is none of `labels` makes no class of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_BINS = 10


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One label's scores, each 0 where there is nothing to divide by. `support`: how often it is right."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores over a test part. `confusion[i][j]`: label i answered as j; the last column is no label."""

    accuracy: float
    macro_f1: float
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def unanswered(self) -> int:
        return sum(row[-1] for row in self.confusion)


def score(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Scores:
    """Accuracy, macro-F1, each label's scores and the confusion matrix; gold and predicted are paired."""
    pairs = Counter(zip(gold, (p if p in labels else None for p in predicted), strict=True))
    confusion = tuple(tuple(pairs[row, column] for column in (*labels, None)) for row in labels)
    classes = tuple(_class_score(label, i, confusion) for i, label in enumerate(labels))
    columns = [sum(row[i] for row in confusion) for i in range(len(labels))]
    occurring = [c.f1 for c, column in zip(classes, columns, strict=True) if c.support or column]
    right = sum(confusion[i][i] for i in range(len(labels)))
    return Scores(right / len(gold), sum(occurring) / len(occurring), classes, confusion)


def expected_calibration_error(
    gold: Sequence[str], predicted: Sequence[str], confidence: Sequence[float]
) -> float:
    """Mean gap between confidence and accuracy over ten equal bins of confidence, weighted by their size."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(_BINS)]
    for right, answer, sure in zip(gold, predicted, confidence, strict=True):
        bins[min(int(sure * _BINS), _BINS - 1)].append((sure, right == answer))
    gaps = (abs(sum(sure for sure, _ in each) - sum(is_right for _, is_right in each)) for each in bins)
    return sum(gaps) / len(gold)


def _class_score(label: str, i: int, confusion: Sequence[Sequence[int]]) -> ClassScore:
    hit, support, answered = confusion[i][i], sum(confusion[i]), sum(row[i] for row in confusion)
    precision = hit / answered if answered else 0.0
    recall = hit / support if support else 0.0
    f1 = 2 * hit / (support + answered) if support + answered else 0.0
    return ClassScore(label, precision, recall, f1, support)
