"""Few-shot examples come from the training part alone, and the seed decides which."""

from __future__ import annotations

import pytest
from tests.doubles.labelled_conversations import labelled

from engine.experiments.examples import draw_examples
from engine.experiments.samples import collect_samples
from engine.experiments.splits import SplitKind, make_split, take


@pytest.mark.parametrize("kind", [SplitKind.UTTERANCE, SplitKind.PROFILE])
def test_no_example_is_from_another_part_and_each_label_has_its_number(kind: SplitKind) -> None:
    data = collect_samples(labelled(60))
    for seed in (42, 0, 1):
        samples = take(data, make_split(data, kind, seed))
        shown = draw_examples(samples, seed, 2)
        assert set(shown) <= {(sample.text, sample.intent) for sample in samples.train}
        found = [label for _, label in shown]
        assert {label: found.count(label) for label in set(found)} == dict.fromkeys(
            {sample.intent for sample in samples.train}, 2
        )


def test_examples_are_the_same_for_a_seed_and_others_for_another() -> None:
    data = collect_samples(labelled(60))
    samples = take(data, make_split(data, SplitKind.UTTERANCE, 42))
    assert draw_examples(samples, 1, 2) == draw_examples(samples, 1, 2)
    assert draw_examples(samples, 1, 2) != draw_examples(samples, 2, 2)
