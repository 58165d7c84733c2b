"""Facts of a profile, and at which turn they come up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.analysis.made_up import conversation

from engine.analysis.facts import LAST_TURN, facts_of, reveal, revealed
from engine.schema.dataset import Conversation, ProfileText

PROFILE = ProfileText(
    profile_id="p1",
    text="one",
    fields={
        "gender": "Female",
        "age": "40",
        "occupation": "Pilot",
        "travel_habits": "Visits museums, hates trains",
    },
)  # fmt: skip
OTHER = ProfileText(profile_id="p2", text="two", fields={"dining_preferences": "Eats spicy noodles"})


def said(*contents: str, profile: ProfileText = PROFILE) -> Conversation:
    return replace(conversation(*contents), profile=profile)


def test_facts_are_parts_of_aspects_without_gender_and_age() -> None:
    assert facts_of(PROFILE) == (
        frozenset({"pilot"}),
        frozenset({"visit", "museum"}),
        frozenset({"hat", "train"}),
    )
    assert facts_of(ProfileText(text="no aspects")) == ()


def test_revealed_turn_by_turn_by_the_user_alone() -> None:
    found = revealed(said("I fly as a pilot.", "Do you like trains and museums?", "Which museum is best?"))
    assert found == [pytest.approx(1 / 3), pytest.approx(2 / 3)]


def test_chinese_facts() -> None:
    profile = ProfileText(fields={"travel_habits": "喜欢历史古迹、热爱美食"})
    assert revealed(said("我想看历史古迹", "好", profile=profile)) == [0.5]


def test_ended_conversations_stay_where_they_were_and_chance_is_another_profile() -> None:
    found = reveal([said("I am a pilot", "Fine"), said("noodles, spicy, please", "Yes", profile=OTHER)])
    assert found is not None
    assert found.shares == pytest.approx([(1 / 3 + 1) / 2] * LAST_TURN)
    assert found.by_chance == pytest.approx([0.0] * LAST_TURN)
    assert found.conversations == 2


def test_one_profile_alone_has_no_chance_to_compare_with() -> None:
    assert reveal([said("I am a pilot", "Fine")]) is None
