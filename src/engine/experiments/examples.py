"""Examples for few-shot prompts: some of each intent, by the seed, from the training part alone."""

from __future__ import annotations

import random

from engine.experiments.splits import SplitSamples


def draw_examples(samples: SplitSamples, seed: int, per_label: int) -> list[tuple[str, str]]:
    """(utterance, intent) of `per_label` training samples of each label that has so many, shuffled."""
    chance = random.Random(f"{seed}/examples")
    shown = []
    for label in samples.labels:
        of_label = [sample for sample in samples.train if sample.intent == label]
        shown += chance.sample(of_label, min(per_label, len(of_label)))
    chance.shuffle(shown)
    return [(sample.text, sample.intent) for sample in shown]
