"""What is found wrong with a translation, and into which language it goes."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest
from tests.doubles.talks import talk

from engine.annotation.translation import faults, needs_translation, target_of
from engine.rehearsal.translator import translate

REFERENCE = Path(__file__).parents[3].parent / "shared" / "reference" / "recllmsim-conversations.jsonl.gz"
SOURCE = "Take these 2 trains:\n1. Leave at 9:30 for the old town.\n2. Return by 18:00, after the museum."


@pytest.mark.parametrize(
    ("translation", "found"),
    [
        ("请乘坐这2趟火车：\n1. 9:30出发前往老城区。\n2. 参观博物馆后，18:00前返回。", ()),
        ("请乘坐这2趟火车：\n1. 9:30出发前往老城区。\n2. 参观博物馆后，傍晚前返回。", ("numbers",)),
        ("请乘坐这2趟火车：1. 9:30出发前往老城区。2. 参观博物馆后，18:00前返回。", ("lists",)),
        ("好的", ("numbers", "lists", "length")),
        (SOURCE, ("length", "untranslated")),
    ],
)
def test_what_is_missing_or_left_is_named(translation: str, found: tuple[str, ...]) -> None:
    assert faults(SOURCE, translation, "zh") == found


def test_a_sentence_that_stayed_as_it_was_is_found() -> None:
    mixed = "请乘坐2趟火车，9:30出发，18:00前返回。" + " You may all go back home after the museum again now."
    assert "untranslated" in faults(SOURCE, mixed, "zh")


def test_english_must_hold_no_chinese_sentences() -> None:
    source = "请推荐三家安静的本地餐馆，最好靠近火车站，价格适中。"
    good = "Please recommend three quiet local restaurants, ideally near the station, at moderate prices."
    assert faults(source, good, "en") == ()
    assert faults(source, source, "en") == ("length", "untranslated")


def test_the_language_is_the_other_one() -> None:
    assert target_of(talk("Hello")) == "zh"
    assert target_of(talk("你好", language="zh")) == "en"
    assert target_of(talk("你好，我想去旅行", language="")) == "en"
    assert target_of(talk("Hello", language="")) == "zh"


@pytest.mark.parametrize(
    ("text", "target", "is_needed"),
    [
        ("Hello", "zh", True), ("我想去坐火车 Tokyo", "zh", False), ("100", "zh", False), ("", "en", False),
        ("你好", "en", True), ("Hello", "en", False), ("我要去 Tokyo Station", "en", True),
    ],
)  # fmt: skip
def test_what_is_in_the_language_already_is_not_translated(text: str, target: str, is_needed: bool) -> None:
    assert needs_translation(text, target) is is_needed


def test_the_rehearsals_translation_passes_for_one() -> None:
    assert faults(SOURCE, translate(SOURCE, "zh"), "zh") == ()


@pytest.mark.skipif(not REFERENCE.is_file(), reason="needs ../shared/reference")
def test_people_accepted_translations_are_seldom_found_wrong() -> None:
    wrong = count = 0
    with gzip.open(REFERENCE) as file:
        for line in list(file)[:150]:
            for turn in orjson.loads(line)["history"]:
                if turn.get("content_zh"):
                    count += 1
                    found = faults(turn["content"], turn["content_zh"], "zh")
                    wrong += bool(set(found) & {"length", "untranslated"})
    assert count > 500
    assert wrong / count < 0.02
