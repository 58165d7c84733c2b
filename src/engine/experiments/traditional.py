"""The paper's traditional models: TF-IDF of the utterance alone and a classifier, with default settings.

The defaults are scikit-learn's own, so its version is part of a cell's key. AdaBoost's default algorithm was
SAMME.R when the paper was written; it is gone since scikit-learn 1.6, and SAMME scores lower.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.errors import UsageError
from engine.experiments.cells import CannotRun, Predictions
from engine.experiments.splits import SplitSamples

GROUP = "traditional"
# Name in the table -> whether its fit is random. All but the last are the paper's.
MODELS: Mapping[str, bool] = {
    "SVM": False,
    "DecisionTree": True,
    "RandomForest": True,
    "AdaBoost": True,
    "BernoulliNB": False,
    "LinearSVM": True,
}
NOT_IN_PAPER = ("LinearSVM",)


def require_sklearn() -> None:
    """Refuse, saying what to install, where scikit-learn is absent."""
    if find_spec("sklearn") is None:
        raise UsageError("intent experiments need scikit-learn: pip install 'recsim-engine[experiments]'")


def library_versions(*names: str) -> dict[str, str]:
    """Versions of Python and the named packages."""
    return {"python": platform.python_version()} | {name: version(name) for name in names}


@dataclass(frozen=True, slots=True)
class TraditionalModel:
    """One of `MODELS`, as a maker of cells."""

    name: str
    group: str = GROUP
    mode: str = ""

    @property
    def is_seeded(self) -> bool:
        return MODELS[self.name]

    @property
    def params(self) -> Mapping[str, object]:
        return {
            "features": "TfidfVectorizer()",
            "classifier": f"{type(_classifier(self.name, None)).__name__}()",
        }

    @property
    def versions(self) -> Mapping[str, str]:
        return library_versions("scikit-learn", "scipy", "numpy")

    def run(self, samples: SplitSamples, seed: int, folder: Path) -> Predictions:
        """Fit on the training part; the validation part is not used. Raises CannotRun."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        features = TfidfVectorizer()
        with data_to_learn_from():
            train = features.fit_transform([sample.text for sample in samples.train])
            classifier = _classifier(self.name, seed).fit(train, [sample.intent for sample in samples.train])
        test = features.transform([sample.text for sample in samples.test])
        unread = len(samples.test) - len(set(test.nonzero()[0]))
        return Predictions(tuple(map(str, classifier.predict(test))), notes={"without_known_words": unread})


@contextmanager
def data_to_learn_from() -> Iterator[None]:
    """scikit-learn refuses data without any word, or that boosting learns nothing from, as ValueError."""
    try:
        yield
    except ValueError as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise CannotRun(f"/ (scikit-learn refuses the training part: {reason})") from error


def _classifier(name: str, seed: int | None) -> Any:
    from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
    from sklearn.naive_bayes import BernoulliNB
    from sklearn.svm import SVC, LinearSVC
    from sklearn.tree import DecisionTreeClassifier

    match name:
        case "SVM":
            return SVC()
        case "DecisionTree":
            return DecisionTreeClassifier(random_state=seed)
        case "RandomForest":
            return RandomForestClassifier(random_state=seed)
        case "AdaBoost":
            return AdaBoostClassifier(random_state=seed)
        case "BernoulliNB":
            return BernoulliNB()
        case _:
            return LinearSVC(random_state=seed)
