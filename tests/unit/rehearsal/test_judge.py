"""The rehearsal's judge: it knows its prompts by their form, and is wrong at its rate."""

from __future__ import annotations

import math

import orjson
import pytest

from engine.rehearsal.asked import Message
from engine.rehearsal.dice import Dice
from engine.rehearsal.judge import judge, true_hallucination, true_intent
from engine.rehearsal.translator import translate

LABELS = ("Search", "Recommendation", "Search & Recommendation", "Planning", "Others")
SYSTEM = "".join(f"- {label}: what\n" for label in LABELS) + 'Answer: {"intent": "label"}'


def ask(text: str, dice: Dice, rate: float, system: str = SYSTEM) -> str | None:
    messages = [Message("system", system), Message("user", f"<utterance>\n{text}\n</utterance>")]
    return judge(messages, dice, rate)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4, 1.0])
def test_of_the_usable_replies_the_rate_is_wrong(rate: float) -> None:
    usable = wrong = 0
    for number in range(2000):
        reply = ask(f"Which of these {number} is best?", Dice(number), rate)
        assert reply is not None
        if reply.startswith("{"):
            usable += 1
            wrong += orjson.loads(reply)["intent"] != "Recommendation"
    assert usable >= 2000 * (1 - rate) * 0.75
    assert abs(wrong - usable * rate) <= 5 * math.sqrt(usable * rate * (1 - rate)) + 1e-9


def test_several_labels_are_given_as_a_list() -> None:
    reply = ask("计划", Dice(1), 0.0, '- 推荐\n- 规划\nAnswer: {"intent": ["label", ...]}')
    assert reply is not None
    assert orjson.loads(reply)["intent"][0] in ("推荐", "规划")


@pytest.mark.parametrize(
    "messages",
    [
        [Message("user", '{"intent": 1}')],
        [Message("system", "You help."), Message("user", "<utterance>\nx\n</utterance>")],
        [Message("system", SYSTEM), Message("user", "no tags")],
        [Message("system", SYSTEM), Message("user", "x"), Message("assistant", "y")],
    ],
)
def test_others_are_left_to_the_speakers(messages: list[Message]) -> None:
    assert judge(messages, Dice(1), 0.0) is None


def test_truths_are_functions_of_the_text() -> None:
    assert true_intent("Plan my day", LABELS) == "Planning"
    assert true_intent("What is it, and which do you suggest?", LABELS) == "Search & Recommendation"
    assert true_intent("Thanks!", LABELS) == "Others"
    share = sum(true_hallucination(f"reply {number}") for number in range(4000)) / 4000
    assert 0.03 < share < 0.07


def test_a_translation_keeps_lines_lists_and_numbers() -> None:
    source = "Two days:\n1. Leave at 9:30, 12 km.\n- See 3 old towns"
    chinese = translate(source, "zh")
    assert chinese.count("\n") == 2
    assert "\n1. " in chinese
    assert "\n- " in chinese
    assert all(number in chinese for number in ("9:30", "12", "3"))
    assert translate(source, "zh") == chinese
    assert not any("㐀" <= letter <= "鿿" for letter in translate("我想去3个城市，坐火车。", "en"))
