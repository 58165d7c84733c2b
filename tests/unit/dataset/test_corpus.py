"""Made-up turns, a file for each rule: what it must find, and what ordinary people say that comes near it.

A negative must raise no finding that drops, of any rule: it is a turn that must not cost its conversation.
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.dataset.validation import RULES, validate
from engine.schema.conversation import EndReason, Role, Turn

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(CORPUS.glob("*.yaml"))
PROMPTS = Path(__file__).resolve().parents[3] / "templates" / "_prompts"
# What surrounds the turn that is judged, in each language: question, answer, choice, tip.
AROUND = {
    "en": (
        "Hi, I need a present for my aunt who keeps bees. What would you get her?",
        "A hive scale would be useful, or a good smoker. Which one suits her better?",
        "The scale, I think. Where should I look for one under eighty euros?",
        "Try the beekeepers' club in your town: members often sell theirs.",
    ),
    "lesson": (
        "Hello, I am learning French, and a little German. Where should a beginner start?",
        "With the sounds. In your first lessons, we go through them together in English.",
        "Good. How many hours a week does that take, and which book is best for it?",
        "Four hours a week are plenty, and any book with recordings will do.",
    ),
    "zh": (
        "你好，我想给喜欢养蜂的阿姨买一份礼物，买什么好呢？",
        "可以买一台蜂箱秤，或者一个烟熏器。哪一个更适合她？",
        "我觉得秤更好。八十元以内去哪里买？",
        "可以去镇上的养蜂协会看看，那里常有人转让。",
    ),
}
LANGUAGE = {"en": "en", "lesson": "en", "zh": "zh"}
LEAST = 25
"""Examples of each kind in a file, both languages together."""


def end_prompt(language: str) -> str:
    prompt, phrase = (
        (PROMPTS / language / f"{name}.jinja").read_text(encoding="utf-8").strip()
        for name in ("end_prompt", "end_phrase")
    )
    return prompt.replace("{{ end_phrase }}", phrase)


END_PROMPTS = {language: end_prompt(language) for language in ("en", "zh")}


def conversation(said: str | list[str], around: str, side: str) -> list[Turn]:
    """The turn among others, or the turns with which the user ends after the first round."""
    ask, answer, choose, tip = AROUND[around]
    if isinstance(said, list):
        texts = [ask, answer]
        for number, text in enumerate(said):
            texts += [text, f"{tip} ({number})"]
    else:
        texts = [ask, answer, said, tip] if side == "simulator" else [ask, said, choose, tip]
    return [Turn(role, text) for role, text in zip(cycle((Role.USER, Role.ASSISTANT)), texts, strict=False)]


def is_judged_well(rule: str, key: str, said: str | list[str], side: str) -> bool:
    kind, _, around = key.partition("_")
    language = LANGUAGE[around or "en"]
    findings = validate(
        conversation(said, around or "en", side),
        end_reason=EndReason.GOODBYE,
        language=language,
        end_prompt=END_PROMPTS[language],
    )
    if kind == "positive":
        return any(f.rule == rule and f.side == side for f in findings)
    return not any(f.rule == rule or f.effect == "drop" for f in findings)


def examples(file: Path) -> dict[str, list[Any]]:
    content: dict[str, list[Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_examples_are_judged_as_a_reader_would(file: Path) -> None:
    side = {rule.name: rule.side for rule in RULES}[file.stem]
    wrong = [
        (key, speaker, said)
        for key, texts in examples(file).items()
        for said in texts
        for speaker in (("simulator", "assistant") if side == "either" else (side,))
        if not is_judged_well(file.stem, key, said, speaker)
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_holds_enough_of_both_kinds(file: Path) -> None:
    content = examples(file)
    assert set(content) <= {"positive", "positive_zh", "negative", "negative_zh", "negative_lesson"}
    for kind in ("positive", "negative"):
        texts = content[kind] + content[f"{kind}_zh"]
        assert len(texts) >= (LEAST if file.stem != "refuses_role" else LEAST // 2)
