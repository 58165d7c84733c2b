"""Duplicates are found, exactly and nearly, in any order and at any size."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from engine.profiles.similarity import NEAR, Index, chance_of_finding, tokens_of
from engine.scenarios.profile_pool import load_profiles

REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "recllmsim-conversations.jsonl.gz"


def sentence(random: Random, words: int = 60) -> dict[str, str]:
    return {"a": " ".join(f"w{random.randrange(3000)}" for _ in range(words)), "b": "same"}


def jaccard(a: dict[str, str], b: dict[str, str]) -> float:
    one, two = set(tokens_of(a)), set(tokens_of(b))
    return len(one & two) / len(one | two)


def test_case_spaces_and_punctuation_make_no_other_profile() -> None:
    index = Index()
    assert index.take("one", {"likes": "Tea, and  cake."}) is None
    match = index.take("two", {"likes": "tea and CAKE"})
    assert match is not None
    assert (match.name, match.is_exact, match.similarity) == ("one", True, 1.0)


def test_the_same_word_under_another_aspect_is_another_word() -> None:
    index = Index()
    index.add("one", {"likes": "tea cake", "hates": "rain snow"})
    assert index.take("two", {"likes": "rain snow", "hates": "tea cake"}) is None


def test_near_ones_are_found_at_their_rate_and_nothing_else_is() -> None:
    random = Random(1)
    index, found, near = Index(), 0, 0
    for number in range(400):
        first = sentence(random)
        changed = {
            **first,
            "a": " ".join([*first["a"].split()[:54], *(f"n{random.random()}" for _ in range(6))]),
        }
        index.add(f"{number}", first)
        likeness = jaccard(first, changed)
        near += likeness >= NEAR
        match = index.like(changed)
        if match is not None:
            assert match.name == f"{number}"
            assert match.similarity == pytest.approx(likeness)
            found += 1
    assert near == 400
    assert found / near > 0.9
    assert all(index.like(sentence(random)) is None for _ in range(200))


def test_the_chance_of_finding_is_high_above_the_threshold_and_low_far_below() -> None:
    assert chance_of_finding(0.8) > 0.98
    assert chance_of_finding(NEAR) > 0.85
    assert chance_of_finding(0.2) < 0.005


def test_profiles_without_a_word_are_alike_but_break_nothing() -> None:
    index = Index()
    assert index.take("one", {"likes": "?!"}) is None
    match = index.take("two", {"likes": "..."})
    assert match is not None
    assert match.is_exact


@pytest.mark.skipif(not REFERENCE.exists(), reason="needs ../shared/reference")
def test_the_twelve_duplicates_of_the_published_pool_are_found_and_near_ones_reported() -> None:
    pool = load_profiles(REFERENCE)
    index = Index()
    exact, near = [], []
    for profile in pool:
        matches = index.add(profile.profile_id, profile.aspects)
        if any(match.is_exact for match in matches):
            exact.append(profile.profile_id)
        elif matches:
            near.append(profile.profile_id)
    texts = {profile.profile_id: profile.text for profile in pool}
    assert len(pool) == 80
    assert len(exact) == 80 - len(set(texts.values())) == 12
    assert len(near) == 21
