"""The baseline from templates: who speaks when, in both languages, the same each time."""

from __future__ import annotations

import pytest

from engine.analysis.template_baseline import template_conversation
from engine.schema.conversation import Role
from engine.schema.profile import ASPECTS, Profile
from engine.schema.scenario import Scenario

PROFILE = Profile("p1", {aspect.key: f"{aspect.key} of mine." for aspect in ASPECTS})


def scenario(language: str) -> Scenario:
    return Scenario(
        "travel", "travel planning", 1, language, {}, "text", ("where to stay", "how to get there")
    )


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("rounds", [1, 4, 7])
def test_speakers_alternate_and_the_system_has_the_last_word(language: str, rounds: int) -> None:
    turns = template_conversation("c1", scenario(language), PROFILE, rounds=rounds)
    assert [turn.role for turn in turns] == [Role.USER, Role.ASSISTANT] * rounds
    assert "where to stay" in turns[0].text
    assert "where to stay" in turns[-1].text


def test_the_user_answers_what_was_asked_with_the_profiles_words() -> None:
    turns = template_conversation("c1", scenario("en"), PROFILE)
    for asked, answered in zip(turns[1::2], turns[2::2], strict=False):
        aspect = next(aspect for aspect in ASPECTS if aspect.label_en.lower() in asked.text)
        assert f"{aspect.key} of mine" in answered.text


def test_the_same_id_gives_the_same_text_and_others_give_others() -> None:
    made = {tuple(template_conversation(f"c{i}", scenario("en"), PROFILE)) for i in range(20)}
    assert len(made) > 10
    again = template_conversation("c1", scenario("en"), PROFILE)
    assert again == template_conversation("c1", scenario("en"), PROFILE)
