"""Scores agree with scikit-learn's, and an answer that is no label counts as wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from engine.experiments.scores import expected_calibration_error, score

LABELS = ("a", "b", "c")


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=30))
def test_scores_are_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    gold, predicted = [g for g, _ in pairs], [p for _, p in pairs]
    found = score(gold, predicted, LABELS)
    assert found.accuracy == pytest.approx(accuracy_score(gold, predicted))
    assert found.macro_f1 == pytest.approx(f1_score(gold, predicted, average="macro", zero_division=0))
    precision, recall, f1, support = precision_recall_fscore_support(
        gold, predicted, labels=LABELS, zero_division=0
    )
    assert [c.precision for c in found.classes] == pytest.approx(list(precision))
    assert [c.recall for c in found.classes] == pytest.approx(list(recall))
    assert [c.f1 for c in found.classes] == pytest.approx(list(f1))
    assert [c.support for c in found.classes] == list(support)
    matrix = confusion_matrix(gold, predicted, labels=LABELS)
    assert [list(row[:-1]) for row in found.confusion] == matrix.tolist()


def test_an_answer_that_is_no_label_is_wrong_and_makes_no_class() -> None:
    found = score(["a", "a", "b"], ["a", "I think a", "b"], LABELS)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.unanswered == 1
    assert found.macro_f1 == pytest.approx((2 / 3 + 1) / 2)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    gold, predicted = ["a"] * 10, ["a"] * 7 + ["b"] * 3
    assert expected_calibration_error(gold, predicted, [0.7] * 10) == pytest.approx(0)
    assert expected_calibration_error(gold, predicted, [1.0] * 10) == pytest.approx(0.3)
