"""A stronger baseline than the paper's, for people who want to beat something; no part of the reproduction.

It knows more than the utterance: how many turns came before, the task and the assistant's turn before. It
looks at nothing that comes later, so it could be used while a conversation goes on. Its settings were chosen
on validation parts of the reference data (the paper's split, seeds 42, 0, 1) and are fixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log1p
from pathlib import Path
from typing import Any

from engine.experiments.cells import Predictions
from engine.experiments.samples import Sample
from engine.experiments.splits import SplitSamples
from engine.experiments.traditional import data_to_learn_from, library_versions

GROUP = "baseline"
USES = (
    "the utterance's words and characters, its position from the start, the task, the assistant's turn before"
)
# Later positions are as one: few conversations are longer.
_LAST_POSITION = 6
_PREVIOUS_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Baseline:
    """Linear SVM on `USES`, its margins turned into probabilities by Platt's method with cross-validation."""

    name: str = "Baseline"
    group: str = GROUP
    mode: str = ""
    is_seeded: bool = True

    @property
    def params(self) -> Mapping[str, object]:
        return {
            "words": {"ngram_range": [1, 2], "min_df": 2, "sublinear_tf": True},
            "characters": {"analyzer": "char_wb", "ngram_range": [2, 5], "min_df": 3, "sublinear_tf": True},
            "previous": {"min_df": 3, "sublinear_tf": True, "weight": _PREVIOUS_WEIGHT},
            "fields": ["task", "position", "length"],
            "classifier": "LinearSVC(C=0.2)",
            "calibration": "sigmoid, 5 shuffled folds",
        }

    @property
    def versions(self) -> Mapping[str, str]:
        return library_versions("scikit-learn", "scipy", "numpy")

    def run(self, samples: SplitSamples, seed: int, folder: Path) -> Predictions:
        """Fit on the training part; the validation part is not used. Raises CannotRun."""
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.model_selection import StratifiedKFold
        from sklearn.svm import LinearSVC

        with data_to_learn_from():
            train, test = _features(samples)
        gold = [sample.intent for sample in samples.train]
        linear = LinearSVC(C=0.2, random_state=seed)
        folds = min(5, *(gold.count(label) for label in set(gold)))
        if folds < 2:
            # An intent seen once cannot be in two folds; probabilities would be made up.
            return Predictions(
                tuple(map(str, linear.fit(train, gold).predict(test))), notes={"calibrated": False}
            )
        # Samples come by task: folds in their order would each lack tasks, and calibrate for other data.
        parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
        model = CalibratedClassifierCV(linear, cv=parts, ensemble=False).fit(train, gold)
        probabilities = model.predict_proba(test)
        predicted = tuple(str(model.classes_[i]) for i in probabilities.argmax(axis=1))
        return Predictions(predicted, tuple(round(float(p), 4) for p in probabilities.max(axis=1)))


def _features(samples: SplitSamples) -> tuple[Any, Any]:
    """(train, test) matrices; everything is fitted on train."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.feature_extraction.text import TfidfVectorizer

    def texts(part: Sequence[Sample]) -> list[str]:
        return [sample.text for sample in part]

    def previous(part: Sequence[Sample]) -> list[str]:
        return [sample.previous for sample in part]

    def few(count: int) -> int:
        # A small training part has few words twice.
        return count if len(samples.train) >= 500 else 1

    blocks: list[tuple[Any, Any, float]] = [
        (TfidfVectorizer(ngram_range=(1, 2), min_df=few(2), sublinear_tf=True), texts, 1.0),
        (
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=few(3), sublinear_tf=True),
            texts,
            1.0,
        ),
        (DictVectorizer(), lambda part: list(map(_fields, part)), 1.0),
    ]
    if any(any(c.isalnum() for c in sample.previous) for sample in samples.train):
        blocks.append((TfidfVectorizer(min_df=few(3), sublinear_tf=True), previous, _PREVIOUS_WEIGHT))
    train = hstack([block.fit_transform(of(samples.train)) * weight for block, of, weight in blocks])
    test = hstack([block.transform(of(samples.test)) * weight for block, of, weight in blocks])
    return train.tocsr(), test.tocsr()


def _fields(sample: Sample) -> dict[str, float]:
    return {
        f"task={sample.task}": 1.0,
        f"position={min(sample.turn, _LAST_POSITION)}": 1.0,
        "length": log1p(len(sample.text)) / 8,
        "previous length": log1p(len(sample.previous)) / 8,
    }
