from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dialogue.ending import EndCheck

EN = "[System] If all is met, answer with exactly this and nothing else: Thank you, goodbye. Or go on."
ZH = "【系统】如果你的目标已经达成，请只回复这一句话：谢谢，再见。否则请继续。"
strict = EndCheck(end_prompt=EN, end_phrase="Thank you, goodbye.", strict=True)
chinese = EndCheck(end_prompt=ZH, end_phrase="谢谢，再见。", strict=True)
paper = EndCheck(end_prompt=EN, end_phrase="Thank you, goodbye.", strict=False)


@pytest.mark.parametrize(
    "text",
    [
        "Thank you, goodbye.",
        "thank you, GOODBYE",
        "  Thank you - goodbye!  \n",
        "That settles everything. Thank you, goodbye.",
        "**Thank you, goodbye.**",
        "Thank you, goodbye. 👋",
    ],
)
def test_reply_that_ends_in_the_phrase_is_a_goodbye(text: str) -> None:
    assert strict.is_goodbye(text)
    assert not strict.is_parrot(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Goodbye.",
        "Thank you!",
        "Thank you, goodbye. One more thing: is it open on Mondays?",
        "I said thank you and goodbye to my old plan; what about a new one?",
        EN,
        "answer with exactly this and nothing else: Thank you, goodbye.",
    ],
)
def test_other_replies_are_no_goodbye(text: str) -> None:
    assert not strict.is_goodbye(text)


def test_chinese_goodbye_and_echo() -> None:
    assert chinese.is_goodbye("都安排好了。谢谢，再见！")
    assert not chinese.is_goodbye("谢谢，再见。还有一个问题")
    assert not chinese.is_goodbye("请只回复这一句话：谢谢，再见。")
    assert chinese.is_parrot(ZH)


def test_parrot_is_a_part_of_the_end_prompt_and_nothing_more() -> None:
    assert strict.is_parrot(EN)
    assert strict.is_parrot(EN.upper() + "\n")
    assert strict.is_parrot("answer with exactly this and nothing else: Thank you, goodbye.")
    assert not strict.is_parrot("Or go on.")
    assert not strict.is_parrot(EN + " I would like a cheaper hotel.")
    assert not strict.is_parrot("")


def test_paper_check_finds_both_words_anywhere_in_any_case() -> None:
    assert paper.is_goodbye("THANK YOU so much! I will tell you later. Goodbye for now, and more questions?")
    assert not paper.is_goodbye("Thank you so much!")


@given(st.text(max_size=2000))
def test_any_text_is_judged_without_error(text: str) -> None:
    for check in (strict, chinese, paper):
        assert not (check.is_goodbye(text) and check.is_parrot(text)) or check is paper
