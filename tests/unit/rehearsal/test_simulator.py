"""What the rehearsed simulator says of a reply that it has heard before, word by word."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.analysis.manners import is_objecting
from engine.rehearsal.asked import Message
from engine.rehearsal.dice import Dice
from engine.rehearsal.simulator import write_user_turn
from engine.rehearsal.view import AssistantView, SimulatorView, view_of
from engine.rehearsal.vocabulary.catalogue import LANGUAGES
from engine.scenarios.profile_pool import load_profiles

ROOT = Path(__file__).parents[3]
LIST = "Some ideas:\n\n1. Harbour walk: by the sea.\n2. Old mill: a quiet place."
OTHER = "Some more:\n\n1. City wall: with a view.\n2. Night market: for supper."


def view_after(*replies: str) -> SimulatorView:
    profile = load_profiles(ROOT / "profiles" / "pool.en.jsonl")[0].render("en")
    setup = f"You are going to plan a trip.\n\n{profile}"
    messages = [Message("system", setup), Message("user", "Begin.")]
    for reply in replies:
        end = f"{reply}\n\nIf you are done, say: {LANGUAGES['en'].end_phrase}"
        messages += [Message("assistant", "Where could we go?"), Message("user", end)]
    view = view_of(tuple(messages))
    assert isinstance(view, SimulatorView)
    return view


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_objection_is_one_that_is_counted(language: str) -> None:
    assert all(map(is_objecting, LANGUAGES[language].objections))


def test_a_list_that_comes_again_is_objected_to_and_another_one_is_not() -> None:
    again, other, first = view_after(LIST, LIST), view_after(LIST, OTHER), view_after(LIST)
    assert (again.is_heard_again, other.is_heard_again, first.is_heard_again) == (True, False, False)
    objections = LANGUAGES["en"].objections
    for seed in range(8):
        said = [write_user_turn(view, Dice(seed), Dice(seed), "en") for view in (again, other, first)]
        assert [text.startswith(objections) for text in said] == [True, False, False]


@pytest.mark.parametrize(
    ("told", "repeats"),
    [("Do not take it up: repeat the suggestions that you gave before.", True), ("Be helpful.", False)],
)
def test_only_who_is_told_to_repeat_does(told: str, repeats: bool) -> None:
    view = view_of((Message("system", told), Message("user", "Help me plan a trip to the sea.")))
    assert isinstance(view, AssistantView)
    assert view.is_to_repeat == repeats
