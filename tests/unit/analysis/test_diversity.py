"""Measures of diversity, by hand and by their laws."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.diversity import (
    MEASURES,
    compare_diversity,
    compression_ratio,
    cut,
    distinct,
    self_bleu,
    self_repetition,
)

WORDS = [f"word{i}" for i in range(400)]


def utterances(n: int, vocabulary: int, seed: int = 1) -> list[list[str]]:
    rng = Random(seed)
    return [[rng.choice(WORDS[:vocabulary]) for _ in range(20)] for _ in range(n)]


def test_distinct_by_hand() -> None:
    said = [["a", "b", "a"], ["a", "b"]]
    assert distinct(said, 1) == 2 / 5
    assert distinct(said, 2) == 2 / 3
    assert distinct([], 1) == 0


def test_self_repetition_by_hand() -> None:
    said = [["a", "b", "c", "d", "x"], ["y", "a", "b", "c", "d"], ["p", "q", "r", "s"], ["short"]]
    assert self_repetition(said) == pytest.approx(2 / 3)


def test_self_bleu_by_hand() -> None:
    """Two utterances: p1 = 2/3, p2 = (1 + 1) / (2 + 1), p3 = (0 + 1) / (1 + 1), same length."""
    said = [["a", "b", "c"], ["a", "b", "d"]]
    assert self_bleu(said, most_n=3) == pytest.approx((2 / 3 * 2 / 3 * 1 / 2) ** (1 / 3))


def test_self_bleu_of_copies_is_one_and_of_strangers_nothing() -> None:
    assert self_bleu([["a", "b", "c", "d"]] * 3) == pytest.approx(1)
    assert self_bleu([["a", "b"], ["c", "d"]]) == 0
    assert self_bleu([["a"]]) == 0


def test_short_utterances_pay_for_brevity() -> None:
    assert self_bleu([["a", "b"], ["a", "b", "c", "d"]]) < self_bleu([["a", "b"], ["a", "b"]])


def naive_self_bleu(said: list[list[str]]) -> float:
    """Straight from the definition, all pairs."""
    import math
    from collections import Counter

    from engine.analysis.words import ngrams

    scores = []
    for i, own in enumerate(said):
        others = said[:i] + said[i + 1 :]
        logs = 0.0
        for n in range(1, 5):
            grams = Counter(ngrams(own, n))
            matched = sum(min(c, max(Counter(ngrams(o, n))[g] for o in others)) for g, c in grams.items())
            if matched + (n > 1) == 0:
                break
            logs += math.log((matched + (n > 1)) / (grams.total() + (n > 1)))
        else:
            reference = min((len(o) for o in others), key=lambda length: (abs(length - len(own)), length))
            scores.append(math.exp(logs / 4 + min(0.0, 1 - reference / len(own))))
            continue
        scores.append(0.0)
    return sum(scores) / len(scores)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=8), min_size=2, max_size=8))
def test_self_bleu_equals_the_definition(said: list[list[str]]) -> None:
    assert self_bleu(said) == pytest.approx(naive_self_bleu(said))


def test_compression_grows_with_repetition() -> None:
    assert compression_ratio(utterances(50, 5)) > compression_ratio(utterances(50, 400))
    assert compression_ratio([]) == 0


def test_a_richer_dataset_comes_out_as_more_varied_whatever_its_size() -> None:
    rows = compare_diversity(utterances(40, 30), utterances(400, 300))
    assert [row.measure for row in rows] == list(MEASURES)
    for row in rows:
        assert row.units == 400
        assert (row.difference.low > 0) is row.is_more_varied_high, row.measure


def test_two_halves_of_the_same_do_not_differ() -> None:
    rows = compare_diversity(utterances(100, 100, 1), utterances(100, 100, 2))
    assert all(abs(row.difference.mean) < 0.1 * max(row.first.mean, 0.5) for row in rows)


def test_too_little_text_says_nothing() -> None:
    assert compare_diversity([["a"]], utterances(50, 50)) == []


def test_cut_gives_exactly_so_many_units() -> None:
    assert sum(map(len, cut(utterances(10, 10), 55, Random(0)))) == 55
