"""Regions cover the space evenly, by number alone; targets are read strictly."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.profiles.regions import category_of, load_space, load_target


def test_any_hundred_people_have_the_shares_of_the_axes() -> None:
    space = load_space("en", 7, None, None)
    for start in (1, 1000):
        people = [space.person(number) for number in range(start, start + 100)]
        ages = Counter(person.categories["age"] for person in people)
        assert set(ages.values()) <= {15, 16, 17, 18}
        genders = Counter(person.categories["gender"] for person in people)
        assert abs(genders["Female"] - genders["Male"]) <= 3


def test_sessions_differ_and_another_seed_begins_elsewhere() -> None:
    space = load_space("en", 0, None, None)
    assert len({space.region(number) for number in range(1, 101)}) > 60
    assert load_space("en", 1, None, None).region(1) != space.region(1)
    assert space.region(5) == load_space("en", 0, None, None).region(5)


@pytest.mark.parametrize(
    ("aspect", "value", "category"),
    [
        ("gender", "female", "Female"), ("gender", "女", "Female"), ("gender", "Man.", "Male"),
        ("gender", "Non-binary", "Other"), ("gender", "unsaid", None), ("age", "34 years", "25-34"),
        ("age", "thirty", None), ("age", "99", None),
    ],
)  # fmt: skip
def test_only_what_a_profile_says_is_a_category(aspect: str, value: str, category: str | None) -> None:
    categories = ("Female", "Male", "Other") if aspect == "gender" else ("18-24", "25-34")
    assert category_of(aspect, value, categories) == category


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "says nothing of gender or age"),
        ("age: {old: 1}", "'old' is no band of ages"),
        ("age: {18-30: 1, 30-40: 1}", "the bands overlap at 30"),
        ("gender: {Female: -1}", "gender.Female"),
        ("shoes: {big: 1}", "shoes"),
    ],
)
def test_a_target_that_cannot_be_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "target.yaml"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        load_target(path)
