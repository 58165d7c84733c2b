"""No profile is in two parts, by text, id or person; and parts are as large as they can be."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.analysis.made_up import conversation

from engine.dataset.splits import Splitter, parse_ratio
from engine.errors import BadInput, UsageError
from engine.schema.dataset import Conversation, ProfileText


def made(number: int, text: str = "", profile_id: str = "", person: str = "") -> Conversation:
    return replace(
        conversation("Hi", "Ho", conversation_id=f"c{number}"),
        profile=ProfileText(profile_id=profile_id, text=text),
        person=person,
    )


PROFILES = st.tuples(
    st.sampled_from(["", "a b", "A  B", "b", "c", "d", "e"]), st.sampled_from(["", *"123456789"]),
    st.sampled_from(["", "p", "q"]),
)  # fmt: skip


@given(st.lists(PROFILES, min_size=8, max_size=40))
def test_nothing_that_two_conversations_share_is_in_two_parts(profiles: list[tuple[str, str, str]]) -> None:
    everything = [made(number, *profile) for number, profile in enumerate(profiles)]
    splitter = Splitter(parse_ratio("8:1:1"))
    try:
        splitter.learn(everything)
    except BadInput:
        assert splitter.groups < 3
        return
    seen: dict[tuple[str, str], set[str]] = {}
    parts: Counter[str] = Counter()
    for each in everything:
        part = splitter.part_of(each)
        parts[part] += 1
        keys = {
            ("text", " ".join(each.profile.text.lower().split())),
            ("id", each.profile.profile_id),
            ("person", each.person),
        }
        for key in keys:
            if key[1]:
                seen.setdefault(key, set()).add(part)
    assert all(len(found) == 1 for found in seen.values())
    assert set(parts) == {"train", "validation", "test"}


def test_parts_are_as_the_ratio_says_and_do_not_hang_on_the_order() -> None:
    everything = [made(number, text=f"profile {number % 100}") for number in range(1000)]
    splitters = [Splitter(parse_ratio("8:1:1")) for _ in range(2)]
    splitters[0].learn(everything)
    splitters[1].learn(reversed(everything))
    parts = Counter(splitters[0].part_of(each) for each in everything)
    assert parts == {"train": 800, "validation": 100, "test": 100}
    assert all(splitters[0].part_of(each) == splitters[1].part_of(each) for each in everything)


def test_conversations_without_a_profile_stand_alone() -> None:
    everything = [made(number) for number in range(10)]
    splitter = Splitter(parse_ratio("9:1"))
    splitter.learn(everything)
    assert Counter(map(splitter.part_of, everything)) == {"train": 9, "test": 1}


def test_too_few_profiles_are_refused() -> None:
    with pytest.raises(BadInput, match=r"of 1 profile\(s\)"):
        Splitter(parse_ratio("8:1:1")).learn([made(number, text="one") for number in range(9)])


@pytest.mark.parametrize("text", ["", "8", "8:1:1:1", "8:x", "8:0:2", "8:-1", "inf:1", "nan:1"])
def test_what_is_no_ratio_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no ratio"):
        parse_ratio(text)
