"""Manners told by phrases, in both languages."""

from __future__ import annotations

import pytest

from engine.analysis.manners import is_courteous, is_objecting, is_referring_back, questions


@pytest.mark.parametrize(
    "text",
    [
        "I don't want a package tour.", "That's too expensive for me.", "You forgot the vegetarian option.",
        "Could we do the lake instead of the city?", "太贵了，换一个", "我不喜欢坐飞机", "你没有考虑预算",
    ],
)  # fmt: skip
def test_objections(text: str) -> None:
    assert is_objecting(text)


@pytest.mark.parametrize("text", ["That sounds lovely.", "I want a boat trip.", "好的，就这个", ""])
def test_no_objections(text: str) -> None:
    assert not is_objecting(text)


def test_courtesy() -> None:
    assert is_courteous("Thank you so much!")
    assert is_courteous("麻烦您再看看")
    assert not is_courteous("Give me a list of hotels.")


def test_referring_back() -> None:
    assert is_referring_back("How far is it from the second one?")
    assert is_referring_back("这家店几点开门？")
    assert not is_referring_back("Recommend a museum in Rome.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What would you recommend? How much does a ticket cost?", (1, 1)),
        ("Can you suggest some museums?", (1, 0)),
        ("Is there a train at nine?", (0, 1)),
        ("I will be there on Monday.", (0, 0)),
        ("请推荐几家餐厅。多少钱？", (1, 1)),
        ("", (0, 0)),
    ],
)  # fmt: skip
def test_open_and_closed_questions(text: str, expected: tuple[int, int]) -> None:
    assert questions(text) == expected
