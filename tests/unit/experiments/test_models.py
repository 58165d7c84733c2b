"""Traditional models and the baseline learn what can be learned, alike for one seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.doubles.labelled_conversations import labelled

from engine.experiments.baseline import Baseline
from engine.experiments.cells import CannotRun, CellRunner
from engine.experiments.paper_figures import TRADITIONAL
from engine.experiments.samples import collect_samples
from engine.experiments.scores import score
from engine.experiments.splits import SplitKind, SplitSamples, make_split, take
from engine.experiments.traditional import MODELS, NOT_IN_PAPER, TraditionalModel


@pytest.fixture(scope="module")
def samples() -> SplitSamples:
    data = collect_samples(labelled(80))
    return take(data, make_split(data, SplitKind.CONVERSATION, 42))


@pytest.mark.parametrize("runner", [*map(TraditionalModel, MODELS), Baseline()], ids=lambda r: r.name)
def test_words_that_tell_intents_apart_are_learned(
    runner: CellRunner, samples: SplitSamples, tmp_path: Path
) -> None:
    answers = runner.run(samples, 7, tmp_path)
    assert score([s.intent for s in samples.test], answers.predicted, samples.labels).accuracy > 0.6


def test_a_seed_gives_the_same_answers_again(samples: SplitSamples, tmp_path: Path) -> None:
    tree = TraditionalModel("DecisionTree")
    assert tree.run(samples, 7, tmp_path) == tree.run(samples, 7, tmp_path)


def test_the_baseline_says_how_sure_it_is(samples: SplitSamples, tmp_path: Path) -> None:
    confidence = Baseline().run(samples, 7, tmp_path).confidence
    assert confidence is not None
    assert all(0.25 <= each <= 1 for each in confidence)


def test_an_intent_seen_once_keeps_the_baseline_from_probabilities(
    samples: SplitSamples, tmp_path: Path
) -> None:
    rare = (replace(samples.train[0], intent="Search & Recommendation"), *samples.train[1:])
    answers = Baseline().run(replace(samples, train=rare), 7, tmp_path)
    assert answers.confidence is None
    assert answers.notes == {"calibrated": False}


@pytest.mark.parametrize("runner", [TraditionalModel("SVM"), Baseline()], ids=lambda r: r.name)
def test_texts_without_words_cannot_be_learned_from(
    runner: CellRunner, samples: SplitSamples, tmp_path: Path
) -> None:
    wordless = tuple(replace(sample, text="?!") for sample in samples.train)
    with pytest.raises(CannotRun, match=r"^/ \(scikit-learn refuses the training part: empty vocabulary"):
        runner.run(replace(samples, train=wordless), 7, tmp_path)


def test_boosting_that_learns_nothing_is_no_crash(samples: SplitSamples, tmp_path: Path) -> None:
    alike = tuple(
        replace(sample, text="hello there", intent=("Planning", "Others")[i % 2])
        for i, sample in enumerate(samples.train[:100])
    )
    with pytest.raises(CannotRun, match="worse than random"):
        TraditionalModel("AdaBoost").run(replace(samples, train=alike), 7, tmp_path)


def test_utterances_of_unknown_words_are_counted(samples: SplitSamples, tmp_path: Path) -> None:
    strange = tuple(replace(sample, text="请推荐一个礼物") for sample in samples.test[:3])
    answers = TraditionalModel("BernoulliNB").run(
        replace(samples, test=strange + samples.test[3:]), 7, tmp_path
    )
    assert answers.notes == {"without_known_words": 3}


def test_the_papers_models_are_those_with_its_figures() -> None:
    assert set(MODELS) - set(NOT_IN_PAPER) == set(TRADITIONAL)


def test_parameters_name_scikit_learns_classes() -> None:
    assert TraditionalModel("SVM").params["classifier"] == "SVC()"
    assert TraditionalModel("LinearSVM").params["classifier"] == "LinearSVC()"
    assert set(TraditionalModel("SVM").versions) == {"python", "scikit-learn", "scipy", "numpy"}
