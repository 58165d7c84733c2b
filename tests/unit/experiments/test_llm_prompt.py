"""What LLMs are asked is what the file says, and a reply is an answer by one rule, without guessing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from engine.errors import BadInput
from engine.experiments.llm_prompt import FILE, LlmPrompt, read_answer, read_llm_prompt
from engine.schema.annotation import PAPER_INTENTS

LABELS = PAPER_INTENTS.labels


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ('{"intent": "Planning"}', "Planning"),
        ('{"intent": ["search & recommendation"]}', "Search & Recommendation"),
        ('Here it is:\n```json\n{"intent": "Others"}\n```', "Others"),
        ('{"reason": "asks {where}", "intent": "Search"}', "Search"),
        ("Planning", "Planning"),
        (' "planning". \n', "Planning"),
        ("**Search & Recommendation**", "Search & Recommendation"),
        ("```\nSearch\n```", "Search"),
        ("Planning or Search", None),
        ("The intent is Planning", None),
        ('{"intent": "Cooking"}', None),
        ('{"intent": ["Search", "Planning"]}', None),
        ('{"label": "Search"}', None),
        ('{"intent": {"name": "Search"}}', None),
        ('{"intent": "Sear', None),
        ('{"intent": Search}', None),
        ("", None),
    ],
)
def test_an_answer_is_a_label_in_an_object_or_alone(reply: str, label: str | None) -> None:
    assert read_answer(reply, LABELS) == label


def test_examples_and_utterance_stand_as_they_are_whatever_they_hold() -> None:
    prompt = read_llm_prompt()
    (_, system), (_, user) = prompt.messages(
        "I want {labels} and {text}.", LABELS, [("{answer}?", "Search"), ("plan", "Planning")]
    )
    assert all(f"- {label}" in system for label in LABELS)
    assert "\nI want {labels} and {text}.\n" in user
    assert "\n{answer}?\n" in user
    assert user.index('{"intent": "Search"}') < user.index('{"intent": "Planning"}')


def test_zero_shot_and_few_shot_share_the_beginning_and_only_the_end_differs_by_utterance() -> None:
    prompt = read_llm_prompt()
    shown = [("plan", "Planning")]
    first, second = (prompt.messages(text, LABELS, shown) for text in ("a", "b"))
    assert first[0] == second[0] == prompt.messages("a", LABELS)[0]
    assert first[1][1].partition("<utterance>")[0] == second[1][1].partition("<utterance>")[0]


def test_an_intent_without_a_meaning_is_shown_by_its_name() -> None:
    prompt = LlmPrompt(system="{labels}", user="{examples}{text}", example="{text}{answer}")
    assert prompt.messages("hi", ["Search", "推荐"])[0] == ("system", "- Search\n- 推荐")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"system": "no place"}, "system must hold {labels}, each once"),
        ({"user": "{text}"}, "user must hold {examples}, {text}, each once"),
        ({"exmaple": ""}, "exmaple: Extra inputs"),
    ],
)
def test_an_unusable_prompt_file_is_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    good = {"system": "{labels}", "user": "{examples}{text}", "example": "{text}{answer}"}
    (tmp_path / FILE).write_text(yaml.safe_dump(good | change), "utf-8")
    with pytest.raises(BadInput, match=message):
        read_llm_prompt(tmp_path)


def test_a_missing_or_broken_prompt_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_llm_prompt(tmp_path)
    (tmp_path / FILE).write_text("a: [", "utf-8")
    with pytest.raises(BadInput, match="not YAML"):
        read_llm_prompt(tmp_path)
